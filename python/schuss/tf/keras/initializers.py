"""How weights begin: functions of a shape, by Keras's names.
Leans on the core's random numbers; fans are counted as Keras lays kernels out, outputs last."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


def fans(shape: Any) -> tuple[float, float]:
    """How many inputs and outputs a kernel of a shape has.

    >>> fans((3, 3, 8, 16))
    (72, 144)
    """
    if len(shape) < 2:
        only = math.prod(shape) if shape else 1
        return only, only
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


class Initializer:
    """A function of a shape: a subclass defines `__call__(shape, dtype)`."""

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: define __call__(shape, dtype)")


class Constant(Initializer):
    """One number everywhere."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        return schuss.full(tuple(shape), self.value, dtype=dtype or schuss.float32)


class Zeros(Constant):
    """Zeros."""

    def __init__(self) -> None:
        super().__init__(0.0)


class Ones(Constant):
    """Ones."""

    def __init__(self) -> None:
        super().__init__(1.0)


class RandomNormal(Initializer):
    """Normal numbers."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        made = schuss.empty(tuple(shape), dtype=dtype or schuss.float32)
        return made.normal_(self.mean, self.stddev, generator=_stream(self.seed))


class RandomUniform(Initializer):
    """Uniform numbers."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        self.minval, self.maxval, self.seed = minval, maxval, seed

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        made = schuss.empty(tuple(shape), dtype=dtype or schuss.float32)
        return made.uniform_(self.minval, self.maxval, generator=_stream(self.seed))


class TruncatedNormal(Initializer):
    """Normal numbers of at most two deviations."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        self.mean, self.stddev, self.seed = mean, stddev, seed

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        made = schuss.empty(tuple(shape), dtype=dtype or schuss.float32)
        low, high = self.mean - 2 * self.stddev, self.mean + 2 * self.stddev
        draw = _stream(self.seed)
        return schuss.nn.init.trunc_normal_(made, self.mean, self.stddev, low, high, draw)


class VarianceScaling(Initializer):
    """Numbers whose variance is `scale` over the fan: Glorot's, He's and LeCun's are its cases."""

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
    ) -> None:
        if mode not in ("fan_in", "fan_out", "fan_avg"):
            raise ValueError(f"VarianceScaling: mode is fan_in, fan_out or fan_avg, got {mode!r}")
        self.scale, self.mode, self.distribution, self.seed = scale, mode, distribution, seed

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        inputs, outputs = fans(shape)
        fan = {"fan_in": inputs, "fan_out": outputs, "fan_avg": (inputs + outputs) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            bound = math.sqrt(3 * variance)
            return RandomUniform(-bound, bound, self.seed)(shape, dtype)
        if self.distribution == "untruncated_normal":
            return RandomNormal(0.0, math.sqrt(variance), self.seed)(shape, dtype)
        # What is cut off has this share of the deviation, which is made good.
        return TruncatedNormal(0.0, math.sqrt(variance) / 0.87962566103423978, self.seed)(
            shape, dtype
        )


class GlorotUniform(VarianceScaling):
    """Glorot and Bengio's uniform numbers (2010), with which kernels begin."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(1.0, "fan_avg", "uniform", seed)


class GlorotNormal(VarianceScaling):
    """Glorot and Bengio's normal numbers (2010)."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(1.0, "fan_avg", "truncated_normal", seed)


class HeUniform(VarianceScaling):
    """He's uniform numbers (2015), for rectifiers."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(2.0, "fan_in", "uniform", seed)


class HeNormal(VarianceScaling):
    """He's normal numbers (2015), for rectifiers."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(2.0, "fan_in", "truncated_normal", seed)


class Orthogonal(Initializer):
    """A matrix whose columns, or rows, are orthonormal (Saxe et al., 2014)."""

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        self.gain, self.seed = gain, seed

    def __call__(self, shape: Any, dtype: Any = None, **kwargs: Any) -> Tensor:
        made = schuss.empty(tuple(shape), dtype=dtype or schuss.float32)
        return schuss.nn.init.orthogonal_(made, self.gain, _stream(self.seed))


def _stream(seed: Any) -> Any:
    return None if seed is None else schuss._core._stream(int(seed))


_KNOWN = {
    "zeros": Zeros,
    "ones": Ones,
    "random_normal": RandomNormal,
    "normal": RandomNormal,
    "random_uniform": RandomUniform,
    "uniform": RandomUniform,
    "truncated_normal": TruncatedNormal,
    "glorot_uniform": GlorotUniform,
    "glorot_normal": GlorotNormal,
    "he_uniform": HeUniform,
    "he_normal": HeNormal,
    "orthogonal": Orthogonal,
}


def get(identifier: Any) -> Any:
    """The initializer of a name or class; a function of a shape as it is.

    >>> get("zeros")((2,)).tolist()
    [0.0, 0.0]
    """
    if isinstance(identifier, str):
        for name, kind in _KNOWN.items():
            if identifier in (name, kind.__name__):
                return kind()
        raise ValueError(
            f"initializers.get: no initializer {identifier!r}; there are {', '.join(_KNOWN)}"
        )
    return identifier() if isinstance(identifier, type) else identifier
