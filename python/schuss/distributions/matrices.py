"""Distributions of vectors and matrices by factors: low rank, Wishart's, correlations.
Leans on the distributions beside it and on linear algebra."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.distributions import constraints
from schuss.distributions.base import Distribution, refuse, tensor_of_numbers, tensors
from schuss.distributions.continuous import factor_of
from schuss.distributions.gammas import Beta, Chi2, _above_0

if TYPE_CHECKING:
    from typing import Any

_LOG_TAU = math.log(2 * math.pi)


def _log_diagonal(factor: Tensor) -> Tensor:
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class LowRankMultivariateNormal(Distribution):
    """Normal numbers whose covariance is `cov_factor cov_factor^T` and a diagonal.

    Woodbury's identity keeps all work in the factor's rank.

    >>> two = LowRankMultivariateNormal(schuss.zeros(2), schuss.ones(2, 1), schuss.ones(2))
    >>> two.covariance_matrix
    tensor([[2., 1.],
            [1., 2.]])
    """

    has_rsample = True
    support = constraints.real_vector

    def __init__(
        self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None
    ) -> None:
        named = (("loc", loc, 1), ("cov_factor", cov_factor, 2), ("cov_diag", cov_diag, 1))
        for name, value, axes in named:
            tensor_of_numbers("LowRankMultivariateNormal", name, value, axes)
        n = loc.shape[-1]
        if cov_factor.shape[-2] != n or cov_diag.shape[-1] != n:
            raise ValueError(
                f"LowRankMultivariateNormal: a mean of {n} numbers, a factor"
                f" {tuple(cov_factor.shape)} and a diagonal {tuple(cov_diag.shape)}"
            )
        batch = schuss.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        self.loc, self.cov_diag = loc.expand(*batch, n), cov_diag.expand(*batch, n)
        self.cov_factor = cov_factor.expand(*batch, *cov_factor.shape[-2:])
        super().__init__(batch, (n,), validate_args)
        if self._validate:
            refuse(self, "cov_diag", self.cov_diag, self.cov_diag > 0, "above 0")
        weighed = self.cov_factor.mT / self.cov_diag.unsqueeze(-2)
        inner = weighed @ self.cov_factor
        rank = schuss.eye(inner.shape[-1], dtype=inner.dtype, device=inner.device)
        self._capacitance = schuss.linalg.cholesky(inner + rank)

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance of the numbers."""
        return self.cov_factor @ self.cov_factor.mT + self.cov_diag.diag_embed()

    @property
    def scale_tril(self) -> Tensor:
        """The covariance's lower factor."""
        return schuss.linalg.cholesky(self.covariance_matrix)

    @property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse."""
        return schuss.linalg.inv(self.covariance_matrix)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        shape = self._extended(sample_shape)
        rank = self.cov_factor.shape[-1]
        low = self.loc.new_empty((*shape[:-1], rank)).normal_()
        own = self.loc.new_empty(shape).normal_()
        wide = (self.cov_factor @ low.unsqueeze(-1)).squeeze(-1)
        return self.loc + wide + self.cov_diag.sqrt() * own

    def log_prob(self, value: Tensor) -> Tensor:
        gap = value - self.loc
        low = (self.cov_factor.mT @ (gap / self.cov_diag).unsqueeze(-1)).squeeze(-1)
        solved = schuss.linalg.solve_triangular(
            self._capacitance, low.unsqueeze(-1), upper=False
        ).squeeze(-1)
        far = (gap**2 / self.cov_diag).sum(-1) - (solved**2).sum(-1)
        return -0.5 * (self._event_shape[0] * _LOG_TAU + self._log_det() + far)

    def _log_det(self) -> Tensor:
        return 2 * _log_diagonal(self._capacitance) + self.cov_diag.log().sum(-1)

    def entropy(self) -> Tensor:
        return 0.5 * (self._event_shape[0] * (1 + _LOG_TAU) + self._log_det())

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        return (self.cov_factor**2).sum(-1) + self.cov_diag


class Wishart(Distribution):
    """Sums of `df` squares of normal vectors, by a covariance, a precision, or a lower factor.

    Draws are Bartlett's (1933).

    >>> Wishart(3.0, schuss.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    has_rsample = True
    support = constraints.positive_definite

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ValueError("Wishart: give one of covariance_matrix, precision_matrix, scale_tril")
        asked = self._default_validate if validate_args is None else validate_args
        factor = factor_of(self, asked, covariance_matrix, precision_matrix, scale_tril)
        df = df if isinstance(df, Tensor) else factor.new_tensor(float(df))
        n = factor.shape[-1]
        batch = schuss.broadcast_shapes(df.shape, factor.shape[:-2])
        self.df, self.scale_tril = df.expand(batch), factor.expand(*batch, n, n)
        super().__init__(batch, (n, n), validate_args)
        if self._validate:
            refuse(self, "df", self.df, self.df > n - 1, f"above {n - 1}")

    @property
    def covariance_matrix(self) -> Tensor:
        """The covariance of the vectors."""
        return self.scale_tril @ self.scale_tril.mT

    @property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse."""
        return schuss.linalg.inv(self.covariance_matrix)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        n = self._event_shape[-1]
        shape = self._extended(sample_shape)
        rank = schuss.arange(n, dtype=self.df.dtype, device=self.df.device)
        freedom = self.df.unsqueeze(-1) - rank
        diagonal = Chi2(freedom, validate_args=False).rsample(sample_shape).sqrt()
        noise = self.df.new_empty(shape).normal_().tril(-1)
        factor = self.scale_tril @ (noise + diagonal.diag_embed())
        return factor @ factor.mT

    def log_prob(self, value: Tensor) -> Tensor:
        n, half = self._event_shape[-1], self.df / 2
        solved = schuss.cholesky_solve(value, self.scale_tril.expand(value.shape))
        trace = solved.diagonal(dim1=-2, dim2=-1).sum(-1)
        size = schuss.linalg.slogdet(value)[1]
        whole = self.df * (n * math.log(2) / 2 + _log_diagonal(self.scale_tril))
        return (self.df - n - 1) / 2 * size - trace / 2 - whole - schuss.mvlgamma(half, n)

    def entropy(self) -> Tensor:
        n, half = self._event_shape[-1], self.df / 2
        slopes = sum((half - i / 2).digamma() for i in range(n))
        size = (n + 1) * (_log_diagonal(self.scale_tril) + n * math.log(2) / 2)
        rest = (self.df - n - 1) / 2 * slopes
        return size + schuss.mvlgamma(half, n) - rest + self.df * n / 2

    @property
    def mean(self) -> Tensor:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        """The likeliest value, NaN where there is none."""
        factor = self.df - self._event_shape[-1] - 1
        return schuss.where(factor > 0, factor, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        whole = self.covariance_matrix
        spread = whole.diagonal(dim1=-2, dim2=-1)
        outer = spread.unsqueeze(-1) * spread.unsqueeze(-2)
        return self.df[..., None, None] * (whole**2 + outer)


class LKJCholesky(Distribution):
    """Lower factors of matrices of correlations; at concentration 1 all matrices are alike.

    Draws by the onion method (Lewandowski, Kurowicka and Joe 2009).

    >>> LKJCholesky(3, 1.0).sample().shape
    schuss.Size([3, 3])
    """

    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if not isinstance(dim, int) or dim < 2:
            raise ValueError(f"LKJCholesky: dim must be an integer, at least 2, got {dim!r}")
        self.dim = dim
        (self.concentration,) = tensors(concentration)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)
        _above_0(self, concentration=self.concentration)
        like = self.concentration
        place = schuss.arange(dim - 1, dtype=like.dtype, device=like.device)
        place = schuss.cat([place.new_zeros(1), place])
        other = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * place
        self._radii = Beta(0.5 * place + 0.5, other, validate_args=False)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        with schuss.no_grad():
            radius = self._radii.sample(sample_shape).unsqueeze(-1)
            shape = self._extended(sample_shape)
            normal = radius.new_empty(shape).normal_().tril(-1)
            ball = normal / normal.norm(dim=-1, keepdim=True)
            first = (schuss.arange(self.dim, device=radius.device) == 0).unsqueeze(-1)
            rows = radius.sqrt() * ball.masked_fill(first, 0.0)
            tiny = schuss.finfo(rows.dtype).tiny
            return rows + (1 - (rows**2).sum(-1)).clamp(min=tiny).sqrt().diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        c, rest = self.concentration, self.dim - 1
        order = schuss.arange(2, self.dim + 1, dtype=c.dtype, device=c.device)
        power = 2 * (c - 1).unsqueeze(-1) + self.dim - order
        alpha = c + 0.5 * rest
        flat = 0.5 * rest * math.log(math.pi) + schuss.mvlgamma(alpha - 0.5, rest)
        return (power * diagonal.log()).sum(-1) - flat + alpha.lgamma() * rest
