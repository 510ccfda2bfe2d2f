"""Model, which is nn.Module: what is assigned to it is registered, walked, moved and trained.
Leans on the core's tensors and on the rooms beside it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import schuss
from schuss import Tensor, no_grad
from schuss._core import Step, _changed
from schuss.model.parameter import Buffer, Parameter
from schuss.model.placement import Placed
from schuss.model.registry import Registry, hooked
from schuss.model.state import Stateful, set_value
from schuss.model.walks import BUFFERS
from schuss.naming import check_making, own_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self


class Model(Stateful, Placed):
    """A function with state: subclass it, assign parameters and submodels, define `forward`.

    Parameters, buffers and submodels live in the instance itself; `_member_kinds` remembers, in
    order of assignment, which names are which. No `super().__init__()` is needed. A subclass may
    instead define `parameters()` to return a dict of names to Tensors or Scalars; every method
    accepts it.

    >>> import schuss
    >>> class Line(schuss.Model):
    ...     def __init__(self):
    ...         self.a = schuss.nn.Parameter(schuss.tensor(2.0))
    ...     def forward(self, x):
    ...         return self.a * x
    >>> Line()(21.0)
    tensor(42., grad_fn=<MulBackward0>)
    """

    training: bool = True
    _member_kinds: dict[str, str]
    if TYPE_CHECKING:
        # What register_parameter and register_buffer bring, a checker cannot see.
        def __getattr__(self, name: str) -> Any: ...

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if args or kwargs:
            check_making(cls, args, kwargs)
        self = super().__new__(cls)
        object.__setattr__(self, "_member_kinds", {})
        return self

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own_name(cls)

    def __init__(self) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._model_hooks is None:
            return self.forward(*args, **kwargs)
        return self._model_hooks.call(self, args, kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass that is called defines it."""
        raise NotImplementedError(
            f"{type(self).__name__}: has no forward method; define forward(self, ...)"
        )

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the model in its own place: calls then run `schuss.compile(model.forward)`.

        Takes what `schuss.compile` takes.

        >>> import schuss
        >>> model = schuss.nn.Linear(2, 1)
        >>> model.compile()
        >>> model(schuss.ones(3, 2)).shape
        schuss.Size([3, 1])
        """
        forward = type(self).forward.__get__(self)
        self.__dict__["forward"] = schuss.compile(forward, *args, **kwargs)

    # Registration

    def __setattr__(self, name: str, value: Any) -> None:
        _changed()
        kind = self._member_kinds.get(name)
        if isinstance(value, Parameter):
            fits = "parameter"
        elif isinstance(value, Model):
            fits = "module"
        elif isinstance(value, Buffer) and kind is None:
            return self.register_buffer(name, value, value.persistent)
        elif kind is None:
            return object.__setattr__(self, name, value)
        else:
            if value is not None and not (kind in BUFFERS and isinstance(value, Tensor)):
                raise TypeError(
                    f"{type(self).__name__}.{name}: is a {kind}, cannot become "
                    f"{type(value).__name__}; delete it first, or assign {_WANTED[kind]} or None"
                )
            fits = kind
        if kind == fits:
            self.__dict__[name] = value
        else:
            self._register_member(name, fits, value)
        return None

    def __delattr__(self, name: str) -> None:
        _changed()
        if self._member_kinds.pop(name, None) is None:
            object.__delattr__(self, name)
        else:
            del self.__dict__[name]

    def __dir__(self) -> list[str]:
        return sorted(name for name in super().__dir__() if not name[:1].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        members = self.__dict__
        if type(members.get("forward")) is not Step:
            return members
        # Compiled in its place; a program is neither copied nor saved.
        return {name: value for name, value in members.items() if name != "forward"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # A shallow copy must not share the table of names with its original.
        self.__dict__["_member_kinds"] = dict(state["_member_kinds"])

    def _register_member(self, name: str, kind: str, value: Any) -> None:
        _changed()
        if not isinstance(name, str):
            raise TypeError(f"{kind} name: needs a str, got {type(name).__name__}")
        if "." in name:
            raise KeyError(f"{kind} name: {name!r} contains a dot; nest a Model instead")
        if name == "":
            raise KeyError(f"{kind} name: is empty")
        self._member_kinds.pop(name, None)
        self._member_kinds[name] = kind
        self.__dict__[name] = value

    def _register_new_member(
        self, name: str, kind: str, value: Any, wanted: type, *same: str
    ) -> None:
        if value is not None and not isinstance(value, wanted):
            got = type(value).__name__
            if isinstance(value, type) and issubclass(value, wanted):
                got = f"the class {value.__name__} itself; make one of it: {value.__name__}(...)"
            elif wanted is Model and isinstance(value, (list, tuple)):
                got += "; give its parts one by one: Sequential(*parts)"
            elif wanted is Model and callable(value):
                got += "; use the layer that calls it, such as nn.ReLU() for functional.relu"
            raise TypeError(
                f"{type(self).__name__}.{name}: a {kind} must be {_WANTED[kind]} or None, got {got}"
            )
        taken = (
            isinstance(name, str)
            and self._member_kinds.get(name) not in same
            and hasattr(self, name)
        )
        if taken:
            raise KeyError(f"{type(self).__name__}: attribute {name!r} already exists")
        self._register_member(name, kind, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a Parameter, or None for one that is left out (it is then not walked)."""
        self._register_new_member(name, "parameter", param, Parameter, "parameter")

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that moves and saves with the model but is not trained.

        >>> import schuss
        >>> model = schuss.Model()
        >>> model.register_buffer("count", schuss.zeros(1))
        >>> list(model.state_dict())
        ['count']
        """
        kind = "buffer" if persistent else "transient"
        self._register_new_member(name, kind, tensor, Tensor, *BUFFERS)

    def register_module(self, name: str, module: Model | None) -> None:
        """Register a submodel under a name that may be computed."""
        self._register_new_member(name, "module", module, Model, "module")

    add_module = register_module

    @property
    def _parameters(self) -> Registry:
        return Registry(self, "parameter")

    @property
    def _buffers(self) -> Registry:
        return Registry(self, *BUFFERS)

    @property
    def _modules(self) -> Registry:
        return Registry(self, "module")

    _forward_hooks = hooked("forward")
    _forward_pre_hooks = hooked("forward_pre")
    _backward_hooks = hooked("backward")
    _backward_pre_hooks = hooked("backward_pre")

    # Training

    def apply(self, fn: Callable[[Model], Any]) -> Self:
        """Call `fn` on every submodel, deepest first, and on this model last."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set `training` here and below; Dropout and BatchNorm behave accordingly."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self) -> Self:
        """Set `training` to False here and below."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Track every parameter, or freeze them all."""
        if not isinstance(requires_grad, bool):
            raise TypeError(f"requires_grad_: must be True or False, got {requires_grad!r}")
        for p in self._unique_parameters():
            if isinstance(p, Tensor):
                p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all the parameters, or fill them with zeros."""
        for p in self._unique_parameters():
            if not isinstance(p, Tensor):
                p.backwards_grad = 0
            elif p.grad is not None:
                if set_to_none:
                    p.grad = None
                else:
                    if p.grad.requires_grad:
                        p.grad = p.grad.detach()
                    p.grad.zero_()

    def gradient_update(self, lr: float) -> None:
        """Take one step downhill: subtract `lr` times its gradient from every parameter.

        >>> import schuss
        >>> model = schuss.nn.Linear(1, 1, bias=False)
        >>> _ = schuss.nn.init.ones_(model.weight)
        >>> model(schuss.ones(1, 1)).sum().backward()
        >>> model.gradient_update(0.25)
        >>> model.weight.item()
        0.75
        """
        with no_grad():
            for p in self._unique_parameters():
                if not isinstance(p, Tensor):
                    p.gradient_update(lr)
                elif p.grad is not None:
                    p.add_(p.grad, alpha=-float(lr))

    def copy_parameters(self) -> dict[str, Any]:
        """A deep copy of the parameters by name, for load_parameters."""
        listed = self._listed_parameters()
        return deepcopy(dict(self.named_parameters()) if listed is None else listed)

    def load_parameters(self, params: Mapping[str, Any]) -> None:
        """Take the values of a dict of names to tensors or Scalars.

        A registered parameter is overwritten in place, so optimizers go on with it; any other
        attribute is replaced by the dict's object. Raises KeyError for a name that is not there.

        >>> import schuss
        >>> model = schuss.nn.Linear(1, 1)
        >>> best = model.copy_parameters()
        >>> model.load_parameters(best)
        """
        current = dict(self.named_parameters(remove_duplicate=False))
        unknown = [name for name in params if name not in current]
        if unknown:
            raise KeyError(
                f"load_parameters: {type(self).__name__} has no {', '.join(map(repr, unknown))}; "
                f"it has {', '.join(map(repr, current)) or 'none'}"
            )
        for name, value in params.items():
            self._check_trainable(name, value)
            old = current[name]
            if isinstance(old, Tensor) and isinstance(value, Tensor) and old.shape != value.shape:
                raise schuss.ShapeError(
                    f"load_parameters: {name} is {tuple(old.shape)}, got {tuple(value.shape)}"
                )
        with no_grad():
            for name, value in params.items():
                path, _, last = name.rpartition(".")
                owner = self.get_submodule(path) if path else self
                if last not in owner._member_kinds and getattr(owner, last, None) is current[name]:
                    setattr(owner, last, value)
                else:
                    set_value(current[name], value)

    # Printing

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses; override to show the settings."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        parts = [f"({name}): {child!r}" for name, child in self._members_of("module")]
        if not parts and len(lines) < 2:
            return f"{self._get_name()}({extra})"
        body = "\n".join(lines + parts).replace("\n", "\n  ")
        return f"{self._get_name()}(\n  {body}\n)"


_WANTED = {
    "parameter": "a Parameter",
    "module": "a Model",
    "buffer": "a Tensor",
    "transient": "a Tensor",
}

__all__ = ["Buffer", "Model", "Parameter"]
