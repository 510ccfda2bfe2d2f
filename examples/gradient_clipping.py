"""A cliff in the loss throws plain descent away; a clipped gradient climbs down it.
Leans on schuss, schuss.nn.utils and schuss.viz; its pictures go to out/.

The cliff is that of a repeated weight: Pascanu, Mikolov and Bengio, "On the difficulty of training
recurrent neural networks" (2013).
"""

from pathlib import Path

import schuss
from schuss import nn, viz

REPEATS, TARGET = 12, 0.5


def loss_of(w):
    """Multiply a state by w again and again, as a recurrent network does, and compare the end."""
    state = w
    for _ in range(REPEATS - 1):
        state = state * w
    return (state - TARGET) ** 2


def descend(start, lr, steps, max_norm=None):
    """Return the path of w and the losses, with gradients clipped to `max_norm` if there is one."""
    w = nn.Parameter(schuss.tensor(start))
    path, losses = [w.item()], []
    for _ in range(steps):
        w.grad = None
        loss = loss_of(w)
        loss.backward()
        if max_norm is not None:
            nn.utils.clip_grad_norm_([w], max_norm)
        with schuss.no_grad():
            w -= lr * w.grad
        losses.append(loss.item())
        path.append(w.item())
    return path, losses


def main(out="out", start=1.5, lr=0.01, steps=200, max_norm=1.0):
    """Descend both ways; return the paths, the losses and the minimum."""
    answer = TARGET ** (1 / REPEATS)
    plain, plain_losses = descend(start, lr, steps=5)
    print(f"plain: w goes {', '.join(f'{w:.4g}' for w in plain)}")
    path, losses = descend(start, lr, steps, max_norm)
    print(
        f"clipped to {max_norm}: after {steps} steps w = {path[-1]:.4f}, the minimum {answer:.4f}"
    )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = viz.loss_curve(losses, log=True, title=f"gradient clipped to {max_norm}")
    picture.savefig(folder / "gradient_clipping_loss.png")
    picture = viz.descent_1d(loss_of, path, xlim=(0.5, 1.2), title="down the cliff")
    picture.axes[0].set_ylim(-0.5, 30)
    picture.savefig(folder / "gradient_clipping_cliff.png")
    return {"plain": plain, "plain_losses": plain_losses, "path": path, "losses": losses,
            "answer": answer}  # fmt: skip


if __name__ == "__main__":
    main()
