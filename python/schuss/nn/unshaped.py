"""Parameters and buffers whose shape is not known yet, and models that find theirs at a first call.
Leans on Model's hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss
from schuss import Tensor
from schuss.model import Parameter

if TYPE_CHECKING:
    from typing import Any


class UninitializedTensorMixin:
    """A tensor without a shape, until `materialize` gives it one."""

    cls_to_become: type | None = None

    def materialize(self: Any, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a tensor of `shape`, of unset numbers and of the ordinary class."""
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = schuss.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    def _shapeless(self) -> Any:
        raise RuntimeError(
            f"{type(self).__name__}: has no shape yet; call the model once, or materialize(shape)"
        )

    @property
    def shape(self) -> Any:
        """RuntimeError: there is none yet."""
        return self._shapeless()

    def size(self, dim: int | None = None) -> Any:
        """RuntimeError: there is none yet."""
        return self._shapeless()

    def numel(self) -> Any:
        """RuntimeError: there is none yet."""
        return self._shapeless()

    def share_memory_(self) -> Any:
        """RuntimeError: there is none yet."""
        return self._shapeless()

    def __len__(self) -> Any:
        return self._shapeless()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            data = self.data
            memo[id(self)] = self._another(data.device, data.dtype)
        return memo[id(self)]

    def __reduce_ex__(self: Any, protocol: int) -> tuple[Any, ...]:
        return type(self), self._told()


def _refused(name: str) -> Any:
    def operation(self: Any, *args: Any) -> Any:
        raise ValueError(f"{name}: {type(self).__name__} has no elements yet; call the model once")

    operation.__name__ = name
    return operation


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"):
    for _side in ("", "r", "i"):
        _full = f"__{_side}{_name}__"
        setattr(UninitializedTensorMixin, _full, _refused(_full))
for _full in ("__neg__", "__abs__", "__getitem__", "__setitem__", "__iter__", "__float__"):
    setattr(UninitializedTensorMixin, _full, _refused(_full))


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A Parameter whose shape its lazy model finds out at the first call.

    >>> import schuss
    >>> weight = schuss.nn.UninitializedParameter()
    >>> weight.materialize((2, 3))
    >>> type(weight).__name__, weight.shape
    ('Parameter', schuss.Size([2, 3]))
    """

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> UninitializedParameter:
        data = schuss.empty(0, device=device, dtype=dtype)
        return Tensor._make_subclass(cls, data, requires_grad)

    def _told(self) -> tuple[Any, ...]:
        return self.requires_grad, None, self.data.dtype

    def _another(self, device: Any, dtype: Any) -> UninitializedParameter:
        return type(self)(self.requires_grad, device, dtype)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape its lazy model finds out at the first call."""

    cls_to_become = Tensor
    persistent: bool

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> UninitializedBuffer:
        data = schuss.empty(0, device=device, dtype=dtype)
        made = Tensor._make_subclass(cls, data, requires_grad)
        made.persistent = persistent
        return made

    def _told(self) -> tuple[Any, ...]:
        return False, None, self.data.dtype, self.persistent

    def _another(self, device: Any, dtype: Any) -> UninitializedBuffer:
        return type(self)(False, device, dtype, self.persistent)

    # A model puts a converted buffer in the place of the old one: it must still have no shape.

    def _to(self, dtype: Any, copy: bool = False) -> UninitializedBuffer:
        same = dtype == self.dtype and not copy
        return self if same else self._another(self.device, dtype)

    def _on(self, device: Any) -> UninitializedBuffer:
        return self._another(device, self.dtype)


def is_lazy(param: Any) -> bool:
    """Whether a tensor has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)


class LazyModuleMixin:
    """For models that find the shapes of their parameters at the first call.

    Beside it, a class says in `cls_to_become` what it is afterwards, makes UninitializedParameters,
    and defines `initialize_parameters(*args)`, which materializes them for the first arguments.
    """

    cls_to_become: type | None = None

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._initialize_hook = self.register_forward_pre_hook(
            self._infer_parameters, with_kwargs=True
        )
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)

    def _lazy_load_hook(self: Any, state_dict: Any, prefix: str, *rest: Any) -> None:
        """Takes the shapes of a state that has them."""
        for name, own in (*self._parameters.items(), *self._buffers.items()):
            saved = state_dict.get(prefix + name)
            if own is not None and saved is not None and is_lazy(own) and not is_lazy(saved):
                with schuss.no_grad():
                    own.materialize(saved.shape)

    def _save_to_state_dict(self: Any, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, value in self._own_state().items():
            plain = keep_vars or is_lazy(value)
            destination[prefix + name] = value if plain else value.detach()

    def has_uninitialized_params(self: Any) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        return any(
            value is not None and is_lazy(value)
            for value in (*self._parameters.values(), *self._buffers.values())
        )

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialize the parameters for the arguments of the first call."""
        raise NotImplementedError(f"{type(self).__name__}: define initialize_parameters(self, ...)")

    def _infer_parameters(self: Any, model: Any, args: Any, kwargs: Any = None) -> None:
        self.initialize_parameters(*args, **(kwargs or {}))
        if self.has_uninitialized_params():
            raise RuntimeError(
                f"{type(self).__name__}: parameters have no shape after initialize_parameters"
            )
        self._initialize_hook.remove()
        self._load_hook.remove()
        del self._initialize_hook, self._load_hook
        hooks = self._model_hooks
        if hooks is not None and not any(vars(hooks).values()):
            # Without hooks calls are quick again.
            self._model_hooks = None
        if self.cls_to_become is not None:
            self.__class__ = self.cls_to_become


__all__ = [
    "LazyModuleMixin",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]
