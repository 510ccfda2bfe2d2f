"""What the core says of itself: parameters with defaults, and a docstring for whatever is public.

Leans on schuss, inspect and the table of records.
"""

from __future__ import annotations

import inspect

import pytest
import schuss

TENSOR = schuss.Tensor
RECORDS = {record["name"]: record for record in schuss._core.records()}
CLASSES = [v for v in vars(schuss._core).values() if isinstance(v, type)]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (schuss.exp, "(input, *, out=None)"),
        (schuss.addcmul, "(input, tensor1, tensor2, value=1, *, out=None)"),
        (schuss.softmax, "(input, dim, dtype=None, *, out=None)"),
        (schuss._core.linear, "(input, weight, bias=None, *, out=None)"),
        (schuss._core.softplus, "(input, beta=1.0, threshold=20.0, *, out=None)"),
        (schuss.cat, "(tensors, dim=0, *, out=None)"),
        (schuss.permute, "(input, *dims, out=None)"),
        (TENSOR.sum, "(self, /, dim=None, keepdim=False, dtype=None)"),
        (TENSOR.exp_, "(self, /)"),
        (TENSOR.reshape, "(self, /, *shape)"),
    ],
)
def test_signature(value, wanted):
    assert str(inspect.signature(value)) == wanted


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_tells_what_it_takes(name):
    record = RECORDS[name]
    function = getattr(schuss._core, name if record["function"] else f"_{name}")
    listed = list(inspect.signature(function).parameters)
    assert listed == [*record["inputs"], *record["params"], "out"]
    assert not function.__doc__.startswith(f"{name}(")
    if record["method"]:
        raw = vars(TENSOR)[name]
        if inspect.ismethoddescriptor(raw):
            assert list(inspect.signature(raw).parameters) == ["self", *listed[1:-1]]
    if record["in_place"]:
        form = getattr(TENSOR, f"{name}_" if record["method"] else f"_{name}_")
        assert next(iter(inspect.signature(form).parameters)) == "self"


def test_help_shows_the_parameters(capsys):
    help(TENSOR.sum)
    shown = capsys.readouterr().out
    assert "sum(self, /, dim=None, keepdim=False, dtype=None)" in shown
    assert "\n--\n" not in shown


def test_a_refusal_shows_the_form_with_its_defaults():
    with pytest.raises(TypeError, match=r"its form is softmax\(input, dim, dtype=None\)$"):
        schuss.softmax(schuss.ones(2))


@pytest.mark.parametrize("owner", CLASSES, ids=lambda c: c.__name__)
def test_whatever_is_public_has_a_docstring(owner):
    assert owner.__doc__
    bare = []
    for name, value in vars(owner).items():
        value = getattr(value, "__func__", value)
        plain = isinstance(value, (bool, int, str))
        if not name.startswith("_") and not plain and not getattr(value, "__doc__", None):
            bare.append(name)
    assert not bare


def test_every_public_function_has_a_docstring():
    functions = {name: getattr(schuss, name) for name in schuss.__all__}
    assert not [n for n, f in functions.items() if callable(f) and not f.__doc__]
