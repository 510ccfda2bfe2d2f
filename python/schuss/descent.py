"""Descent in one call: the training loop, paths on a surface, Newton's method, two losses.
Leans on the tape and on Scalar; models are anything with `parameters()`."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING

import schuss
from schuss.naming import warn

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "GradientDescent",
    "binary_cross_entropy",
    "descend",
    "mean_squared_error",
    "newton",
    "newton_system",
]


class GradientDescent:
    """Gradient descent on a model: predict, measure, differentiate, step, and again.

    `model` is called with the data; its `parameters()` returns a dict of name to Scalar or Tensor,
    or an iterable of Tensors. `loss_fn(preds, ys)` returns a Scalar or a tensor of one element.

    >>> import schuss
    >>> class Line(schuss.Model):
    ...     def __init__(self):
    ...         self.a, self.b = schuss.Scalar(1), schuss.Scalar(1)
    ...     def forward(self, x):
    ...         return self.a * x + self.b
    ...     def parameters(self):
    ...         return {"a": self.a, "b": self.b}
    >>> line = Line()
    >>> descent = schuss.GradientDescent(line, schuss.descent.mean_squared_error)
    >>> losses = descent.run([0, 1, 2], [1, 3, 5], lr=0.1, n_steps=500)
    >>> f"{float(line.a):.3f} {float(line.b):.3f} {len(losses)}"
    '2.000 1.000 500'
    """

    def __init__(self, model: Any, loss_fn: Callable[[Any, Any], Any]) -> None:
        if isinstance(model, type):
            raise TypeError(
                f"GradientDescent: the model is the class {model.__name__}; make one of it:"
                f" {model.__name__}(...)"
            )
        if not hasattr(model, "parameters"):
            raise TypeError(
                f"GradientDescent: {type(model).__name__} has no parameters(); give it a method "
                "that returns a dict of name to Scalar or Tensor"
            )
        if isinstance(loss_fn, type):
            raise TypeError(
                f"GradientDescent: the loss is the class {loss_fn.__name__}; make one of it:"
                f" {loss_fn.__name__}()"
            )
        if not callable(loss_fn):
            raise TypeError(
                f"GradientDescent: the loss must be callable, got {type(loss_fn).__name__}"
            )
        self.model = model
        self.loss_fn = loss_fn

    def run(self, xs: Any, ys: Any, lr: float = 0.01, n_steps: int = 1000) -> list[float]:
        """Take `n_steps` steps of rate `lr` and return the loss before each.

        A list of xs (or a tuple, a range) goes through the model one sample at a time, and the
        loss gets two lists, (preds, ys); a tensor or a NumPy array goes through in one call. A loss
        that is infinite or NaN ends the run with a RuntimeWarning, before it reaches the
        parameters: the returned list then ends with that loss. ValueError where xs and ys differ in
        length, the rate or n_steps is negative, or the model has no parameters.
        """
        rate = _rate("GradientDescent", lr)
        steps = _steps(n_steps)
        if not self._parameters():
            raise ValueError(
                f"GradientDescent: {type(self.model).__name__} has no parameters to train; make its"
                " tensors nn.Parameter, or define parameters() returning a dict of name to Tensor"
                " or Scalar"
            )
        one_by_one = not hasattr(xs, "shape")
        if one_by_one:
            xs = list(xs)
            if len(xs) != len(ys):
                raise ValueError(f"GradientDescent: {len(xs)} xs and {len(ys)} ys: lengths differ")
        else:
            like = next(filter(_is_tensor, self._parameters()), None)
            xs, ys = _as_tensor(xs, like), _as_tensor(ys, like)
            if xs.ndim and ys.ndim and xs.shape[0] != ys.shape[0]:
                raise ValueError(
                    f"GradientDescent: xs has shape {tuple(xs.shape)} and ys {tuple(ys.shape)}:"
                    " lengths differ"
                )
        losses: list[float] = []
        for step in range(steps):
            self._zero_grad()
            preds = [self.model(x) for x in xs] if one_by_one else self.model(xs)
            loss = self.loss_fn(preds, ys)
            losses.append(_number("GradientDescent", loss))
            if not math.isfinite(losses[-1]):
                _warn_not_finite("GradientDescent", losses[-1], step, rate)
                break
            loss.backward()
            self._update(rate)
        return losses

    def _parameters(self) -> list[Any]:
        found = self.model.parameters
        found = found() if callable(found) else found
        return list(found.values() if isinstance(found, dict) else found)

    def _zero_grad(self) -> None:
        for p in self._parameters():
            if isinstance(p, schuss.Scalar):
                p.backwards_grad = 0
            else:
                p.grad = None

    def _update(self, rate: float) -> None:
        with schuss.no_grad():
            for p in self._parameters():
                if isinstance(p, schuss.Scalar):
                    p.gradient_update(rate)
                elif p.grad is not None:
                    p -= rate * p.grad


def descend(
    f: Callable[[Any], Any], x0: Any, lr: float = 0.1, n_steps: int = 100
) -> list[schuss.Tensor]:
    """Walk down `f` from `x0` and return the path, `n_steps` + 1 tensors with x0 first.

    `x0` is a number, a list, an array or a tensor; numbers become float64. `f` returns one number.
    A value or a slope that is infinite or NaN ends the path with a RuntimeWarning.

    >>> import schuss
    >>> path = schuss.descent.descend(lambda x: (x - 2) ** 2 + 1, 0.0, lr=0.25, n_steps=3)
    >>> [x.item() for x in path]
    [0.0, 1.0, 1.5, 1.75]
    """
    rate = _rate("descend", lr)
    x = _start("descend", x0)
    path = [x]
    for step in range(operator.index(n_steps)):
        x = x.detach().requires_grad_()
        with schuss.enable_grad():
            y = f(x)
        value = _number("descend", y)
        (slope,) = schuss.autograd.grad(y, x)
        if not (math.isfinite(value) and bool(schuss.isfinite(slope).all())):
            _warn_not_finite("descend", value, step, rate)
            break
        x = x.detach() - rate * slope.detach()
        path.append(x)
    return path


def newton(
    f: Callable[[Any], Any], x0: Any, *, n_steps: int = 50, tol: float | None = None
) -> schuss.Tensor:
    """Find a root of `f` near `x0` by Newton's method, x - f(x) / f'(x), with f' from the tape.

    `x0` is a number, or a tensor of starting points on which `f` works element by element; numbers
    become float64. It ends when no step is larger than `tol * (1 + |x|)`: by default 1e-12 for
    float64, 1e-6 else. ValueError where the derivative is 0, RuntimeError where `n_steps` steps do
    not settle. J. Nocedal and S. J. Wright (2006), Numerical Optimization, chapter 11.

    >>> import schuss
    >>> round(schuss.descent.newton(lambda x: x**2 - 2, 1.0).item(), 12)
    1.414213562373
    """
    x = _start("newton", x0)
    if tol is None:
        tol = 1e-12 if x.dtype == schuss.float64 else 1e-6
    for _ in range(operator.index(n_steps)):
        x = x.detach().requires_grad_()
        with schuss.enable_grad():
            y = f(x)
            if y.shape != x.shape:
                raise schuss.ShapeError(
                    f"newton: f maps {tuple(x.shape)} to {tuple(y.shape)}: it must keep the shape"
                )
            (slope,) = schuss.autograd.grad(y.sum(), x)
        x, y, slope = x.detach(), y.detach(), slope.detach()
        if bool(((slope == 0) & (y != 0)).any()):
            raise ValueError(
                f"newton: the derivative is 0 at x = {x.tolist()}; start from another point"
            )
        step = schuss.where(y == 0, schuss.zeros_like(y), y / slope)
        x = x - step
        if not bool(schuss.isfinite(x).all()):
            break
        if bool((step.abs() <= tol * (1 + x.abs())).all()):
            return x
    raise RuntimeError(
        f"newton: no root after {n_steps} steps, x = {x.tolist()}; start closer or allow more steps"
    )


def newton_system(
    f: Callable[[Any], Any], x0: Any, *, n_steps: int = 50, tol: float | None = None
) -> schuss.Tensor:
    """Solve f(x) = 0 near `x0` by Newton's method, x - J^-1 f(x), for n equations in n unknowns.

    `f` maps a vector to a vector of the same length; lists become float64. A step that does not
    bring |f| down is halved. It ends when no step is larger than `tol * (1 + |x|)`: by default
    1e-12 for float64, 1e-6 else. ShapeError where f does not keep the length, ValueError where its
    Jacobian is singular, RuntimeError where `n_steps` steps do not settle. J. Nocedal and S. J.
    Wright (2006), Numerical Optimization, section 11.1.

    >>> import schuss
    >>> circle = lambda x: schuss.stack([x[0] ** 2 + x[1] ** 2 - 2, x[0] - x[1]])
    >>> schuss.descent.newton_system(circle, [2.0, 0.5])
    tensor([1., 1.], dtype=schuss.float64)
    """
    x = _start("newton_system", x0)
    if x.dim() != 1:
        raise schuss.ShapeError(f"newton_system: x0 must be a vector, got {tuple(x.shape)}")
    if tol is None:
        tol = 1e-12 if x.dtype == schuss.float64 else 1e-6
    y, size = None, math.inf
    for _ in range(operator.index(n_steps)):
        slopes, y = _linear(f, x)
        if not bool(schuss.isfinite(slopes).all() and schuss.isfinite(y).all()):
            break
        try:
            step = schuss.linalg.solve(slopes, y)
        except RuntimeError as error:
            raise ValueError(
                f"newton_system: the Jacobian is singular at x = {x.tolist()}; start from another "
                "point"
            ) from error
        size, share = y.norm().item(), 1.0
        while share > 1e-6:
            new = f(x - share * step)
            if new.norm().item() < size or size == 0:
                break
            share /= 2
        x = (x - share * step).detach()
        if bool((share * step.abs() <= tol * (1 + x.abs())).all()):
            return x
    raise RuntimeError(
        f"newton_system: no root after {n_steps} steps, x = {x.tolist()}; start closer or allow "
        "more steps"
    )


def _linear(f: Callable[[Any], Any], x: schuss.Tensor) -> tuple[schuss.Tensor, schuss.Tensor]:
    """Jacobian and value of a map of a vector to one of the same length."""
    x = x.detach().requires_grad_()
    with schuss.enable_grad():
        y = f(x)
        if y.shape != x.shape:
            raise schuss.ShapeError(
                f"newton_system: f maps {tuple(x.shape)} to {tuple(y.shape)}: it must keep the "
                "shape"
            )
        rows = [schuss.autograd.grad(part, x, retain_graph=True)[0] for part in y]
    return schuss.stack(rows).detach(), y.detach()


def mean_squared_error(preds: Any, ys: Any) -> Any:
    """Mean of (prediction - truth) ** 2, of two lists (Scalars, tensors, numbers) or two tensors.

    Symmetric in its arguments. ValueError where the lengths differ or there is nothing to average,
    ShapeError where the shapes of two tensors differ.

    >>> import schuss
    >>> schuss.descent.mean_squared_error([schuss.Scalar(1), schuss.Scalar(2)], [1, 4])
    Scalar(2.0)
    """
    preds, ys, whole = _pair("mean_squared_error", preds, ys)
    if whole:
        return ((preds - ys) ** 2).mean()
    return sum([(p - y) ** 2 for p, y in zip(preds, ys, strict=True)]) / len(preds)


def binary_cross_entropy(preds: Any, ys: Any) -> Any:
    """Mean of -y log(p) - (1 - y) log(1 - p), of two lists (Scalars, tensors, numbers) or tensors.

    Logarithms are cut off at -100, so a prediction that is exactly wrong costs 100. ValueError
    where lengths differ or a prediction lies outside [0, 1]; ShapeError where two shapes differ.

    >>> import schuss
    >>> p = schuss.Scalar(0.5)
    >>> schuss.descent.binary_cross_entropy([p, p], [1, 0])
    Scalar(0.6931471805599453)
    """
    preds, ys, whole = _pair("binary_cross_entropy", preds, ys)
    if not whole:
        return sum([_surprise(p, y) for p, y in zip(preds, ys, strict=True)]) / len(preds)
    low, high = preds.min().item(), preds.max().item()
    if math.isnan(low) or math.isnan(high):
        return preds.mean()
    if low < 0 or high > 1:
        raise _outside(low if low < 0 else high)
    return schuss.nn.functional.binary_cross_entropy(preds, ys.to(preds.dtype))


def _surprise(p: Any, y: Any) -> Any:
    """-y log(p) - (1 - y) log(1 - p) of one pair, as one node of the scalar graph."""
    a, b = float(p), float(y)
    if a < 0 or a > 1:
        raise _outside(a)
    if math.isnan(a):
        return p - y
    yes = max(math.log(a), -100.0) if a > 0 else -100.0
    no = max(math.log1p(-a), -100.0) if a < 1 else -100.0
    edges = []
    if isinstance(p, schuss.Scalar):
        edges.append(schuss.Edge(p, (a - b) / max(a * (1 - a), 1e-12)))
    if isinstance(y, schuss.Scalar):
        edges.append(schuss.Edge(y, no - yes))
    value = -(b * yes + (1 - b) * no)
    return schuss.Scalar(value, edges) if edges else value


def _outside(p: float) -> ValueError:
    return ValueError(
        f"binary_cross_entropy: prediction {p} is outside [0, 1]; end the model with a sigmoid"
    )


def _pair(name: str, preds: Any, ys: Any) -> tuple[Any, Any, bool]:
    """Predictions and truths as two tensors (True) or as two lists of numbers and Scalars."""
    both = (preds, ys)
    if not (_is_tensor(preds) and _is_tensor(ys)):
        if len(preds) != len(ys):
            raise ValueError(f"{name}: {len(preds)} and {len(ys)} values: the lengths differ")
        if len(preds) == 0:
            raise ValueError(f"{name}: no values; a mean needs at least one")
        scalar = any(isinstance(values[0], schuss.Scalar) for values in both)
        like = None if scalar else next(filter(_is_tensor, (*both, preds[0], ys[0])), None)
        if like is None:
            return _numbers(preds), _numbers(ys), False
        preds, ys = _stack(preds, like), _stack(ys, like)
        if preds.numel() == ys.numel():
            # One-sample predictions have shapes such as (1,), truths in a list are bare numbers.
            ys = ys.reshape(preds.shape)
    if preds.shape != ys.shape:
        raise schuss.ShapeError(
            f"{name}: {tuple(preds.shape)} and {tuple(ys.shape)}: shapes differ; "
            "reshape one like the other"
        )
    if preds.numel() == 0:
        raise ValueError(f"{name}: no values; a mean needs at least one")
    return preds, ys, True


def _numbers(values: Any) -> list[Any]:
    values = values.tolist() if _is_tensor(values) else values
    return [value.item() if _is_tensor(value) else value for value in values]


def _is_tensor(value: Any) -> bool:
    return isinstance(value, schuss.Tensor)


def _stack(values: Any, like: schuss.Tensor) -> schuss.Tensor:
    if _is_tensor(values):
        return values
    if _is_tensor(values[0]):
        return schuss.stack(list(values))
    return schuss.as_tensor(values, dtype=like.dtype, device=like.device)


def _as_tensor(values: Any, like: schuss.Tensor | None) -> Any:
    """An array as a tensor beside `like`: its device, and its dtype if the array holds floats."""
    if like is None or _is_tensor(values):
        return values
    tensor = schuss.as_tensor(values, device=like.device)
    return tensor.to(like.dtype) if tensor.is_floating_point() else tensor


def _start(name: str, x0: Any) -> schuss.Tensor:
    if not isinstance(x0, schuss.Tensor):
        x0 = schuss.as_tensor(x0, dtype=schuss.float64)
    elif not x0.is_floating_point():
        raise schuss.DTypeError(
            f"{name}: needs a float tensor, got {x0.dtype.name}; use x.to(schuss.float32)"
        )
    return x0.detach().clone()


def _steps(n_steps: Any) -> int:
    """The number of steps, checked."""
    try:
        steps = operator.index(n_steps)
    except TypeError:
        raise TypeError(
            f"GradientDescent: n_steps must be an integer, got {type(n_steps).__name__}"
        ) from None
    if steps < 0:
        raise ValueError(f"GradientDescent: n_steps must be at least 0, got {steps}")
    return steps


def _rate(name: str, lr: Any) -> float:
    rate = float(lr)
    if not rate >= 0:
        raise ValueError(f"{name}: lr must be at least 0, got {lr}")
    return rate


def _number(name: str, loss: Any) -> float:
    if isinstance(loss, schuss.Scalar):
        return float(loss)
    if not isinstance(loss, schuss.Tensor):
        raise TypeError(
            f"{name}: the loss must be a Scalar or a tensor, got {type(loss).__name__}; "
            "is it computed from the parameters?"
        )
    if loss.numel() != 1:
        raise schuss.ShapeError(
            f"{name}: the loss must be one number, got shape {tuple(loss.shape)};"
            " use .mean() or .sum()"
        )
    return float(loss.item())


def _warn_not_finite(name: str, value: float, step: int, rate: float) -> None:
    advice = (
        f"the rate is too high: try lr={rate / 10:g}"
        if step
        else "no update was made yet: look at the data and at the starting values"
    )
    warn(
        f"{name}: the loss is {value} at step {step} with lr={rate:g}; {advice}. It ends here.",
        RuntimeWarning,
    )
