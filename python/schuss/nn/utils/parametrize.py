"""Parameters that are functions of others: a chain of models stands between them.
Leans on Model, and on properties of a class made for each parametrized model."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.model import Model, Parameter
from schuss.nn.containers import ModuleDict, ModuleList

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_caching = 0
_cache: dict[tuple[int, str], Any] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within this context a parametrized tensor is computed once, however often it is read.

    >>> from schuss.nn.utils import parametrize
    >>> with parametrize.cached():
    ...     pass
    """
    global _caching
    _caching += 1
    try:
        yield
    finally:
        _caching -= 1
        if not _caching:
            _cache.clear()


def _inverse(model: Any, value: Any) -> Any:
    """What a parametrization would have to be given to give `value`."""
    inverse = getattr(model, "right_inverse", None)
    if inverse is None:
        return value
    try:
        return inverse(value)
    except NotImplementedError:
        return value


class ParametrizationList(ModuleList):
    """The chain for one tensor, and the tensors it begins with: `original`, or original0, ..."""

    def __init__(
        self, modules: Sequence[Model], original: Tensor | Parameter, unsafe: bool = False
    ) -> None:
        if not modules:
            raise ValueError("ParametrizationList: needs at least one parametrization")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with schuss.no_grad():
            begun: Any = original
            for model in reversed(list(self)):
                begun = _inverse(model, begun)
        self.is_tensor = isinstance(begun, Tensor)
        self.ntensors = 1 if self.is_tensor else len(begun)
        for name, value in zip(self._names(), [begun] if self.is_tensor else begun, strict=True):
            if isinstance(original, Parameter):
                same = value is original
                made = original if same else Parameter(value.detach(), original.requires_grad)
                self.register_parameter(name, made)
            else:
                self.register_buffer(name, value)
        if not unsafe:
            found = self()
            if not isinstance(found, Tensor):
                raise ValueError(
                    f"register_parametrization: gave a {type(found).__name__}, not a Tensor"
                )
            if found.dtype != dtype or found.shape != shape:
                raise ValueError(
                    f"register_parametrization: gave {found.dtype} {tuple(found.shape)} for"
                    f" {dtype} {tuple(shape)}; pass unsafe=True if that is meant"
                )

    def _names(self) -> list[str]:
        if self.is_tensor:
            return ["original"]
        return [f"original{i}" for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the tensors the chain begins with so that it gives `value`."""
        with schuss.no_grad():
            begun: Any = value
            for model in reversed(list(self)):
                begun = _inverse(model, begun)
            begun = [begun] if isinstance(begun, Tensor) else list(begun)
            if len(begun) != self.ntensors:
                raise ValueError(
                    f"right_inverse: gave {len(begun)} tensors, there are {self.ntensors}"
                )
            for name, new in zip(self._names(), begun, strict=True):
                old = getattr(self, name)
                if old.dtype != new.dtype:
                    raise ValueError(
                        f"right_inverse: {name} would change from {old.dtype} to {new.dtype}"
                    )
                if old.shape == new.shape:
                    old.copy_(new)
                else:
                    old.data = new.detach().clone()

    def forward(self) -> Tensor:
        if not len(self):
            raise RuntimeError("ParametrizationList: is empty")
        first, *rest = list(self)
        found = first(*(getattr(self, name) for name in self._names()))
        for model in rest:
            found = model(found)
        return found


def _shown_through(model: Any, tensor_name: str) -> None:
    """Makes reading the attribute run its chain, and writing it the chain's inverse."""

    def read(self: Any) -> Any:
        chain = self.parametrizations[tensor_name]
        if not _caching:
            return chain()
        key = (id(self), tensor_name)
        if key not in _cache:
            _cache[key] = chain()
        return _cache[key]

    def write(self: Any, value: Tensor) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(model), tensor_name, property(read, write))


def _own_class(model: Any) -> None:
    """Gives a model a class of its own, which can have properties of its own."""
    base = type(model)

    def refused(self: Any, protocol: Any) -> Any:
        # Pickle would look for the class by its name.
        raise RuntimeError(
            f"{type(self).__name__}: a parametrized model is saved by its state_dict, or after"
            " remove_parametrizations"
        )

    def copied(self: Any, memo: dict[int, Any]) -> Any:
        own: Any = type(self)
        made = memo[id(self)] = own.__new__(own)
        for key, value in self.__dict__.items():
            made.__dict__[key] = deepcopy(value, memo)
        return made

    name = f"Parametrized{base.__name__}"
    model.__class__ = type(name, (base,), {"__reduce_ex__": refused, "__deepcopy__": copied})
    model.parametrizations = ModuleDict()


