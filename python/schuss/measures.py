"""How fast the processor and each GPU are, measured once on a machine and kept in a small file.
Leans on gpu and the mathematics of the package; choice and doctor ask."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import schuss
from schuss import _core, gpu, nn, optim

F = nn.functional

# The network whose steps are timed: so small that arithmetic does not count.
LAYERS, WIDTH, ROWS = 8, 16, 64
HOST = ("call", "wait", "layer", "compiled", "memory", "product")
NAMES = (*HOST, "up", "down")

_one = threading.Lock()
_found: dict[str, dict[str, dict[str, float]]] = {}


def clock(work: Callable, device: str, least: float = 0.2) -> float:
    """Seconds of one call, by the best of a few runs."""

    def run(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            work()
        if device != "cpu":
            gpu.synchronize(device)
        return (time.perf_counter() - start) / count

    run(2)
    once = run(1)
    return min(run(max(1, int(least / 3 / max(once, 1e-7)))) for _ in range(3))


def step(device: str) -> Callable[[], schuss.Tensor]:
    """A whole training step (forward, backward, Adam) of eight small layers, without any draws."""
    made = {"device": device, "dtype": schuss.float32}
    weights = [schuss.full((WIDTH, WIDTH), 0.05, **made) for _ in range(LAYERS)]
    biases = [schuss.full((WIDTH,), 0.01, **made) for _ in range(LAYERS)]
    own = [part.requires_grad_() for part in (*weights, *biases)]
    optimizer = optim.Adam(own, lr=1e-3)
    x, y = schuss.ones(ROWS, WIDTH, **made), schuss.zeros(ROWS, WIDTH, **made)

    def once() -> schuss.Tensor:
        optimizer.zero_grad()
        out = x
        for weight, bias in zip(weights, biases, strict=True):
            out = F.linear(out, weight, bias).relu()
        loss = F.mse_loss(out, y)
        loss.backward()
        optimizer.step()
        return loss

    return once


def rates(device: str, least: float = 0.2) -> dict[str, float]:
    """Seconds of a small product (`call`), of reading a number (`wait`), and of each layer of a
    small network's training step, run eagerly (`layer`) and compiled (`compiled`); bytes a second
    of memory (`memory`), floating-point operations a second of a matrix product (`product`), and,
    of a GPU, bytes a second from the processor (`up`) and back (`down`).

    Each is timed for about `least` seconds. Raises DeviceError where there is no such device.
    """
    made = {"device": device, "dtype": schuss.float32}
    with schuss.enable_grad():
        eager, compiled = step(device), schuss.compile(step(device))
        for _ in range(4):
            compiled()
        found = {
            "layer": clock(eager, device, least) / LAYERS,
            "compiled": clock(compiled, device, least) / LAYERS,
        }
    with schuss.no_grad():
        small = schuss.ones(8, 8, **made)
        found["call"] = clock(lambda: small @ small, device, least)
        found["wait"] = clock(lambda: (small[0, 0] + 1.0).item(), device, least)
        found["memory"] = _memory(device, found["call"], least)
        found["product"] = _product(device, least)
        if device != "cpu":
            host = schuss.ones(1 << 20, dtype=schuss.float32)
            there = host.to(device)
            found["up"] = 4 * host.numel() / clock(lambda: host.to(device), device, least)
            found["down"] = 4 * host.numel() / clock(there.cpu, device, least)
    return found


def _memory(device: str, call: float, least: float) -> float:
    small = schuss.ones(8, 8, device=device, dtype=schuss.float32)
    best = 0.0
    for size in (1 << 22, 1 << 24):
        large = schuss.ones(size, device=device, dtype=schuss.float32)

        def work(large: schuss.Tensor = large) -> None:
            large.add_(1.0)
            # On a GPU formulas wait for one another: another family makes this one go.
            small @ small

        seconds = clock(work, device, least)
        best = max(best, 8 * size / max(seconds - call, seconds / 2))
        if seconds > 5e-3:
            break
    return best


def _product(device: str, least: float) -> float:
    best = 0.0
    for size in (512, 2048):
        matrix = schuss.ones(size, size, device=device, dtype=schuss.float32)
        seconds = clock(lambda m=matrix: m @ m, device, least)
        best = max(best, 2 * size**3 / seconds)
        if seconds > 5e-4:  # the larger one takes 64 times that
            break
    return best


# ---- kept from one program to the next ----------------------------------------------------------


def folder() -> Path | None:
    """Where the core keeps kernels too: `SCHUSS_CACHE_DIR`, or the system's place for it."""
    found = _core._gpu_folder()
    return None if found is None else Path(found)


def key(adapter: dict[str, str | None]) -> str:
    """What measured numbers hold for: an adapter, its driver, this version, and the threads."""
    parts = (adapter["name"], adapter["driver"], adapter["api"], f"schuss {schuss.__version__}")
    return "; ".join([*map(str, parts), f"{schuss.get_num_threads()} threads"])


def _whole(entry: object) -> bool:
    """Whether an entry of the file has every rate, each a positive number."""

    def right(part: object, names: tuple[str, ...]) -> bool:
        values = [part.get(name) for name in names] if isinstance(part, dict) else [None]
        return all(isinstance(v, float) and v > 0 and math.isfinite(v) for v in values)

    return (
        isinstance(entry, dict) and right(entry.get("cpu"), HOST) and right(entry.get("gpu"), NAMES)
    )


def _read() -> dict:
    place = folder()
    try:
        kept = json.loads((place / "rates.json").read_text("utf-8")) if place else {}
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def keep(adapter: dict[str, str | None], host: dict[str, float], own: dict[str, float]) -> None:
    """Remember rates, here and in the file `rates.json`; where that cannot be written, the next
    program measures again."""
    name = key(adapter)
    _found[name] = {"cpu": host, "gpu": own}
    place = folder()
    if place is None:
        return
    part = place / f"rates.{os.getpid()}.part"
    try:
        place.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({**_read(), name: _found[name]}, indent=1), "utf-8")
        part.replace(place / "rates.json")
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()


def known(adapter: dict[str, str | None]) -> tuple[dict[str, float], dict[str, float]]:
    """Rates of the processor and of an adapter that may be used: those that were kept, or measured
    now, in a second or two. Raises DeviceError where the adapter does not work."""
    name = key(adapter)
    with _one:
        if name not in _found:
            entry = _read().get(name)
            if _whole(entry):
                _found[name] = entry
            else:
                own = rates(str(adapter["device"]), 0.05)
                keep(adapter, rates("cpu", 0.05), own)
        return _found[name]["cpu"], _found[name]["gpu"]


__all__ = ["clock", "folder", "keep", "key", "known", "rates", "step"]
