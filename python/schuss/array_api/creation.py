"""Arrays from numbers, from other arrays and from other libraries' memory.
Leans on the core's makers and on DLPack."""

from __future__ import annotations

import schuss
from schuss import _core
from schuss._core import Tensor


def asarray(obj, /, *, dtype=None, device=None, copy=None):
    """An array from numbers, nested lists, or another library's array.

    With `copy=None` an array's memory is shared where it can be; `copy=False` raises ValueError
    where it cannot.

    >>> schuss.array_api.asarray([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    if isinstance(obj, Tensor):
        made = obj.to(dtype=dtype, device=device)
        shared = made is obj
    elif isinstance(obj, (bool, int, float, complex, list, tuple)):
        made, shared = _core.tensor(obj, dtype=dtype, device=device), False
        copy = None if copy else copy
    elif hasattr(obj, "__dlpack__") and not hasattr(obj, "__array__"):
        found = schuss.from_dlpack(obj, device=device)
        made = found.to(dtype=dtype)
        shared = made is found
    else:
        made = _core.as_tensor(obj, dtype=dtype, device=device)
        shared = dtype is None or made.dtype.name == str(getattr(obj, "dtype", ""))
    if copy is False and not shared:
        raise ValueError(
            f"asarray: {type(obj).__name__} cannot be shared as {made.dtype} on {made.device};"
            " use copy=None"
        )
    return made.clone() if copy and shared else made


def from_dlpack(x, /, *, device=None, copy=None):
    """An array over the memory of another library's.

    Raises BufferError where the memory is out of reach, ValueError where `copy=False` and it had to
    be copied.

    >>> import numpy as np
    >>> schuss.array_api.from_dlpack(np.arange(3))
    tensor([0, 1, 2])
    """
    return schuss.from_dlpack(x, device=device, copy=copy)


def arange(start, /, stop=None, step=1, *, dtype=None, device=None):
    """Numbers from `start` up to `stop`, without it; from 0 to `start` where no stop is given.

    >>> schuss.array_api.arange(5, 0, -2)
    tensor([5, 3, 1])
    """
    if stop is None:
        start, stop = 0, start
    if (stop - start) * (1 if step > 0 else -1) <= 0:
        whole = all(isinstance(n, int) for n in (start, stop, step))
        kind = dtype or (_core.int64 if whole else _core.get_default_dtype())
        return _core.empty(0, dtype=kind, device=device)
    return _core.arange(start, stop, step, dtype=dtype, device=device)


def linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True):
    """`num` evenly spaced numbers from `start` to `stop`, which is left out without `endpoint`.

    >>> schuss.array_api.linspace(0, 1, 4, endpoint=False)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    if isinstance(start, complex) or isinstance(stop, complex):
        kind = _core.get_default_dtype().to_complex() if dtype is None else dtype
        parts = (
            (f(start), f(stop)) for f in (lambda z: complex(z).real, lambda z: complex(z).imag)
        )
        real, imag = (
            linspace(*p, num, dtype=kind.to_real(), device=device, endpoint=endpoint) for p in parts
        )
        return schuss.complex(real, imag)
    if endpoint:
        return _core.linspace(start, stop, num, dtype=dtype, device=device)
    return _core.linspace(start, stop, num + 1, dtype=dtype, device=device)[:-1]


def eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None):
    """A matrix of zeros with ones on the k-th diagonal.

    >>> schuss.array_api.eye(2, 3, k=1)
    tensor([[0., 1., 0.],
            [0., 0., 1.]])
    """
    n_cols = n_rows if n_cols is None else n_cols
    made = _core.zeros((n_rows, n_cols), dtype=dtype, device=device)
    if -n_rows < k < n_cols:
        made.diagonal(k).fill_(1)
    return made


def empty(shape, *, dtype=None, device=None):
    """An array of a shape whose elements are whatever the memory held.

    >>> schuss.array_api.empty((2, 3)).shape
    schuss.Size([2, 3])
    """
    return _core.empty(shape, dtype=dtype, device=device)


def zeros(shape, *, dtype=None, device=None):
    """Zeros in a shape.

    >>> schuss.array_api.zeros(2)
    tensor([0., 0.])
    """
    return _core.zeros(shape, dtype=dtype, device=device)


def ones(shape, *, dtype=None, device=None):
    """Ones in a shape.

    >>> schuss.array_api.ones(2, dtype=schuss.int64)
    tensor([1, 1])
    """
    return _core.ones(shape, dtype=dtype, device=device)


def full(shape, fill_value, *, dtype=None, device=None):
    """One number in a shape, in its own dtype where none is given.

    >>> schuss.array_api.full((2,), 7)
    tensor([7, 7])
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return _core.full(shape, fill_value, dtype=dtype, device=device)


def empty_like(x, /, *, dtype=None, device=None):
    """`empty` in another array's shape, and in its dtype and on its device if not said otherwise.

    >>> schuss.array_api.empty_like(schuss.zeros(2, 3)).shape
    schuss.Size([2, 3])
    """
    return empty(x.shape, dtype=dtype or x.dtype, device=device or x.device)


def zeros_like(x, /, *, dtype=None, device=None):
    """`zeros` in another array's shape, and in its dtype and on its device if not said otherwise.

    >>> schuss.array_api.zeros_like(schuss.tensor([1, 2]))
    tensor([0, 0])
    """
    return zeros(x.shape, dtype=dtype or x.dtype, device=device or x.device)


def ones_like(x, /, *, dtype=None, device=None):
    """`ones` in another array's shape, and in its dtype and on its device if not said otherwise.

    >>> schuss.array_api.ones_like(schuss.tensor([1, 2]))
    tensor([1, 1])
    """
    return ones(x.shape, dtype=dtype or x.dtype, device=device or x.device)


def full_like(x, /, fill_value, *, dtype=None, device=None):
    """`full` in another array's shape, and in its dtype and on its device if not said otherwise.

    >>> schuss.array_api.full_like(schuss.zeros(2), 7)
    tensor([7., 7.])
    """
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=device or x.device)


def meshgrid(*arrays, indexing="xy"):
    """The coordinates of a grid from the coordinates along each axis.

    >>> schuss.array_api.meshgrid(schuss.tensor([1, 2]), schuss.tensor([3]))[0]
    tensor([[1, 2]])
    """
    return tuple(schuss.meshgrid(*arrays, indexing=indexing))


def tril(x, /, *, k=0):
    """The elements of matrices on and below the k-th diagonal, zeros elsewhere.

    >>> schuss.array_api.tril(schuss.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return _core.tril(x, k)


def triu(x, /, *, k=0):
    """The elements of matrices on and above the k-th diagonal, zeros elsewhere.

    >>> schuss.array_api.triu(schuss.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return _core.triu(x, k)


__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "meshgrid",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]
