"""Module: an object whose Variables are found through its attributes; and `function`.
Leans on Variable and on name scopes."""

from __future__ import annotations

import re
from functools import wraps
from typing import TYPE_CHECKING

from schuss.tape.nest import flatten
from schuss.tf.scopes import name_scope
from schuss.tf.variable import Variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any


class Module:
    """A base for models: it finds the Variables in its attributes, in lists and in submodules.

    A name that is not a Python identifier raises ValueError.

    >>> class Line(Module):
    ...     def __init__(self):
    ...         self.w = Variable(2.0)
    ...         self.b = Variable(1.0, trainable=False)
    >>> [float(v) for v in Line().trainable_variables]
    [2.0]
    """

    _name: str | None = None

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not name.isidentifier():
            raise ValueError(
                f"Module: {name!r} is not a valid module name; use letters, digits and _"
            )
        self._name = name

    @property
    def name(self) -> str:
        """The name given, or the class's in snake case.

        >>> Module().name, Module("line").name
        ('module', 'line')
        """
        apart = re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", type(self).__name__)
        return self._name or re.sub("([a-z])([A-Z])", r"\1_\2", apart).lower()

    @property
    def name_scope(self) -> AbstractContextManager[str]:
        """A `with` block in which Variables get the module's name as a prefix.

        >>> with Module("line").name_scope:
        ...     Variable(1.0, name="w").name
        'line/w:0'
        """
        return name_scope(self.name + "/")

    @classmethod
    def with_name_scope(cls, method: Callable[..., Any]) -> Callable[..., Any]:
        """Run a method inside the module's name scope.

        >>> class Dense(Module):
        ...     @Module.with_name_scope
        ...     def __call__(self):
        ...         return Variable(1.0, name="w")
        >>> Dense()().name
        'dense/w:0'
        """

        @wraps(method)
        def inside(self: Module, *args: Any, **kwargs: Any) -> Any:
            with self.name_scope:
                return method(self, *args, **kwargs)

        return inside

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All Variables, its own by attribute name first, then those of submodules.

        >>> Module().variables
        ()
        """
        return tuple(_found(self, Variable))

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        """The Variables that are trainable.

        >>> Module().trainable_variables
        ()
        """
        return tuple(v for v in self.variables if v.trainable)

    @property
    def non_trainable_variables(self) -> tuple[Variable, ...]:
        """The Variables that are not trainable.

        >>> Module().non_trainable_variables
        ()
        """
        return tuple(v for v in self.variables if not v.trainable)

    @property
    def submodules(self) -> tuple[Module, ...]:
        """The modules in its attributes and in theirs.

        >>> Module().submodules
        ()
        """
        return tuple(_found(self, Module))


def _found(root: Module, kind: type) -> Iterator[Any]:
    """Objects of a kind, level by level, each once; attributes in the order of their names."""
    seen = {id(root)}
    level: list[Module] = [root]
    while level:
        below = []
        for module in level:
            for leaf in flatten(dict(vars(module))):
                if id(leaf) in seen:
                    continue
                if isinstance(leaf, (Module, kind)):
                    seen.add(id(leaf))
                if isinstance(leaf, kind):
                    yield leaf
                if isinstance(leaf, Module):
                    below.append(leaf)
        level = below


def function(func: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """Mark a function that TensorFlow would trace; here it runs as it is, at once.

    The options of the decorator (`input_signature`, `jit_compile`...) are accepted and have no
    effect.

    >>> @function
    ... def double(x):
    ...     return 2 * x
    >>> double(4)
    8
    """
    return func if func is not None else function
