"""Weights held to a norm by a hook that computes them before every call.
Leans on Model's hooks; parametrizations holds the newer forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.model import Parameter
from schuss.naming import warn

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor
    from schuss.model import Model


def norm_except_dim(weight: Tensor, dim: int | None) -> Tensor:
    """The 2-norm over all axes but `dim`, of size 1 there; over all for None or -1."""
    if dim is None or dim == -1:
        return weight.norm()
    axes = [axis for axis in range(weight.ndim) if axis != dim % weight.ndim]
    return weight.norm(2.0, dim=axes, keepdim=True) if axes else weight.abs()


def scaled_to(weight: Tensor, length: Tensor, dim: int | None) -> Tensor:
    """The weight's direction times `length` (Salimans and Kingma, 2016)."""
    return weight * (length / norm_except_dim(weight, dim))


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """A weight as a matrix whose rows are the axis `dim`."""
    return (weight.movedim(dim, 0) if dim else weight).reshape(weight.shape[dim], -1)


def unit(x: Tensor, eps: float) -> Tensor:
    """A vector divided by its length, or by `eps` where that is smaller."""
    return x / x.norm().clamp(min=eps)


def spectral_axis(model: Any, dim: int | None) -> int:
    """The axis of the outputs in a model's weight."""
    if dim is not None:
        return dim
    return 1 if getattr(model, "transposed", False) else 0


class _Norming:
    """A hook before forward that makes the weight `name` of others."""

    def __init__(self, name: str) -> None:
        self.name = name

    def remove(self, model: Any) -> None:
        """Make the weight a parameter again."""
        raise NotImplementedError

    def attached_to(self, model: Any) -> None:
        self.handle = model.register_forward_pre_hook(self)


def _found(model: Any, kind: type, name: str) -> Any:
    hooks = model._model_hooks
    for hook, _ in tuple(hooks.forward_pre.values()) if hooks is not None else ():
        if isinstance(hook, kind) and hook.name == name:
            return hook
    return None


class WeightNorm(_Norming):
    """w = g v / |v|, with parameters `name`_g and `name`_v."""

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def compute_weight(self, module: Any) -> Tensor:
        """The weight of the present g and v."""
        length = getattr(module, f"{self.name}_g")
        return scaled_to(getattr(module, f"{self.name}_v"), length, self.dim)

    def remove(self, model: Any) -> None:
        weight = self.compute_weight(model).detach()
        self.handle.remove()
        for name in (self.name, f"{self.name}_g", f"{self.name}_v"):
            delattr(model, name)
        model.register_parameter(self.name, Parameter(weight))

    def __call__(self, module: Any, inputs: Any) -> None:
        # Not by assignment, which would tell compiled steps that the module has changed.
        module.__dict__[self.name] = self.compute_weight(module)


class SpectralNorm(_Norming):
    """w = w_orig / sigma, sigma its largest singular value by power iteration."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__(name)
        if n_power_iterations <= 0:
            raise ValueError(
                f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}"
            )
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Tensor:
        """The weight divided by its norm, after some iterations while the model trains."""
        weight = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with schuss.no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(unit(matrix.t() @ u, self.eps))
                    u.copy_(unit(matrix @ v, self.eps))
            # Later iterations write over the buffers, of which backward needs these values.
            u, v = u.clone(), v.clone()
        return weight / (u * (matrix @ v)).sum()

    def remove(self, model: Any) -> None:
        with schuss.no_grad():
            weight = self.compute_weight(model, False)
        self.handle.remove()
        for name in (self.name, *(f"{self.name}_{part}" for part in ("u", "v", "orig"))):
            delattr(model, name)
        model.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Any, inputs: Any) -> None:
        module.__dict__[self.name] = self.compute_weight(module, module.training)


def _taken(op: str, module: Any, name: str, kind: type) -> Parameter:
    """The weight, taken out of the model's parameters."""
    if _found(module, kind, name) is not None:
        raise RuntimeError(f"{op}: {type(module).__name__}.{name} is already under it")
    weight = module._parameters.get(name)
    if weight is None:
        raise AttributeError(f"{op}: {type(module).__name__} has no parameter {name!r}")
    delattr(module, name)
    return weight


def weight_norm(module: Model, name: str = "weight", dim: int | None = 0) -> Model:
    """Make a weight of its lengths `name`_g and directions `name`_v (Salimans and Kingma, 2016).

    `dim` is the axis along which there are several lengths, None for a single one. Warns that
    parametrizations.weight_norm is the newer form.

    >>> import schuss, warnings
    >>> warnings.simplefilter("ignore")
    >>> layer = schuss.nn.utils.weight_norm(schuss.nn.Linear(3, 2))
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'weight_g', 'weight_v']
    """
    warn(
        "weight_norm: is deprecated; use nn.utils.parametrizations.weight_norm",
        FutureWarning,
    )
    weight = _taken("weight_norm", module, name, WeightNorm)
    hook = WeightNorm(name, dim)
    with schuss.no_grad():
        length = norm_except_dim(weight, dim)
    module.register_parameter(f"{name}_g", Parameter(length.detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.data))
    setattr(module, name, hook.compute_weight(module))
    hook.attached_to(module)
    return module


def remove_weight_norm(module: Model, name: str = "weight") -> Model:
    """Make the weight a parameter again; ValueError if it is not under weight_norm."""
    return _removed("weight_norm", module, name, WeightNorm)


def _removed(op: str, module: Any, name: str, kind: type) -> Any:
    hook = _found(module, kind, name)
    if hook is None:
        raise ValueError(f"remove_{op}: {type(module).__name__}.{name} is not under {op}")
    hook.remove(module)
    return module


def spectral_norm(
    module: Model,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Model:
    """Divide a weight by its largest singular value, before every call (Miyato et al., 2018).

    The parameter is then `name`_orig, with buffers `name`_u and `name`_v.

    >>> import schuss
    >>> layer = schuss.nn.utils.spectral_norm(schuss.nn.Linear(3, 2))
    >>> list(layer.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    hook = SpectralNorm(name, n_power_iterations, spectral_axis(module, dim), eps)
    weight = _taken("spectral_norm", module, name, SpectralNorm)
    with schuss.no_grad():
        rows, columns = as_matrix(weight, hook.dim).shape
        u = unit(weight.new_empty(rows).normal_(), eps)
        v = unit(weight.new_empty(columns).normal_(), eps)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.data)
    module.register_buffer(f"{name}_u", u)
    module.register_buffer(f"{name}_v", v)
    hook.attached_to(module)
    return module


def remove_spectral_norm(module: Model, name: str = "weight") -> Model:
    """Make the weight a parameter again; ValueError if it is not under spectral_norm."""
    return _removed("spectral_norm", module, name, SpectralNorm)
