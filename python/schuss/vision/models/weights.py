"""What the builders of models do when asked for trained weights, of which none are shipped.
Leans on nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


class Names:
    """The names of trained weights that programs ask a builder for; every builder refuses them."""

    def __init__(self, model: str) -> None:
        self.model = model

    def __getattr__(self, name: str) -> str:
        if name == "DEFAULT" or name.isupper():
            return f"{self.model}.{name}"
        raise AttributeError(f"{self.model}: has no {name!r}")


def untrained(model: str, weights: Any, options: dict[str, Any]) -> dict[str, Any]:
    """The further keywords; NotImplementedError where trained weights are asked for."""
    if options.pop("pretrained", False) or weights is not None:
        raise NotImplementedError(
            f"{model}: no trained weights are shipped; make it with weights=None and give it a"
            " state of yours by load_state_dict, whose names are torchvision's"
        )
    return options
