"""What a library makes of the layers in module_cases: shapes, numbers, gradients, as digests.
Leans on NumPy. `python tests/module_facts.py torch` writes modules.json with PyTorch's."""

from __future__ import annotations

import json
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from module_cases import CASES, Given, Shares, Whole

VALUES = Path(__file__).with_name("modules.json")


def drawn(seed: str, shape: Any, low: float = 0.0) -> np.ndarray:
    """Standard normal numbers that every version of NumPy draws alike."""
    state = np.random.RandomState(zlib.crc32(seed.encode()))
    return state.standard_normal(tuple(shape)) + low


def filled(library: Any, module: Any) -> None:
    """Give every parameter and float buffer numbers that depend on its name and shape alone."""
    with library.no_grad():
        for name, value in (*module.named_parameters(), *module.named_buffers()):
            if value.numel() == 0 or not value.is_floating_point() or name.endswith("base"):
                continue
            numbers = drawn(name, value.shape)
            if name.endswith(("running_var", "weight_g", "original0")):
                numbers = np.abs(numbers) + 0.5
            if name.endswith(("_u", "_v")) and value.ndim == 1:
                numbers = numbers / np.linalg.norm(numbers)
            value.copy_(library.tensor(numbers, dtype=value.dtype))


def arguments(library: Any, name: str, inputs: tuple, dtype: Any) -> list[Any]:
    found = []
    for i, told in enumerate(inputs):
        seed = f"{name} {i}"
        if isinstance(told, Whole):
            state = np.random.RandomState(zlib.crc32(seed.encode()))
            found.append(library.tensor(state.randint(told.low, told.high, told.shape)))
        elif isinstance(told, Given):
            values = np.asarray(told.values)
            floats = values.dtype == np.float64 or ("BCE" in name or "MultiLabelSoft" in name)
            found.append(library.tensor(values, dtype=dtype if floats else None))
        else:
            shares = isinstance(told, Shares)
            numbers = drawn(seed, told.shape if shares else told)
            numbers = 1 / (1 + np.exp(-numbers)) if shares else numbers
            found.append(library.tensor(numbers, dtype=dtype).requires_grad_())
    return found


def flat(value: Any) -> list[Any]:
    """The tensors in tuples within tuples."""
    if value is None:
        return []
    if isinstance(value, (tuple, list)):
        return [part for item in value for part in flat(item)]
    return [value]


def weights(shape: Any) -> np.ndarray:
    """Generic numbers of a shape, by which results are summed."""
    n = int(np.prod(tuple(shape), dtype=int))
    return np.cos(np.arange(1, n + 1) * 1.7).reshape(tuple(shape))


def digest(tensor: Any) -> list[Any]:
    """The shape, the sum of squares, and the sum by generic weights."""
    numbers = tensor.detach().numpy().astype(np.float64)
    sums = float((numbers**2).sum()), float((numbers * weights(numbers.shape)).sum())
    return [list(numbers.shape), *(float(f"{s:.9g}") for s in sums)]


@contextmanager
def watched(library: Any) -> Iterator[list[Any]]:
    """A list of the draws from now on: which distribution, its numbers, and of what shape."""
    drawn: list[Any] = []
    plain = {name: getattr(library.Tensor, name) for name in ("uniform_", "normal_")}

    def seen(kind: str) -> Any:
        def draw(self: Any, low: float = 0.0, high: float = 1.0, **options: Any) -> Any:
            drawn.append([kind, float(f"{low:.9g}"), float(f"{high:.9g}"), list(self.shape)])
            return plain[kind](self, low, high, **options)

        return draw

    for name in plain:
        setattr(library.Tensor, name, seen(name))
    try:
        yield drawn
    finally:
        for name, method in plain.items():
            setattr(library.Tensor, name, method)


def facts(library: Any, name: str, dtype: Any = None) -> dict[str, Any]:
    """What a library says of a case: repr, state, results, gradients, buffers afterwards."""
    dtype = library.float64 if dtype is None else dtype
    make, inputs, call, training = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with watched(library) as draws:
            module = make(library.nn)
        module = module.to(dtype)
        state = {key: list(value.shape) for key, value in module.state_dict().items()}
        module.train(training)
        filled(library, module)
        given = arguments(library, name, inputs, dtype)
        found = flat(call(module, *given) if call else module(*given))
    told: dict[str, Any] = {"repr": repr(module), "state": state, "draws": draws}
    told["results"] = [digest(x) for x in found]
    loss = sum(
        (x * library.tensor(weights(x.shape), dtype=x.dtype)).sum()
        for x in found
        if x.is_floating_point() and x.requires_grad
    )
    if not isinstance(loss, int):
        loss.backward()
    told["gradients"] = {
        **{key: digest(p.grad) for key, p in module.named_parameters() if p.grad is not None},
        **{f"input {i}": digest(x.grad) for i, x in enumerate(given) if x.grad is not None},
    }
    told["buffers"] = {key: digest(value) for key, value in module.named_buffers()}
    return told


if __name__ == "__main__":
    peer = import_module(sys.argv[1])
    import_module(f"{sys.argv[1]}.nn.utils.parametrizations")
    lines = [f"{json.dumps(name)}: {json.dumps(facts(peer, name))}" for name in CASES]
    VALUES.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(
        f"{len(lines)} cases by {peer.__name__} {peer.__version__}, {VALUES.stat().st_size} bytes"
    )
