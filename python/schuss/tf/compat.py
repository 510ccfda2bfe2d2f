"""tf.compat.v1: the default graph, as far as programs of gradient overrides ask for it.
Leans on the overrides themselves; every operation runs at once, so a graph holds nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from schuss.tf.gradients import gradient_override_map

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Graph:
    """What TensorFlow builds before it runs; here a door to `gradient_override_map`.

    >>> with v1.get_default_graph().gradient_override_map({"Square": "NoSuchRule"}):
    ...     pass
    Traceback (most recent call last):
    LookupError: gradient_override_map: no gradient is registered as 'NoSuchRule'; ...
    """

    def gradient_override_map(self, op_type_map: dict[str, str]) -> AbstractContextManager[None]:
        """In the `with` block, operators get registered rules.

        >>> with Graph().gradient_override_map({}):
        ...     pass
        """
        return gradient_override_map(op_type_map)

    @contextmanager
    def as_default(self) -> Iterator[Graph]:
        """A `with` block that gives the graph itself.

        >>> with Graph().as_default() as graph:
        ...     pass
        """
        yield self


class v1:
    """The names of TensorFlow 1 that still have a meaning.

    >>> type(v1.get_default_graph()).__name__
    'Graph'
    """

    Graph = Graph

    @staticmethod
    def get_default_graph() -> Graph:
        """The graph of the program.

        >>> with v1.get_default_graph().gradient_override_map({}):
        ...     pass
        """
        return _DEFAULT


_DEFAULT = Graph()
