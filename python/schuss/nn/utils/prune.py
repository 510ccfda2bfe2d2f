"""Weights set to zero under masks, chosen at random, by size, or by the norms of slices.
Leans on Model's hooks: a mask and the whole weight stand beside their product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from schuss.model import Model


def _count(op: str, amount: Any, size: int) -> int:
    """How many of `size` an amount is: a share as a float, or a number as an int."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise TypeError(f"{op}: amount must be an int or a float, got {type(amount).__name__}")
    if isinstance(amount, float):
        if not 0.0 <= amount <= 1.0:
            raise ValueError(f"{op}: a share must be from 0.0 to 1.0, got {amount}")
        return round(amount * size)
    if not 0 <= amount <= size:
        raise ValueError(f"{op}: a number must be from 0 to {size}, got {amount}")
    return amount


class BasePruningMethod:
    """A hook before forward that sets the weight to its original times a mask.

    A subclass defines `compute_mask(t, default_mask)`, and says in PRUNING_TYPE whether it chooses
    single elements ("unstructured"), slices ("structured", with `dim`) or anything ("global").
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str
    _handle: Any

    def __call__(self, module: Any, inputs: Any) -> None:
        # Not by assignment, which would tell compiled steps that the module has changed.
        module.__dict__[self._tensor_name] = self.apply_mask(module)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of a tensor whose importance is `t`, of which `default_mask` is left."""
        raise NotImplementedError(f"{type(self).__name__}: define compute_mask(t, default_mask)")

    def apply_mask(self, module: Any) -> Tensor:
        """The original times the mask."""
        original = getattr(module, f"{self._tensor_name}_orig")
        return getattr(module, f"{self._tensor_name}_mask").to(original.dtype) * original

    @classmethod
    def apply(
        cls, module: Any, name: str, *args: Any, importance_scores: Tensor | None = None, **kw: Any
    ) -> Any:
        """Prune the weight `name` of a model, what is left of it if it is pruned already."""
        method: Any = cls(*args, **kw)
        method._tensor_name = name
        before, handle = _pruning_of(module, name)
        tensor = getattr(module, name, None)
        if not isinstance(tensor, Tensor):
            raise AttributeError(f"prune: {type(module).__name__} has no parameter {name!r}")
        scores = tensor if importance_scores is None else importance_scores
        if scores.shape != tensor.shape:
            raise ValueError(
                f"prune: importance_scores {tuple(scores.shape)} for {name} {tuple(tensor.shape)}"
            )
        if before is not None:
            container = before
            if not isinstance(before, PruningContainer):
                container = PruningContainer(before)
            container.add_pruning_method(method)
            handle.remove()
            left = getattr(module, f"{name}_mask")
            method = container
        else:
            left = schuss.ones_like(tensor.detach())
        with schuss.no_grad():
            mask = method.compute_mask(scores.detach(), left)
        if before is None:
            delattr(module, name)
            module.register_parameter(f"{name}_orig", tensor)
            module.register_buffer(f"{name}_mask", mask)
        else:
            setattr(module, f"{name}_mask", mask)
        setattr(module, name, method.apply_mask(module))
        method._handle = module.register_forward_pre_hook(method)
        return method

    def prune(
        self,
        t: Tensor,
        default_mask: Tensor | None = None,
        importance_scores: Tensor | None = None,
    ) -> Tensor:
        """A tensor with the elements pruned that this method chooses."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise ValueError(
                f"prune: importance_scores {tuple(scores.shape)} for a tensor {tuple(t.shape)}"
            )
        left = schuss.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, left)

    def remove(self, module: Any) -> None:
        """Make the pruned weight a plain parameter."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        original = getattr(module, f"{name}_orig")
        original.data = weight.data
        for gone in (name, f"{name}_mask", f"{name}_orig"):
            delattr(module, gone)
        module.register_parameter(name, original)


def _pruning_of(module: Any, name: str) -> tuple[Any, Any]:
    hooks = module._model_hooks
    for hook, _ in tuple(hooks.forward_pre.values()) if hooks is not None else ():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            return hook, hook._handle
    return None, None


