"""Ready-made parametrizations: weights of given length, of norm 1, with orthonormal columns.
Leans on parametrize and linalg."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.model import Model
from schuss.nn.utils import parametrize
from schuss.nn.utils.norming import as_matrix, norm_except_dim, scaled_to, spectral_axis, unit

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


def _weight(op: str, module: Any, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, schuss.Tensor):
        raise ValueError(f"{op}: {type(module).__name__} has no parameter {name!r}")
    return weight


class _WeightNorm(Model):
    def __init__(self, dim: int | None = 0) -> None:
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return scaled_to(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Model, name: str = "weight", dim: int | None = 0) -> Model:
    """Make a weight of lengths and directions, original0 and original1 (Salimans et al., 2016).

    `dim` is the axis along which there are several lengths, None for a single one. States with
    the older names `name`_g and `name`_v are loaded too.

    >>> import schuss
    >>> layer = schuss.nn.utils.parametrizations.weight_norm(schuss.nn.Linear(3, 2))
    >>> layer.parametrizations.weight.original0.shape
    schuss.Size([2, 1])
    """
    _weight("weight_norm", module, name)
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def renamed(state: Any, prefix: str, *rest: Any) -> None:
        for older, place in (("g", 0), ("v", 1)):
            old = f"{prefix}{name}_{older}"
            if old in state:
                state[f"{prefix}parametrizations.{name}.original{place}"] = state.pop(old)

    module._register_load_state_dict_pre_hook(renamed)
    return module


class _SpectralNorm(Model):
    def __init__(
        self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"spectral_norm: axis {dim} of a weight of {weight.ndim} axes")
        if n_power_iterations <= 0:
            raise ValueError(
                f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}"
            )
        self.dim = dim % weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight.detach(), self.dim)
            rows, columns = matrix.shape
            u, v = matrix.new_empty(rows).normal_(), matrix.new_empty(columns).normal_()
            self.register_buffer("_u", unit(u, eps))
            self.register_buffer("_v", unit(v, eps))
            # Enough to begin near the largest singular value.
            self._power_method(matrix, 15)

    def _power_method(self, matrix: Tensor, n_power_iterations: int) -> None:
        with schuss.no_grad():
            for _ in range(n_power_iterations):
                self._u.copy_(unit(matrix @ self._v, self.eps))
                self._v.copy_(unit(matrix.t() @ self._u, self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return unit(weight, self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._power_method(matrix.detach(), self.n_power_iterations)
        # Later iterations write over the buffers, of which backward needs these values.
        u, v = self._u.clone(), self._v.clone()
        return weight / (u * (matrix @ v)).sum()

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Model,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Model:
    """Divide a weight by its largest singular value, found by power iteration in training.

    Miyato et al., 2018.

    >>> import schuss
    >>> layer = schuss.nn.utils.parametrizations.spectral_norm(schuss.nn.Linear(3, 2))
    >>> round(schuss.linalg.matrix_norm(layer.weight, 2).item(), 2)
    1.0
    """
    weight = _weight("spectral_norm", module, name)
    made = _SpectralNorm(weight, n_power_iterations, spectral_axis(module, dim), eps)
    return parametrize.register_parametrization(module, name, made)


def _polar_signs(Q: Tensor) -> tuple[Tensor, Tensor]:
    """Householder's reflections and factors of a matrix with orthonormal columns."""
    import numpy as np

    raw, tau = np.linalg.qr(np.ascontiguousarray(Q.detach().numpy()), mode="raw")
    reflections = np.array(np.swapaxes(raw, -1, -2))
    signs = np.sign(np.diagonal(reflections, axis1=-2, axis2=-1))
    # A reflection with factor 0 is none, so its sign has not been turned.
    signs = np.where(tau == 0, -signs, signs)
    rows = np.arange(signs.shape[-1])
    reflections[..., rows, rows] = signs
    return schuss.from_numpy(reflections).to(Q.dtype), schuss.from_numpy(np.array(tau))


