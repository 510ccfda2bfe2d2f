"""Attention, and sums over bags of embeddings.
Leans on the core's products and softmax."""

from __future__ import annotations

import math

import schuss
from schuss import _core
from schuss.nn import fused
from schuss.nn.attention_kernels import SDPBackend, sdpa_kernel


def _tiled(query, key, value, mask, is_causal, scale):
    """Attention whose scores are never all held; None where only the formula does."""
    lead = query.shape[:-2]
    if (
        not query.is_floating_point()
        or not query.device == key.device == value.device
        or (query.is_cuda and query.dtype == _core.float64)
        or key.shape[:-2] != lead
        or value.shape[:-2] != lead
        or query.shape[-1] != key.shape[-1]
        or key.shape[-2] != value.shape[-2]
        or 0 in query.shape
        or 0 in value.shape
    ):
        return None
    if mask is not None:
        wanted = (*lead, query.shape[-2], key.shape[-2])
        if mask.ndim > len(wanted) or mask.device != query.device:
            return None
        if any(
            m not in (1, n) for m, n in zip(reversed(mask.shape), reversed(wanted), strict=False)
        ):
            return None
        if mask.dtype == _core.bool:
            mask = query.new_zeros(mask.shape).masked_fill(~mask, -float("inf"))
        elif mask.dtype != query.dtype:
            return None
        mask = mask.expand(wanted)
    # Batches and heads are two axes; what stands before them is one with the batches.
    flat = len(lead) != 2
    if flat:
        heads = lead[-1] if lead else 1
        query, key, value = (x.reshape(-1, heads, *x.shape[-2:]) for x in (query, key, value))
        mask = None if mask is None else mask.reshape(-1, heads, *mask.shape[-2:])
    parts = (x.transpose(1, 2) for x in (query, key, value))
    found = _core._attention_of(*parts, mask, scale, is_causal)[0].transpose(1, 2)
    return found.reshape(*lead, *found.shape[-2:]) if flat else found


