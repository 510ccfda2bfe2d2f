"""Optimizer, the base of every optimiser: groups of parameters, their state, hooks and checkpoints.
Leans on tensors' `.grad` and on Scalars' `backwards_grad`; the arithmetic is in the subclasses."""

from __future__ import annotations

import functools
from collections import defaultdict
from copy import deepcopy
from itertools import chain
from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.naming import Checked, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    Parameter = schuss.Tensor | schuss.Scalar
    Hook = Callable[..., Any]


class HookHandle:
    """What registering a hook returns: `remove()`, or the end of a `with`, takes it away."""

    def __init__(self, hooks: list[Hook], hook: Hook) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


# Hooks around the steps of all optimisers.
_of_all: dict[str, list[Hook]] = {}


def register_optimizer_step_pre_hook(hook: Hook) -> HookHandle:
    """Call hook(optimizer, args, kwargs) before each step of every optimiser."""
    return _registered(_of_all.setdefault("before", []), hook, False)


def register_optimizer_step_post_hook(hook: Hook) -> HookHandle:
    """Call hook(optimizer, args, kwargs) after each step of every optimiser."""
    return _registered(_of_all.setdefault("after", []), hook, False)


class _Required:
    """The default of an option that every group has to set."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a class's `step`: runs the hooks, once even where it calls its parent's `step`."""

    @functools.wraps(step)
    def wrapper(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        self._opt_called = True
        if _core._is_recording() and not self._stepping:
            from schuss.recording import note_step

            if not has_hooks(self):
                return note_step(self, step, args, kwargs)
            _core._refuse_recording("hooks run around the step of its optimiser")
        if self._stepping or not has_hooks(self):
            return _named(self, step, args, kwargs)
        self._stepping = True
        before, after = _of_all.get("before", []), _of_all.get("after", [])
        try:
            for hook in [*before, *self._pre_hooks]:
                changed = hook(self, args, kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        f"{type(self).__name__}.step: a pre hook must return None or "
                        f"(args, kwargs), got {changed!r}"
                    )
                args, kwargs = changed
            result = _named(self, step, args, kwargs)
            for hook in [*self._post_hooks, *after]:
                hook(self, args, kwargs)
            return result
        finally:
            self._stepping = False

    return wrapper


def _named(optimizer: Optimizer, step: Callable[..., Any], args: tuple, kwargs: dict) -> Any:
    """A step whose errors carry the optimiser's name."""
    try:
        return step(optimizer, *args, **kwargs)
    except (TypeError, RuntimeError) as error:
        _retell(optimizer, error, args, kwargs)
        raise


def has_hooks(optimizer: Optimizer) -> bool:
    """Whether hooks run around an optimiser's steps, its own or those of all."""
    own = optimizer._pre_hooks or optimizer._post_hooks
    return bool(own or (_of_all and any(_of_all.values())))


def _retell(optimizer: Optimizer, error: Exception, args: tuple, kwargs: dict) -> None:
    """Puts the optimiser's name where a message has that of its formula, and says of what was given
    to `step` and is no closure what `step` takes."""
    owner = type(optimizer).__name__
    given = args[0] if args else kwargs.get("closure")
    if given is not None and not callable(given):
        hint = "call loss.backward() first, then step() without it"
        kind = type(given).__name__
        error.args = (
            f"{owner}.step: closure is a function that works out the loss anew, got {kind}; {hint}",
        )
        return
    formula, colon, rest = str(error).partition(": ")
    if not (colon and formula.endswith("_step") and formula.isidentifier()):
        return
    moved = (
        "; a model is moved before its optimizer makes its state"
        if isinstance(error, schuss.DeviceError)
        else ""
    )
    error.args = (f"{owner}.step: {rest}{moved}",)


class Optimizer(Checked):
    """The base of every optimiser: write `step`, and find parameters in `param_groups`.

    `params` is an iterable of tensors, of (name, tensor) pairs or of dicts with a key "params" and
    options of their own, or a dict of name to Tensor or Scalar. `defaults` are the options of
    groups that do not set them. TypeError for what is no parameter, ValueError for an empty list,
    a tensor computed from others, or a parameter in two groups.

    >>> import schuss
    >>> class Halving(schuss.optim.Optimizer):
    ...     def step(self, closure=None):
    ...         with schuss.no_grad():
    ...             for group in self.param_groups:
    ...                 for p in group["params"]:
    ...                     p.mul_(group["factor"])
    >>> w = schuss.tensor([2.0, 4.0], requires_grad=True)
    >>> Halving([w], {"factor": 0.5}).step()
    >>> w.tolist()
    [1.0, 2.0]
    """

    _opt_called = False
    _scheduled = False
    _stepping = False
    # What a subclass has that wraps another optimiser and does not call `__init__`.
    _pre_hooks: Any = ()
    _post_hooks: Any = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.__dict__["step"])

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_hooks()
        self.state: defaultdict[Parameter, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        if _is_parameter(params):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of tensors or dicts, "
                f"got one {type(params).__name__}; write [p]"
            )
        if not hasattr(params, "__iter__"):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of tensors or dicts, "
                f"got {type(params).__name__}; pass model.parameters() for a model's"
            )
        if hasattr(params, "_metadata"):
            raise TypeError(
                f"{type(self).__name__}: params is a state_dict, whose tensors are apart from the "
                "model's and would not train it; pass model.parameters()"
            )
        groups: list[Any] = list(params.items() if isinstance(params, dict) else params)
        if not groups:
            raise ValueError(f"{type(self).__name__}: got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_hooks(self) -> None:
        self._pre_hooks = []
        self._post_hooks = []
        self._state_hooks: dict[str, list[Hook]] = {
            "before saving": [],
            "after saving": [],
            "before loading": [],
            "after loading": [],
        }

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._make_hooks()
        self.__dict__.update(state)

    def __repr__(self) -> str:
        parts = []
        for i, group in enumerate(self.param_groups):
            keys = [f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"]
            parts.append("".join([f"\nParameter Group {i}\n", *keys]))
        return f"{type(self).__name__} ({''.join(parts)})"

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter once; `closure` computes the loss again and returns it."""
        raise NotImplementedError(f"{type(self).__name__}.step: write the update in this method")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: None, or zeros where `set_to_none` is False.

        >>> import schuss
        >>> w = schuss.tensor([1.0], requires_grad=True)
        >>> w.sum().backward()
        >>> schuss.optim.SGD([w]).zero_grad()
        >>> w.grad is None
        True
        """
        for group in self.param_groups:
            if set_to_none and _core._forget_grads(group["params"]):
                continue
            for p in group["params"]:
                if isinstance(p, schuss.Scalar):
                    p.backwards_grad = 0
                elif set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    if p.grad.requires_grad:
                        p.grad = p.grad.detach()
                    p.grad.zero_()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, {"params": ..., and options that differ from the defaults}."""
        owner = type(self).__name__
        if not isinstance(param_group, dict):
            raise TypeError(
                f"{owner}: a group must be a dict, got {type(param_group).__name__}; "
                'write {"params": [...]}'
            )
        if "params" not in param_group:
            raise KeyError(f'{owner}: a group needs the key "params", got {sorted(param_group)}')
        params, names = _listed(owner, param_group["params"])
        for p in params if not self.defaults.get("differentiable") else ():
            if isinstance(p, schuss.Tensor) and not (p.is_leaf or p.retains_grad):
                raise ValueError(
                    f"{owner}: can't optimize a non-leaf tensor of shape {tuple(p.shape)}; pass "
                    "the tensor it was computed from, or use .detach().requires_grad_()"
                )
        named = [bool(names)] + ["param_names" in group for group in self.param_groups]
        if any(named) != all(named):
            raise ValueError(f"{owner}: either all groups name their parameters or none does")
        taken = set(map(id, chain.from_iterable(g["params"] for g in self.param_groups)))
        if taken.intersection(map(id, params)):
            raise ValueError(f"{owner}: some parameters appear in more than one group")
        if len(set(map(id, params))) != len(params):
            warn(
                f"{owner}: a group holds the same parameter twice: it moves twice a step",
            )
        group = {**param_group, "params": params}
        if names:
            group["param_names"] = names
        if param_group.get("lr") is not None:
            check_number(owner, "lr", param_group["lr"])
        for key, value in self.defaults.items():
            if group.setdefault(key, value) is required:
                raise ValueError(f"{owner}: a group needs a value for {key}, it has no default")
        self.param_groups.append(group)

    def _closed(self, closure: Callable[[], Any] | None) -> Any:
        """The closure's loss, computed with the tape running; None without a closure."""
        if closure is None:
            return None
        with schuss.enable_grad():
            return closure()

    def register_step_pre_hook(self, hook: Hook) -> HookHandle:
        """Call hook(optimizer, args, kwargs) before each step; it may return new (args, kwargs)."""
        return _registered(self._pre_hooks, hook, False)

    def register_step_post_hook(self, hook: Hook) -> HookHandle:
        """Call hook(optimizer, args, kwargs) after each step."""
        return _registered(self._post_hooks, hook, False)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call hook(optimizer) before `state_dict` is made."""
        return _registered(self._state_hooks["before saving"], hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call hook(optimizer, state_dict) after it is made; what it returns replaces it."""
        return _registered(self._state_hooks["after saving"], hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call hook(optimizer, state_dict) before loading; what it returns replaces it."""
        return _registered(self._state_hooks["before loading"], hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call hook(optimizer) after loading."""
        return _registered(self._state_hooks["after loading"], hook, prepend)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the parameters themselves, which are replaced by their numbers, 0, 1, ...

        The tensors in it are the optimiser's own: copy them to keep them.
        """
        for hook in list(self._state_hooks["before saving"]):
            hook(self)
        number = {}
        for p in chain.from_iterable(group["params"] for group in self.param_groups):
            number.setdefault(id(p), len(number))
        saved: dict[str, Any] = {
            "state": {
                number[id(key)] if _is_parameter(key) else key: self._saved(value)
                for key, value in self.state.items()
            },
            "param_groups": [
                {**group, "params": [number[id(p)] for p in group["params"]]}
                for group in self.param_groups
            ],
        }
        # The numbers come last, as in every checkpoint of this format.
        for group in saved["param_groups"]:
            group["params"] = group.pop("params")
        for hook in list(self._state_hooks["after saving"]):
            saved = _else(hook(self, saved), saved)
        return saved

    def _saved(self, entry: Any) -> Any:
        """A parameter's state as checkpoints hold it."""
        return entry

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict`: options and state, the latter as copies like each parameter.

        ValueError where the groups or their sizes differ. Parameters are matched by order.
        """
        state_dict = dict(state_dict)
        for hook in list(self._state_hooks["before loading"]):
            state_dict = _else(hook(self, state_dict), state_dict)
        owner, groups = type(self).__name__, self.param_groups
        if not {"state", "param_groups"} <= state_dict.keys():
            raise KeyError(
                f"{owner}.load_state_dict: needs state and param_groups, got {sorted(state_dict)}"
            )
        saved = deepcopy(state_dict["param_groups"])
        sizes = [len(group["params"]) for group in groups]
        saved_sizes = [len(group["params"]) for group in saved]
        if sizes != saved_sizes:
            raise ValueError(
                f"{owner}.load_state_dict: groups of {sizes} parameters here, "
                f"of {saved_sizes} in the state"
            )
        numbers = chain.from_iterable(group["params"] for group in saved)
        mine = chain.from_iterable(group["params"] for group in groups)
        by_number = dict(zip(numbers, mine, strict=True))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            p = by_number.get(key)
            state[key if p is None else p] = _like(p, value)
        for group, old in zip(saved, groups, strict=True):
            group["params"] = old["params"]
            if "param_names" in old:
                group["param_names"] = old["param_names"]
            else:
                group.pop("param_names", None)
        self.__setstate__({**self.__dict__, "state": state, "param_groups": saved})
        for hook in list(self._state_hooks["after loading"]):
            hook(self)


def _is_parameter(value: Any) -> bool:
    return isinstance(value, (schuss.Tensor, schuss.Scalar))


def _else(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _registered(hooks: list[Hook], hook: Hook, prepend: bool) -> HookHandle:
    hooks.insert(0 if prepend else len(hooks), hook)
    return HookHandle(hooks, hook)


def _like(p: Parameter | None, value: Any) -> Any:
    """A copy of a piece of state; tensors of floats take the parameter's dtype and device."""
    if isinstance(value, dict):
        return {k: v if k == "step" else _like(p, v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_like(p, v) for v in value)
    if not isinstance(value, schuss.Tensor):
        return deepcopy(value)
    copy = value.detach().clone()
    if not isinstance(p, schuss.Tensor):
        return copy
    floats = p.dtype.to_real().is_floating_point and copy.dtype.to_real().is_floating_point
    return copy.to(dtype=p.dtype, device=p.device) if floats else copy.to(device=p.device)


def _listed(owner: str, params: Any) -> tuple[list[Parameter], list[str]]:
    """The parameters of one group and their names, if they have names."""
    if _is_parameter(params):
        params = [params]
    elif isinstance(params, (set, frozenset)):
        raise TypeError(f"{owner}: parameters need an order, got a {type(params).__name__}")
    items: Iterable[Any] = params.items() if isinstance(params, dict) else params
    items = list(items)
    pairs = [isinstance(item, tuple) and len(item) == 2 for item in items]
    if any(pairs) != all(pairs):
        raise ValueError(f"{owner}: either all parameters of a group have names or none has")
    names = [name for name, _ in items] if items and all(pairs) else []
    params = [p for _, p in items] if names else items
    for p in params:
        if not _is_parameter(p):
            raise TypeError(f"{owner}: can optimize tensors and Scalars, got {type(p).__name__}")
    return params, names


def check_number(owner: str, name: str, value: Any, below: float | None = None) -> None:
    """Raise unless 0 <= value (< below): ValueError out of range, TypeError for no number."""
    if isinstance(value, schuss.Tensor) and value.numel() != 1:
        raise ValueError(f"{owner}: {name} must hold one number, got {tuple(value.shape)}")
    try:
        fits = value >= 0 and (below is None or value < below)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{owner}: {name} must be a number, got {kind}") from None
    if not fits:
        bound = "" if below is None else f" and below {below:g}"
        raise ValueError(f"{owner}: {name} must be at least 0{bound}, got {value}")


def check_betas(owner: str, betas: Any) -> None:
    """Raise unless there are two rates, 0 <= beta < 1."""
    if not hasattr(betas, "__len__"):
        raise TypeError(f"{owner}: betas must be two numbers, such as (0.9, 0.999), got {betas!r}")
    if len(betas) != 2:
        raise ValueError(f"{owner}: betas must be two numbers, got {betas}")
    for i, beta in enumerate(betas):
        check_number(owner, f"betas[{i}]", beta, below=1)


def check_manner(
    owner: str, foreach: bool | None, fused: bool | None, differentiable: bool
) -> None:
    """Raise for ways to step that exclude each other; they change nothing else."""
    if fused and foreach:
        raise RuntimeError(f"{owner}: fused and foreach exclude each other; leave both out")
    if fused and differentiable:
        raise RuntimeError(f"{owner}: a fused step is not differentiable; leave fused out")
