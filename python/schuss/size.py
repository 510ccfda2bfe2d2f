"""The shape of a tensor as Python sees it.
Leans on nothing but the tuple that it is."""

from __future__ import annotations

_item = tuple.__getitem__


class Size(tuple):
    """The sizes of a tensor's axes: a tuple that can count its elements.

    >>> schuss.Size([2, 3]).numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements of such a tensor."""
        count = 1
        for size in self:
            count *= size
        return count

    def as_list(self) -> list[int]:
        """The sizes as a list, by TensorFlow's name."""
        return list(self)

    def __repr__(self) -> str:
        return f"schuss.Size({list(self)})"

    def __getitem__(self, key):
        found = _item(self, key)
        return Size(found) if type(key) is slice else found

    def __add__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(self, other))

    def __radd__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(other, self))

    def __mul__(self, times):
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self):
        return Size, (tuple(self),)
