"""A look at every GPU: what it is, whether its numbers are right, how fast it is.
Leans on gpu and the mathematics of the package; what it finds is printed in words."""

from __future__ import annotations

import time
from collections.abc import Callable

import schuss
from schuss import gpu, nn

F = nn.functional


def _programs() -> dict[str, Callable]:
    """One call of every family of kernels, of a matrix `x` of positive numbers."""
    return {
        "arithmetic": lambda x: x * 2 + 1 / x,
        "mathematics": lambda x: x.exp().log() + x.sin() * x.tanh() + x.erf(),
        "broadcasting": lambda x: x + x[:, :1] - x[0],
        "truths": lambda x: schuss.where(x > 0.5, x, -x),
        "sums": lambda x: x.sum(0) + x.mean(1)[: x.shape[1]].sum(),
        "extremes": lambda x: x.amax(1) + x.argmin(1),
        "softmax": lambda x: F.log_softmax(x, 1),
        "products": lambda x: x @ x.T,
        "gathering": lambda x: x[schuss.tensor([3, 1, 3])],
        "scattering": lambda x: schuss.zeros_like(x).index_add(0, _rows(x), x),
        "running sums": lambda x: x.cumsum(1),
        "sorting": lambda x: x.sort(1)[0],
        "convolution": lambda x: F.conv2d(x[None, None], x[None, None, :3, :3], padding=1),
        "pooling": lambda x: F.max_pool2d(x[None, None], 2),
        "random numbers": lambda x: schuss.zeros_like(x).bernoulli_(0.3),
    }


def _rows(x: schuss.Tensor) -> schuss.Tensor:
    return schuss.arange(x.shape[0], device=x.device) // 3


def differences(device: str) -> dict[str, str]:
    """What is wrong with each family of kernels on a device; empty where all numbers are right."""
    host = schuss.linspace(0.1, 2.0, 40 * 33).reshape(40, 33)
    wrong = {}
    for name, program in _programs().items():
        try:
            schuss.manual_seed(0)
            want = program(host)
            schuss.manual_seed(0)
            got = program(host.to(device)).cpu()
        except RuntimeError as error:
            wrong[name] = str(error)
            continue
        off = float((got - want).abs().max())
        if not off <= 1e-4 * float(want.abs().max()):
            wrong[name] = f"off by {off:.2g}"
    return wrong


def _clock(work: Callable, device: str, least: float = 0.2) -> float:
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


def rates(device: str) -> dict[str, float]:
    """Seconds of a small operation, bytes a second of memory, floating-point operations a second of
    a product, and bytes a second from the processor and back."""
    small = schuss.ones(16, device=device)
    large = schuss.ones(1 << 22, device=device)
    matrix = schuss.ones(512, 512, device=device)
    host = schuss.ones(1 << 20)
    found = {
        "call": _clock(lambda: small + 1.0, device),
        "memory": 8 * large.numel() / _clock(lambda: large + 1.0, device),
        "product": 2 * 512**3 / _clock(lambda: matrix @ matrix, device),
    }
    if device != "cpu":
        found["up"] = 4 * host.numel() / _clock(lambda: host.to(device), device)
        there = host.to(device)
        found["down"] = 4 * host.numel() / _clock(there.cpu, device)
    return found


def _advice(own: dict[str, float], host: dict[str, float]) -> str:
    """Whether a GPU will help, and from which size on."""
    gain = own["product"] / host["product"]
    if gain < 1.2 and own["memory"] < 1.2 * host["memory"]:
        return "it is no faster than the processor: use device 'cpu'"
    # A layer of width n costs 2 n^2 operations a row; with rows of a batch of 64.
    size = 16
    while size < 1 << 16:
        work = 2 * size * size * 64
        if own["call"] + work / own["product"] < host["call"] + work / host["product"]:
            break
        size *= 2
    return f"it helps from layers about {size} wide on (batches of 64); below, use device 'cpu'"


def main() -> int:
    """Print what was found; 1 if a GPU computes wrongly."""
    adapters = gpu.adapters()
    if not adapters:
        print("No GPU: no Vulkan, Metal or DirectX 12 driver was found. device 'cpu' works.")
        return 0
    bad = False
    host = rates("cpu")
    print(
        f"processor: {host['call'] * 1e9:.0f} ns a call, {host['memory'] / 1e9:.1f} GB/s,"
        f" {host['product'] / 1e9:.1f} GFLOP/s"
    )
    for adapter in adapters:
        print(f"\n{adapter['name']}: {adapter['kind']}, {adapter['api']}, {adapter['driver']}")
        device = adapter["device"]
        if device is None:
            why = "software: name it with SCHUSS_ADAPTER=cpu to use it"
            print(f"  not used ({why if adapter['kind'] == 'software' else 'SCHUSS_ADAPTER'})")
            continue
        limits = gpu.limits(device)
        types = [name for name in ("int64", "float64") if limits[name]]
        print(
            f"  device {device!r}; buffers up to {limits['buffer'] >> 20} MiB; {', '.join(types)}"
        )
        wrong = differences(device)
        print(
            f"  {len(_programs()) - len(wrong)} of {len(_programs())} families of kernels are right"
        )
        for name, what in wrong.items():
            print(f"  WRONG: {name}: {what}")
        bad |= bool(wrong)
        own = rates(device)
        print(
            f"  {own['call'] * 1e6:.1f} us a call, {own['memory'] / 1e9:.1f} GB/s,"
            f" {own['product'] / 1e9:.1f} GFLOP/s,"
            f" {own['up'] / 1e9:.1f} GB/s up, {own['down'] / 1e9:.1f} GB/s down"
        )
        print(f"  {_advice(own, host)}")
    return int(bad)


__all__ = ["differences", "main", "rates"]
