"""A compiled model: a model whose calls run programs of the one inside it. Leans on Model and on
compile, which is loaded when something is compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.model import Model
from schuss.model.state import INNER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from schuss._core import Step


class Compiled(Model):
    """What `schuss.compile(model)` gives; the model itself is its part `_orig_mod`, as in PyTorch.

    It is a model like any other: walked, moved, saved, copied, a part of others. What it has not
    itself is asked of the model inside, and attributes that are set are set there.

    >>> import schuss
    >>> from schuss import nn
    >>> net = schuss.compile(nn.Linear(2, 1))
    >>> list(net.state_dict()), net.out_features
    (['_orig_mod.weight', '_orig_mod.bias'], 1)
    """

    def __init__(self, model: Model, step: Step, options: dict[str, Any]) -> None:
        own: dict[str, Any] = self.__dict__
        # As in a model that is compiled in its place: calls run it, copies leave it out.
        own["forward"], own["_options"] = step, options
        self._register_member(INNER, "module", model)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model inside."""
        return self._inner()(*args, **kwargs)

    @property
    def training(self) -> bool:
        """Whether the model inside is in training mode."""
        return self._inner().training

    @training.setter
    def training(self, mode: bool) -> None:
        self._inner().training = mode

    @property
    def program(self) -> Any:
        """The program used last: print it."""
        return self.__dict__["forward"].program

    def programs(self) -> list[dict[str, Any]]:
        """Every program in short, the one used last first."""
        return self.__dict__["forward"].programs()

    def counts(self) -> tuple[int, int, int]:
        """How often the model was `(run again, recorded, run eagerly)`."""
        return self.__dict__["forward"].counts()

    def reset(self) -> None:
        """Forget all programs."""
        self.__dict__["forward"].reset()

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Load a state of this model, or one of the model inside from before it was compiled."""
        if state_dict and not any(str(key).startswith(INNER) for key in state_dict):
            return self._inner().load_state_dict(state_dict, *args, **kwargs)
        return super().load_state_dict(state_dict, *args, **kwargs)

    def _inner(self) -> Model:
        return self.__dict__[INNER]

    def __getattr__(self, name: str) -> Any:
        inner = self.__dict__.get(INNER)
        if inner is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            super().__setattr__(name, value)
        else:
            setattr(self._inner(), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._inner(), name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._inner())})

    def __len__(self) -> int:
        return len(self._inner())  # type: ignore[arg-type]

    def __iter__(self) -> Any:
        return iter(self._inner())  # type: ignore[call-overload]

    def __getitem__(self, key: Any) -> Any:
        return self._inner()[key]  # type: ignore[index]

    def __bool__(self) -> bool:
        return True

    def __setstate__(self, state: dict[str, Any]) -> None:
        from schuss.recording import step_of

        super().__setstate__(state)
        self.__dict__["forward"] = step_of(self._inner(), **self.__dict__["_options"])


_OWN = frozenset({"training", "_model_hooks", "_member_kinds"})
