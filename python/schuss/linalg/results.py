"""Results with names, and what every function of matrices asks of its operands.
Leans on the core's tensors."""

from __future__ import annotations

from schuss import _core
from schuss._core import Tensor
from schuss.mathematics import broadcast_shapes
from schuss.naming import given_each, returned


class _Result(tuple):
    """Several results, by position and by the names of their kind."""

    __slots__ = ()
    names: tuple = ()

    def __getattr__(self, name):
        if name in self.names:
            return self[self.names.index(name)]
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def __repr__(self) -> str:
        kind, own = type(self).__name__, dict(zip(self.names, self, strict=True))
        return returned(_OLDER.get(kind, f"linalg_{kind}"), **own)


# Those of functions outside of `linalg`.
_OLDER = {"svd_turned": "svd", "lu_packed": "lu", "lu_packed_ex": "lu"}
_OLDER |= {name: name for name in ("lu_unpack", "triangular_solve", "polar")}


_KINDS: dict = {}


def _as(kind, names, values, out=None, op=None):
    values = given_each(kind if op is None else op, values, out)
    if kind not in _KINDS:
        _KINDS[kind] = type(kind, (_Result,), {"__slots__": (), "names": tuple(names.split())})
    return _KINDS[kind](values)


def _matrices(op, x):
    if not isinstance(x, Tensor):
        raise TypeError(f"{op}: needs a Tensor, got {type(x).__name__}")
    if x.ndim < 2:
        raise _core.ShapeError(f"{op}: needs matrices in the last two axes, got {tuple(x.shape)}")
    if x.dtype.to_real() not in (_core.float32, _core.float64):
        raise _core.DTypeError(
            f"{op}: needs float32 or float64, got {x.dtype.name}; use x.float() first"
        )


def _square(op, x):
    _matrices(op, x)
    if x.shape[-1] != x.shape[-2]:
        raise _core.ShapeError(f"{op}: needs square matrices, got {tuple(x.shape)}")


def _batched(op, a, b):
    """Two batches of matrices under the batch axes that they share by broadcasting."""
    lead = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return a.expand(*lead, *a.shape[-2:]), b.expand(*lead, *b.shape[-2:])
