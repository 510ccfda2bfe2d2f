"""What goes wrong on a GPU: kernels that do not compile, forks, interrupts, memory that is full.

Leans on schuss and adapter; each fault has a process of its own.
"""

from __future__ import annotations

import os

import pytest
from adapter import needs_adapter, told

pytestmark = needs_adapter


@pytest.mark.parametrize(
    ("gives_up", "words"), [(True, "gave up on this kernel"), (False, "refuses this kernel")]
)
def test_a_kernel_that_does_not_compile_is_an_error_with_its_name(gives_up, words):
    program = f"""
import schuss
x = schuss.ones(3, device="gpu")
x.tolist()
before = schuss.gpu.counters()["kernels"]
for _ in range(2):
    try: schuss._core._gpu_fail(0, {gives_up})
    except RuntimeError as e: print(str(e).startswith("broken: "), {words!r} in str(e))
print(schuss.gpu.counters()["kernels"] == before, (x * 2).tolist())
schuss.gpu.synchronize()
"""
    done = told(program)
    # What was refused is not kept: it is refused again, and disturbs no other.
    want = ["True True", "True True", "True [2.0, 2.0, 2.0]"]
    assert done.stdout.splitlines() == want, done.stdout + done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_is_refused():
    program = """
import os, schuss
x = schuss.ones(3, device="gpu")
x.tolist()
work = [lambda: x + 1, lambda: x.tolist(), lambda: x.cpu(), lambda: schuss.zeros(2, device="gpu"),
        schuss.gpu.synchronize, lambda: x.mul_(2), lambda: schuss.randn(3, device="gpu")]
child = os.fork()
if child == 0:
    told = []
    for one in work:
        try: told.append(f"went {one()}")
        except schuss.DeviceError as e: told.append("fork" in str(e) and "spawn" in str(e))
    print(told, (schuss.ones(2) * 2).tolist(), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1], (x + 1).tolist())
"""
    done = told(program)
    want = [f"{[True] * 7} [2.0, 2.0]", "0 [2.0, 2.0, 2.0]"]
    assert done.stdout.splitlines() == want, done.stdout + done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a signal to oneself ends a program here")
def test_an_interrupt_is_heard_while_waiting():
    program = """
import os, signal, threading, time, schuss
x = schuss.randn(400, 400, device="gpu")
y = (x @ x).sum().item()
start = time.perf_counter()
(x @ x).sum().item()
one = time.perf_counter() - start
count = int(8 / one) + 20
threading.Timer(max(0.5, 4 * one), os.kill, (os.getpid(), signal.SIGINT)).start()
start = time.perf_counter()
try:
    for _ in range(count):
        z = x @ x
    z.sum().item()
    print("went on")
except KeyboardInterrupt:
    print(time.perf_counter() - start < count * one / 2)
print(schuss.ones(3, device="gpu").sum().item(), abs((x @ x).sum().item() - y) < 1)
"""
    done = told(program)
    assert done.stdout.splitlines() == ["True", "3.0 True"], done.stdout + done.stderr


def test_memory_that_is_full_is_freed_of_what_nobody_uses_once():
    program = """
import schuss
x = schuss.zeros(1_000_000, device="gpu")
y = schuss.ones(1000, device="gpu")
schuss.gpu.synchronize()
del x
print(schuss.gpu.memory()["idle"] >= 4_000_000)
z = schuss.ones(700_000, device="gpu")
print(schuss.gpu.memory()["idle"], z.sum().item())
for size in (700_000, 10_000_000):
    try: schuss.zeros(size, device="gpu")
    except MemoryError as e: print(str(e))
print((y + z[:1000]).sum().item(), schuss.gpu.memory()["used"] <= 5_000_000)
"""
    done = told(program, SCHUSS_GPU_MEM_LIMIT="5000000")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["True", "0 700000.0"], done.stdout + done.stderr
    assert "no memory for 2800000 bytes on gpu:0" in lines[2], lines
    assert "of 5000000" in lines[2], lines
    assert "no memory for 40000000 bytes" in lines[3], lines
    assert lines[4:] == ["2000.0 True"], lines


def test_a_machine_without_a_driver_is_told_in_a_sentence():
    program = """
import schuss
print(schuss.gpu.is_available(), schuss.gpu.device_count(), schuss.cuda.is_available())
for what in (lambda: schuss.zeros(2, device="gpu"), lambda: schuss.nn.Linear(2, 2).to("cuda")):
    try: what()
    except schuss.DeviceError as e: print(str(e))
print(schuss.zeros(2).tolist())
"""
    nowhere = "/nowhere/driver.json"
    done = told(program, VK_ICD_FILENAMES=nowhere, VK_DRIVER_FILES=nowhere)
    lines = done.stdout.splitlines()
    assert lines[0] == "False 0 False", done.stdout + done.stderr
    for line in lines[1:3]:
        assert "no Vulkan, Metal or DirectX 12 driver was found" in line
        assert "install your GPU's driver" in line
    assert lines[3:] == ["[0.0, 0.0]"]