def register_parametrization(
    module: Model, tensor_name: str, parametrization: Model, *, unsafe: bool = False
) -> Model:
    """Let a model's parameter or buffer be `parametrization` of another, and return the model.

    The other is found by `parametrization.right_inverse(tensor)` where that exists, else it is
    the tensor itself; it may be a tuple of several. It lives in
    `module.parametrizations[tensor_name]`; further calls add to the chain. ValueError if dtype or
    shape would change, unless `unsafe`.

    >>> import schuss
    >>> from schuss import nn
    >>> from schuss.nn.utils import parametrize
    >>> class Symmetric(nn.Module):
    ...     def forward(self, x):
    ...         return x.triu() + x.triu(1).T
    >>> layer = parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all())
    True
    """
    op = "register_parametrization"
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        chain = module.parametrizations[tensor_name]
        if not unsafe:
            before = getattr(module, tensor_name)
            after = parametrization(before)
            if (
                not isinstance(after, Tensor)
                or after.dtype != before.dtype
                or after.shape != before.shape
            ):
                raise ValueError(
                    f"{op}: the chain would change the dtype or shape of {tensor_name!r}; pass"
                    " unsafe=True if that is meant"
                )
        value = getattr(module, tensor_name).detach()
        chain.append(parametrization)
        chain.unsafe = chain.unsafe or unsafe
        if hasattr(parametrization, "right_inverse"):
            chain.right_inverse(value)
        return module
    if tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        chain = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _own_class(module)
        _shown_through(module, tensor_name)
        module.parametrizations[tensor_name] = chain
        return module
    raise ValueError(f"{op}: {type(module).__name__} has no parameter or buffer {tensor_name!r}")


def is_parametrized(module: Model, tensor_name: str | None = None) -> bool:
    """Whether any tensor of the model is parametrized, or the one of that name."""
    found = module.__dict__.get("parametrizations")
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(
    module: Model, tensor_name: str, leave_parametrized: bool = True
) -> Model:
    """Make a parametrized tensor plain again, with its present value, or the original one's.

    ValueError if it is not parametrized, or if there are several originals and
    `leave_parametrized=False`.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"remove_parametrizations: {type(module).__name__}.{tensor_name} is not parametrized"
        )
    chain = module.parametrizations[tensor_name]
    first = getattr(chain, chain._names()[0])
    if leave_parametrized:
        with schuss.no_grad():
            value = chain().detach()
        if chain.is_tensor and isinstance(first, Parameter) and first.shape == value.shape:
            first.data = value.clone()
            kept: Any = first
        elif isinstance(first, Parameter):
            kept = Parameter(value.clone(), first.requires_grad)
        else:
            kept = value
    elif chain.is_tensor:
        kept = first
    else:
        raise ValueError(
            f"remove_parametrizations: {tensor_name!r} is made of {chain.ntensors} tensors, none of"
            " which can take its place; leave_parametrized=True keeps its value"
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if isinstance(kept, Parameter):
        module.register_parameter(tensor_name, kept)
    else:
        module.register_buffer(tensor_name, kept)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Model) -> type:
    """The class that the model had before it was parametrized."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Model, to_module: Model, tensor_name: str | None = None
) -> Model:
    """Give another model copies of the parametrizations, and their tensors."""
    if not is_parametrized(from_module):
        return to_module
    names = [tensor_name] if tensor_name is not None else list(from_module.parametrizations)
    for name in names:
        chain = from_module.parametrizations[name]
        known = name in to_module._parameters or name in to_module._buffers
        if not known and not is_parametrized(to_module, name):
            with schuss.no_grad():
                to_module.register_parameter(name, Parameter(chain().detach().clone()))
        for model in chain:
            register_parametrization(to_module, name, deepcopy(model), unsafe=True)
        there = to_module.parametrizations[name]
        for part in chain._names():
            getattr(there, part).data = getattr(chain, part).detach().clone()
    return to_module


__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]