def scaled_dot_product_attention(
    query,
    key,
    value,
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    scale=None,
    enable_gqa=False,
):
    """softmax(query @ key.T / sqrt(size) + mask) @ value (Vaswani et al. 2017).

    A bool mask holds where attention is allowed; `is_causal` allows no later position;
    `enable_gqa` repeats the heads of keys and values (Ainslie et al. 2023).

    >>> import schuss
    >>> x = schuss.ones(1, 2, 3)
    >>> schuss.nn.functional.scaled_dot_product_attention(x, x, x).shape
    schuss.Size([1, 2, 3])
    """
    if query.ndim < 2 or key.ndim < 2 or value.ndim < 2:
        raise RuntimeError("scaled_dot_product_attention: needs at least two axes")
    if query.dtype != key.dtype or key.dtype != value.dtype:
        raise RuntimeError(
            f"scaled_dot_product_attention: the dtypes {query.dtype}, {key.dtype} and"
            f" {value.dtype} differ"
        )
    if is_causal and attn_mask is not None:
        raise RuntimeError("scaled_dot_product_attention: is_causal takes no further mask")
    if enable_gqa and query.ndim > 2:
        heads = query.shape[-3]
        key = key.repeat_interleave(heads // key.shape[-3], -3)
        value = value.repeat_interleave(heads // value.shape[-3], -3)
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    if not dropout_p:
        found = _tiled(query, key, value, attn_mask, is_causal, scale)
        if found is not None:
            return found
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        size = scores.shape[-2:]
        allowed = _core.ones(size, dtype=_core.bool, device=scores.device).tril()
        scores = scores.masked_fill(~allowed, -float("inf"))
    if attn_mask is not None:
        if attn_mask.dtype == _core.bool:
            scores = scores.masked_fill(~attn_mask, -float("inf"))
        else:
            scores = scores + attn_mask
    weights = _core.softmax(scores, -1)
    if attn_mask is not None:
        # A position that may look nowhere attends to nothing.
        nowhere = (scores == -float("inf")).all(-1, keepdim=True)
        weights = weights.masked_fill(nowhere, 0.0)
    if dropout_p:
        weights = fused.dropout(weights, dropout_p, True)
    return weights @ value


def _numbers(mask, name):
    """A mask as one of numbers to add; truths hold where attention is forbidden."""
    if mask.dtype == _core.bool:
        return _core.zeros(*mask.shape, device=mask.device).masked_fill(mask, -float("inf"))
    if not mask.is_floating_point():
        raise RuntimeError(f"multi_head_attention_forward: {name} must be bool or float")
    return mask


def _settled(query, key, value, padding, fresh):
    """ShapeError where queries, keys, values and padding do not go together."""
    op = "multi_head_attention_forward"
    shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if query.ndim not in (2, 3) or not query.ndim == key.ndim == value.ndim:
        raise _core.ShapeError(f"{op}: {shapes} must all have 2 axes, or 3 with a batch")
    if fresh and (
        key.shape[:-1] != value.shape[:-1] or (key.ndim == 3 and key.shape[1] != query.shape[1])
    ):
        raise _core.ShapeError(f"{op}: {shapes} differ in length or batch size")
    if padding is not None and fresh:
        wanted = (key.shape[1], key.shape[0]) if key.ndim == 3 else (key.shape[0],)
        if tuple(padding.shape) != wanted:
            raise _core.ShapeError(
                f"{op}: key_padding_mask must be {wanted} for {shapes}, got {tuple(padding.shape)}"
            )


def _gathered_mask(attn_mask, key_padding_mask, batch, heads, steps, width):
    """What is added to the scores (batch * heads, steps, width), or spread over them; or None."""
    mask = None
    if attn_mask is not None:
        mask = _numbers(attn_mask, "attn_mask")
        wanted = [(steps, width), (batch * heads, steps, width)]
        if tuple(mask.shape) not in wanted:
            raise _core.ShapeError(
                f"multi_head_attention_forward: attn_mask must be {wanted[0]} or {wanted[1]}, got"
                f" {tuple(mask.shape)}"
            )
        mask = mask.unsqueeze(0) if mask.ndim == 2 else mask
    if key_padding_mask is not None:
        padding = _numbers(key_padding_mask, "key_padding_mask")
        padding = padding.reshape(batch, 1, 1, -1).expand(batch, heads, 1, padding.shape[-1])
        padding = padding.reshape(batch * heads, 1, -1)
        mask = padding if mask is None else mask + padding
    return mask


def _attended(query, weight, bias, heads, mask):
    """Attention of a sequence (time, batch, size) to itself, one product for all projections."""
    steps, batch, size = query.shape
    # A batch that came first lies so still.
    turned = not query.is_contiguous()
    rows = query.transpose(0, 1) if turned else query
    made = _core.linear(rows, weight, bias).reshape(*rows.shape[:2], 3, heads, size // heads)
    parts = [part if turned else part.transpose(0, 1) for part in made.unbind(2)]
    if mask is not None:
        mask = mask.to(query.dtype).expand(batch * heads, steps, steps)
        mask = mask.reshape(batch, heads, steps, steps)
    found = _core._attention_of(*parts, mask, 1.0 / math.sqrt(size // heads), False)[0]
    return found.reshape(batch, steps, size)


def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights=True,
    is_causal=False,
):
    """Attention of several heads over projections of (time, batch, size) (Vaswani et al. 2017).

    Returns the output and, with `need_weights`, the attention of (batch, time, time) or of every
    head. Masks are bool (true where attention is forbidden) or are added to the scores.
    """
    alone = query.ndim == 2
    _settled(query, key, value, key_padding_mask, static_k is None and static_v is None)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "multi_head_attention_forward: is_causal says what attn_mask is, and there is none;"
            " give it too, such as Transformer.generate_square_subsequent_mask(size)"
        )
    if alone:
        same_key, same_value = key is query, value is query
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        key, value = query if same_key else key, query if same_value else value
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    steps, batch, size = query.shape
    if size != embed_dim_to_check or size % num_heads:
        raise _core.ShapeError(
            f"multi_head_attention_forward: the query has {size} features, expected"
            f" {embed_dim_to_check} in {num_heads} heads"
        )
    simple = not (use_separate_proj_weight or add_zero_attn or (dropout_p and training))
    absent = (bias_k, bias_v, static_k, static_v)
    itself = key is query and value is query and all(x is None for x in absent)
    narrow = not query.is_cuda or query.dtype != _core.float64
    if simple and itself and not need_weights and narrow and query.numel():
        mask = _gathered_mask(attn_mask, key_padding_mask, batch, num_heads, steps, steps)
        found = _attended(query, in_proj_weight, in_proj_bias, num_heads, mask)
        found = _core.linear(found, out_proj_weight, out_proj_bias).transpose(0, 1)
        return (found.squeeze(1) if alone else found), None
    if use_separate_proj_weight:
        weights = [q_proj_weight, k_proj_weight, v_proj_weight]
    else:
        weights = list(in_proj_weight.chunk(3))
    biases = [None] * 3 if in_proj_bias is None else list(in_proj_bias.chunk(3))
    q, k, v = (
        _core.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True)
    )
    more = 0
    if bias_k is not None:
        k = _core.cat([k, bias_k.reshape(1, 1, -1).expand(1, batch, size)])
        v = _core.cat([v, bias_v.reshape(1, 1, -1).expand(1, batch, size)])
        more += 1
    head = size // num_heads

    def split(x):
        return x.reshape(x.shape[0], batch * num_heads, head).transpose(0, 1)

    q = split(q)
    k = split(k) if static_k is None else static_k
    v = split(v) if static_v is None else static_v
    if add_zero_attn:
        blank = _core.zeros(batch * num_heads, 1, head, dtype=k.dtype, device=k.device)
        k, v = _core.cat([k, blank], 1), _core.cat([v, blank], 1)
        more += 1
    width = k.shape[1]
    mask = _gathered_mask(attn_mask, key_padding_mask, batch, num_heads, steps, width - more)
    if mask is not None and more:
        mask = schuss.nn.functional.pad(mask, (0, more))
    if not need_weights and not (dropout_p and training):
        apart = [x.reshape(batch, num_heads, *x.shape[1:]) for x in (q, k, v)]
        shared = mask
        if mask is not None:
            shared = mask.expand(batch * num_heads, steps, width)
            shared = shared.reshape(batch, num_heads, steps, width)
        found = _tiled(*apart, shared, False, 1.0 / math.sqrt(head))
        if found is not None:
            found = found.permute(2, 0, 1, 3).reshape(steps * batch, size)
            found = _core.linear(found, out_proj_weight, out_proj_bias).reshape(steps, batch, -1)
            return (found.squeeze(1) if alone else found), None
    scores = (q / math.sqrt(head)) @ k.transpose(1, 2)
    scores = scores if mask is None else scores + mask
    attention = _core.softmax(scores, -1)
    used = fused.dropout(attention, dropout_p, training) if dropout_p else attention
    found = (used @ v).transpose(0, 1).reshape(steps * batch, size)
    found = _core.linear(found, out_proj_weight, out_proj_bias).reshape(steps, batch, -1)
    found = found.squeeze(1) if alone else found
    if not need_weights:
        return found, None
    attention = attention.reshape(batch, num_heads, steps, width)
    attention = attention.mean(1) if average_attn_weights else attention
    return found, attention.squeeze(0) if alone else attention


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type: float = 2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """The sum, mean or largest of the table's rows that each bag of indices names.

    Bags are the rows of a matrix of indices, or begin at `offsets` of a vector of them.

    >>> import schuss
    >>> table = schuss.tensor([[1.0], [2.0], [4.0]])
    >>> schuss.nn.functional.embedding_bag(schuss.tensor([[0, 2]]), table, mode="sum")
    tensor([[5.]])
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError(f"embedding_bag: mode is 'sum', 'mean' or 'max', not {mode!r}")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError("embedding_bag: per_sample_weights go with mode='sum' alone")
    _core._beside("embedding_bag", input, weight, ("indices", "weight"))
    if input.ndim == 2:
        if offsets is not None:
            raise ValueError("embedding_bag: offsets go with a vector of indices alone")
        bags, length = input.shape
        if padding_idx is None and length:
            rows = fused.embedding(input, weight, None, max_norm, norm_type, scale_grad_by_freq)
            if per_sample_weights is not None:
                rows = rows * per_sample_weights.unsqueeze(2)
            if mode == "max":
                return rows.max(1)[0]
            return rows.sum(1) if mode == "sum" else rows.mean(1)
        offsets = _core.arange(bags, device=input.device) * length
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.ndim == 1:
        if offsets is None or offsets.ndim != 1:
            raise ValueError("embedding_bag: a vector of indices needs a vector of offsets")
        if include_last_offset:
            offsets = offsets[:-1]
    else:
        raise ValueError(f"embedding_bag: needs one or two axes, got {tuple(input.shape)}")
    _core._demand(offsets[:1] == 0, "runtime", "embedding_bag", "the first offset must be 0")
    bags = offsets.numel()
    steps = _core.arange(input.numel(), device=input.device)
    bag = schuss.bucketize(steps, offsets.long(), right=True) - 1
    counted = schuss.ones_like(bag)
    if padding_idx is not None:
        padding_idx = fused.padding_row("embedding_bag", padding_idx, weight.shape[0])
        counted = (input != padding_idx).long()
    rows = fused.embedding(input, weight, None, max_norm, norm_type, scale_grad_by_freq)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    blank = _core.zeros(bags, weight.shape[1], dtype=weight.dtype, device=weight.device)
    sizes = _core.zeros(bags, dtype=_core.int64, device=bag.device)
    sizes = sizes.index_add(0, bag, counted)
    if padding_idx is not None:
        # What pads is in no bag: it is less than all, or nothing.
        lowest = -float("inf") if mode == "max" else 0.0
        rows = rows.masked_fill((counted == 0).unsqueeze(1), lowest)
    if mode == "max":
        places = bag.unsqueeze(1).expand(rows.shape)
        most = blank.scatter_reduce(0, places, rows, "amax", include_self=False)
        return most.masked_fill((sizes == 0).unsqueeze(1), 0.0)
    total = blank.index_add(0, bag, rows)
    if mode == "sum":
        return total
    return total / sizes.clamp(min=1).to(total.dtype).unsqueeze(1)


__all__ = [
    "SDPBackend",
    "embedding_bag",
    "multi_head_attention_forward",
    "scaled_dot_product_attention",
    "sdpa_kernel",
]
