"""Models made of models in order: Sequential, lists and dicts of them.
Leans on Model's table of names, which here is the order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from schuss.model import Model
from schuss.nn.parameter import pairs_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Self


class _Numbered(Model):
    """Submodels named "0", "1", ... that behave as a list."""

    def _renumber_with(self, models: Iterable[Any]) -> None:
        models = list(models)
        for name, _ in self._members_of("module"):
            delattr(self, name)
        for i, model in enumerate(models):
            self.add_module(str(i), model)

    def _child_list(self) -> list[Any]:
        return [model for _, model in self._members_of("module")]

    def _child_name(self, index: int) -> str:
        names = [name for name, _ in self._members_of("module")]
        try:
            return names[index]
        except IndexError:
            raise IndexError(
                f"{type(self).__name__}: index {index} in a list of {len(names)}"
            ) from None

    def __len__(self) -> int:
        return len(self._members_of("module"))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._child_list())

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return self._made_of(self._members_of("module")[index])
        return getattr(self, self._child_name(index))

    def _made_of(self, items: list[tuple[str, Any]]) -> Any:
        made: Any = type(self)
        return made(model for _, model in items)

    def __setitem__(self, index: int, module: Model) -> None:
        setattr(self, self._child_name(index), module)

    def __delitem__(self, index: int | slice) -> None:
        names = [name for name, _ in self._members_of("module")]
        for name in names[index] if isinstance(index, slice) else [self._child_name(index)]:
            delattr(self, name)
        self._renumber_with(self._child_list())

    def append(self, module: Model) -> Self:
        """Add a model at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Model) -> Self | None:
        """Put a model before `index`."""
        models = self._child_list()
        if not -len(models) <= index <= len(models):
            raise IndexError(f"{type(self).__name__}: index {index} in a list of {len(models)}")
        models.insert(index, module)
        self._renumber_with(models)
        return self

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add several models at the end."""
        for module in list(modules):
            self.append(module)
        return self

    def pop(self, index: int = -1) -> Any:
        """Take a model out and return it."""
        module = self[index]
        del self[index]
        return module


class Sequential(_Numbered):
    """Models applied one after the other, given as arguments or as one OrderedDict.

    >>> import schuss
    >>> from schuss import nn
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    >>> model(schuss.ones(5, 3)).shape, len(model), model[1]
    (schuss.Size([5, 1]), 3, ReLU())
    """

    def __init__(self, *args: Any) -> None:
        if len(args) == 1 and isinstance(args[0], Mapping):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(args):
                self.add_module(str(i), module)

    def forward(self, input: Any) -> Any:
        own, name = self.__dict__, ""
        try:
            for name, kind in self._member_kinds.items():
                if kind == "module":
                    input = own[name](input)
        except Exception as error:
            part = own.get(name)
            if isinstance(part, Model):
                said = f"{type(part).__name__}({part.extra_repr()})"
                error.add_note(f"in {type(self).__name__}[{name!r}], {said}")
            raise
        return input

    def _made_of(self, items: list[tuple[str, Any]]) -> Any:
        return type(self)(dict(items))

    def __delitem__(self, index: int | slice) -> None:
        numbered = [name for name, _ in self._members_of("module")] == [
            str(i) for i in range(len(self))
        ]
        names = [name for name, _ in self._members_of("module")]
        for name in names[index] if isinstance(index, slice) else [self._child_name(index)]:
            delattr(self, name)
        if numbered:
            self._renumber_with(self._child_list())

    def __add__(self, other: Any) -> Sequential:
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential(*self, *other)

    def __iadd__(self, other: Any) -> Self:
        if not isinstance(other, Sequential):
            return NotImplemented
        return self.extend(other)

    def __mul__(self, times: int) -> Sequential:
        if not isinstance(times, int):
            return NotImplemented
        if times <= 0:
            raise ValueError(f"Sequential: may be repeated a positive number of times, not {times}")
        return Sequential(*self._child_list() * times)

    __rmul__ = __mul__

    def __imul__(self, times: int) -> Self:
        if not isinstance(times, int):
            return NotImplemented
        if times <= 0:
            raise ValueError(f"Sequential: may be repeated a positive number of times, not {times}")
        return self.extend(self._child_list() * (times - 1))


class ModuleList(_Numbered):
    """A list of models that belong to the model it is assigned to; it has no forward.

    >>> from schuss import nn
    >>> layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
    >>> layers
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "ModuleList: is a list and is not called; call its parts in a loop, or use Sequential"
        )

    def __init__(self, modules: Iterable[Any] | None = None) -> None:
        if modules is not None:
            self.extend(modules)

    def insert(self, index: int, module: Model) -> None:
        """Put a model before `index`, as list.insert does."""
        models = self._child_list()
        models.insert(index, module)
        self._renumber_with(models)

    def extend(self, modules: Iterable[Any]) -> Self:
        """Add several models at the end."""
        try:
            iter(modules)
        except TypeError:
            raise TypeError(
                f"ModuleList: needs an iterable of models, got {type(modules).__name__}"
            ) from None
        return super().extend(modules)

    def __add__(self, other: Iterable[Any]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, other: Iterable[Any]) -> Self:
        return self.extend(other)

    def __repr__(self) -> str:
        if not len(self):
            return f"{self._get_name()}()"
        runs: list[list[Any]] = []
        for i, shown in enumerate(map(repr, self)):
            if runs and runs[-1][2] == shown:
                runs[-1][1] = i
            else:
                runs.append([i, i, shown])
        lines = [
            f"({a}): {shown}" if a == b else f"({a}-{b}): {b - a + 1} x {shown}"
            for a, b, shown in runs
        ]
        body = "\n".join(lines).replace("\n", "\n  ")
        return f"{self._get_name()}(\n  {body}\n)"


class ModuleDict(Model):
    """A dict of models that belong to the model it is assigned to.

    >>> from schuss import nn
    >>> heads = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    >>> list(heads), heads["b"]
    (['a', 'b'], Tanh())
    """

    def __init__(self, modules: Any = None) -> None:
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Model:
        return self._modules[key]

    def __setitem__(self, key: str, module: Model) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: object) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all models out."""
        for key in list(self):
            del self[key]

    def pop(self, key: str) -> Model:
        """Take a model out and return it."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def items(self) -> Any:
        """Pairs of name and model."""
        return self._modules.items()

    def values(self) -> Any:
        """The models."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add or replace models from a dict or pairs."""
        for key, module in pairs_of(modules, "ModuleDict"):
            self[key] = module