def _orthonormal(x: Tensor) -> Tensor:
    """A matrix with orthonormal columns near those of x, none of its signs turned."""
    q, r = schuss.linalg.qr(x)
    return q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def _is_orthonormal(q: Tensor) -> bool:
    k = q.shape[-1]
    identity = schuss.eye(k, dtype=q.dtype, device=q.device)
    eps = 10.0 * k * schuss.finfo(q.dtype).eps
    return bool(((q.mT @ q - identity).abs() <= eps).all())


class _Orthogonal(Model):
    def __init__(
        self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True
    ) -> None:
        if orthogonal_map == "householder" and weight.ndim and weight.is_complex():
            raise ValueError("orthogonal: householder is for real weights alone")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        n, k = X.shape[-2:]
        wide = n < k
        if wide:
            X, n, k = X.mT, k, n
        if self.orthogonal_map == "householder":
            below = X.tril(-1)
            tau = 2.0 / (1.0 + (below * below).sum(-2))
            Q = schuss.linalg.householder_product(below, tau)
            Q = Q * X.diagonal(dim1=-2, dim2=-1).detach().trunc().unsqueeze(-2)
        else:
            X = X.tril()
            if n != k:
                X = schuss.cat([X, X.new_zeros((*X.shape[:-1], n - k))], -1)
            skew = X - X.mT
            if self.orthogonal_map == "matrix_exp":
                Q = schuss.linalg.matrix_exp(skew)
            else:
                one = schuss.eye(n, dtype=X.dtype, device=X.device)
                Q = schuss.linalg.solve(one - 0.5 * skew, one + 0.5 * skew)
            Q = Q[..., :k] if n != k else Q
        base = getattr(self, "base", None)
        Q = Q if base is None else base @ Q
        return Q.mT if wide else Q

    def right_inverse(self, Q: Tensor) -> Tensor:
        if Q.shape != self.shape:
            raise ValueError(f"orthogonal: expected {tuple(self.shape)}, got {tuple(Q.shape)}")
        given = Q
        n, k = Q.shape[-2:]
        wide = n < k
        if wide:
            Q, n, k = Q.mT, k, n
        if "base" not in self._buffers:
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    f"orthogonal: {self.orthogonal_map} has no inverse without use_trivialization"
                )
            found, _ = _polar_signs(Q)
            return found.mT if wide else found
        if n == k:
            base = Q.clone() if _is_orthonormal(Q) else _orthonormal(Q)
        else:
            # Any directions will do for what the matrix leaves out of the square.
            more = schuss.randn((*Q.shape[:-2], n, n - k), dtype=Q.dtype, device=Q.device)
            base = _orthonormal(schuss.cat([Q, more], -1))
        self.base = base.detach()
        identity = schuss.eye(*given.shape[-2:], dtype=given.dtype, device=given.device)
        return (-identity).expand(given.shape).clone()


def orthogonal(
    module: Model,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Model:
    """Hold a weight, a matrix or a batch of them, to orthonormal rows or columns.

    `orthogonal_map` is "matrix_exp", "cayley" or "householder", by default the first for square
    weights and the last for others. With `use_trivialization` the map is of the change from the
    first weight (Lezcano-Casado, 2019). ValueError for a weight that is no matrix.

    >>> import schuss
    >>> layer = schuss.nn.utils.parametrizations.orthogonal(schuss.nn.Linear(3, 3))
    >>> bool(((layer.weight @ layer.weight.T - schuss.eye(3)).abs() < 1e-5).all())
    True
    """
    weight = _weight("orthogonal", module, name)
    if weight.ndim < 2:
        raise ValueError(f"orthogonal: needs a matrix or batches of them, got {weight.ndim} axes")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            "orthogonal: orthogonal_map is 'matrix_exp', 'cayley' or 'householder', not"
            f" {orthogonal_map!r}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    return parametrize.register_parametrization(module, name, made, unsafe=True)


__all__ = ["orthogonal", "spectral_norm", "weight_norm"]
