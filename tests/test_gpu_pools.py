"""The way back through the largest of windows on a GPU, gathered by every element.

Leans on schuss and adapter.
"""

from __future__ import annotations

import pytest
import schuss
from adapter import DEVICE, needs_adapter
from schuss import nn

pytestmark = needs_adapter
F = nn.functional

POOLS = {
    "apart": ((2, 3, 8, 10), lambda x: F.max_pool2d(x, 2)),
    "overlapping": ((2, 3, 9, 11), lambda x: F.max_pool2d(x, 3, 1, 1)),
    "strided": ((2, 3, 9, 11), lambda x: F.max_pool2d(x, (3, 2), (2, 1), 1)),
    "dilated": ((1, 2, 12, 13), lambda x: F.max_pool2d(x, 3, 2, 1, dilation=2)),
    "with gaps": ((2, 2, 11, 11), lambda x: F.max_pool2d(x, 2, 4)),
    "rounded up": ((2, 2, 7, 7), lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)),
    "one axis": ((3, 2, 23), lambda x: F.max_pool1d(x, 5, 2, 2)),
    "three axes": ((2, 2, 5, 6, 7), lambda x: F.max_pool3d(x, 2, 1)),
    "adaptive": ((2, 3, 7, 10), lambda x: F.adaptive_max_pool2d(x, (3, 4))),
    "all": ((2, 3, 7, 10), lambda x: F.adaptive_max_pool2d(x, 1)),
}
DTYPES = [schuss.float32, schuss.float16, schuss.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", POOLS)
def test_slopes_are_the_processors(name, dtype):
    shape, pool = POOLS[name]
    schuss.manual_seed(3)
    # Whole numbers, so that windows share their largest and sums are exact in every type.
    x = schuss.randint(-9, 9, shape).to(dtype)
    weights, found = None, []
    for device in ("cpu", DEVICE):
        leaf = x.detach().to(device).requires_grad_()
        y = pool(leaf)
        if weights is None:
            weights = schuss.randint(-4, 4, y.shape).to(dtype)
        y.backward(weights.to(device))
        found.append(leaf.grad.cpu())
    assert schuss.equal(*found)
    assert found[0].count_nonzero() > 0


def test_sums_are_in_the_processors_order():
    schuss.manual_seed(3)
    x, weights, found = schuss.randn(2, 2, 40, 40), schuss.randn(2, 2, 40, 40), []
    for device in ("cpu", DEVICE):
        leaf = x.detach().to(device).requires_grad_()
        F.max_pool2d(leaf, 7, 1, 3).backward(weights.to(device))
        found.append(leaf.grad.cpu())
    assert schuss.equal(*found)


def test_a_plane_of_many_windows():
    # More windows in one plane than an invocation of a software adapter may go through.
    x = schuss.arange(300.0 * 300).reshape(1, 1, 300, 300).to(DEVICE).requires_grad_()
    F.max_pool2d(x, 1).sum().backward()
    assert x.grad.sum().item() == 90_000
    assert schuss.equal(x.grad.cpu(), schuss.ones(1, 1, 300, 300))
