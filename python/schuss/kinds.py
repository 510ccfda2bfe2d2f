"""PyTorch's oldest spelling of dtypes: classes that make tensors and know them again.
Leans on the core's tensors."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor


class _Kind(type):
    """What stands for the tensors of one dtype: its calls make them, isinstance finds them."""

    dtype: object

    def __call__(cls, *data):
        return Tensor(*data, dtype=cls.dtype)

    def __instancecheck__(cls, instance) -> bool:
        return isinstance(instance, Tensor) and instance.dtype == cls.dtype


def _kind(name: str, dtype):
    article = "An" if dtype.name[0] in "iu" and dtype.name[:4] != "uint" else "A"
    text = f"""{article} {dtype.name} tensor from data or sizes: PyTorch's oldest spelling.

    >>> isinstance(schuss.zeros(2, dtype=schuss.{dtype.name}), schuss.{name})
    True
    """
    return _Kind(name, (), {"dtype": dtype, "__doc__": text, "__module__": "schuss"})


HalfTensor = _kind("HalfTensor", _core.float16)
BFloat16Tensor = _kind("BFloat16Tensor", _core.bfloat16)
FloatTensor = _kind("FloatTensor", _core.float32)
DoubleTensor = _kind("DoubleTensor", _core.float64)
CharTensor = _kind("CharTensor", _core.int8)
ShortTensor = _kind("ShortTensor", _core.int16)
IntTensor = _kind("IntTensor", _core.int32)
LongTensor = _kind("LongTensor", _core.int64)
ByteTensor = _kind("ByteTensor", _core.uint8)
BoolTensor = _kind("BoolTensor", _core.bool)


class Elsewhere:
    """A name that other libraries give, and where the same thing is here; not in the way of users'
    own attributes of the name."""

    def __init__(self, owner: str, name: str, here: str) -> None:
        self.text = f"{owner} has no attribute {name!r}; its {here}"

    def __get__(self, instance, owner=None):
        raise AttributeError(self.text)


def attach() -> None:
    """Gives Scalar the answers to names that it has not; called once, as the package is loaded."""
    for name, here in (
        ("grad", "derivative is `backwards_grad`"),
        ("data", "number is `value`"),
        ("item", "number is `value`, or float(scalar)"),
        ("requires_grad", "derivative is always kept: see `backwards_grad`"),
        ("grad_fn", "history is `prevs`"),
        ("zero_grad", "derivatives are zeroed by `backward()` itself"),
    ):
        setattr(_core.Scalar, name, Elsewhere("Scalar", name, here))


__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
]
