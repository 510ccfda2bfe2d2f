"""DataParallel, which here has one device to run on, and passes every call through.
Leans on Model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss.model import Model

if TYPE_CHECKING:
    from typing import Any


class DataParallel(Model):
    """A model under the name `module`, as programs for several GPUs wrap theirs; it runs on one.

    >>> from schuss import nn
    >>> list(nn.DataParallel(nn.Linear(2, 1)).state_dict())
    ['module.weight', 'module.bias']
    """

    def __init__(
        self, module: Model, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        self.module = module
        self.device_ids: list[Any] = []
        self.output_device = output_device
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)


def data_parallel(
    module: Model,
    inputs: Any,
    device_ids: Any = None,
    output_device: Any = None,
    dim: int = 0,
    module_kwargs: dict[str, Any] | None = None,
) -> Any:
    """What the model returns for `inputs`, a tuple or one argument; it runs on one device."""
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    return module(*args, **(module_kwargs or {}))


def __getattr__(name: str):
    if name == "DistributedDataParallel":
        raise AttributeError(
            "module 'schuss.nn.parallel' has no attribute 'DistributedDataParallel': there are no "
            "process groups; the model as it is uses all cores of a machine"
        )
    raise AttributeError(f"module 'schuss.nn.parallel' has no attribute {name!r}")


__all__ = ["DataParallel", "data_parallel"]
