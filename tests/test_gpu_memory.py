"""Memory of a GPU: budgets, buffers handed on, what passes a limit, devices that were lost.

Leans on schuss, adapter and gpu_nearness; limits are forced, so that small tensors meet them.
"""

from __future__ import annotations

import threading

import schuss
from adapter import DEVICE, needs_adapter, told

pytestmark = needs_adapter


def test_a_budget_of_memory():
    program = (
        "import schuss\n"
        "x = schuss.zeros(1024, 256, device='gpu')\n"
        "try: y = [schuss.zeros(1024, 256, device='gpu') for _ in range(9)]\n"
        "except MemoryError as e: print(e)\n"
        "del x\n"
        "z = schuss.ones(1024, 256, device='gpu').sum().item()\n"
        "print(z, schuss.gpu.memory()['budget'])\n"
    )
    done = told(program, SCHUSS_GPU_MEM_LIMIT="5000000")
    assert "no memory for 1048576 bytes on gpu:0" in done.stdout, done.stdout + done.stderr
    assert "262144.0 5000000" in done.stdout


def test_memory_is_handed_on():
    x = schuss.zeros(1000, 100, device=DEVICE)
    before = schuss.gpu.memory()["used"]
    for _ in range(5):
        x = x + 1
    schuss.gpu.synchronize()
    after = schuss.gpu.memory()["used"]
    assert after <= before
    del x
    assert schuss.gpu.memory()["used"] < after
    schuss.gpu.empty_cache()
    assert schuss.gpu.memory()["idle"] == 0


LARGE = """
import warnings, numpy as np, schuss
from gpu_nearness import alike
from schuss.nn import functional as F
rng = np.random.default_rng(0)
a = schuss.tensor(rng.normal(size=(700, 601)).astype("float32"))
b = schuss.tensor(rng.normal(size=(601, 300)).astype("float32"))
x, y = a.to("gpu"), b.to("gpu")
for of in (
    lambda x: x + 1, lambda x: x.T * 2, lambda x: x[::3, 5:], lambda x: schuss.cat([x, x]),
    lambda x: x > 0, lambda x: x.max(),
):
    alike(of(x), of(a), "same")
alike(x.exp().sin(), a.exp().sin(), "map", size=100)
for of, terms in (
    (lambda x: x.sum(), 700 * 601), (lambda x: x.mean(), 700 * 601), (lambda x: x.sum(0), 700),
    (lambda x: x.mean(1), 601), (lambda x: x.logsumexp(1), 601), (lambda x: x.softmax(1), 601),
    (lambda x: x.cumsum(1), 601),
):
    alike(of(x), of(a), "sum", terms=terms)
alike(x @ y, a @ b, "product", terms=601, size=50)
alike(x.T @ x, a.T @ a, "product", terms=700, size=50)
schuss.manual_seed(3)
p = schuss.rand(500_000, device="gpu")
schuss.manual_seed(3)
alike(p, schuss.rand(500_000), "same")
x.requires_grad_(True)
(x.square().sum() + (x @ y).sum()).backward()
a.requires_grad_(True)
(a.square().sum() + (a @ b).sum()).backward()
alike(x.grad, a.grad, "product", terms=300)
schuss.manual_seed(4)
d = F.dropout(x.detach(), 0.3)
schuss.manual_seed(4)
alike(d, F.dropout(a.detach(), 0.3), "same")
q = schuss.tensor(rng.normal(size=(9, 2, 300, 64)).astype("float32"))
r = q.to("gpu")
s = [F.scaled_dot_product_attention(t, t, t, is_causal=True) for t in (q, r)]
m = [F.avg_pool2d(t, 2) for t in (q, r)]
alike(s[1], s[0], "layer")
alike(m[1], m[0], "sum", terms=4)
x.data.add_(1)
alike(x, a + 1, "same")
print("maps")
i = schuss.tensor(rng.integers(0, 1000, (400_000,)))
w = schuss.tensor(rng.normal(size=(400_000,)).astype("float32"))
j, v = i.to("gpu"), w.to("gpu")
table = schuss.tensor(rng.normal(size=(3000, 200)).astype("float32"))
rows = schuss.tensor(rng.integers(-3000, 3000, (900,)))
t, k = table.to("gpu"), rows.to("gpu")
for t, k, table, rows in ((t, k, table, rows), (t.T, k % 200, table.T, rows % 200)):
    alike(t[k], table[rows], "same")
    alike(t.half()[k], table.half()[rows], "same")
    alike((t > 0)[k], (table > 0)[rows], "same")
    alike(t.index_add(0, k % 100, t[k]), table.index_add(0, rows % 100, table[rows]),
          "sum", terms=32)
    alike(t.index_put((k,), t[k] * 2), table.index_put((rows,), table[rows] * 2), "same")
    alike(t.gather(1, (k % 200)[:200, None] + schuss.zeros(200, 3).long().to("gpu")),
          table.gather(1, (rows % 200)[:200, None] + schuss.zeros(200, 3).long()), "same")
zeros = lambda d: schuss.zeros(1000, device=d)
alike(zeros("gpu").scatter_add(0, j, v), zeros("cpu").scatter_add(0, i, w), "sum", terms=400)
alike(zeros("gpu").scatter_reduce(0, j, v, "amax"),
      zeros("cpu").scatter_reduce(0, i, w, "amax"), "same")
alike(zeros("gpu").index_put((j,), v), zeros("cpu").index_put((i,), w), "same")
alike(v[j], w[i], "same")
print("places")
try: t[schuss.tensor([2, 7000], device="gpu")].tolist()
except IndexError as e: print("7000" in str(e))
f = r.detach().requires_grad_()
g = q.detach().requires_grad_()
h = [F.max_pool2d(x, 3, 2, 1) for x in (f, g)]
[x.square().sum().backward() for x in h]
alike(h[0], h[1], "same")
alike(f.grad, g.grad, "sum", terms=4)
def trained(image, rows, kernel, weight):
    own = [t.detach().requires_grad_() for t in (image, rows, kernel, weight)]
    made = F.conv2d(own[0], own[2], own[2][:, 0, 0, 0], padding=1)
    y = F.layer_norm(own[1], (601,), own[3], own[3] / 2)
    (made.square().mean() + (y * y * own[1]).mean()).backward()
    return [made, y, *(t.grad for t in own)]
kernel = schuss.tensor(rng.normal(size=(3, 2, 3, 3)).astype("float32"))
parts = [q, a.detach(), kernel, b[:, 0].detach()]
for got, want in zip(trained(*(t.to("gpu") for t in parts)), trained(*parts), strict=True):
    alike(got, want, "layer")
print("slopes")
def whole(image, rows, series, classes):
    own = [t.detach().requires_grad_() for t in (image, rows, series)]
    schuss.manual_seed(5)
    net = schuss.nn.LSTM(16, 8).to(image.device)
    found = [
        F.batch_norm(own[0], None, None, training=True), F.cross_entropy(own[1], classes),
        net(own[2])[0], schuss.bucketize(own[1].detach(), own[1].detach()[0].sort().values),
    ]
    ((found[0] ** 3).mean() + found[1] + found[2].square().mean()).backward()
    return [*found, *(t.grad for t in own)]
series = schuss.tensor(rng.normal(size=(30, 700, 16)).astype("float32"))
parts = [q, a.detach(), series, schuss.arange(700) % 601]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for got, want in zip(whole(*(t.to("gpu") for t in parts)), whole(*parts), strict=True):
        alike(got, want, "layer")
told = " ".join(str(w.message) for w in said)
print("whole", "larger than it can be bound to (1048576 bytes)" in told)
"""


