"""More rules for Variables: RMSprop, Adagrad, Adadelta, Adamax, Nadam, AdamW.
Leans on the base beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.tf.optimizers.base import Adam, Optimizer
from schuss.tf.variable import Variable

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class RMSprop(Optimizer):
    """Gradients over the root of their running mean square (Tieleman and Hinton, 2012).

    >>> w = Variable(1.0)
    >>> steps = RMSprop(0.1).minimize(lambda: w * w, [w])
    >>> round(float(w), 3)
    0.684
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        name: str | None = None,
        **bounds: Any,
    ) -> None:
        super().__init__(learning_rate, name, **bounds)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def _step(self, variable: Variable, grad: Tensor, rate: float, step: int) -> None:
        square = self._slot(variable, "square")
        square.assign(square * self.rho + schuss.square(grad) * (1 - self.rho))
        spread: Any = square
        if self.centered:
            mean = self._slot(variable, "mean")
            mean.assign(mean * self.rho + grad * (1 - self.rho))
            spread = square - schuss.square(mean)
        move = grad * rate / schuss.sqrt(spread + self.epsilon)
        if self.momentum:
            velocity = self._slot(variable, "momentum")
            velocity.assign(velocity * self.momentum + move)
            move = velocity
        variable.assign_sub(move)


class Adagrad(Optimizer):
    """Gradients over the root of the sum of all their squares (Duchi, Hazan and Singer, 2011)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        name: str | None = None,
        **bounds: Any,
    ) -> None:
        super().__init__(learning_rate, name, **bounds)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def _step(self, variable: Variable, grad: Tensor, rate: float, step: int) -> None:
        new = "sum" not in self._slots.get(variable.ref(), {})
        total = self._slot(variable, "sum")
        if new:
            total.assign_add(schuss.full_like(total, self.initial_accumulator_value))
        total.assign_add(schuss.square(grad))
        variable.assign_sub(grad * rate / schuss.sqrt(total + self.epsilon))


class Adadelta(Optimizer):
    """Steps as large as the last ones were, by the size of gradients (Zeiler, 2012)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        name: str | None = None,
        **bounds: Any,
    ) -> None:
        super().__init__(learning_rate, name, **bounds)
        self.rho, self.epsilon = rho, epsilon

    def _step(self, variable: Variable, grad: Tensor, rate: float, step: int) -> None:
        square, moved = self._slot(variable, "square"), self._slot(variable, "moved")
        square.assign(square * self.rho + schuss.square(grad) * (1 - self.rho))
        ratio = schuss.sqrt(moved + self.epsilon) / schuss.sqrt(square + self.epsilon)
        move = ratio * grad
        moved.assign(moved * self.rho + schuss.square(move) * (1 - self.rho))
        variable.assign_sub(move * rate)


class Adamax(Optimizer):
    """Adam with the largest gradient in the mean square's place (Kingma and Ba, 2015)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str | None = None,
        **bounds: Any,
    ) -> None:
        super().__init__(learning_rate, name, **bounds)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def _step(self, variable: Variable, grad: Tensor, rate: float, step: int) -> None:
        mean, largest = self._slot(variable, "mean"), self._slot(variable, "largest")
        mean.assign_add((grad - mean) * (1 - self.beta_1))
        largest.assign(schuss.maximum(largest * self.beta_2, schuss.abs(grad)))
        corrected = rate / (1 - self.beta_1**step)
        variable.assign_sub(mean * corrected / (largest + self.epsilon))


class Nadam(Optimizer):
    """Adam that looks ahead as Nesterov's momentum does (Dozat, 2016)."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str | None = None,
        **bounds: Any,
    ) -> None:
        super().__init__(learning_rate, name, **bounds)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        # The product of the momenta so far, and the step that it is of.
        self._product = (0, 1.0)

    def _step(self, variable: Variable, grad: Tensor, rate: float, step: int) -> None:
        now = self.beta_1 * (1 - 0.5 * 0.96**step)
        ahead = self.beta_1 * (1 - 0.5 * 0.96 ** (step + 1))
        if self._product[0] != step:
            self._product = (step, self._product[1] * now)
        product = self._product[1]
        mean, square = self._slot(variable, "mean"), self._slot(variable, "square")
        mean.assign_add((grad - mean) * (1 - self.beta_1))
        square.assign_add((schuss.square(grad) - square) * (1 - self.beta_2))
        first = mean * (ahead / (1 - product * ahead)) + grad * ((1 - now) / (1 - product))
        second = square / (1 - self.beta_2**step)
        variable.assign_sub(first * rate / (schuss.sqrt(second) + self.epsilon))


class AdamW(Adam):
    """Adam that takes weights back by a share of the rate besides (Loshchilov and Hutter, 2019).

    >>> w = Variable(1.0)
    >>> steps = AdamW(0.1, weight_decay=0.5).minimize(lambda: w * w, [w])
    >>> round(float(w), 4)
    0.85
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        name: str | None = None,
        **bounds: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, name, **bounds)
        self.weight_decay = weight_decay

    def _step(self, variable: Variable, grad: Tensor, rate: float, step: int) -> None:
        variable.assign_sub(variable * (rate * self.weight_decay))
        super()._step(variable, grad, rate, step)
