"""A regression grown step by step: parameters by hand, a nested layer, a function that trains.
Leans on schuss, schuss.nn, schuss.optim and schuss.viz; its picture goes to out/.
"""

from pathlib import Path

import schuss
from schuss import nn, optim, viz


class ManualLinearRegression(nn.Module):
    """Two parameters of its own, named a and b."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(schuss.randn(1))
        self.b = nn.Parameter(schuss.randn(1))

    def forward(self, x):
        return self.a + self.b * x


class LayerLinearRegression(nn.Module):
    """The same line as a layer inside a model, whose parameters are found by themselves."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


def make_train_step(model, loss_fn, optimizer):
    """Build a function of (x, y) that makes one training step and returns the loss."""

    def train_step(x, y):
        model.train()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return train_step


def main(out="out", seed=42, n=80, epochs=1000, lr=1e-1):
    """Train each model on y = 1 + 2 x + noise; return (intercept, slope) and the last losses."""
    schuss.manual_seed(seed)
    device = "cuda" if schuss.cuda.is_available() else "cpu"
    x = schuss.rand(n, 1).to(device)
    y = 1 + 2 * x + 0.1 * schuss.randn(n, 1).to(device)

    models = {
        "manual": ManualLinearRegression(),
        "layer": LayerLinearRegression(),
        "sequential": nn.Sequential(nn.Linear(1, 1)),
    }
    found, losses = {}, {}
    for name, model in models.items():
        model = model.to(device)
        optimizer = optim.SGD(model.parameters(), lr=lr)
        train_step = make_train_step(model, nn.MSELoss(reduction="mean"), optimizer)
        losses[name] = [train_step(x, y) for _ in range(epochs)]
        # The layer keeps its weight (the slope) before its bias, so read them by name.
        state = {key.rsplit(".")[-1]: value.item() for key, value in model.state_dict().items()}
        slope = state["b"] if name == "manual" else state["weight"]
        found[name] = (state["a"] if name == "manual" else state["bias"], slope)
        print(f"{name:10}  {', '.join(model.state_dict()):28}"
              f"intercept {found[name][0]:.4f}, slope {slope:.4f}")  # fmt: skip

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = viz.loss_curve(losses, xlabel="epoch", log=True, title="three ways to write one line")
    picture.savefig(folder / "regression_step_by_step_loss.png")
    line = viz.fit(x, y, models["layer"](x), title="the line found by the nested layer")
    line.savefig(folder / "regression_step_by_step_fit.png")
    return {"found": found, "losses": losses, "models": models}


if __name__ == "__main__":
    main()
