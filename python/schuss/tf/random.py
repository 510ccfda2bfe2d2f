"""tf.random: numbers from one seed for the program, from seeds of operations, or from Generators.
Leans on the core's counter-based generators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.tf.conversion import operand, sizes, strict
from schuss.tf.dtypes import as_dtype, float32, name_of
from schuss.tf.errors import ConversionError

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class Generator:
    """A stream of random numbers of its own.

    >>> first, again = Generator.from_seed(1), Generator.from_seed(1)
    >>> bool((first.normal([3]) == again.normal([3])).all())
    True
    """

    def __init__(self, seed: int) -> None:
        self._stream = schuss._core._stream(int(seed))

    @classmethod
    def from_seed(cls, seed: int, alg: Any = None) -> Generator:
        """The stream of a seed.

        >>> Generator.from_seed(7).uniform([2]).shape
        schuss.Size([2])
        """
        return cls(seed)

    def reset_from_seed(self, seed: int) -> None:
        """Begin the stream of a seed anew.

        >>> Generator.from_seed(1).reset_from_seed(2)
        """
        self._stream.manual_seed(int(seed))

    def normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = float32, name: Any = None
    ) -> Tensor:
        """Normally distributed numbers.

        >>> Generator.from_seed(1).normal([2, 3]).dtype
        schuss.float32
        """
        return _normal(self._stream, shape, mean, stddev, dtype)

    def truncated_normal(
        self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = float32, name: Any = None
    ) -> Tensor:
        """Normally distributed numbers, drawn again while further than two deviations away.

        >>> bool((Generator.from_seed(1).truncated_normal([100]) < 2.0).all())
        True
        """
        return _truncated(self._stream, shape, mean, stddev, dtype)

    def uniform(
        self,
        shape: Any,
        minval: Any = 0,
        maxval: Any = None,
        dtype: Any = float32,
        name: Any = None,
    ) -> Tensor:
        """Evenly distributed numbers from minval to below maxval (1 for floats).

        >>> bool((Generator.from_seed(1).uniform([9], 2.0, 3.0) >= 2.0).all())
        True
        """
        return _uniform(self._stream, shape, minval, maxval, dtype)


# Streams of seeds given to operations; each goes on where its last operation left it.
_STREAMS: dict[int, schuss.Generator] = {}


def set_seed(seed: int) -> None:
    """Begin the program's random numbers, and those of operations' seeds, anew from a seed.

    >>> set_seed(1)
    >>> a = normal([2])
    >>> set_seed(1)
    >>> bool((a == normal([2])).all())
    True
    """
    _STREAMS.clear()
    schuss.manual_seed(int(seed))


def _stream(seed: int | None) -> schuss.Generator | None:
    if seed is None:
        return None
    if seed not in _STREAMS:
        _STREAMS[seed] = schuss._core._stream(int(seed))
    return _STREAMS[seed]


def normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = float32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Normally distributed numbers.

    >>> normal(shape=(2, 3)).shape
    schuss.Size([2, 3])
    """
    return _normal(_stream(seed), shape, mean, stddev, dtype)


def truncated_normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = float32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Normally distributed numbers, drawn again while further than two deviations from the mean.

    >>> bool((truncated_normal([100], mean=5.0) > 3.0).all())
    True
    """
    return _truncated(_stream(seed), shape, mean, stddev, dtype)


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = float32,
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Evenly distributed numbers from minval to below maxval (1 for floats; integers need one).

    >>> uniform([3], maxval=10, dtype="int32").dtype
    schuss.int32
    """
    return _uniform(_stream(seed), shape, minval, maxval, dtype)


def shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Tensor:
    """The slices of the first axis in random order.

    >>> sorted(shuffle([3, 1, 2]).tolist())
    [1, 2, 3]
    """
    x = operand(value)
    if not x.ndim:
        return x
    return x[schuss.randperm(x.shape[0], **_from(_stream(seed)))]


def categorical(
    logits: Any, num_samples: int, dtype: Any = None, seed: int | None = None, name: Any = None
) -> Tensor:
    """Classes drawn by their logits, a row of them for each row; int64 unless told otherwise.

    >>> categorical([[0.0, 100.0]], 3).tolist()
    [[1, 1, 1]]
    """
    weights = schuss.softmax(operand(logits), -1)
    drawn = schuss.multinomial(weights, num_samples, True, **_from(_stream(seed)))
    return strict(drawn if dtype is None else drawn.to(as_dtype(dtype)))


def _from(stream: schuss.Generator | None) -> dict[str, Any]:
    return {} if stream is None else {"generator": stream}


def _float(name: str, dtype: Any) -> Any:
    found = as_dtype(dtype)
    if not found.is_floating_point:
        raise ConversionError(f"{name}: needs a float dtype, got {name_of(found)}")
    return found


def _drawn(stream: schuss.Generator | None, shape: Any, dtype: Any) -> Tensor:
    return strict(schuss.randn(shape, dtype=dtype, **_from(stream)))


def _normal(
    stream: schuss.Generator | None, shape: Any, mean: Any, stddev: Any, dtype: Any
) -> Tensor:
    found = _float("random.normal", dtype)
    drawn = _drawn(stream, sizes(shape), found)
    return drawn * operand(stddev, found) + operand(mean, found)


def _truncated(
    stream: schuss.Generator | None, shape: Any, mean: Any, stddev: Any, dtype: Any
) -> Tensor:
    found = _float("random.truncated_normal", dtype)
    drawn = _drawn(stream, sizes(shape), found)
    while bool((far := drawn.abs() >= 2).any()):
        drawn = schuss.where(
            far, strict(schuss.randn(drawn.shape, dtype=found, **_from(stream))), drawn
        )
    return drawn * operand(stddev, found) + operand(mean, found)


def _uniform(
    stream: schuss.Generator | None, shape: Any, minval: Any, maxval: Any, dtype: Any
) -> Tensor:
    found = as_dtype(dtype)
    if found.is_floating_point:
        drawn = strict(schuss.rand(sizes(shape), dtype=found, **_from(stream)))
        low = operand(minval, found)
        return drawn * (operand(1 if maxval is None else maxval, found) - low) + low
    if maxval is None:
        raise ValueError(f"random.uniform: Must specify maxval for dtype {name_of(found)}")
    low, high = int(minval), int(maxval)
    if low >= high:
        raise ValueError(f"random.uniform: minval {low} is not below maxval {high}")
    return strict(schuss.randint(low, high, sizes(shape), dtype=found, **_from(stream)))
