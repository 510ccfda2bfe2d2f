"""One line fitted in NumPy by hand-made gradients, then by tensors that find them alone.
Leans on NumPy, schuss and schuss.viz; the pictures of the computation graphs go to out/.
"""

from pathlib import Path

import numpy as np
import schuss
from schuss import viz


def make_data(seed, n):
    """Make n points of y = 1 + 2 x with noise; return shuffled (x, y) to train and to validate."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 1))
    y = 1 + 2 * x + 0.1 * rng.standard_normal((n, 1))
    shuffled = rng.permutation(n)
    first, rest = shuffled[: n * 4 // 5], shuffled[n * 4 // 5 :]
    return (x[first], y[first]), (x[rest], y[rest])


def fit_with_numpy(x, y, lr, epochs):
    """Descend with the two derivatives of the mean squared error written out."""
    a, b = -0.5, 0.3
    for _ in range(epochs):
        error = a + b * x - y
        a, b = a - lr * 2 * error.mean(), b - lr * 2 * (x * error).mean()
    return a, b


def fit_with_tensors(x, y, lr, epochs, device):
    """Descend with `backward()` in place of the derivatives."""
    a = schuss.tensor([-0.5], requires_grad=True, device=device)
    b = schuss.tensor([0.3], requires_grad=True, device=device)
    for _ in range(epochs):
        loss = ((a + b * x - y) ** 2).mean()
        loss.backward()
        # Nothing may be recorded here: the update is no part of the model.
        with schuss.no_grad():
            a -= lr * a.grad
            b -= lr * b.grad
        a.grad.zero_()
        b.grad.zero_()
    return a, b


def wrong_updates():
    """Try the two updates that do not work, and return what each one leads to."""
    a = schuss.tensor([1.0], requires_grad=True)
    (a**2).sum().backward()
    reassigned = a - 0.1 * a.grad  # a new tensor, and no leaf: its gradient will not be kept
    try:
        a -= 0.1 * a.grad
    except RuntimeError as error:
        return reassigned.is_leaf, str(error)
    return reassigned.is_leaf, ""


def main(out="out", seed=42, n=100, epochs=2000, lr=1e-1):
    """Fit by NumPy, by least squares and by tensors; return the three."""
    (x, y), _ = make_data(seed, n)
    by_hand = fit_with_numpy(x, y, lr, epochs)
    design = np.hstack([np.ones_like(x), x])
    exact = np.linalg.lstsq(design, y, rcond=None)[0].ravel()
    print(f"descent in NumPy  a = {by_hand[0]:.6f}, b = {by_hand[1]:.6f}")
    print(f"least squares     a = {exact[0]:.6f}, b = {exact[1]:.6f}")

    device = "cuda" if schuss.cuda.is_available() else "cpu"
    x_tensor = schuss.from_numpy(x).float().to(device)
    y_tensor = schuss.from_numpy(y).float().to(device)
    print(f"{type(x).__name__} became {type(x_tensor).__name__} on {x_tensor.device}")
    back = x_tensor.cpu().numpy()
    a, b = fit_with_tensors(x_tensor, y_tensor, lr, epochs, device)
    print(f"tensors           a = {a.item():.6f}, b = {b.item():.6f}")
    is_leaf, message = wrong_updates()
    print(f"a - lr * grad is a leaf: {is_leaf}; a -= lr * grad outside no_grad says: {message}")

    loss = ((y_tensor - (a + b * x_tensor)) ** 2).mean()
    both = viz.graph(loss, params={"a": a, "b": b})
    both.save(Path(out) / "numpy_to_autograd_graph.png")
    constant = a.detach()
    only_b = viz.graph(((y_tensor - (constant + b * x_tensor)) ** 2).mean(), params={"b": b})
    only_b.save(Path(out) / "numpy_to_autograd_graph_without_a.png")
    return {
        "numpy": by_hand,
        "exact": tuple(exact),
        "tensors": (a.item(), b.item()),
        "back": back,
        "x": x,
        "is_leaf": is_leaf,
        "message": message,
        "graphs": (both, only_b),
    }


if __name__ == "__main__":
    main()
