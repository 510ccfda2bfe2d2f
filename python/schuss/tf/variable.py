"""Variable: a tensor with a name that changes by assignment and is recorded by open tapes only.
Leans on the core's private marks of a tensor and on the conversion of values."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from schuss import ShapeError, Tensor, no_grad
from schuss.tf.conversion import convert_to_tensor, sizes
from schuss.tf.dtypes import name_of
from schuss.tf.scopes import scoped

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Never, Self

_MADE = count()


class Reference:
    """What stands for a Variable where a key is needed, as in a dict or a set.

    >>> v = Variable(1.0)
    >>> v.ref() == v.ref(), v.ref().deref() is v
    (True, True)
    """

    def __init__(self, variable: Variable) -> None:
        self._variable = variable

    def deref(self) -> Variable:
        """The Variable itself.

        >>> Variable(1.0).ref().deref().name
        'Variable:0'
        """
        return self._variable

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._variable is other._variable

    def __hash__(self) -> int:
        return id(self._variable)

    def __repr__(self) -> str:
        return f"<Reference wrapping {self._variable!r}>"


class Variable(Tensor):
    """A tensor that programs change by `assign`; an open GradientTape records what reads it.

    The initial value is a number, list, array or tensor, or a callable that gives one. It never
    requires grad: `numpy()`, `float` and pictures need no `detach`.

    >>> v = Variable([1.0, 2.0], name="v")
    >>> v.assign_sub([0.5, 0.5])
    <tf.Variable 'v:0' shape=(2,) dtype=float32, numpy=array([0.5, 1.5], dtype=float32)>
    """

    _name: str
    _trainable: bool
    _serial: int
    constraint: Callable[[Tensor], Any] | None

    def __new__(
        cls,
        initial_value: Any = None,
        trainable: bool | None = None,
        name: str | None = None,
        dtype: Any = None,
        shape: Any = None,
        constraint: Callable[[Tensor], Any] | None = None,
    ) -> Self:
        if callable(initial_value) and not isinstance(initial_value, Tensor):
            initial_value = initial_value()
        if initial_value is None:
            raise ValueError("Variable: initial_value is missing; give a number, list or tensor")
        value = convert_to_tensor(initial_value, dtype).detach().clone()
        if shape is not None and sizes(shape) != tuple(value.shape):
            raise ShapeError(
                f"Variable: the initial value has shape {tuple(value.shape)}, the argument shape "
                f"says {sizes(shape)}; give one that fits the other"
            )
        self = Tensor._make_subclass(cls, value, False)
        self._name = scoped(name or "Variable") + ":0"
        self._trainable = trainable is None or bool(trainable)
        self._serial = next(_MADE)
        self.constraint = constraint
        self._mark_strict()
        self._mark_variable(self._trainable)
        return self

    @property
    def name(self) -> str:
        """The name with the scopes it was made in, and TensorFlow's `:0`.

        >>> Variable(1.0, name="slope").name
        'slope:0'
        """
        return self._name

    @property
    def trainable(self) -> bool:
        """Whether tapes watch it when it is read.

        >>> Variable(1.0, trainable=False).trainable
        False
        """
        return self._trainable

    def value(self) -> Tensor:
        """The value as a plain tensor, which later assignments do not change.

        >>> v = Variable(1.0)
        >>> before = v.value()
        >>> v = v.assign(2.0)
        >>> float(before), float(v)
        (1.0, 2.0)
        """
        return self.view(self.shape)

    def read_value(self) -> Tensor:
        """The same as `value`.

        >>> float(Variable(3.0).read_value())
        3.0
        """
        return self.view(self.shape)

    def numpy(self) -> Any:
        """A copy of the value as an array, or as a NumPy number where there is no axis.

        >>> v = Variable(1.0)
        >>> before = v.numpy()
        >>> v = v.assign(2.0)
        >>> float(before)
        1.0
        """
        return np.array(super().numpy())[()]

    def assign(
        self,
        value: Any,
        use_locking: bool = False,
        name: str | None = None,
        read_value: bool = True,
    ) -> Self | None:
        """Give it a new value of its shape and dtype; an open tape records nothing of it.

        A tensor of another dtype, or a value of another shape, raises ValueError. Returns the
        Variable, or None where `read_value` is False.

        >>> float(Variable(1.0).assign(5))
        5.0
        """
        return self._set("assign", convert_to_tensor(value, self.dtype), read_value)

    def assign_add(
        self,
        delta: Any,
        use_locking: bool = False,
        name: str | None = None,
        read_value: bool = True,
    ) -> Self | None:
        """Add a value of its shape and dtype.

        >>> float(Variable(1.0).assign_add(2.0))
        3.0
        """
        delta = self._fitting("assign_add", convert_to_tensor(delta, self.dtype))
        with no_grad():
            return self._set("assign_add", self + delta, read_value)

    def assign_sub(
        self,
        delta: Any,
        use_locking: bool = False,
        name: str | None = None,
        read_value: bool = True,
    ) -> Self | None:
        """Subtract a value of its shape and dtype: the step of gradient descent.

        >>> float(Variable(1.0).assign_sub(0.25))
        0.75
        """
        delta = self._fitting("assign_sub", convert_to_tensor(delta, self.dtype))
        with no_grad():
            return self._set("assign_sub", self - delta, read_value)

    def _set(self, what: str, value: Tensor, read_value: bool) -> Self | None:
        self._assign(self._fitting(what, value))
        return self if read_value else None

    def _fitting(self, what: str, value: Tensor) -> Tensor:
        if value.shape != self.shape:
            raise ShapeError(
                f"{what}: the variable {self._name!r} has shape {tuple(self.shape)}, the value "
                f"{tuple(value.shape)}; Shape mismatch: give a value of the variable's shape"
            )
        return value

    def ref(self) -> Reference:
        """What stands for it as a key.

        >>> v = Variable(1.0)
        >>> {v.ref(): "slope"}[v.ref()]
        'slope'
        """
        return Reference(self)

    def __setitem__(self, index: Any, value: Any) -> Never:
        raise TypeError("Variable: does not support item assignment; use assign with a whole value")

    def _no_in_place(self, other: Any) -> Never:
        raise RuntimeError(
            "Variable: `variable += value` is not supported; use variable.assign_add(value) to "
            "change the variable, or out = variable + value for a new tensor"
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = _no_in_place

    def __repr__(self) -> str:
        array = self.numpy()
        shown = repr(array) if self.ndim else repr(array.item())
        line = "\n" if "\n" in shown else ""
        return (
            f"<tf.Variable {self._name!r} shape={tuple(self.shape)} dtype={name_of(self.dtype)}, "
            f"numpy={line}{shown}>"
        )

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(self.numpy(), spec) if spec else repr(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Variable:
        twin = _remade(self.numpy(), self._trainable, self._name)
        memo[id(self)] = twin
        return twin

    def __copy__(self) -> Variable:
        return _remade(self.numpy(), self._trainable, self._name)

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _remade, (self.numpy(), self._trainable, self._name)


def _remade(value: Any, trainable: bool, name: str) -> Variable:
    made = Variable(value, trainable=trainable)
    made._name = name
    return made
