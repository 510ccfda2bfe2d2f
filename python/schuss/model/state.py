"""The state of a Model as a dict of names to tensors, written and read back.
Leans on the registries of Model and on its hooks."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Mapping
from typing import TYPE_CHECKING

from schuss import Tensor, as_tensor, no_grad
from schuss.model.hooks import Hooked
from schuss.model.parameter import Parameter
from schuss.model.walks import Walks

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

EXTRA = "_extra_state"
# The name of the model inside a compiled one.
INNER = "_orig_mod"


class Keys(namedtuple("Keys", ["missing_keys", "unexpected_keys"])):
    """What load_state_dict returns: the names that one side has and the other lacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class Problems(list):
    """Error messages, beside the copies that are made only when there are none."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[Callable[[], object]] = []


class Stateful(Walks, Hooked):
    """state_dict and load_state_dict, for Model."""

    _version = 1

    def get_extra_state(self) -> Any:
        """Override, with set_extra_state, to keep more than tensors in the state."""
        raise RuntimeError(f"{type(self).__name__}: define get_extra_state to keep extra state")

    def set_extra_state(self, state: Any) -> None:
        """Override, with get_extra_state, to take back what that returned."""
        raise RuntimeError(f"{type(self).__name__}: define set_extra_state to load extra state")

    def state_dict(self, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """An OrderedDict of every parameter and persistent buffer by its dotted name.

        The tensors are detached and share the model's storage (`keep_vars=True` keeps the
        tracked ones); a Scalar that `parameters()` names stands as its number.

        >>> import schuss
        >>> list(schuss.nn.Linear(2, 1).state_dict())
        ['weight', 'bias']
        """
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        if self._model_hooks is not None:
            for hook in tuple(self._model_hooks.state_pre.values()):
                hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._members_of("module"):
            if child is not None:
                child.state_dict(
                    destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars
                )
        if self._model_hooks is not None:
            for hook, replaces in tuple(self._model_hooks.state.values()):
                answer = hook(self, destination, prefix, metadata)
                if replaces and answer is not None:
                    destination = answer
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, value in self._own_state().items():
            if isinstance(value, Tensor):
                destination[prefix + name] = value if keep_vars else value.detach()
            else:
                destination[prefix + name] = value.value
        if type(self).get_extra_state is not Stateful.get_extra_state:
            destination[prefix + EXTRA] = self.get_extra_state()

    def _own_state(self) -> dict[str, Any]:
        """What this model saves itself, without its children."""
        local = dict(self._members_of("parameter"))
        local.update(self._members_of("buffer"))
        local = {name: value for name, value in local.items() if value is not None}
        for name, value in self._loose_parameters().items():
            local.setdefault(name, value)
        return local

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Keys:
        """Copy a state made by state_dict into this model and return the keys that did not match.

        Raises RuntimeError listing every key that is missing, unexpected (unless `strict=False`)
        or of another shape, and then changes nothing. `assign=True` takes the tensors themselves.

        >>> import schuss
        >>> model, other = schuss.nn.Linear(2, 1), schuss.nn.Linear(2, 1)
        >>> model.load_state_dict(other.state_dict())
        <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"load_state_dict: needs a dict of tensors, got {type(state_dict).__name__}"
            )
        metadata = getattr(state_dict, "_metadata", None) or {}
        keys = Keys([], [])
        problems = Problems()
        after: list[tuple[Any, Callable]] = []

        def load(model: Any, local: Any, prefix: str) -> None:
            facts = dict(metadata.get(prefix[:-1], {}), assign_to_params_buffers=assign)
            # A class with its own way of loading may read what it has just loaded.
            plain = type(model)._load_from_state_dict in DEFERRED
            errors = problems if plain else []
            arguments = (local, prefix, facts, True, *keys, errors)
            if model._model_hooks is not None:
                for hook, with_model in tuple(model._model_hooks.load_pre.values()):
                    hook(model, *arguments) if with_model else hook(*arguments)
            model._load_from_state_dict(*arguments)
            if not plain:
                problems.extend(errors)
            for name, child in model._members_of("module"):
                if child is not None:
                    inner = f"{prefix}{name}."
                    load(child, {k: v for k, v in local.items() if k.startswith(inner)}, inner)
            if model._model_hooks is not None:
                after.extend((model, hook) for hook in model._model_hooks.load.values())

        load(self, OrderedDict(state_dict), "")
        if not problems and (after or not strict or not any(keys)):
            with no_grad():
                for write in problems.writes:
                    write()
        for model, hook in after:
            hook(model, keys)
        lines = []
        if strict:
            named = (("missing keys", keys[0]), ("unexpected keys", keys[1]))
            lines = [f"{what}: {', '.join(names)}" for what, names in named if names]
            if any(name.startswith(f"{INNER}.") for name in keys[1]):
                lines.append(
                    f"keys under {INNER} are a compiled model's: load them into one, or save "
                    f"model.{INNER}.state_dict()"
                )
        if lines or problems:
            raise RuntimeError(
                f"load_state_dict: the state does not fit {type(self).__name__}\n  "
                + "\n  ".join([*lines, *problems])
            )
        return keys

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        local = self._own_state()
        assign = local_metadata.get("assign_to_params_buffers", False)
        writes: list[Callable[[], object]] = []
        for name, target in local.items():
            key = prefix + name
            if key in state_dict:
                try:
                    writes.append(_writer(self, name, target, state_dict[key], assign))
                except (TypeError, ValueError, RuntimeError) as error:
                    error_msgs.append(f"{key}: {error}")
            elif strict:
                missing_keys.append(key)
        extra = prefix + EXTRA
        takes_extra = type(self).set_extra_state is not Stateful.set_extra_state
        if takes_extra and extra in state_dict:
            writes.append(lambda: self.set_extra_state(state_dict[extra]))
        elif takes_extra and strict:
            missing_keys.append(extra)
        if strict:
            children = dict(self._members_of("module"))
            for key in state_dict:
                name = key.removeprefix(prefix)
                known = name in local or (takes_extra and key == extra)
                head, dot, _ = name.partition(".")
                if key.startswith(prefix) and not known and not (dot and head in children):
                    unexpected_keys.append(key)
        if isinstance(error_msgs, Problems):
            error_msgs.writes.extend(writes)
            return
        with no_grad():
            for write in writes:
                write()


# Ways of loading that only put copies off until nothing is found wrong.
DEFERRED: set[Callable[..., None]] = {Stateful._load_from_state_dict}


def set_value(target: Any, source: Any) -> None:
    """Write a number, a Scalar or a tensor of one element into a Scalar or a Tensor."""
    if isinstance(target, Tensor):
        target.copy_(source if isinstance(source, Tensor) else as_tensor(source))
    else:
        target.value = (
            source.item() if isinstance(source, Tensor) else (getattr(source, "value", source))
        )


def _writer(model: Any, name: str, target: Any, source: Any, assign: bool) -> Callable[[], object]:
    """The copy of `source` into the model's `name`, or an error that says why it does not fit."""
    if not isinstance(target, Tensor):
        return lambda: set_value(target, source)
    value = source if isinstance(source, Tensor) else as_tensor(source)
    if target.ndim == 0 and value.shape == (1,):
        value = value[0]
    if value.shape != target.shape:
        raise ValueError(
            f"shape {tuple(value.shape)} in the state, {tuple(target.shape)} in the model"
        )
    if not assign:
        return lambda: target.copy_(value)
    if isinstance(target, Parameter) and not isinstance(value, Parameter):
        value = Parameter(value, requires_grad=target.requires_grad)
    return lambda: setattr(model, name, value)
