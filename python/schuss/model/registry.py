"""The live view of a Model's parameters, buffers or submodels as a mapping by name.
Leans on the table of kinds that Model keeps."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING

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
