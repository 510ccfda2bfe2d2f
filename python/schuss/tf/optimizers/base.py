"""The optimizer of Variables, by apply_gradients or minimize, and its first rules: SGD, Adam.
Leans on Variable's assignments and on GradientTape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.naming import Checked, form, unknown, warn
from schuss.tape import GradientTape
from schuss.tape.nest import flatten
from schuss.tf.conversion import operand
from schuss.tf.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from schuss import Tensor


class Optimizer(Checked):
    """A rule that changes Variables by their gradients.

    The learning rate is a number, or a callable that gives one for the step (0, 1, 2...).

    >>> issubclass(SGD, Optimizer)
    True
    """

    # Bounds for the gradients: the size of each element, the norm of each, the norm of all.
    clipvalue: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None

    def __init__(self, learning_rate: Any, name: str | None = None, **bounds: Any) -> None:
        for bound, value in bounds.items():
            if bound not in ("clipvalue", "clipnorm", "global_clipnorm"):
                raise unknown(type(self).__name__, bound, form(type(self)))
            setattr(self, bound, value)
        self.name = name or type(self).__name__
        self.iterations = Variable(0, dtype="int64", trainable=False, name="iteration")
        self._slots: dict[Any, dict[str, Variable]] = {}
        self._schedule: Callable[[int], Any] | None = None
        self._rate = Variable(0.0, trainable=False, name="learning_rate")
        self.learning_rate = learning_rate

    @property
    def learning_rate(self) -> Any:
        """The rate as a Variable that may be assigned, or the callable that was given.

        >>> float(SGD(0.5).learning_rate)
        0.5
        """
        return self._rate if self._schedule is None else self._schedule

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if callable(value):
            self._schedule = value
            return
        self._schedule = None
        self._rate.assign(float(value))

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[Any, Variable]], name: str | None = None
    ) -> Variable:
        """Take one step by pairs of (gradient, Variable), and return the count of steps.

        Pairs without a gradient are left out with a warning; without any gradient: ValueError.

        >>> w = Variable(1.0)
        >>> steps = SGD(0.5).apply_gradients([(schuss.tensor(1.0), w)])
        >>> float(w), int(steps)
        (0.5, 1)
        """
        pairs = list(grads_and_vars)
        useful = [(operand(g, v.dtype), v) for g, v in pairs if g is not None]
        if not useful:
            raise ValueError("apply_gradients: No gradients provided for any variable")
        if len(useful) < len(pairs):
            names = ", ".join(v.name for g, v in pairs if g is None)
            warn(
                f"apply_gradients: Gradients do not exist for variables {names}; "
                "they stay as they are",
            )
        step = int(self.iterations)
        rate = float(self._rate if self._schedule is None else self._schedule(step))
        with schuss.no_grad():
            for grad, variable in self._clipped(useful):
                self._step(variable, grad, rate, step + 1)
                if variable.constraint is not None:
                    variable.assign(variable.constraint(variable.value()))
        self.iterations.assign_add(1)
        return self.iterations

    def _clipped(self, pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        """The pairs with gradients within the bounds."""
        if self.clipvalue is not None:
            return [(g.clamp(-self.clipvalue, self.clipvalue), v) for g, v in pairs]
        if self.clipnorm is not None:
            most = self.clipnorm
            return [(g * (most / g.norm().clamp(min=most)), v) for g, v in pairs]
        if self.global_clipnorm is not None:
            most = self.global_clipnorm
            squares = schuss.stack([g.square().sum() for g, _ in pairs])
            whole = squares.sum().sqrt().clamp(min=most)
            return [(g * (most / whole), v) for g, v in pairs]
        return pairs

    def minimize(
        self, loss: Any, var_list: Any, tape: GradientTape | None = None, name: str | None = None
    ) -> Variable:
        """Differentiate a loss, a callable or a tensor of a tape, and take one step.

        >>> w = Variable(3.0)
        >>> steps = SGD(0.5).minimize(lambda: w * w, [w])
        >>> float(w)
        0.0
        """
        if callable(loss) and not isinstance(loss, schuss.Tensor):
            tape = tape or GradientTape()
            with tape:
                loss = loss()
        elif tape is None:
            raise ValueError("minimize: a loss that is a tensor needs the tape that recorded it")
        variables = flatten(var_list() if callable(var_list) else var_list)
        return self.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    @property
    def variables(self) -> list[Variable]:
        """The count of steps, the rate, and what is kept for each Variable.

        >>> len(SGD().variables)
        2
        """
        kept = [slot for slots in self._slots.values() for slot in slots.values()]
        return [self.iterations, self._rate, *kept]

    def _slot(self, variable: Variable, name: str) -> Variable:
        """What is kept for a Variable under a name; zeros at first."""
        slots = self._slots.setdefault(variable.ref(), {})
        if name not in slots:
            slots[name] = Variable(schuss.zeros_like(variable.value()), trainable=False, name=name)
        return slots[name]

    def _step(self, variable: Variable, grad: Tensor, rate: float, step: int) -> None:
        raise NotImplementedError(
            f"{type(self).__name__}: define _step(variable, grad, rate, step)"
        )


class SGD(Optimizer):
    """Gradient descent, with momentum if asked: v = momentum v - rate g, w = w + v.

    With `nesterov` the step is taken from where the momentum leads (Nesterov, 1983).

    >>> w = Variable(1.0)
    >>> steps = SGD(0.1).minimize(lambda: w * w, [w])
    >>> round(float(w), 4)
    0.8
    """

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str | None = None,
        **bounds: Any,
    ) -> None:
        if not 0 <= momentum <= 1:
            raise ValueError(f"SGD: momentum {momentum} is outside [0, 1]")
        super().__init__(learning_rate, name, **bounds)
        self.momentum = momentum
        self.nesterov = nesterov

    def _step(self, variable: Variable, grad: Tensor, rate: float, step: int) -> None:
        if not self.momentum:
            variable.assign_sub(grad * rate)
            return
        velocity = self._slot(variable, "momentum")
        velocity.assign(velocity * self.momentum - grad * rate)
        ahead = velocity * self.momentum - grad * rate if self.nesterov else velocity
        variable.assign_add(ahead)


class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015), epsilon outside the correction as in the paper's section 2.

    >>> w = Variable(1.0)
    >>> steps = Adam(0.1).minimize(lambda: w * w, [w])
    >>> round(float(w), 4)
    0.9
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        name: str | None = None,
        **bounds: Any,
    ) -> None:
        for label, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= beta < 1:
                raise ValueError(f"Adam: {label} {beta} is outside [0, 1)")
        super().__init__(learning_rate, name, **bounds)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def _step(self, variable: Variable, grad: Tensor, rate: float, step: int) -> None:
        mean, square = self._slot(variable, "mean"), self._slot(variable, "square")
        mean.assign_add((grad - mean) * (1 - self.beta_1))
        square.assign_add((schuss.square(grad) - square) * (1 - self.beta_2))
        if self.amsgrad:
            largest = self._slot(variable, "largest")
            largest.assign(schuss.maximum(largest, square))
            square = largest
        corrected = rate * (1 - self.beta_2**step) ** 0.5 / (1 - self.beta_1**step)
        variable.assign_sub(mean * corrected / (schuss.sqrt(square) + self.epsilon))
