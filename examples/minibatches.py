"""Batch, stochastic and mini-batch descent on one data set, with validation on the rest.
Leans on schuss.utils.data, schuss.nn, schuss.optim and schuss.viz; its pictures go to out/.
"""

from pathlib import Path

import schuss
from schuss import nn, optim, viz
from schuss.utils.data import DataLoader, Dataset, TensorDataset, random_split


class PairDataset(Dataset):
    """Pairs of features and label; what a data set needs is a length and an item by its index."""

    def __init__(self, x, y):
        self.x, self.y = x, y

    def __getitem__(self, index):
        return self.x[index], self.y[index]

    def __len__(self):
        return len(self.x)


def evaluate(model, loss_fn, loader, device):
    """Average the loss over the loader's batches without training."""
    model.eval()
    with schuss.no_grad():
        losses = [loss_fn(model(x.to(device)), y.to(device)).item() for x, y in loader]
    return sum(losses) / len(losses)


def train(train_set, val_loader, batch_size, epochs, lr, device):
    """Train one line; return the model, the loss of each update, the validation of each epoch."""
    schuss.manual_seed(7)
    model = nn.Linear(1, 1).to(device)
    loss_fn, optimizer = nn.MSELoss(), optim.SGD(model.parameters(), lr=lr)
    loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
    losses, validation = [], []
    for _ in range(epochs):
        model.train()
        for x, y in loader:  # only this batch travels to the device
            loss = loss_fn(model(x.to(device)), y.to(device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        validation.append(evaluate(model, loss_fn, val_loader, device))
    return model, losses, validation


def main(out="out", seed=13, n=100, batch_size=16, epochs=30, lr=0.1):
    """Train three times; return updates an epoch, losses, validation losses and the models."""
    schuss.manual_seed(seed)
    device = "cuda" if schuss.cuda.is_available() else "cpu"
    x = schuss.rand(n, 1)
    y = 1 + 2 * x + 0.1 * schuss.randn(n, 1)
    first = PairDataset(x, y)[0]
    print(f"the first pair: {first[0].item():.4f}, {first[1].item():.4f}")
    train_set, val_set = random_split(TensorDataset(x, y), [n * 4 // 5, n - n * 4 // 5])
    val_loader = DataLoader(val_set, batch_size=20)

    sizes = {"batch": len(train_set), "mini-batch": batch_size, "stochastic": 1}
    updates, losses, validation, models = {}, {}, {}, {}
    for name, size in sizes.items():
        models[name], losses[name], validation[name] = train(
            train_set, val_loader, size, epochs, lr, device
        )
        updates[name] = len(losses[name]) // epochs
        first, last = validation[name][0], validation[name][-1]
        print(f"{name:10}  {updates[name]:3} updates an epoch, "
              f"validation loss {first:.4f} after the first, {last:.4f} at the end")  # fmt: skip

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    names = ("stochastic", "mini-batch", "batch")
    seen = {name: losses[name][: 2 * len(train_set)] for name in names}
    picture = viz.loss_curve(seen, xlabel="update", log=True, title="loss of each update")
    picture.savefig(folder / "minibatches_loss.png")
    picture = viz.loss_curve(validation, xlabel="epoch", log=True, title="loss on validation data")
    picture.savefig(folder / "minibatches_validation.png")
    return {"updates": updates, "losses": losses, "validation": validation, "models": models}


if __name__ == "__main__":
    main()
