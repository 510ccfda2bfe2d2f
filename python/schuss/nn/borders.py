"""Models that put a border around the last one, two or three axes.
Leans on nn.functional.pad."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.model import Model
from schuss.nn import functional as F
from schuss.nn.settings import repeated

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class _Pad(Model):
    """A border of given widths, (left, right) for the last axis first."""

    axes: int
    mode = "constant"
    value: float | None = None

    def __init__(self, padding: Any) -> None:
        self.padding = repeated(2 * self.axes)(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode, self.value)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """A border of one value on the last axis: (left, right), or one width for both.

    >>> import schuss
    >>> schuss.nn.ConstantPad1d((1, 2), 9.0)(schuss.zeros(1, 1))
    tensor([[9., 0., 9., 9.]])
    """

    axes = 1


class ConstantPad2d(_ConstantPadNd):
    """A border of one value on the last two axes: (left, right, top, bottom), or one width."""

    axes = 2


class ConstantPad3d(_ConstantPadNd):
    """A border of one value on the last three axes, two widths for each, the last axis first."""

    axes = 3


class _ZeroPadNd(_Pad):
    value = 0.0


class ZeroPad1d(_ZeroPadNd):
    """A border of zeros on the last axis."""

    axes = 1


class ZeroPad2d(_ZeroPadNd):
    """A border of zeros on the last two axes.

    >>> import schuss
    >>> schuss.nn.ZeroPad2d(1)(schuss.ones(1, 1, 1))
    tensor([[[0., 0., 0.],
             [0., 1., 0.],
             [0., 0., 0.]]])
    """

    axes = 2


class ZeroPad3d(_ZeroPadNd):
    """A border of zeros on the last three axes."""

    axes = 3


class _ReflectionPadNd(_Pad):
    mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """The last axis continued by its mirror image, without the edge itself.

    >>> import schuss
    >>> schuss.nn.ReflectionPad1d(2)(schuss.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    axes = 1


class ReflectionPad2d(_ReflectionPadNd):
    """The last two axes continued by their mirror images."""

    axes = 2


class ReflectionPad3d(_ReflectionPadNd):
    """The last three axes continued by their mirror images."""

    axes = 3


class _ReplicationPadNd(_Pad):
    mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """The last axis continued by its outermost elements.

    >>> import schuss
    >>> schuss.nn.ReplicationPad1d(1)(schuss.tensor([[1.0, 2.0]]))
    tensor([[1., 1., 2., 2.]])
    """

    axes = 1


class ReplicationPad2d(_ReplicationPadNd):
    """The last two axes continued by their outermost elements."""

    axes = 2


class ReplicationPad3d(_ReplicationPadNd):
    """The last three axes continued by their outermost elements."""

    axes = 3


class _CircularPadNd(_Pad):
    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim - self.axes not in (1, 2):
            raise ValueError(
                f"{type(self).__name__}: needs {self.axes + 1} or {self.axes + 2} axes,"
                f" got {tuple(input.shape)}"
            )
        return super().forward(input)


class CircularPad1d(_CircularPadNd):
    """The last axis continued by its other end.

    >>> import schuss
    >>> schuss.nn.CircularPad1d(1)(schuss.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]])
    """

    axes = 1


class CircularPad2d(_CircularPadNd):
    """The last two axes continued by their other ends."""

    axes = 2


class CircularPad3d(_CircularPadNd):
    """The last three axes continued by their other ends."""

    axes = 3
