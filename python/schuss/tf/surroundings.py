"""What programs ask before they begin, and control flow written as functions.
Leans on gpu; everything runs at once, so a branch is a branch."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import schuss
from schuss.tf.conversion import operand, strict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class PhysicalDevice:
    """A processor or a GPU, by its name and kind."""

    def __init__(self, name: str, device_type: str) -> None:
        self.name, self.device_type = name, device_type

    def __repr__(self) -> str:
        return f"PhysicalDevice(name={self.name!r}, device_type={self.device_type!r})"


class config:
    """tf.config: which devices there are, and switches that change nothing."""

    @staticmethod
    def list_physical_devices(device_type: str | None = None) -> list[PhysicalDevice]:
        """The processor, and every GPU that can be used.

        >>> [device.name for device in config.list_physical_devices("CPU")]
        ['/physical_device:CPU:0']
        """
        found = [PhysicalDevice("/physical_device:CPU:0", "CPU")]
        for i in range(schuss.gpu.device_count()):
            found.append(PhysicalDevice(f"/physical_device:GPU:{i}", "GPU"))
        return [device for device in found if device_type in (None, device.device_type)]

    list_logical_devices = list_physical_devices

    @staticmethod
    def run_functions_eagerly(run_eagerly: bool) -> None:
        """Accepted: functions always run at once."""

    @staticmethod
    def functions_run_eagerly() -> bool:
        """Whether functions run at once: always."""
        return True

    class experimental:
        """Switches that change nothing."""

        @staticmethod
        def set_memory_growth(device: Any, enable: bool) -> None:
            """Accepted: memory of a GPU is taken as it is needed."""

        @staticmethod
        def enable_op_determinism() -> None:
            """Accepted: the same seed gives the same bits on one machine."""


class test:
    """tf.test: whether there is a GPU."""

    @staticmethod
    def is_gpu_available(*args: Any, **kwargs: Any) -> bool:
        """Whether a GPU can be used."""
        return schuss.gpu.is_available()

    @staticmethod
    def gpu_device_name() -> str:
        """The name of the first GPU; empty where there is none."""
        return "/device:GPU:0" if schuss.gpu.is_available() else ""

    is_built_with_cuda = staticmethod(lambda: False)


@contextmanager
def device(device_name: Any) -> Iterator[None]:
    """A block that programs place on a device; here tensors say where they are, by `to`.

    NotImplementedError for a GPU.

    >>> with device("/CPU:0"):
    ...     pass
    """
    if device_name is not None and "GPU" in str(device_name).upper():
        raise NotImplementedError(
            f"tf.device: tensors are made on the processor; move them by x.to('gpu') instead of "
            f"naming {device_name!r}"
        )
    yield


class TensorSpec:
    """A shape and a dtype, as functions and generators are told of."""

    def __init__(self, shape: Any = None, dtype: Any = schuss.float32, name: Any = None) -> None:
        self.shape, self.dtype, self.name = shape, dtype, name


def cond(
    pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any], name: str | None = None
) -> Any:
    """One of two functions' results.

    >>> cond(True, lambda: 1, lambda: 2)
    1
    """
    return true_fn() if bool(pred) else false_fn()


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, **options: Any
) -> Any:
    """A function applied to what it returned, as long as another says so.

    >>> while_loop(lambda i: i < 5, lambda i: [i + 2], [0])
    [6]
    """
    values = list(loop_vars)
    while bool(cond(*values)):
        made = body(*values)
        values = list(made) if isinstance(made, (list, tuple)) else [made]
    return values


def map_fn(fn: Callable[[Any], Any], elems: Any, **options: Any) -> Any:
    """A function of every part along the first axis.

    >>> map_fn(lambda x: x * 2, [1, 2]).tolist()
    [2, 4]
    """
    return strict(schuss.stack([operand(fn(part)) for part in operand(elems)]))


def scan(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None) -> Any:
    """A function of what came before and the next part, all results.

    >>> scan(lambda a, x: a + x, [1, 2, 3]).tolist()
    [1, 3, 6]
    """
    parts = list(operand(elems))
    state = parts.pop(0) if initializer is None else operand(initializer)
    found = [state] if initializer is None else []
    for part in parts:
        state = operand(fn(state, part))
        found.append(state)
    return strict(schuss.stack(found))


def group(*inputs: Any, **options: Any) -> None:
    """Accepted: what was to be done together is done already."""
