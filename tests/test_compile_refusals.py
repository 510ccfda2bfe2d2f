"""`compile` and bad input: what cannot be recorded is refused with a line and an advice, and what
is wrong in one call leaves the next ones as they were. Leans on schuss alone."""

from __future__ import annotations

import threading
import types

import numpy as np
import pytest
import schuss
from schuss.nn import functional as F


@pytest.mark.parametrize(
    "step",
    [
        lambda x: x * x.sum().item(),
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x[x > 0],
        lambda x: schuss.tensor(x.numpy() + 1),
        lambda x: x * float(x.sum()),
        lambda x: schuss.nonzero(x),
    ],
)
def test_what_reads_elements_is_refused_or_run_eagerly(step):
    x = schuss.tensor([1.0, -2.0, 4.0])
    compiled = schuss.compile(step)
    compiled(x)
    with pytest.raises(schuss.CompileError, match=r"compile: .*fallback=True"):
        compiled(x)
    loose = schuss.compile(step, fallback=True)
    with pytest.warns(UserWarning, match="run eagerly") as seen:
        for k in (1.0, 2.0, 3.0, 4.0):
            assert schuss.equal(loose(x * k), step(x * k))
    assert len(seen) == 1


def test_an_exception_inside_ends_the_recording():
    def step(x, fail):
        y = x * 2
        if fail:
            raise KeyError("inside")
        return y

    compiled = schuss.compile(step)
    for _ in range(3):
        with pytest.raises(KeyError):
            compiled(schuss.ones(2), True)
    assert not schuss._core._is_recording()
    for _ in range(3):
        assert compiled(schuss.ones(2), False).tolist() == [2.0, 2.0]


def test_targets_are_checked_each_time():
    step = schuss.compile(lambda x, y: F.cross_entropy(x, y))
    x = schuss.zeros(2, 3)
    for _ in range(3):
        step(x, schuss.tensor([0, 2]))
    with pytest.raises(IndexError, match="target 5"):
        step(x, schuss.tensor([0, 5]))
    assert step(x, schuss.tensor([0, 1])).item() == pytest.approx(np.log(3))


