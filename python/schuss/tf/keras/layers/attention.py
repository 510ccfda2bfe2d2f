"""Attention: every element of a series looks at the elements of another.
Leans on nn.functional's attention and on the base beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss.nn import functional as F
from schuss.tf.keras.layers.base import Layer

if TYPE_CHECKING:
    from typing import Any

    from schuss import Tensor


class MultiHeadAttention(Layer):
    """Several heads of scaled products (Vaswani et al., 2017); the mask is True where to look.

    >>> x = schuss.ones(2, 5, 8)
    >>> MultiHeadAttention(num_heads=2, key_dim=4)(x, x).shape
    schuss.Size([2, 5, 8])
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.num_heads, self.key_dim, self.dropout = num_heads, key_dim, dropout
        self.value_dim, self.use_bias = value_dim or key_dim, use_bias

    def build(self, input_shape: Any) -> None:
        width, heads = input_shape[-1], self.num_heads
        sizes = {"query": self.key_dim, "key": self.key_dim, "value": self.value_dim}
        self._kernels = {
            name: self.add_weight(f"{name}_kernel", (width, heads * size))
            for name, size in sizes.items()
        }
        self._last = self.add_weight("output_kernel", (heads * self.value_dim, width))
        if self.use_bias:
            self._biases = {
                name: self.add_weight(f"{name}_bias", (heads * size,), None, "zeros")
                for name, size in sizes.items()
            }
            self._last_bias = self.add_weight("output_bias", (width,), None, "zeros")

    def _heads(self, name: str, x: Tensor) -> Tensor:
        made = x @ self._kernels[name]
        made = made + self._biases[name] if self.use_bias else made
        return made.reshape(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    def call(
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        attention_mask: Any = None,
        use_causal_mask: bool = False,
        training: bool = False,
    ) -> Tensor:
        key = value if key is None else key
        parts = [self._heads(n, x) for n, x in (("query", query), ("key", key), ("value", value))]
        mask = attention_mask
        if mask is not None:
            mask = schuss.as_tensor(mask).to(schuss.bool)
            mask = mask.unsqueeze(1) if mask.ndim == 3 else mask
        if use_causal_mask:
            past = schuss.ones(query.shape[1], key.shape[1], dtype=schuss.bool).tril()
            mask = past if mask is None else mask & past
        rate = self.dropout if training else 0.0
        made = F.scaled_dot_product_attention(*parts, attn_mask=mask, dropout_p=rate)
        made = made.transpose(1, 2).reshape(*query.shape[:2], -1) @ self._last
        return made + self._last_bias if self.use_bias else made
