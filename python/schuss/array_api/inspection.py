"""What the namespace can do, and which dtypes and devices it has.
Leans on the core and, where devices are asked for, on gpu."""

from __future__ import annotations

from schuss import _core
from schuss.array_api.dtypes import isdtype

_NAMES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float32", "float64", "complex64", "complex128"),
)


class Info:
    """What `__array_namespace_info__` gives: questions about the namespace."""

    def capabilities(self):
        """What is supported that the standard leaves open.

        >>> schuss.array_api.__array_namespace_info__().capabilities()["boolean indexing"]
        True
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": None}

    def default_device(self):
        """Where arrays are made if nothing is said."""
        return _core.device("cpu")

    def devices(self):
        """The processor, and every GPU that is there."""
        from schuss import gpu

        gpus = (_core.device(f"gpu:{i}") for i in range(gpu.device_count()))
        return (_core.device("cpu"), *gpus)

    def default_dtypes(self, *, device=None):
        """The dtypes of what is made of Python numbers."""
        whole = _core.int64
        return {
            "real floating": _core.get_default_dtype(),
            "complex floating": _core.get_default_dtype().to_complex(),
            "integral": whole,
            "indexing": whole,
        }

    def dtypes(self, *, device=None, kind=None):
        """The standard's dtypes that there are, by name; of a kind, or of any in a tuple.

        >>> schuss.array_api.__array_namespace_info__().dtypes(kind="unsigned integer")
        {'uint8': schuss.uint8}
        """
        every = {name: getattr(_core, name) for name in _NAMES}
        every = {n: d for n, d in every.items() if kind is None or isdtype(d, kind)}
        device = _core.device("cpu" if device is None else device)
        if device.type == "gpu":
            from schuss import gpu

            has = gpu.limits(device)
            every = {n: d for n, d in every.items() if has.get(n, True)}
        return every


def __array_namespace_info__():
    """What there is to know about the namespace: see `Info`.

    >>> schuss.array_api.__array_namespace_info__().default_device()
    device(type='cpu')
    """
    return Info()
