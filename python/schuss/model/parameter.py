"""Parameter and Buffer, the tensors that a Model registers when they are assigned to it.
Leans on the core's Tensor alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import Tensor, empty

if TYPE_CHECKING:
    from typing import Any


def _rebuild(cls: type, data: Tensor, requires_grad: bool, state: dict[str, Any]) -> Tensor:
    made = Tensor._make_subclass(cls, data, requires_grad)
    made.__dict__.update(state)
    return made


def _checked(cls: type, data: Any) -> Tensor:
    if data is None:
        return empty(0)
    if not isinstance(data, Tensor):
        raise TypeError(
            f"{cls.__name__}: needs a Tensor, got {type(data).__name__}; use schuss.tensor(...)"
        )
    return data


class _Owned(Tensor):
    """What Parameter and Buffer share: copies and pickles that keep their class."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            made = _rebuild(type(self), self.data.clone(), self.requires_grad, self.__dict__)
            memo[id(self)] = made
        return memo[id(self)]

    def __reduce_ex__(self, protocol: int) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.data, self.requires_grad, dict(self.__dict__))

    def __repr__(self) -> str:
        shown = self.data
        if self.requires_grad:
            shown.requires_grad_()
        return f"{type(self).__name__} containing:\n{shown!r}"


class Parameter(_Owned):
    """A tensor that a Model trains: assigned as an attribute it joins `parameters()`.

    It shares the storage of `data`, is always a leaf, and requires grad unless told otherwise.

    >>> import schuss
    >>> schuss.nn.Parameter(schuss.ones(2))
    Parameter containing:
    tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Parameter:
        if requires_grad is not True and requires_grad is not False:
            raise TypeError(
                f"{cls.__name__}: requires_grad must be True or False, got {requires_grad!r}"
            )
        return Tensor._make_subclass(cls, _checked(cls, data), requires_grad)


class Buffer(_Owned):
    """A tensor that belongs to a Model's state without being trained, such as a running mean.

    With `persistent=False` it moves with the model but stays out of its `state_dict`.

    >>> import schuss
    >>> model = schuss.nn.Module()
    >>> model.mean = schuss.nn.Buffer(schuss.zeros(2))
    >>> [name for name, _ in model.named_buffers()]
    ['mean']
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Buffer:
        made = Tensor._make_subclass(cls, _checked(cls, data), False)
        made.persistent = persistent
        return made
