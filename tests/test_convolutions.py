"""Convolutions against their definition: every way of the kernels, gradients, and theirs.

Leans on schuss and NumPy; the slow versions go tap by tap in float64.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest
import schuss

F = schuss.nn.functional

# How far a result may be from the definition, as a part of the root of its mean square. float32 is
# the error of tiles, docs/numerics.md; short floats are rounded once at the end.
TOLERANCE = {"float64": 1e-13, "float32": 3e-5, "float16": 4e-3, "bfloat16": 3e-2}


class Case(NamedTuple):
    """One convolution by numbers."""

    batch: int
    channels: int
    out: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    bias: bool = True

    def draw(self) -> list[np.ndarray]:
        """Image, weight and bias."""
        normal = np.random.default_rng([*self[:3], *self.size, *self.kernel, *self[5:]]).normal
        weight = normal(size=(self.out, self.channels // self.groups, *self.kernel))
        return [
            normal(size=(self.batch, self.channels, *self.size)),
            weight,
            *([normal(size=self.out)] if self.bias else []),
        ]

    def places(self) -> list[int]:
        """How many windows each axis has."""
        both = zip(self.size, self.kernel, strict=True)
        reach = [n + 2 * self.padding - self.dilation * (k - 1) for n, k in both]
        return [(n - 1) // self.stride + 1 for n in reach]

    def taps(self) -> Any:
        """Each tap, and the elements of the padded image that it meets."""
        for tap in np.ndindex(*self.kernel):
            first = [t * self.dilation for t in tap]
            ends = zip(first, self.places(), strict=True)
            met = [slice(a, a + (q - 1) * self.stride + 1, self.stride) for a, q in ends]
            yield tap, (slice(None), slice(None), *met)

    def grouped(self, a: np.ndarray, axis: int) -> np.ndarray:
        """One axis parted into groups."""
        shape = a.shape
        return a.reshape(*shape[:axis], self.groups, shape[axis] // self.groups, *shape[axis + 1 :])

    def padded(self, x: np.ndarray) -> np.ndarray:
        return np.pad(x, [(0, 0), (0, 0)] + [(self.padding, self.padding)] * len(self.size))

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
        """The result, tap by tap."""
        y = np.zeros((self.batch, self.out, *self.places()))
        wide, kernels = self.padded(x), self.grouped(w, 0)
        for tap, met in self.taps():
            part = self.grouped(wide[met], 1)
            each = np.einsum("ngc...,goc->ngo...", part, kernels[(..., *tap)])
            y += each.reshape(y.shape)
        return y if b is None else y + b.reshape(-1, *[1] * len(self.size))

    def input(self, g: np.ndarray, w: np.ndarray) -> np.ndarray:
        """The image's cotangent from the result's."""
        sizes = [n + 2 * self.padding for n in self.size]
        wide, kernels = np.zeros((self.batch, self.channels, *sizes)), self.grouped(w, 0)
        for tap, met in self.taps():
            each = np.einsum("ngo...,goc->ngc...", self.grouped(g, 1), kernels[(..., *tap)])
            wide[met] += each.reshape(wide[met].shape)
        cut = tuple(slice(self.padding, self.padding + n) for n in self.size)
        return wide[(..., *cut)]

    def weight(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The weight's cotangent."""
        found = np.zeros((self.out, self.channels // self.groups, *self.kernel))
        wide, grads = self.padded(x), self.grouped(g, 1)
        for tap, met in self.taps():
            part = self.grouped(wide[met], 1)
            rows = [a.reshape(*a.shape[:3], np.prod(a.shape[3:])) for a in (grads, part)]
            found[(..., *tap)] = np.einsum("ngop,ngcp->goc", *rows).reshape(found.shape[:2])
        return found

    def sums(self, g: np.ndarray) -> np.ndarray:
        """The bias's cotangent."""
        return g.sum(axis=(0, *range(2, g.ndim)))


def close(got: Any, want: np.ndarray, dtype: str, what: str) -> None:
    have = got.detach().to(schuss.float64).numpy()
    assert have.shape == want.shape, what
    if want.size:
        scale = np.sqrt(np.mean(want**2)) or 1.0
        apart = np.abs(have - want).max() / scale
        assert apart <= TOLERANCE[dtype], f"{what} is {apart:.1e} from the definition"


def check(case: Case, dtype: str) -> None:
    """Result, gradients, and the gradients of those."""
    kind = getattr(schuss, dtype)
    tensors = [schuss.tensor(a).to(kind).requires_grad_() for a in case.draw()]
    x, w, *b = (t.detach().to(schuss.float64).numpy() for t in tensors)
    conv = (F.conv1d, F.conv2d, F.conv3d)[len(case.size) - 1]
    y = conv(
        *tensors,
        stride=case.stride,
        padding=case.padding,
        dilation=case.dilation,
        groups=case.groups,
    )
    assert y.dtype == kind
    close(y, case.forward(x, w, *b), dtype, "the result")
    normal = np.random.default_rng(5).normal
    grad = schuss.tensor(normal(size=tuple(y.shape))).to(kind).requires_grad_()
    g = grad.detach().to(schuss.float64).numpy()
    found = schuss.autograd.grad(y, tensors, grad, create_graph=True)
    want = [case.input(g, w), case.weight(x, g), case.sums(g)]
    names = ["the image's gradient", "the weight's gradient", "the bias's gradient"]
    for name, have, expected in zip(names, found, want, strict=False):
        close(have, expected, dtype, name)
    # The gradients are linear in what they are made of, and so are their own.
    arms = [schuss.tensor(normal(size=tuple(f.shape))).to(kind) for f in found]
    u, v, *t = (a.to(schuss.float64).numpy() for a in arms)
    second = schuss.autograd.grad(found, [grad, tensors[0], tensors[1]], arms)
    mixed = case.forward(u, w) + case.forward(x, v, *t)
    close(second[0], mixed, dtype, "the second gradient in the cotangent")
    close(second[1], case.input(g, v), dtype, "the second gradient in the image")
    close(second[2], case.weight(u, g), dtype, "the second gradient in the weight")


PLAIN = [
    Case(2, 4, 6, size, (k,) * len(size), *rest, groups)
    for size in ((23,), (11, 14), (5, 7, 6))
    for k, rest, groups in itertools.product(
        (1, 2, 3), ((1, 0, 1), (1, 1, 2), (2, 1, 1), (3, 0, 2)), (1, 2)
    )
    if all(n + 2 * rest[1] > rest[2] * (k - 1) for n in size)
]
# Channels enough for tiles of 3 x 3, 5 x 5, one axis and three, in odd numbers, beside odd sizes,
# paddings and dilations.
TILES = [
    Case(5, 32, 40, (7, 7), (3, 3), padding=1),
    Case(2, 16, 17, (13, 30), (3, 3), padding=2),
    Case(3, 33, 64, (26, 9), (3, 3)),
    Case(2, 64, 32, (8, 8), (3, 3), padding=1, groups=2, bias=False),
    Case(1, 20, 24, (40, 40), (3, 3), padding=4),
    Case(0, 32, 32, (8, 8), (3, 3)),
    Case(3, 17, 24, (14, 11), (5, 5), padding=2),
    Case(1, 33, 32, (29, 31), (5, 5), groups=1, bias=False),
    Case(2, 32, 48, (12, 12), (5, 5), padding=5, groups=2),
    Case(2, 20, 18, (17, 22), (3, 3), padding=2, dilation=2),
    Case(1, 16, 40, (50, 37), (3, 3), padding=1, dilation=3),
    Case(2, 24, 16, (24, 20), (5, 5), padding=3, dilation=2),
    Case(3, 33, 40, (203,), (3,), padding=1),
    Case(2, 40, 35, (90,), (5,), padding=3),
    Case(2, 64, 33, (61,), (5,), padding=4, dilation=3),
    Case(2, 34, 36, (9, 16), (1, 5), padding=1, dilation=2),
    Case(2, 20, 17, (5, 9, 10), (3, 3, 3), padding=1),
    Case(1, 16, 33, (8, 13, 12), (2, 3, 3), padding=2),
    Case(2, 32, 36, (7, 8, 8), (3, 5, 5), padding=2, groups=2),
    Case(1, 18, 16, (9, 12, 14), (3, 3, 3), padding=3, dilation=2),
    Case(2, 33, 32, (3, 4, 41), (1, 1, 3), padding=1),
]
# Channels and windows enough for panels, in numbers that leave ends: strides of both remainders,
# windows of one element over small planes and many channels, elements that no tap meets, groups,
# one axis and three, rows in shares.
PANELS = [
    Case(4, 40, 48, (9, 8), (1, 1)),
    Case(40, 32, 40, (3, 3), (1, 1), bias=False),
    Case(1, 300, 40, (16, 17), (1, 1)),
    Case(4, 40, 36, (17, 15), (3, 3), 2, 1),
    Case(3, 33, 34, (20, 18), (3, 3), 2, 1),
    Case(5, 36, 33, (14, 14), (1, 1), 2),
    Case(2, 70, 66, (30, 31), (5, 3), 3, 2, groups=2),
    Case(2, 36, 40, (14, 13), (3, 3), padding=2, dilation=2),
    Case(2, 40, 33, (40, 41), (2, 2), 3),
    Case(3, 48, 32, (301,), (5,), 2, 2),
    Case(2, 33, 32, (7, 8, 9), (3, 1, 2), 1, 1),
    Case(5, 64, 144, (14, 14), (3, 3), 2, 1),
]
# Depthwise, long rows, large kernels, many channels, one by one with and without a stride.
OTHERS = [
    Case(2, 8, 8, (9, 8), (3, 3), padding=1, groups=8),
    Case(2, 6, 18, (12, 12), (3, 3), 2, 1, groups=6),
    Case(1, 1, 3, (700,), (101,), padding=50),
    Case(2, 3, 8, (40, 45), (7, 7), 2, 3),
    Case(1, 150, 20, (9, 11), (5, 3), padding=2),
    Case(2, 32, 48, (9, 8), (1, 1)),
    Case(2, 32, 48, (9, 8), (1, 1), 2),
    Case(2, 64, 80, (300,), (1,), groups=2),
    Case(2, 24, 18, (9, 1), (3, 1), bias=False),
    Case(0, 3, 5, (9, 8), (3, 3), 2, 1),
    Case(1, 2, 2, (3, 3), (3, 3)),
]


@pytest.mark.parametrize("case", [*PLAIN, *TILES, *PANELS, *OTHERS], ids=str)
def test_against_the_definition(case: Case) -> None:
    check(case, "float32")


@pytest.mark.parametrize("dtype", [d for d in TOLERANCE if d != "float32"])
@pytest.mark.parametrize("case", [*PLAIN[::7], *TILES[:2], *PANELS[::2], *OTHERS], ids=str)
def test_in_other_dtypes(case: Case, dtype: str) -> None:
    check(case, dtype)


@pytest.mark.parametrize("level", ["scalar", "avx2"])
def test_on_narrower_instruction_sets(level: str) -> None:
    """What a machine without the widest vectors runs; one that lacks these runs its own."""
    done = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "SCHUSS_CPU": level},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_transposed_against_the_definition(d: int, dtype: str) -> None:
    """A transposed convolution is the gradient of one in its image, larger by what is asked."""
    size = (9, 6, 5)[:d]
    for (k, s, p, gap), groups in itertools.product(
        ((3, 2, 1, 1), (2, 3, 0, 1), (1, 2, 0, 1), (3, 1, 1, 2), (2, 1, 0, 3)), (1, 2)
    ):
        extra = max(s, gap) - 1
        whole = tuple((n - 1) * s - 2 * p + gap * (k - 1) + 1 + extra for n in size)
        case = Case(2, 6, 4, whole, (k,) * d, s, p, gap, groups)
        normal = np.random.default_rng(3).normal
        x, w, b = (
            normal(size=(2, 4, *size)),
            normal(size=(4, 6 // groups, *[k] * d)),
            normal(size=6),
        )
        room = [(0, 0), (0, 0)] + [(0, q - n) for q, n in zip(case.places(), size, strict=True)]
        kind = getattr(schuss, dtype)
        tensors = [schuss.tensor(a).to(kind).requires_grad_() for a in (x, w, b)]
        y = getattr(F, f"conv_transpose{d}d")(
            *tensors, stride=s, padding=p, output_padding=extra, groups=groups, dilation=gap
        )
        want = case.input(np.pad(x, room), w) + b.reshape(-1, *[1] * d)
        close(y, want, dtype, f"{case}")
        g = normal(size=want.shape)
        found = schuss.autograd.grad(y, tensors, schuss.tensor(g).to(kind))
        cut = tuple(slice(n) for n in size)
        close(found[0], case.forward(g, w)[(..., *cut)], dtype, f"{case}: the image's gradient")
        close(found[1], case.weight(g, np.pad(x, room)), dtype, f"{case}: the weight's gradient")
        close(found[2], case.sums(g), dtype, f"{case}: the bias's gradient")


def bits(case: Case) -> list[bytes]:
    tensors = [schuss.tensor(a).float().requires_grad_() for a in case.draw()]
    rest = {"stride": case.stride, "padding": case.padding, "groups": case.groups}
    y = F.conv2d(*tensors, **rest)
    grad = schuss.tensor(np.random.default_rng(1).normal(size=tuple(y.shape))).float()
    return [t.detach().numpy().tobytes() for t in (y, *schuss.autograd.grad(y, tensors, grad))]


THREADED = [
    Case(9, 32, 64, (20, 20), (3, 3), padding=1),
    Case(9, 24, 24, (20, 20), (3, 3), 2, 1),
    Case(1, 32, 64, (60, 60), (5, 5)),
    Case(9, 24, 24, (20, 20), (3, 3), 1, 1, groups=24),
    Case(9, 32, 96, (16, 16), (1, 1)),
    Case(9, 32, 48, (21, 20), (3, 3), 2, 1),
    Case(5, 64, 256, (14, 14), (3, 3), 2, 1),
    Case(9, 24, 20, (17, 19), (5, 5), padding=2),
    Case(9, 72, 130, (9, 9), (3, 3), 2, 1),
]


@pytest.mark.parametrize("case", THREADED, ids=str)
def test_bits_do_not_depend_on_the_number_of_threads(case: Case) -> None:
    before = schuss.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 5):
            schuss.set_num_threads(threads)
            found.append(bits(case))
    finally:
        schuss.set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_a_compiled_step_gives_the_same_bits() -> None:
    model = schuss.nn.Sequential(
        *(schuss.nn.Conv2d(3, 16, 3, padding=1), schuss.nn.ReLU(), schuss.nn.MaxPool2d(2)),
        *(schuss.nn.Conv2d(16, 16, 3, padding=1), schuss.nn.AvgPool2d(3, 2, 1)),
        schuss.nn.ConvTranspose2d(16, 4, 3, stride=2, groups=2),
    )

    def step(x: Any) -> Any:
        for p in model.parameters():
            p.grad = None
        loss = model(x).square().mean()
        loss.backward()
        return loss

    compiled = schuss.compile(step)
    draw = np.random.default_rng(0).normal
    for _ in range(4):
        x = schuss.tensor(draw(size=(4, 3, 18, 18))).float()
        want = [step(x), *(p.grad for p in model.parameters())]
        have = [compiled(x), *(p.grad for p in model.parameters())]
        for a, b in zip(want, have, strict=True):
            assert a.detach().numpy().tobytes() == b.detach().numpy().tobytes()
    assert {"conv", "conv_weight_back", "max_pool", "max_pool_back", "avg_pool"} <= set(
        str(compiled.program).split()
    )


def test_no_gradient_is_computed_for_what_needs_none() -> None:
    x, w = schuss.ones(1, 2, 5, 5), schuss.ones(3, 2, 3, 3, requires_grad=True)
    y = F.conv2d(x, w)
    y.sum().backward()
    assert x.grad is None and w.grad.shape == w.shape
    y.add_(1.0)  # The result is a tensor of its own.


def test_no_channels_and_no_windows() -> None:
    y = F.conv2d(schuss.ones(2, 0, 4, 4), schuss.ones(3, 0, 2, 2), schuss.tensor([1.0, 2.0, 3.0]))
    assert y.shape == (2, 3, 3, 3) and (y == schuss.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)).all()
    y = F.conv2d(schuss.ones(8, 0, 9, 9), schuss.ones(64, 0, 1, 1), schuss.arange(64.0))
    assert (y == schuss.arange(64.0).view(64, 1, 1)).all()
    x, w = schuss.ones(0, 2, 4, 4, requires_grad=True), schuss.ones(3, 2, 2, 2, requires_grad=True)
    F.conv2d(x, w).sum().backward()
    assert x.grad.shape == x.shape and (w.grad == 0).all()


def test_a_transposed_convolution_may_give_no_elements() -> None:
    """An axis of size 0 is a result, as PyTorch has it; all gradients are 0."""
    for d, dtype in itertools.product((1, 2, 3), ("float32", "float64", "float16")):
        shapes = ((2, 3, 1, *(4, 5)[: d - 1]), (3, 4, *(2,) * d), (4,))
        tensors = [schuss.ones(*s, dtype=getattr(schuss, dtype)).requires_grad_() for s in shapes]
        conv = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[d - 1]
        y = conv(*tensors, padding=1)
        assert y.shape == (2, 4, 0, *(3, 4)[: d - 1])
        for t, g in zip(tensors, schuss.autograd.grad(y, tensors, y.detach()), strict=True):
            assert g.shape == t.shape and g.dtype == t.dtype and (g == 0).all()
        with pytest.raises(RuntimeError, match="size -2"):
            conv(*tensors, padding=2)


def main() -> None:
    for case in [*PLAIN[::5], *TILES, *PANELS, *OTHERS]:
        for dtype in ("float32", "float64"):
            check(case, dtype)


if __name__ == "__main__":
    main()
