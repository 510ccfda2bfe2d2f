"""Live views of a model's parameters, buffers or submodels by name, and of its hooks.
Leans on the table of kinds and the hooks that Model keeps."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

from schuss._core import _changed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from schuss.model import Model


class Registry(MutableMapping):
    """The live, ordered view of a model's parameters, buffers or submodules by name."""

    def __init__(self, model: Model, *kinds: str) -> None:
        self._model = model
        self._kinds = kinds

    def __getitem__(self, name: str) -> Any:
        if self._model._member_kinds.get(name) in self._kinds:
            return self._model.__dict__[name]
        raise KeyError(name)

    def __setitem__(self, name: str, value: Any) -> None:
        if self._model._member_kinds.get(name) in self._kinds:
            _changed()
            self._model.__dict__[name] = value
        else:
            self._model._register_member(name, self._kinds[0], value)

    def __delitem__(self, name: str) -> None:
        self[name]
        self._model.__delattr__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(
            [name for name, kind in self._model._member_kinds.items() if kind in self._kinds]
        )

    def __len__(self) -> int:
        return sum(kind in self._kinds for kind in self._model._member_kinds.values())

    def __repr__(self) -> str:
        return repr(dict(self))

    def copy(self) -> dict[str, Any]:
        """A plain dict of the same entries."""
        return dict(self)


class Hooked(MutableMapping):
    """The live view of a model's hooks of one occasion, by the numbers of their handles."""

    def __init__(self, model: Any, occasion: str) -> None:
        self._model = model
        self._occasion = occasion

    def _table(self) -> dict[int, Any]:
        hooks = self._model._model_hooks
        return {} if hooks is None else getattr(hooks, self._occasion)

    def __getitem__(self, number: int) -> Any:
        entry = self._table()[number]
        return entry[0] if isinstance(entry, tuple) else entry

    def __setitem__(self, number: int, hook: Any) -> None:
        raise TypeError(
            f"{type(self._model).__name__}: hooks are registered by their methods, such as "
            "register_forward_hook"
        )

    def __delitem__(self, number: int) -> None:
        _changed()
        del self._table()[number]

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._table()))

    def __len__(self) -> int:
        return len(self._table())

    def __repr__(self) -> str:
        return f"OrderedDict({dict(self)!r})"


def hooked(occasion: str) -> Any:
    """A model's attribute that shows the hooks of one occasion."""
    return property(lambda model: Hooked(model, occasion))
