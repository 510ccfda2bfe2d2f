"""Small questions about tensors and dtypes, and numbers that may be symbols elsewhere.
Leans on the core's tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import Tensor

if TYPE_CHECKING:
    from typing import Any


def can_cast(from_, to) -> bool:
    """Whether a dtype is converted to another without loss of its kind: no float to integers.

    >>> schuss.can_cast(schuss.float32, schuss.int32)
    False
    """
    if from_.is_complex and not to.is_complex:
        return False
    floats = to.is_floating_point or to.is_complex
    if from_.is_floating_point and not floats:
        return False
    return from_ == _core.bool or to != _core.bool


def is_nonzero(input) -> bool:
    """Whether the only element is not zero.

    >>> schuss.is_nonzero(schuss.tensor([0.0]))
    False
    """
    if input.numel() != 1:
        raise RuntimeError(f"is_nonzero: needs one element, got shape {tuple(input.shape)}")
    return bool(input)


def is_signed(input) -> bool:
    """Whether a tensor's dtype has negative numbers.

    >>> schuss.is_signed(schuss.tensor([1], dtype=schuss.uint8))
    False
    """
    return input.dtype.is_signed


def is_same_size(input, other) -> bool:
    """Whether two tensors have one shape."""
    return input.shape == other.shape


def is_inference(input) -> bool:
    """Whether a tensor was made in inference mode."""
    return input.is_inference()


def is_distributed(input) -> bool:
    """Whether a tensor is spread over machines: never."""
    return False


def is_storage(obj) -> bool:
    """Whether an object is the storage of a tensor: there are none apart from tensors."""
    return False


def get_device(input) -> int:
    """The number of the device that a tensor lies on, -1 for the processor.

    >>> schuss.get_device(schuss.zeros(2))
    -1
    """
    return input.get_device()


def cond(pred, true_fn, false_fn, operands=()) -> Any:
    """One of two functions of the operands, by a truth.

    >>> schuss.cond(True, lambda x: x + 1, lambda x: x - 1, (schuss.tensor(1.0),))
    tensor(2.)
    """
    if not callable(true_fn) or not callable(false_fn):
        raise RuntimeError("cond: true_fn and false_fn must be functions")
    return (true_fn if pred else false_fn)(*operands)


def sym_int(a) -> int:
    """A number cut to an integer.

    >>> schuss.sym_int(2.7)
    2
    """
    return math.trunc(a)


def sym_float(a) -> float:
    """A number as a float."""
    return float(a)


def sym_not(a) -> bool:
    """The other truth."""
    return not a


def sym_max(a, b):
    """The larger of two numbers, a float if one of them is.

    >>> schuss.sym_max(1, 2.5)
    2.5
    """
    found = a if a >= b else b
    return float(found) if isinstance(a, float) or isinstance(b, float) else found


def sym_min(a, b):
    """The smaller of two numbers, a float if one of them is."""
    found = a if a <= b else b
    return float(found) if isinstance(a, float) or isinstance(b, float) else found


def sym_sum(args):
    """The sum of numbers."""
    return sum(args)


def sym_ite(b, t, f):
    """One of two numbers, by a truth."""
    return t if b else f


def sym_sqrt(a) -> float:
    """The root of a number."""
    return math.sqrt(a)


def fill_diagonal_(self, fill_value, wrap=False) -> Tensor:
    """Overwrites the main diagonal with a number; of a tall matrix again below it, if it wraps.

    >>> schuss.zeros(2, 2).fill_diagonal_(1)
    tensor([[1., 0.],
            [0., 1.]])
    """
    sizes = tuple(self.shape)
    if self.ndim < 2:
        raise RuntimeError(f"fill_diagonal_: needs two axes or more, got shape {sizes}")
    if self.ndim > 2:
        if len(set(sizes)) > 1:
            raise RuntimeError(f"fill_diagonal_: more than two axes must be of one size: {sizes}")
        step = sum(self.stride())
        if sizes[0]:
            self.as_strided((sizes[0],), (step,), self.storage_offset()).fill_(fill_value)
        return self
    rows, columns = sizes
    first = 0
    while first < rows and columns:
        self[first : first + columns].diagonal().fill_(fill_value)
        first += columns + 1
        if not wrap:
            break
    return self


def apply_(self, callable) -> Tensor:
    """Overwrites each element with what a function of a Python number makes of it; slow.

    >>> schuss.tensor([1.0, 2.0]).apply_(lambda v: v * 10)
    tensor([10., 20.])
    """
    made = [callable(v) for v in self.detach().reshape(-1).tolist()]
    return self.copy_(_core.tensor(made, dtype=self.dtype).reshape(tuple(self.shape)))


def map_(self, tensor, callable) -> Tensor:
    """Overwrites each element with what a function makes of it and of another tensor's; slow.

    >>> schuss.tensor([1.0, 2.0]).map_(schuss.tensor([3.0, 4.0]), lambda a, b: a * b)
    tensor([3., 8.])
    """
    other = tensor.detach().expand(tuple(self.shape)).reshape(-1).tolist()
    mine = self.detach().reshape(-1).tolist()
    made = [callable(a, b) for a, b in zip(mine, other, strict=True)]
    return self.copy_(_core.tensor(made, dtype=self.dtype).reshape(tuple(self.shape)))


def is_set_to(self, tensor) -> bool:
    """Whether another tensor shows the same elements of the same memory."""
    same = self.data_ptr() == tensor.data_ptr() and self.shape == tensor.shape
    return bool(same and self.stride() == tensor.stride() and self.numel())


def dim_order(self) -> tuple[int, ...]:
    """The axes by falling strides, as they lie in memory.

    >>> schuss.zeros(2, 3).t().dim_order()
    (1, 0)
    """
    return tuple(sorted(range(self.ndim), key=lambda axis: (-self.stride()[axis], axis)))


__all__ = [
    "can_cast",
    "cond",
    "get_device",
    "is_distributed",
    "is_inference",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_storage",
    "sym_float",
    "sym_int",
    "sym_ite",
    "sym_max",
    "sym_min",
    "sym_not",
    "sym_sqrt",
    "sym_sum",
]