class PruningContainer(BasePruningMethod):
    """Methods one after the other; each sees what those before it have left."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: list[BasePruningMethod] = []
        if args:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """Add one at the end; it must be for the same tensor."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"prune: {type(method).__name__} is not a BasePruningMethod")
        if method._tensor_name != self._tensor_name:
            raise ValueError(
                f"prune: a method for {method._tensor_name!r} among those for {self._tensor_name!r}"
            )
        self._pruning_methods.append(method)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, index: int) -> BasePruningMethod:
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        method: Any = self._pruning_methods[-1]
        mask = default_mask.clone()
        if method.PRUNING_TYPE == "unstructured":
            part: Any = mask == 1
        elif method.PRUNING_TYPE == "structured":
            axis = method.dim % mask.ndim
            kept = (mask.movedim(axis, 0).reshape(mask.shape[axis], -1) != 0).any(1)
            part = (slice(None),) * axis + (kept,)
        elif method.PRUNING_TYPE == "global":
            part = ...
        else:
            raise ValueError(f"prune: unknown PRUNING_TYPE {method.PRUNING_TYPE!r}")
        mask[part] = method.compute_mask(t[part], mask[part]).to(mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """Prunes nothing, and makes the mask."""

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """Prunes elements at random."""

    def __init__(self, amount: float) -> None:
        _count("random_unstructured", amount, 2**62)
        self.amount = amount

    def _importance(self, t: Tensor) -> Tensor:
        return schuss.rand_like(t)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = _count("prune", self.amount, t.numel())
        mask = default_mask.clone()
        if count:
            places = self._importance(t).reshape(-1).topk(count, largest=False)[1]
            mask = mask.reshape(-1).index_fill(0, places, 0).reshape(mask.shape)
        return mask


class L1Unstructured(RandomUnstructured):
    """Prunes the elements nearest to 0."""

    def _importance(self, t: Tensor) -> Tensor:
        return t.abs()


class RandomStructured(BasePruningMethod):
    """Prunes slices along an axis at random."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        _count("random_structured", amount, 2**62)
        self.amount = amount
        self.dim = dim

    def _importance(self, t: Tensor) -> Tensor:
        return schuss.rand(t.shape[self.dim], device=t.device)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if t.ndim < 2:
            raise ValueError(f"prune: slices are pruned of at least two axes, got {tuple(t.shape)}")
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"prune: axis {self.dim} of a tensor of shape {tuple(t.shape)}")
        axis = self.dim % t.ndim
        count = _count("prune", self.amount, t.shape[axis])
        if not count:
            return default_mask
        gone = self._importance(t).topk(count, largest=False)[1]
        return default_mask.index_fill(axis, gone, 0)


class LnStructured(RandomStructured):
    """Prunes the slices of the smallest n-norm along an axis."""

    def __init__(self, amount: float, n: float, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _importance(self, t: Tensor) -> Tensor:
        axis = self.dim % t.ndim
        others = [i for i in range(t.ndim) if i != axis]
        return t.norm(self.n, dim=others)


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is 0."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        return default_mask * self.mask.to(default_mask.dtype)


def identity(module: Model, name: str) -> Model:
    """Put a weight under a mask that prunes nothing."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Model, name: str, amount: float) -> Model:
    """Prune a share (float) or number (int) of a weight's elements at random."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(
    module: Model, name: str, amount: float, importance_scores: Tensor | None = None
) -> Model:
    """Prune a share (float) or number (int) of a weight's elements, those nearest to 0.

    The parameter is then `name`_orig, with a buffer `name`_mask.

    >>> import schuss
    >>> layer = schuss.nn.utils.prune.l1_unstructured(schuss.nn.Linear(4, 2), "weight", 3)
    >>> int((layer.weight == 0).sum()), list(layer.state_dict())
    (3, ['bias', 'weight_orig', 'weight_mask'])
    """
    L1Unstructured.apply(module, name, amount, importance_scores=importance_scores)
    return module


def random_structured(module: Model, name: str, amount: float, dim: int) -> Model:
    """Prune a share or number of the slices along `dim` at random."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(
    module: Model,
    name: str,
    amount: float,
    n: float,
    dim: int,
    importance_scores: Tensor | None = None,
) -> Model:
    """Prune a share or number of the slices along `dim`, those of the smallest n-norm."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Model, name: str, mask: Tensor) -> Model:
    """Prune a weight where `mask` is 0."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Model, str]],
    pruning_method: Any,
    importance_scores: dict[Any, Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several weights, given as (model, name), as if they were one tensor.

    >>> import schuss
    >>> from schuss.nn.utils import prune
    >>> a, b = schuss.nn.Linear(3, 2), schuss.nn.Linear(2, 2)
    >>> prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=0.5)
    >>> int((a.weight == 0).sum() + (b.weight == 0).sum())
    5
    """
    listed = list(parameters)
    scores: dict[Any, Any] = importance_scores or {}
    if pruning_method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            "global_unstructured: needs an unstructured method, got"
            f" {pruning_method.__name__} ({pruning_method.PRUNING_TYPE})"
        )
    tensors = [getattr(model, name) for model, name in listed]
    flat = schuss.cat(
        [
            scores.get((model, name), tensor).detach().reshape(-1)
            for (model, name), tensor in zip(listed, tensors, strict=True)
        ]
    )
    left = schuss.cat(
        [
            getattr(model, f"{name}_mask", schuss.ones_like(tensor.detach())).reshape(-1)
            for (model, name), tensor in zip(listed, tensors, strict=True)
        ]
    )
    method = pruning_method(**kwargs)
    method._tensor_name = "temporary"
    container = PruningContainer(method)
    with schuss.no_grad():
        mask = container.compute_mask(flat, left)
    start = 0
    for (model, name), tensor in zip(listed, tensors, strict=True):
        stop = start + math.prod(tensor.shape)
        custom_from_mask(model, name, mask[start:stop].reshape(tensor.shape))
        start = stop


def remove(module: Model, name: str) -> Model:
    """Make a pruned weight a plain parameter, zeros and all; ValueError if it is not pruned."""
    hook, handle = _pruning_of(module, name)
    if hook is None:
        raise ValueError(f"prune.remove: {type(module).__name__}.{name} is not pruned")
    handle.remove()
    hook.remove(module)
    return module


def is_pruned(module: Model) -> bool:
    """Whether any weight of the model, or below it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod)
        for part in module.modules()
        if part._model_hooks is not None
        for hook, _ in part._model_hooks.forward_pre.values()
    )


__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]