def test_what_passes_a_binding_is_cut_into_parts():
    done = told(LARGE, SCHUSS_GPU_PROFILE="binding=1048576")
    want = ["maps", "places", "True", "slopes", "whole True"]
    assert done.stdout.splitlines() == want, done.stdout + done.stderr


def test_what_passes_a_buffer_is_refused_by_its_limit():
    program = (
        "import schuss\n"
        "x = schuss.zeros(1000, 200, device='gpu')\n"
        "try: schuss.zeros(1000, 300, device='gpu')\n"
        "except MemoryError as e: print(e)\n"
        "print((x + 1).sum().item())\n"
    )
    done = told(program, SCHUSS_GPU_PROFILE="buffer=1048576")
    assert "buffer" in done.stdout, done.stdout + done.stderr
    assert done.stdout.endswith("200000.0\n")


def test_a_device_that_was_lost_starts_anew():
    program = """
import schuss
x = schuss.arange(3.0, device="gpu")
w = schuss.ones(3, device="gpu", requires_grad=True)
step = schuss.compile(lambda x: (w * x).sum())
print([step(x).item() for _ in range(3)])
schuss._core._gpu_lose(0)
for what in (lambda: x.tolist(), lambda: x + 1, lambda: step(x)):
    try: print(what(), schuss.ones(1, device="gpu").item())
    except schuss.DeviceError as e: print("lost" in str(e))
y = schuss.arange(3.0, device="gpu")
print((y * 2).tolist())
w = schuss.ones(3, device="gpu", requires_grad=True)
step = schuss.compile(lambda x: (w * x).sum())
print([step(y).item() for _ in range(3)])
"""
    done = told(program)
    want = ["[3.0, 3.0, 3.0]", "True", "True", "True", "[0.0, 2.0, 4.0]", "[3.0, 3.0, 3.0]"]
    assert done.stdout.splitlines() == want, done.stdout + done.stderr


def test_compiled_kernels_are_kept(tmp_path):
    program = "import schuss; print((schuss.ones(3, device='gpu') * 2).tolist())"
    for k in range(3):
        done = told(program, SCHUSS_CACHE_DIR=str(tmp_path))
        assert done.stdout == "[2.0, 2.0, 2.0]\n", done.stderr
        kept = list(tmp_path.glob("*.bin"))
        for file in kept if k == 1 else ():
            file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert not list(tmp_path.glob("*.part"))


def test_threads_share_a_device():
    found = {}

    def work(k: int) -> None:
        x = schuss.full((300,), float(k), device=DEVICE, requires_grad=True)
        total = 0.0
        for _ in range(20):
            y = (x * x).sum()
            (g,) = schuss.autograd.grad(y, x)
            total += g.sum().item()
        found[k] = total

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {k: 20 * 600.0 * k for k in range(4)}
