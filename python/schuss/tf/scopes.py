"""Name scopes: the prefix that variables made inside them carry.
Leans on the standard library alone."""

from __future__ import annotations

from contextlib import contextmanager
from threading import local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Open(local):
    prefix = ""


_OPEN = _Open()


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Put a prefix before the names of variables made in the `with` block; scopes nest.

    A name that ends in "/" is taken as a whole prefix instead, whatever scopes are open.

    >>> from schuss import tf
    >>> with name_scope("model"), name_scope("layer") as scope:
    ...     print(scope, tf.Variable(1.0, name="w").name)
    model/layer/ model/layer/w:0
    """
    before = _OPEN.prefix
    _OPEN.prefix = name if name.endswith("/") else f"{before}{name}/"
    try:
        yield _OPEN.prefix
    finally:
        _OPEN.prefix = before


def scoped(name: str) -> str:
    """The name with the prefix of the scopes that are open.

    >>> with name_scope("model"):
    ...     scoped("w")
    'model/w'
    """
    return _OPEN.prefix + name
