"""A compiled model where a model is asked for: as a part of another, walked and saved with it.
Leans on Model and on compile, which is loaded when something is compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss._core import Step
from schuss.model import Model

if TYPE_CHECKING:
    from typing import Any


class Compiled(Model):
    """A compiled model inside another model; the model itself is its part `_orig_mod`.

    >>> import schuss
    >>> from schuss import nn
    >>> net = nn.Sequential(schuss.compile(nn.Linear(2, 1)))
    >>> list(net.state_dict())
    ['0._orig_mod.weight', '0._orig_mod.bias']
    """

    def __init__(self, step: Step) -> None:
        self._orig_mod: Any = step._orig_mod
        self.__dict__["_step"] = step

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_step"](*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        # Programs are neither copied nor saved: they are recorded anew.
        kept = {name: value for name, value in self.__dict__.items() if name != "_step"}
        return {**kept, "_options": self.__dict__["_step"]._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from schuss.recording import compile

        state = dict(state)
        options = state.pop("_options")
        super().__setstate__(state)
        self.__dict__["_step"] = compile(self._orig_mod, **options)


def part_of(step: Any) -> Any:
    """The part that stands for a compiled model, one for each; what else is compiled is itself."""
    known: Any = step.__dict__
    if not isinstance(known.get("_orig_mod"), Model):
        return step
    if "_part" not in known:
        known["_part"] = Compiled(step)
    return known["_part"]
