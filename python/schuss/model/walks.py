"""Walks over a Model: its parameters, buffers and submodels, by dotted name and in order.
Leans on the table of kinds that Model keeps and on Parameter."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, cast

from schuss import Tensor
from schuss.model.parameter import Parameter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from schuss.model import Model

BUFFERS = ("buffer", "transient")

_listing: set[tuple[int, int]] = set()


class Walks:
    """The walking methods of Model, and what a subclass that lists its parameters changes."""

    _member_kinds: dict[str, str]

    def _members_of(self, *kinds: str) -> list[tuple[str, Any]]:
        own = self.__dict__
        return [(name, own[name]) for name, kind in self._member_kinds.items() if kind in kinds]

    def _listed_parameters(self) -> dict[str, Any] | None:
        """The dict of a subclass whose `parameters()` returns one, else None."""
        if type(self).parameters is Walks.parameters:
            return None
        # Such a method may itself ask for named_parameters: that inner call walks plainly.
        mark = get_ident(), id(self)
        if mark in _listing:
            return None
        _listing.add(mark)
        try:
            found = self.parameters()
        finally:
            _listing.discard(mark)
        if not isinstance(found, dict):
            return None
        for name, value in found.items():
            self._check_trainable(name, value)
        return found

    def _check_trainable(self, name: Any, value: Any) -> None:
        if not isinstance(value, Tensor) and not hasattr(value, "gradient_update"):
            raise TypeError(
                f"{type(self).__name__}.parameters: {name!r} is a {type(value).__name__}; "
                "a parameter is a Tensor or a Scalar"
            )

    def _walk_parameters(
        self, prefix: str, recurse: bool, seen: set[int] | None
    ) -> Iterator[tuple[str, Any]]:
        if seen is not None:
            if id(self) in seen:
                return
            seen.add(id(self))
        listed = self._listed_parameters()
        own = self._members_of("parameter") if listed is None else listed.items()
        for name, value in own:
            if value is not None:
                yield f"{prefix}{name}", value
        if recurse and listed is None:
            for name, child in self._members_of("module"):
                if child is not None:
                    yield from child._walk_parameters(f"{prefix}{name}.", True, seen)

    def _loose_parameters(self) -> dict[str, Any]:
        """The parameters that `parameters()` lists and that are registered nowhere below."""
        listed = self._listed_parameters()
        if not listed:
            return {}
        held = {id(value) for _, value in self._members_of("parameter", *BUFFERS)}
        for child in self.children():
            held.update(id(value) for _, value in child._walk_parameters("", True, set()))
        return {name: value for name, value in listed.items() if id(value) not in held}

    def _unique_parameters(self) -> list[Any]:
        """What `parameters()` gives, each once, whether it is a dict or not."""
        if type(self).parameters is Walks.parameters:
            return list(self.parameters())
        found = self.parameters()
        pairs = found.items() if isinstance(found, dict) else enumerate(found)
        unique = {}
        for name, value in pairs:
            self._check_trainable(name, value)
            unique[id(value)] = value
        return list(unique.values())

    def _collect_parameters(self, found: dict[int, Any], seen: set[int]) -> None:
        seen.add(id(self))
        listed = self._listed_parameters()
        if listed is not None:
            found.update((id(value), value) for value in listed.values())
            return
        own, children = self.__dict__, []
        for name, kind in self._member_kinds.items():
            if kind == "parameter":
                value = own[name]
                if value is not None:
                    found[id(value)] = value
            elif kind == "module":
                children.append(own[name])
        for child in children:
            if child is not None and id(child) not in seen:
                child._collect_parameters(found, seen)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Every parameter once, this model's first and then its submodels'.

        >>> import schuss
        >>> [tuple(p.shape) for p in schuss.nn.Linear(3, 2).parameters()]
        [(2, 3), (2,)]
        """
        found: dict[int, Any] = {}
        if recurse:
            self._collect_parameters(found, set())
        else:
            found.update((id(p), p) for _, p in self.named_parameters(recurse=False))
        return iter(found.values())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Pairs of dotted name and parameter, a shared one under its first name only."""
        start = prefix + ("." if prefix else "")
        pairs = self._walk_parameters(start, recurse, set() if remove_duplicate else None)
        return first_of_each(pairs) if remove_duplicate else pairs

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Every buffer once."""
        for _, value in self.named_buffers(recurse=recurse):
            yield value

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Pairs of dotted name and buffer."""
        models = self.named_modules(None, prefix, remove_duplicate) if recurse else [(prefix, self)]
        pairs = (
            (f"{path}.{name}" if path else name, value)
            for path, model in models
            for name, value in model._members_of(*BUFFERS)
            if value is not None
        )
        return first_of_each(pairs) if remove_duplicate else pairs

    def children(self) -> Iterator[Model]:
        """The submodels assigned to this one, each once."""
        for _, child in self.named_children():
            yield child

    def named_children(self) -> Iterator[tuple[str, Model]]:
        """Pairs of name and submodel."""
        return first_of_each(pair for pair in self._members_of("module") if pair[1] is not None)

    def modules(self) -> Iterator[Model]:
        """This model and all the models below it, each once."""
        for _, model in self.named_modules():
            yield model

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Model]]:
        """Pairs of dotted name and model, beginning with this one."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, cast("Model", self)
        for name, child in self._members_of("module"):
            if child is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from child.named_modules(memo, path, remove_duplicate)

    def get_submodule(self, target: str) -> Model:
        """The submodel at a dotted path; the empty path is this model."""
        found = cast("Model", self)
        for name in target.split(".") if target else ():
            found = step(found, name, target, Walks)
        return found

    def set_submodule(self, target: str, module: Model, strict: bool = False) -> None:
        """Put `module` at a dotted path; `strict` asks that one is there already."""
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if not name:
            raise ValueError("set_submodule: the path is empty")
        if strict:
            step(parent, name, target, Walks)
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path."""
        path, _, name = target.rpartition(".")
        return step(self.get_submodule(path), name, target, Parameter)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path."""
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if parent._member_kinds.get(name) not in BUFFERS:
            raise AttributeError(f"{type(parent).__name__}: has no buffer {name!r} ({target!r})")
        return parent.__dict__[name]


def first_of_each(pairs: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    seen = set()
    for name, value in pairs:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def step(model: Any, name: str, target: str, wanted: type) -> Any:
    found = getattr(model, name, None)
    if not isinstance(found, wanted):
        what = "Parameter" if wanted is Parameter else "submodel"
        raise AttributeError(
            f"{type(model).__name__}: has no {what} {name!r} (on the way to {target!r})"
        )
    return found
