"""A look at every GPU: what it is, whether its numbers are right, how fast it is.
Leans on choice, measures, gpu and the mathematics of the package; it prints words."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import schuss
from schuss import choice, gpu, measures, nn, optim

F = nn.functional


def _programs() -> dict[str, Callable]:
    """One call of every family of kernels, of a matrix `x` of positive numbers: one result, or
    several."""
    return {
        "arithmetic": lambda x: x * 2 + 1 / x,
        "mathematics": lambda x: x.exp().log() + x.sin() * x.tanh() + x.erf(),
        "formulas in one kernel": lambda x: ((x * 2 + x.sqrt()).tanh() - x).sigmoid() / 3,
        "broadcasting": lambda x: x + x[:, :1] - x[0],
        "truths": lambda x: schuss.where(x > 0.5, x, -x),
        "whole numbers": lambda x: ((x * 100).to(schuss.int32) % 7).to(schuss.float32),
        "halves": lambda x: (x.half() + x.half()).float() + x.bfloat16().float(),
        "copies": lambda x: schuss.cat([x.T.contiguous(), x[:33, ::2].flip(0)], 1),
        "sums": lambda x: x.sum(0) + x.mean(1)[: x.shape[1]].sum(),
        "variances": lambda x: x.var(1),
        "extremes": lambda x: x.amax(1) + x.argmin(1),
        "softmax": lambda x: _both(lambda t: F.log_softmax(t, 1) + F.softmax(t, 1), x),
        "sums of exponentials": lambda x: _both(lambda t: t.logsumexp(1), x),
        "cross-entropy": lambda x: _both(lambda t: F.cross_entropy(t, _rows(t)), x),
        "layer norm": lambda x: _both(lambda t: F.layer_norm(t, t.shape[1:], t[0], t[1]), x),
        "batch norm": lambda x: _both(
            lambda t: F.batch_norm(t, None, None, t[0], t[1], training=True), x
        ),
        "group norm": lambda x: _both(lambda t: F.group_norm(t.view(4, 10, 33), 5), x),
        "products": lambda x: _both(lambda t: t @ t.T, x),
        "products in batches": lambda x: _both(
            lambda t: t.view(4, 10, 33) @ t.view(4, 33, 10) + t[0, :10], x
        ),
        "layers": lambda x: _both(lambda t: F.linear(t, t[:5], t[0, :5]).relu(), x),
        "complex numbers": lambda x: _both(_turned, x),
        "gathering": lambda x: _both(lambda t: t[schuss.tensor([3, 1, 3])], x),
        "scattering": lambda x: schuss.zeros_like(x).index_add(0, _rows(x), x),
        "extremes by index": lambda x: schuss.zeros(14, 33, device=x.device).scatter_reduce(
            0, _rows(x)[:, None].expand(x.shape), x, "amax"
        ),
        "running sums": lambda x: x.cumsum(1) + x.cummax(1)[0],
        "sorting": lambda x: schuss.cat([x.sort(1)[0], x.topk(3, 1)[0]], 1),
        "searching": lambda x: schuss.searchsorted(x.sort(1)[0], x.flip(1)).to(schuss.float32),
        "long rows": lambda x: schuss.cat(
            [t.to(schuss.float32) for t in x.repeat(4, 1).flip(0).reshape(-1).sort()]
        ),
        "convolution": lambda x: _both(_convolved(F.conv2d, 2), x),
        "convolution in one axis": lambda x: _both(_convolved(F.conv1d, 1), x),
        "convolution in three axes": lambda x: _both(_convolved(F.conv3d, 3), x),
        "transposed convolution": lambda x: _both(_convolved(F.conv_transpose2d, 2), x),
        "pooling": lambda x: _both(lambda t: F.max_pool2d(t[None, None], 2), x),
        "means of windows": lambda x: _both(lambda t: F.avg_pool2d(t[None, None], 2), x),
        "attention": lambda x: _both(
            lambda t: F.scaled_dot_product_attention(t[None, None], t[None, None], t[None, None]), x
        ),
        "recurrent layers": lambda x: _both(_recurred, x),
        "random numbers": lambda x: schuss.cat(
            [
                schuss.zeros_like(x).bernoulli_(0.3),
                schuss.randn_like(x),
                schuss.empty_like(x).exponential_(),
                schuss.randint(-9, 9, x.shape, device=x.device).to(schuss.float32),
                schuss.randperm(400, device=x.device).to(schuss.float32).view(-1, 40)[:, :33],
            ]
        ),
        "dropout": lambda x: _both(lambda t: F.dropout(t, 0.3), x),
        "training steps": lambda x: _trained(x, lambda step: step),
        "compiled steps": lambda x: _trained(x, schuss.compile),
    }


def _rows(x: schuss.Tensor) -> schuss.Tensor:
    return schuss.arange(x.shape[0], device=x.device) // 3


def _both(program: Callable, x: schuss.Tensor) -> tuple[schuss.Tensor, schuss.Tensor]:
    """What a program makes of `x`, and its gradient there."""
    leaf = x.detach().clone().requires_grad_()
    made = program(leaf)
    (made * made * made).sum().backward()
    return made.detach(), leaf.grad


def _turned(x: schuss.Tensor) -> schuss.Tensor:
    """The size of a product of complex numbers."""
    z = schuss.complex(x, x.flip(1))
    return schuss.view_as_real((z @ z.mH + 1j) / (z[:, :1] + 2)).sum(2)


def _recurred(x: schuss.Tensor) -> schuss.Tensor:
    """Both kinds of gates over eight steps."""
    steps = x[:32, :12].reshape(8, 4, 12)
    layers = [kind(12, 6).to(x.device) for kind in (nn.LSTM, nn.GRU)]
    return sum(layer(steps)[0] for layer in layers)


def _convolved(convolution: Callable, axes: int) -> Callable:
    shapes = {1: ((8, 5, 33), (6, 5, 3)), 2: ((2, 3, 10, 22), (3, 3, 3, 3))}
    shape, kernel = shapes.get(axes, ((2, 2, 3, 10, 11), (2, 2, 3, 3, 3)))

    def program(t: schuss.Tensor) -> schuss.Tensor:
        flat = t.reshape(-1)
        return convolution(
            flat.view(shape), flat[: math.prod(kernel)].reshape(kernel) / 9, padding=1
        )

    return program


def _trained(x: schuss.Tensor, by: Callable) -> tuple[schuss.Tensor, schuss.Tensor]:
    """The weights and biases of a small network after five steps."""
    weight = (x[:5] / 30).detach().clone().requires_grad_()
    bias = x[0, :5].detach().clone().requires_grad_()
    optimizer = optim.AdamW([weight, bias], lr=0.01)

    def step(rows: schuss.Tensor) -> schuss.Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(F.linear(rows, weight, bias).tanh(), rows[:, :5])
        loss.backward()
        optimizer.step()
        return loss

    run = by(step)
    for _ in range(5):
        run(x)
    return weight.detach(), bias.detach()


def examined(device: str) -> tuple[dict[str, str], list[str]]:
    """What is wrong with each family of kernels on a device, and the kinds of work that have no
    kernel there, so that the processor did them; both empty where all is well."""
    host = schuss.linspace(0.1, 2.0, 40 * 33).reshape(40, 33)
    wrong, absent = {}, []
    for name, program in _programs().items():
        schuss.manual_seed(0)
        want = program(host)
        schuss.manual_seed(0)
        try:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                got = program(host.to(device))
            parts = zip(got, want, strict=True) if isinstance(want, tuple) else [(got, want)]
            off = [(float((g.cpu() - w).abs().max()), float(w.abs().max())) for g, w in parts]
        except (RuntimeError, MemoryError) as error:
            wrong[name] = str(error)
            continue
        for one in heard:
            _, _, what = str(one.message).partition("has no kernel for ")
            absent.append(what.partition(":")[0] or f"{name} ({one.message})")
        # A NaN is no less than anything.
        if not all(error <= 1e-4 * size for error, size in off):
            wrong[name] = "off by " + ", ".join(f"{error:.2g}" for error, _ in off)
    return wrong, list(dict.fromkeys(absent))


def differences(device: str) -> dict[str, str]:
    """What is wrong with each family of kernels on a device; empty where all numbers are right."""
    return examined(device)[0]


def widths(own: dict[str, float], host: dict[str, float], compiled: bool) -> int | None:
    """From which width on a network of four square layers is trained quicker on a GPU, in batches
    of 64; None if from none up to 65,536."""
    found = None
    for power in range(16, 2, -1):
        width = 1 << power
        count = 4 * (width * width + width)
        what = choice.Task(count, 4, 6.0 * count * 64, "")
        if choice.seconds(own, what, compiled) >= choice.seconds(host, what, compiled):
            break
        found = width
    return found


def _advice(own: dict[str, float], host: dict[str, float]) -> list[str]:
    """Whether a GPU will help, and from which size on."""
    lines = []
    for compiled, name in ((False, "eager"), (True, "compiled")):
        width = widths(own, host, compiled)
        if width is None:
            lines.append(f"{name} steps: no help; use device 'cpu' for models of every size")
            continue
        millions = 4 * (width * width + width) / 1e6
        lines.append(
            f"{name} steps: helps from about {millions:.2g} million parameters on (four layers"
            f" {width} wide, batches of 64); below, use device 'cpu'"
        )
    return lines


def dispatches(device: str) -> tuple[float, float]:
    """How many kernels a GPU is given in a layer of a training step, eager and compiled."""

    def count(step: Callable) -> float:
        for _ in range(6):
            step()
        gpu.synchronize(device)
        before = gpu.counters(device)["dispatches"]
        step()
        gpu.synchronize(device)
        return (gpu.counters(device)["dispatches"] - before) / measures.LAYERS

    return count(measures.step(device)), count(schuss.compile(measures.step(device)))


def _rates(own: dict[str, float]) -> list[str]:
    """What was measured, in two or three lines."""
    lines = [
        f"{own['call'] * 1e6:.2f} us a call, {own['wait'] * 1e6:.1f} us to read a number,"
        f" {own['memory'] / 1e9:.1f} GB/s, {own['product'] / 1e9:.1f} GFLOP/s",
        f"a small layer's share of a training step: {own['layer'] * 1e6:.1f} us,"
        f" compiled {own['compiled'] * 1e6:.1f} us",
    ]
    if "up" in own:
        lines.append(f"{own['up'] / 1e9:.2f} GB/s up, {own['down'] / 1e9:.2f} GB/s down")
    return lines


def _features(device: str) -> list[str]:
    limits = gpu.limits(device)
    types = ["float32", "float16", "bfloat16", "int32"]
    types += [name for name in ("int64", "float64", "subgroups") if limits[name]]
    return [
        f"device {device!r}; {', '.join(types)}",
        f"buffers up to {limits['buffer'] >> 20} MiB, {limits['binding'] >> 20} MiB of one bound"
        f" to a kernel, {limits['bindings']} bindings; {limits['group']} invocations a workgroup,"
        f" {limits['immediates']} bytes of parameters",
    ]


def _looked_at(adapter: dict[str, str | None], host: dict[str, float]) -> bool:
    """Print what is found of an adapter; whether all of its numbers are right."""
    print(f"\n{adapter['name']}: {adapter['kind']}, {adapter['api']}, {adapter['driver']}")
    device, software = adapter["device"], adapter["kind"] == "software"
    if device is None:
        why = "software: name it with SCHUSS_ADAPTER=cpu to use it"
        print(f"  not used ({why if software else 'SCHUSS_ADAPTER names another'})")
        return True
    for line in _features(device):
        print(f"  {line}")
    wrong, absent = examined(device)
    count = len(_programs())
    print(f"  {count - len(wrong)} of {count} families of kernels are right")
    for name, what in wrong.items():
        print(f"  WRONG: {name}: {what}")
    if absent:
        print(f"  no kernels here, so that the processor computes it: {', '.join(absent)}")
    try:
        own = measures.rates(device)
        eager, compiled = dispatches(device)
    except (RuntimeError, MemoryError) as error:
        print(f"  cannot be measured: {error}")
        return False
    for line in _rates(own):
        print(f"  {line}")
    print(
        f"  {eager:.1f} dispatches a layer, {own['layer'] / eager * 1e6:.1f} us each; compiled"
        f" {compiled:.1f}, {own['compiled'] / compiled * 1e6:.1f} us each"
    )
    for line in _advice(own, host):
        print(f"  {line}")
    if software:
        print("  device 'auto' leaves it alone: it is the processor itself")
    else:
        measures.keep(adapter, host, own)
    return not wrong


def main() -> int:
    """Print what was found; 1 if a GPU computes wrongly. Device 'auto' uses these numbers from then
    on."""
    adapters = gpu.adapters()
    if not adapters:
        print("No GPU: no Vulkan, Metal or DirectX 12 driver was found. device 'cpu' works.")
        return 0
    host = measures.rates("cpu")
    print(f"processor: {schuss.get_num_threads()} threads")
    for line in _rates(host):
        print(f"  {line}")
    right = [_looked_at(adapter, host) for adapter in adapters]
    print(f"\n{choice.decide(None, choice.task()).told}")
    return int(not all(right))


__all__ = ["differences", "dispatches", "examined", "main", "widths"]
