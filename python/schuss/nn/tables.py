"""Tables of vectors looked up by integer: one vector each, or bags of them joined.
Leans on nn.functional and nn.init."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.model import Model, Parameter
from schuss.nn import functional as F
from schuss.nn import init
from schuss.nn.fused import padding_row
from schuss.nn.settings import size

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


def dense(layer: str, sparse: bool) -> None:
    """NotImplementedError where gradients are asked for in sparse form."""
    if sparse:
        raise NotImplementedError(
            f"{layer}: sparse gradients are not supported; leave sparse=False, which gives the same"
            " numbers"
        )


class _Table(Model):
    """What both have: the table itself, its padding row, its first values."""

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None

    def _settle(
        self, owner: str, count: int, width: int, padding: int | None, sparse: bool
    ) -> None:
        self.num_embeddings = count = size(owner, "num_embeddings", count)
        self.embedding_dim = size(owner, "embedding_dim", width)
        dense(owner, sparse)
        self.padding_idx = None if padding is None else padding_row(owner, padding, count)

    def _fill(self, owner: str, given: Tensor | None, trained: bool, **options: Any) -> None:
        shape = (self.num_embeddings, self.embedding_dim)
        if given is None:
            self.weight = Parameter(schuss.empty(shape, **options), requires_grad=trained)
            self.reset_parameters()
        elif tuple(given.shape) != shape:
            raise schuss.ShapeError(f"{owner}: weight {tuple(given.shape)}, needs {shape}")
        else:
            self.weight = Parameter(given, requires_grad=trained)

    def reset_parameters(self) -> None:
        """Draw the table from the standard normal distribution; the padding row is zero."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with schuss.no_grad():
                self.weight[self.padding_idx].fill_(0)


class Embedding(_Table):
    """A table of vectors looked up by integer; `padding_idx` names a row that is not trained.

    >>> import schuss
    >>> schuss.nn.Embedding(10, 4)(schuss.tensor([[1, 2, 3]])).shape
    schuss.Size([1, 3, 4])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._settle("Embedding", num_embeddings, embedding_dim, padding_idx, sparse)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        self._fill("Embedding", _weight, not _freeze, device=device, dtype=dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An embedding over the given table, which is not trained unless `freeze=False`."""
        if embeddings.ndim != 2:
            raise schuss.ShapeError(
                f"Embedding.from_pretrained: needs 2 axes, got {tuple(embeddings.shape)}"
            )
        count, width = embeddings.shape
        return cls(
            count,
            width,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=embeddings,
            _freeze=freeze,
        )

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        shown = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            shown += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            shown += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            shown += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            shown += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        return shown


class EmbeddingBag(_Table):
    """The sum, mean or largest of the vectors that each bag of integers names.

    Bags are the rows of a matrix, or begin at `offsets` of a vector.

    >>> import schuss
    >>> bags = schuss.nn.EmbeddingBag(10, 3, mode="sum")
    >>> bags(schuss.tensor([1, 2, 4, 5]), offsets=schuss.tensor([0, 3])).shape
    schuss.Size([2, 3])
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self._settle("EmbeddingBag", num_embeddings, embedding_dim, padding_idx, sparse)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        self._fill("EmbeddingBag", _weight, True, device=device, dtype=dtype)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Bags over the given table, which is not trained unless `freeze=False`."""
        if embeddings.ndim != 2:
            raise schuss.ShapeError(
                f"EmbeddingBag.from_pretrained: needs 2 axes, got {tuple(embeddings.shape)}"
            )
        made = cls(
            *embeddings.shape,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            _weight=embeddings,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        made.weight.requires_grad = not freeze
        return made

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        shown = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            shown += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            shown += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            shown += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        shown += f", mode={self.mode!r}"
        if self.padding_idx is not None:
            shown += f", padding_idx={self.padding_idx}"
        return shown