def test_threads_and_recursion():
    step = schuss.compile(lambda x: (x * 2 + 1).tanh().sum())
    expected = (schuss.ones(1000) * 2 + 1).tanh().sum()
    wrong = []

    def work():
        for _ in range(200):
            if not schuss.equal(step(schuss.ones(1000)), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong

    @schuss.compile
    def down(x, n):
        return x if n == 0 else down(x * 2, n - 1)

    for _ in range(3):
        assert down(schuss.ones(1), 5).item() == 32.0


def test_an_optimiser_with_python_numbers_is_refused():
    class Halving(schuss.optim.Optimizer):
        def step(self, closure=None):
            with schuss.no_grad():
                for p in self.param_groups[0]["params"]:
                    p.mul_(self.param_groups[0]["factor"])

    w = schuss.ones(2, requires_grad=True)
    optimizer = Halving([w], {"factor": 0.5})
    step = schuss.compile(optimizer.step)
    step()
    with pytest.raises(schuss.CompileError, match="Halving"):
        step()


def test_what_is_no_function():
    with pytest.raises(TypeError, match="compile: needs a function"):
        schuss.compile(3)
    double = lambda x: x * 2  # noqa: E731
    assert schuss.compile(double, disable=True) is double
    assert schuss.compile(fallback=True)(double)(schuss.ones(1)).item() == 2.0


def test_results_that_may_change_are_refused():
    for make in (
        lambda x: {x.sum()},
        lambda x: (y for y in [x * 2]),
        lambda x: [np.ones(1), x],
    ):
        step = schuss.compile(make)
        step(schuss.ones(2))
        with pytest.raises(schuss.CompileError, match="returns an object"):
            step(schuss.ones(2))


def test_an_argument_with_parts_is_refused():
    box = types.SimpleNamespace(x=schuss.ones(2))
    step = schuss.compile(lambda b: b.x * 2)
    step(box)
    with pytest.raises(schuss.CompileError, match="an argument is an object"):
        step(box)


def masked(x):
    y = x.clone()
    y[x > 0] = schuss.arange(2.0)
    return y


def forked(x):
    with schuss.random.fork_rng():
        return x + schuss.rand(3)


def plateau(x):
    w = schuss.ones(3, requires_grad=True)
    optimizer = schuss.optim.SGD([w], lr=0.1)
    schuss.optim.lr_scheduler.ReduceLROnPlateau(optimizer).step(x.sum())
    return x


# What a step does, what it is called, and what is said to do in its place.
REFUSED = {
    "if": (lambda x: x if x.sum() > 0 else -x, "decides by a tensor", "where()"),
    "item": (lambda x: x * x.sum().item(), "reads the number in a tensor", "return the tensor"),
    "print": (lambda x: (print(x), x)[1], "writes a tensor as text", "print it outside"),
    "format": (lambda x: (f"{x.sum():.2f}", x)[1], "writes a tensor as text", "print it outside"),
    "tensor": (lambda x: schuss.tensor([x.sum(), x.max()]), "numbers in others", "stack()"),
    "one_hot": (lambda x: F.one_hot(x.abs().long()), "reads the number", "give it num_classes"),
    "histc": (lambda x: schuss.histc(x, 3), "reads the number", "min= and max="),
    "bincount": (lambda x: schuss.bincount(x.abs().long()), "reads the", "zeros(n).index_add"),
    "repeat": (lambda x: x.repeat_interleave(x.abs().long()), "lists a", "give it output_size"),
    "equal": (lambda x: (schuss.equal(x, x), x)[1], "decides by", "(a == b).all()"),
    "nonzero": (
        lambda x: schuss.nonzero(x),
        "looks at elements to decide",
        "choose elements by where()",
    ),
    "unique": (lambda x: schuss.unique(x), "looks at elements", "choose elements by where()"),
    "chosen": (lambda x: x[x > 0], "looks at elements to decide", "choose elements by where()"),
    "mask": (masked, "writes where a mask says", "masked_scatter()"),
    "seed": (lambda x: (schuss.manual_seed(0), x)[1], "seeds a generator", "outside of the step"),
    "fork": (forked, "looks at elements", "restore generators outside"),
    "plateau": (plateau, "reads the number in a tensor", "call its step() outside"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_where_and_what_to_do(name, recwarn):
    step, what, instead = REFUSED[name]
    x = schuss.tensor([1.0, -2.0, 4.0])
    compiled = schuss.compile(step)
    compiled(x)
    with pytest.raises(schuss.CompileError) as error:
        compiled(x)
    said, _, advice = str(error.value).partition(", and a recorded step is run again without")
    assert what in said
    number = int(said.partition(f"({__file__}, line ")[2].partition(":")[0])
    assert 0 <= number - step.__code__.co_firstlineno < 6
    assert instead in advice and "fallback=True" in advice
    loose = schuss.compile(step, fallback=True)
    [loose(x) for _ in range(3)]
    (warning,) = recwarn
    assert warning.filename == __file__ and instead in str(warning.message)
    assert "compile(step, fallback=True)" not in str(warning.message)
    assert what in str(loose.program) and "it is run eagerly" in str(loose.program)


def test_a_long_line_is_shown_in_short():
    compiled = schuss.compile(lambda x: (x.sum().item(), "a text that is there to make a line so long"))  # noqa: E501 # fmt: skip
    compiled(schuss.ones(2))
    with pytest.raises(schuss.CompileError, match=r"line \d+: compiled = .{40,62}\.\.\.\)"):
        compiled(schuss.ones(2))


def test_a_warning_of_a_compiled_model_is_at_the_programs_line(recwarn):
    class Deciding(schuss.nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    model = schuss.compile(Deciding(), fallback=True)
    [model(schuss.ones(2)) for _ in range(3)]
    (warning,) = recwarn
    assert warning.filename == __file__


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"falback": True}, "did you mean fallback"),
        ({"cache_size": -1}, "cache_size must be an integer of 1 or more, got -1"),
        ({"cache_size": "a"}, "cache_size must be an integer of 1 or more, got 'a'"),
        ({"mode": "fastest"}, "mode is one of .*'max-autotune'"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_compiled(options, said):
    for call in (lambda: schuss.compile(**options), lambda: schuss.compile(len, **options)):
        with pytest.raises((TypeError, ValueError), match=said):
            call()


def test_one_number_where_a_mask_says_is_compiled():
    def step(x, v):
        y = x * 1
        y[x > 0] = v
        return y

    compiled, x = schuss.compile(step), schuss.tensor([1.0, -2.0, 4.0], requires_grad=True)
    for i in range(5):
        v = schuss.tensor(float(i), requires_grad=True)
        found = compiled(x, v)
        assert found.tolist() == [i, -2.0, i]
        slopes = schuss.autograd.grad(found.sum(), (x, v))
        assert slopes[0].tolist() == [0.0, 1.0, 0.0] and slopes[1].item() == 2.0
    y = schuss.arange(4.0)
    y[y > 1] = y[0]
    assert y.tolist() == [0.0, 1.0, 0.0, 0.0]


def test_what_a_program_shows_adds_up_to_what_it_moves():
    table = schuss.nn.Embedding(1000, 16)

    @schuss.compile
    def step(at):
        table.zero_grad()
        loss = (table(at).tanh() * 2).sum()
        loss.backward()
        return loss

    for _ in range(3):
        step(schuss.arange(8))
    shown = str(step.program)
    # Rows that are read, not the table; and the chain's inner value never reaches memory.
    assert "gather" in shown and "float32(1000, 16), int64(8, 1) -> float32(8, 16)" in shown
    moved = {part[0]: part[3] for parts in step.programs()[0]["steps"] for part in parts}
    assert moved["gather"] == 2 * 8 * 16 * 4 + 8 * 8
    assert moved["scatter_add"] == moved["gather"]
    assert moved["mul"] == 8 * 16 * 4 + 4
