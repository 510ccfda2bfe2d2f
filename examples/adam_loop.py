"""The smallest training loop: five points, a weight, a bias, and Adam to move them.
Leans on schuss, schuss.nn.functional, schuss.optim and schuss.viz; its pictures go to out/.
"""

from pathlib import Path

import schuss
from schuss import viz


def main(out="out", seed=0, steps=6000, lr=0.001):
    """Train and return w, b and the losses, with the loss that least squares reaches."""
    schuss.manual_seed(seed)
    x = schuss.randn(5)
    y = schuss.randn(5)
    w = schuss.randn(1, requires_grad=True)
    b = schuss.randn(1, requires_grad=True)
    optimizer = schuss.optim.Adam([w, b], lr=lr)

    losses = []
    for step in range(steps):
        z = x * w + b
        loss = schuss.nn.functional.mse_loss(z, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # or the next gradients would be added to these
        losses.append(loss.item())
        if step % (steps // 6) == 0:
            print(f"step {step:5}: loss {losses[-1]:.5f}")

    slope = (((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()).item()
    offset = (y.mean() - slope * x.mean()).item()
    best = ((x * slope + offset - y) ** 2).mean().item()
    print(f"step {steps:5}: loss {losses[-1]:.5f}, w = {w.item():.4f}, b = {b.item():.4f}")
    print(f"least squares: loss {best:.5f}, w = {slope:.4f}, b = {offset:.4f}")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    viz.loss_curve(losses).savefig(folder / "adam_loop_loss.png")
    viz.fit(x, y, x * w + b, residuals=True).savefig(folder / "adam_loop_fit.png")
    viz.graph(loss, params={"w": w, "b": b}).save(folder / "adam_loop_graph.png")
    return {"w": w.item(), "b": b.item(), "losses": losses, "best": best}


if __name__ == "__main__":
    main()
