"""The order of axes in memory that copies, casts and tensors made like others take over.

Leans on schuss and pytest; the strides are those that PyTorch 2.15 gives for the same calls.
"""

from __future__ import annotations

import copy

import pytest
import schuss

DENSE = schuss.arange(24.0).view(2, 3, 4).permute(2, 0, 1)
GAPS = schuss.arange(24.0).view(2, 3, 4)[:, :, ::2].permute(2, 0, 1)
WIDE = schuss.arange(4.0).view(1, 4).expand(3, 4)

COPIES = {
    "clone": lambda x: x.clone(),
    "double": lambda x: x.double(),
    "half": lambda x: x.half(),
    "int": lambda x: x.int(),
    "to": lambda x: x.to(schuss.float64),
    "to copy": lambda x: x.to("cpu", copy=True),
    "type": lambda x: x.type(schuss.float64),
    "complex": lambda x: x.to(schuss.complex64),
    "deepcopy": copy.deepcopy,
    "detached": lambda x: x.detach().clone(),
}
LIKE = {
    "zeros_like": schuss.zeros_like,
    "ones_like": schuss.ones_like,
    "empty_like": schuss.empty_like,
    "full_like": lambda x: schuss.full_like(x, 1.0),
    "rand_like": schuss.rand_like,
    "randn_like": schuss.randn_like,
    "randint_like": lambda x: schuss.randint_like(x, 9),
}


@pytest.mark.parametrize("name", [*COPIES, *LIKE])
def test_the_order_of_axes_stays(name):
    make = {**COPIES, **LIKE}[name]
    assert make(DENSE).stride() == (1, 12, 4)
    assert make(GAPS).stride() == (1, 6, 2)
    assert make(WIDE).stride() == (4, 1) and make(WIDE.t()).stride() == (3, 1)
    assert make(DENSE.contiguous()).stride() == (6, 3, 1)


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("x", [DENSE, GAPS, WIDE], ids=["dense", "gaps", "wide"])
def test_the_elements_are_the_same(name, x):
    made = COPIES[name](x)
    made = made.real if made.is_complex() else made
    assert schuss.equal(made.to(schuss.float32), x) and made.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("name", LIKE)
def test_what_is_made_like_another_is_nobodys_view(name):
    made = LIKE[name](DENSE)
    assert made.shape == DENSE.shape and made._base is None
    made += 1
    assert DENSE.tolist() == schuss.arange(24.0).view(2, 3, 4).permute(2, 0, 1).tolist()
    own = schuss.zeros_like(DENSE, requires_grad=True)
    assert own.is_leaf and own.requires_grad and own.stride() == (1, 12, 4)


def test_row_by_row_where_it_is_asked_for():
    assert DENSE.contiguous().stride() == (6, 3, 1) and DENSE.reshape(-1).stride() == (1,)
    rows = schuss.contiguous_format
    assert DENSE.clone(memory_format=rows).stride() == (6, 3, 1)
    assert schuss.zeros_like(DENSE, memory_format=rows).stride() == (6, 3, 1)
    assert DENSE.clone(memory_format=schuss.preserve_format).stride() == (1, 12, 4)
    assert DENSE.new_zeros(4, 2, 3).stride() == (6, 3, 1)


def test_gradients_pass_copies_and_casts():
    x = DENSE.contiguous().requires_grad_()
    weight = schuss.arange(24.0).view(4, 2, 3)
    seen = x.permute(1, 2, 0)
    (seen.clone().permute(2, 0, 1) * weight + seen.double().permute(2, 0, 1)).sum().backward()
    assert schuss.equal(x.grad, weight + 1)
    assert seen.clone().grad_fn.name() == "CloneBackward0"
    assert seen.contiguous().grad_fn.name() == "CloneBackward0"


def test_under_transformations_and_compiled():
    each = schuss.func.vmap(lambda x: x.t().clone() + schuss.zeros_like(x.t()))(DENSE)
    assert schuss.equal(each, DENSE.transpose(1, 2))
    step = schuss.compile(lambda x: x.permute(1, 2, 0).clone().double() * 2)
    for _ in range(3):
        made = step(DENSE)
        assert schuss.equal(made, DENSE.permute(1, 2, 0).double() * 2)


def test_one_element_keeps_no_strides_of_what_it_was_cut_from():
    one = schuss.arange(24.0).view(2, 3, 4)[:1, :1, :1]
    assert (one + 1).stride() == (1, 1, 1) and (-one).stride() == (1, 1, 1)
    assert (one * one.clone()).stride() == (1, 1, 1)


def test_models_may_lie_otherwise():
    x = schuss.rand(2, 3, 4, 4)
    layer = schuss.nn.Conv2d(3, 5, 3)
    other = copy.deepcopy(layer)
    other.weight = schuss.nn.Parameter(layer.weight.detach().to(memory_format=schuss.channels_last))
    optimizers = [schuss.optim.Adam(m.parameters(), lr=0.1) for m in (layer, other)]
    for _ in range(3):
        for model, optimizer in zip((layer, other), optimizers, strict=True):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    assert other.weight.stride() == (27, 1, 9, 3)
    assert schuss.allclose(layer.weight, other.weight, atol=1e-5)
