"""The line from m = c = 0 on unscaled data: rate 0.0001 converges, rate 0.01 flies apart.
Leans on schuss and schuss.viz; its pictures go to out/.
"""

from pathlib import Path

import schuss
from schuss import viz


def by_formula(x, y, rate, epochs):
    """Descend with the derivatives of the mean squared error written out."""
    m, c, losses = 0.0, 0.0, []
    for _ in range(epochs):
        error = m * x + c - y
        losses.append((error**2).mean().item())
        m -= rate * 2 * (x * error).mean().item()
        c -= rate * 2 * error.mean().item()
    return m, c, losses


def by_autograd(x, y, rate, epochs):
    """Descend with the same derivatives found by `backward()`."""
    m, c = schuss.tensor(0.0), schuss.tensor(0.0)
    m.requires_grad_()
    c.requires_grad_()
    losses = []
    for _ in range(epochs):
        loss = ((m * x + c - y) ** 2).mean()
        loss.backward()
        with schuss.no_grad():
            m -= rate * m.grad
            c -= rate * c.grad
        m.grad.zero_()
        c.grad.zero_()
        losses.append(loss.item())
    return m.item(), c.item(), losses


def main(out="out", seed=0, n=100, epochs=50):
    """Fit at both rates; return m, c and losses of each way."""
    schuss.manual_seed(seed)
    x = 100 * schuss.rand(n)
    y = 1.5 * x + 4 + 8 * schuss.randn(n)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    results = {
        "formula": by_formula(x, y, 1e-4, epochs),
        "autograd": by_autograd(x, y, 1e-4, epochs),
        "too large": by_autograd(x, y, 1e-2, epochs),
    }
    for name, (m, c, losses) in results.items():
        print(f"{name:10} m = {m:.4g}, c = {c:.4g}, loss {losses[0]:.4g} -> {losses[-1]:.4g}")
    start = viz.fit(x, y, 0 * x, title="m = c = 0")
    start.savefig(folder / "line_from_zero_start.png")
    m, c, losses = results["autograd"]
    end = viz.fit(x, y, m * x + c, title=f"rate 0.0001, {epochs} epochs")
    end.savefig(folder / "line_from_zero_fit.png")
    both = {"rate 0.0001": losses, "rate 0.01": results["too large"][2][:8]}
    picture = viz.loss_curve(both, log=True, xlabel="epoch")
    picture.savefig(folder / "line_from_zero_loss.png")
    return {"x": x, "y": y, "results": results}


if __name__ == "__main__":
    main()
