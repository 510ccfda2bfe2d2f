"""Solves A x = b by walking downhill on the p-norm of A x - b, for p = 1, 2 and 3.
Leans on schuss and schuss.viz; its pictures go to out/.
"""

from pathlib import Path

import numpy as np
import schuss
from schuss import viz
from schuss.autograd import Variable


def solve(A, b, p, steps, step_size, decay):
    """Descend from x = 0, multiplying the step by `decay` each time; return x and the losses.

    A norm is as steep near its minimum as far from it, so a step that never shrinks jumps over
    the solution for ever.
    """
    x = Variable(schuss.zeros(b.size()), requires_grad=True)
    losses = []
    for _ in range(steps):
        loss = (A @ x - b).norm(p=p)
        loss.backward()
        x.data -= step_size * x.grad.data
        x.grad.data.zero_()
        step_size *= decay
        losses.append(loss.item())
    return x, losses


def main(out="out", seed=0, dim=3, steps=4000, step_size=0.05, decay=0.998):
    """Solve for three norms; return the greatest distances from inverse(A) b and the losses."""
    schuss.manual_seed(seed)
    # The heavy diagonal keeps the random matrix far from a singular one.
    A = schuss.randn(dim, dim) + 3 * schuss.eye(dim)
    b = schuss.randn(dim, 1)
    exact = A.inverse() @ b
    print(f"determinant {A.det().item():.3f}, inverse(A) b = {exact.flatten().tolist()}")

    distance, losses = {}, {}
    for p in (1, 2, 3):
        x, losses[f"p = {p}"] = solve(A, b, p, steps, step_size, decay)
        distance[p] = (x - exact).abs().max().item()
        print(f"p = {p}: x = {x.flatten().tolist()}, off by {distance[p]:.1e}")
    _, fixed = solve(A, b, 1, steps, step_size, decay=1.0)
    print(f"p = 1 with a fixed step: the loss is still {min(fixed[-100:]):.3f} to "
          f"{max(fixed[-100:]):.3f}")  # fmt: skip

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    curves = losses | {"p = 1, fixed step": fixed}
    window = np.ones(100) / 100  # the single losses jump too much to be told apart
    smooth = {name: np.convolve(curve, window, "valid") for name, curve in curves.items()}
    picture = viz.loss_curve(
        smooth, log=True, title="norm of A x - b, mean of 100 steps", ylabel="norm"
    )
    picture.savefig(folder / "solve_ax_b_loss.png")
    return {"distance": distance, "losses": losses, "fixed": fixed}


if __name__ == "__main__":
    main()
