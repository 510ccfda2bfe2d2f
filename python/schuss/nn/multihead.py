"""MultiheadAttention: projections for queries, keys and values, and the attention between them.
Leans on nn.functional.multi_head_attention_forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.model import Model, Parameter
from schuss.nn import functional as F
from schuss.nn import init
from schuss.nn.layers import Linear

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class NonDynamicallyQuantizableLinear(Linear):
    """Linear under the name that PyTorch gives it inside of MultiheadAttention."""


class MultiheadAttention(Model):
    """Attention of several heads (Vaswani et al., 2017), of (time, batch, embed_dim).

    Returns the output and the attention of each place to each, the mean of the heads, or with
    `average_attn_weights=False` of every head, or None with `need_weights=False`. `batch_first`
    puts the batch before the time. Masks are bool, true where attention is forbidden, or numbers
    to be added: `attn_mask` (target, source) or (batch * heads, target, source),
    `key_padding_mask` (batch, source). ValueError unless `num_heads` divides `embed_dim`.

    >>> import schuss
    >>> attention = schuss.nn.MultiheadAttention(8, 2, batch_first=True)
    >>> x = schuss.ones(3, 5, 8)
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    (schuss.Size([3, 5, 8]), schuss.Size([3, 5, 5]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "MultiheadAttention: embed_dim and num_heads must be positive, got"
                f" {embed_dim} and {num_heads}"
            )
        if embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim {embed_dim} does not fall into {num_heads} heads"
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        options = {"device": device, "dtype": dtype}

        def weight(*shape: int) -> Parameter:
            return Parameter(schuss.empty(shape, **options))

        apart = not self._qkv_same_embed_dim
        for name, width in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            made = weight(embed_dim, width) if apart else None
            self.register_parameter(f"{name}_proj_weight", made)
        self.register_parameter(
            "in_proj_weight", None if apart else weight(3 * embed_dim, embed_dim)
        )
        self.register_parameter("in_proj_bias", weight(3 * embed_dim) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, **options)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, weight(1, 1, embed_dim) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        if self._qkv_same_embed_dim:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            for projection in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                init.xavier_uniform_(projection)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        turned = self.batch_first and query.ndim == 3
        if turned:
            # One turned tensor stays one, for whoever asks whether they are the same.
            same_key, same_value = key is query, value is key
            query = query.transpose(0, 1)
            key = query if same_key else key.transpose(0, 1)
            value = key if same_value else value.transpose(0, 1)
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(0, 1) if turned else output), weights
