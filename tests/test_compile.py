"""`compile`: what is recorded gives the numbers of the function itself, bit for bit.

Leans on schuss alone; every case is run beside the same function that is not compiled."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import schuss
from schuss import nn
from schuss.nn import functional as F


def alike(build, arguments, calls=40, between=None):
    """Run a step and its compiled twin side by side; losses and states must be equal."""
    schuss.manual_seed(1)
    model, step = build()
    schuss.manual_seed(1)
    twin, other = build()
    compiled = schuss.compile(other)
    for i in range(calls):
        if between is not None:
            between(i, model, step)
            between(i, twin, other)
        found = []
        for run in (step, compiled):
            schuss.manual_seed(100 + i)
            found.append(run(*arguments(i)))
        assert schuss.equal(found[0], found[1]), (i, found)
        for (name, own), value in zip(
            model.state_dict().items(), twin.state_dict().values(), strict=True
        ):
            assert schuss.equal(own, value), (i, name)
    return compiled


def trained(model, make, loss=F.cross_entropy, **options):
    """A training step of a model, with the optimiser that `make` gives."""
    optimizer = make(model.parameters(), **options)

    def step(x, y):
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    step.optimizer = optimizer
    return model, step


SCHUSS = np.random.default_rng(0)
PICTURES = [schuss.tensor(SCHUSS.normal(size=(n, 20)).astype("float32")) for n in (8, 8, 8, 5)]
CLASSES = [schuss.tensor(SCHUSS.integers(0, 4, n)) for n in (8, 8, 8, 5)]


def batches(i):
    return PICTURES[i % 4], CLASSES[i % 4]


def perceptron(drop=0.0):
    parts = [nn.Linear(20, 16), nn.ReLU(), nn.Dropout(drop), nn.Linear(16, 4)]
    return nn.Sequential(*parts)


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (schuss.optim.SGD, {"lr": 0.1}),
        (schuss.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        (schuss.optim.Adam, {"lr": 0.01}),
        (schuss.optim.AdamW, {"lr": 0.01, "amsgrad": True}),
    ],
)
def test_a_training_step_is_equal_bit_for_bit(make, options):
    compiled = alike(lambda: trained(perceptron(), make, **options), batches, calls=200)
    replays, recordings, eager = compiled.counts()
    # Two forms of batches: each is run once eagerly and recorded once.
    assert (recordings, replays) == (2, 200 - 4) and eager == 2


def test_dropout_draws_the_same_numbers():
    compiled = alike(lambda: trained(perceptron(0.5), schuss.optim.SGD, lr=0.1), batches)
    assert compiled.counts()[0] > 30


def test_a_generator_goes_on_as_if_nothing_had_been_compiled():
    draw = schuss.compile(lambda: schuss.rand(3))
    schuss.manual_seed(5)
    found = [draw() for _ in range(5)]
    schuss.manual_seed(5)
    assert all(schuss.equal(x, schuss.rand(3)) for x in found)
    assert draw.counts()[0] == 3


def test_batch_norm_keeps_its_statistics():
    def build():
        model = nn.Sequential(nn.Linear(20, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 4))
        return trained(model, schuss.optim.SGD, lr=0.1)

    assert alike(build, batches).counts()[0] > 30


def test_rates_are_read_anew():
    def slower(i, model, step):
        step.optimizer.param_groups[0]["lr"] = 0.2 / (i + 1)

    build = lambda: trained(perceptron(), schuss.optim.SGD, lr=0.1, momentum=0.5)  # noqa: E731
    compiled = alike(build, batches, between=slower)
    assert compiled.counts()[1] == 2


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: schuss.optim.lr_scheduler.ExponentialLR(o, 0.9),
        lambda o: schuss.optim.lr_scheduler.OneCycleLR(o, 0.5, total_steps=60),
        lambda o: schuss.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 7),
        lambda o: schuss.optim.lr_scheduler.SequentialLR(
            o,
            [
                schuss.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=5),
                schuss.optim.lr_scheduler.StepLR(o, 4),
            ],
            [5],
        ),
    ],
)
def test_schedules_inside_go_on(schedule):
    def build():
        model, step = trained(perceptron(), schuss.optim.SGD, lr=0.1, momentum=0.9)
        planned = schedule(step.optimizer)

        def whole(x, y):
            loss = step(x, y)
            planned.step()
            return loss

        whole.rates = planned.get_last_lr
        return model, whole

    assert alike(build, batches).counts()[0] > 30


def test_modes_of_models_are_kept_apart():
    def turn(i, model, step):
        model.train(i % 8 < 4)

    compiled = alike(
        lambda: trained(perceptron(0.5), schuss.optim.SGD, lr=0.1), batches, between=turn
    )
    assert compiled.counts()[0] > 20


def test_parts_of_models_may_be_replaced():
    def swap(i, model, step):
        if i == 20:
            schuss.manual_seed(9)
            model[1] = nn.Tanh()

    alike(lambda: trained(perceptron(), schuss.optim.SGD, lr=0.1), batches, between=swap)


def test_convolutions():
    def build():
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 4),
        )
        return trained(model, schuss.optim.Adam, lr=0.01)

    rng = np.random.default_rng(2)
    x = schuss.tensor(rng.normal(size=(6, 1, 8, 8)).astype("float32"))
    y = schuss.tensor(rng.integers(0, 4, 6))
    assert alike(build, lambda i: (x, y), calls=20).counts()[0] == 18


def line(compiled):
    x = schuss.tensor(np.linspace(-1, 1, 50, dtype="float32")).reshape(25, 2)
    y = x @ schuss.tensor([3.0, 2.0])
    w = schuss.tensor([-1.0, 1.0], requires_grad=True)

    def step():
        loss = ((x @ w - y) ** 2).mean()
        loss.backward()
        with schuss.no_grad():
            w.sub_(0.1 * w.grad)
            w.grad.zero_()
        return loss

    step = schuss.compile(step) if compiled else step
    return w, [step() for _ in range(30)]


def test_an_update_by_hand():
    (w, losses), (v, others) = line(False), line(True)
    assert schuss.equal(w, v) and all(
        schuss.equal(a, b) for a, b in zip(losses, others, strict=True)
    )
    assert schuss.equal(w.grad, v.grad)


def test_results_are_fresh():
    double = schuss.compile(lambda x: x * 2)
    x = schuss.ones(3)
    first, second, third = double(x), double(x), double(x)
    third += 1
    assert first.tolist() == second.tolist() == [2.0] * 3
    assert double(x).tolist() == [2.0] * 3


def test_constants_are_given_as_copies():
    @schuss.compile
    def ones(x):
        return schuss.zeros(3) + 1, x * 2

    for _ in range(5):
        made, _ = ones(schuss.ones(2))
        assert made.tolist() == [1.0] * 3
        made.zero_()


def test_a_gradient_of_the_last_call_stays_what_it_was():
    w = schuss.ones(3, requires_grad=True)

    @schuss.compile
    def step(x):
        w.grad = None
        (w * x).sum().backward()

    kept = []
    for i in range(6):
        step(schuss.full((3,), float(i)))
        kept.append(w.grad)
    assert [g.tolist() for g in kept] == [[float(i)] * 3 for i in range(6)]


@pytest.mark.parametrize("scale", ["global", "cell"])
def test_numbers_that_the_step_names_are_guarded(scale):
    if scale == "global":
        names = {"schuss": schuss, "factor": 1.0}
        exec("def step(x):\n    return x * factor", names)
        step = schuss.compile(names["step"])

        def put(value):
            names["factor"] = value
    else:
        factor = 1.0

        def put(value):
            nonlocal factor
            factor = value

        step = schuss.compile(lambda x: x * factor)

    for value in (1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 1.0):
        put(value)
        assert step(schuss.ones(2)).tolist() == [value] * 2
    assert step.counts()[0] >= 2


def test_plain_arguments_are_part_of_the_form():
    step = schuss.compile(lambda x, power, *, scale=1.0: x**power * scale)
    x = schuss.tensor([1.0, 2.0, 3.0])
    for _ in range(4):
        for power in (1, 2, 3):
            for scale in (1.0, 0.5):
                assert schuss.equal(step(x, power, scale=scale), x**power * scale)
    # The scale is told anew; only the powers are part of the form.
    assert step.counts() == (18, 3, 3)


def test_trees_go_in_and_come_out():
    @schuss.compile
    def step(pair, named):
        a, [b] = pair
        return {"sum": a + b, "rest": (named["c"] * 2, None, "text")}

    a, b, c = schuss.ones(2), schuss.full((2,), 3.0), schuss.zeros(1)
    for _ in range(4):
        out = step((a, [b]), {"c": c})
        assert out["sum"].tolist() == [4.0, 4.0]
        assert out["rest"][0].tolist() == [0.0] and out["rest"][1:] == (None, "text")


def test_slices_of_one_buffer_and_arguments_that_share_memory():
    step = schuss.compile(lambda x, y: x.add_(1) * y)
    twin = lambda x, y: x.add_(1) * y  # noqa: E731
    for i in range(12):
        a, b = schuss.arange(12.0), schuss.arange(12.0)
        pick = lambda t, i=i: (t[i % 4 : i % 4 + 3], t[6:9] if i % 3 else t[i % 4 : i % 4 + 3])  # noqa: E731
        assert schuss.equal(step(*pick(a)), twin(*pick(b))), i
        assert schuss.equal(a, b), i


def test_layouts_are_part_of_the_form():
    step = schuss.compile(lambda x: (x + 1) @ x.T)
    for i in range(8):
        x = schuss.arange(9.0).reshape(3, 3)
        x = (x, x.T, x[::2], x.expand(2, 3, 3)[1])[i % 4]
        assert schuss.equal(step(x), (x + 1) @ x.T)


def test_a_model_is_walked_back_from_outside():
    schuss.manual_seed(3)
    model, twin = perceptron(0.3), perceptron(0.3)
    twin.load_state_dict(model.state_dict())
    compiled = schuss.compile(twin)
    for i in range(30):
        x, y = batches(i)
        inputs = [x.clone().requires_grad_() for _ in range(2)]
        for net, own, read in ((model, model, inputs[0]), (compiled, twin, inputs[1])):
            own.zero_grad()
            schuss.manual_seed(i)
            # The argument is no leaf: its gradient goes on behind the compiled function.
            F.cross_entropy(net(read * 2), y).backward()
        assert schuss.equal(inputs[0].grad, inputs[1].grad)
        for p, q in zip(model.parameters(), twin.parameters(), strict=True):
            assert schuss.equal(p.grad, q.grad)
    assert compiled.counts()[0] == 26


def test_what_a_compiled_function_read_must_not_change_before_it_is_walked_back():
    x = schuss.tensor([1.0, 2.0], requires_grad=True)
    step = schuss.compile(lambda x: x.sin())
    for _ in range(3):
        out = step(x)
    with schuss.no_grad():
        x.add_(1)
    with pytest.raises(schuss.GradError, match="modified by an in-place operation"):
        out.sum().backward()
    out = step(x)
    out.sum().backward()
    with pytest.raises(schuss.GradError, match="second time"):
        out.sum().backward()


def test_both_tapes():
    tf = schuss.tf
    v, u = tf.Variable([1.0, 2.0]), tf.Variable([1.0, 2.0])

    def by(variable):
        def step(x):
            with schuss.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(variable * x))
            grad = tape.gradient(loss, variable)
            variable.assign_sub(0.1 * grad)
            return loss

        return step

    one, other = by(v), schuss.compile(by(u), fallback=True)
    for i in range(6):
        x = tf.constant([0.5, 0.1 * i])
        assert float(one(x)) == float(other(x))
        assert v.numpy().tolist() == u.numpy().tolist()


def test_a_replay_runs_no_python():
    calls = []

    def step(x):
        calls.append(1)
        return ((x * 2 + 1) * x).sum()

    compiled = schuss.compile(step)
    for _ in range(10):
        compiled(schuss.ones(100))
    assert len(calls) == 2
    (program,) = compiled.programs()
    assert program["launches"] < program["recorded"]
    text = str(compiled.program)
    gone = sum(program[key] for key in ("fused", "constant", "common", "moved", "dead"))
    assert program["launches"] + gone == program["recorded"]
    assert text.startswith(f"step: {program['launches']} launches for {program['recorded']} op")
    assert "mul" in text and "float32(100,)" in text and "float32(1,) -> float32(100,)" in text


def test_programs_can_be_forgotten_and_are_bounded():
    step = schuss.compile(lambda x: x + 1, cache_size=4)
    for n in range(1, 20):
        for _ in range(3):
            step(schuss.ones(n))
    assert len(step.programs()) == 4
    step.reset()
    assert step.programs() == [] and step(schuss.ones(2)).tolist() == [2.0, 2.0]


def test_no_warning_where_nothing_is_wrong():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alike(lambda: trained(perceptron(), schuss.optim.Adam, lr=0.01), batches, calls=6)


class TestWhatWasWrongOnce:
    """Cases in which a program gave other numbers than the function."""

    @pytest.mark.parametrize(
        "function",
        [
            lambda x: (x > 0) * x + 1,
            lambda x: x.relu() * 3,
            lambda x: schuss.maximum(x, schuss.tensor(0.5)) * 2,
            lambda x: F.leaky_relu(x, 0.1) + F.elu(x),
            lambda x: x.clamp(-1, 1) * x,
            lambda x: x * 2 + schuss.tensor(1.5, dtype=schuss.float64),
        ],
    )
    @pytest.mark.parametrize("shape", [(), (1,), (3,)])
    def test_operands_of_one_element_that_the_chain_itself_writes(self, function, shape):
        values = (1.0, 1.0, -1.0, 2.0, -3.0, 0.25, -0.25)
        compiled = schuss.compile(function)
        for value in values:
            x = schuss.full(shape, value)
            assert schuss.equal(compiled(x), function(x)), value
        # The same through plans of eager walks: slopes must be those of graphs walked once.
        for value in values:
            slopes = []
            for retain in (False, True):
                x = schuss.full(shape, value, requires_grad=True)
                function(x).sum().backward(retain_graph=retain)
                slopes.append(x.grad)
            assert schuss.equal(*slopes), value

    def test_arguments_that_no_longer_share_memory(self):
        function = lambda x, y: x * 2 + y * 3  # noqa: E731
        step = schuss.compile(function)
        b = schuss.tensor([1.0, 2.0])
        c, other = b.detach(), schuss.tensor([10.0, 20.0])
        for pair in [(b, c)] * 4 + [(other, c), (b, other), (b, c)]:
            assert schuss.equal(step(*pair), function(*pair))

    def test_signs_of_zeros(self):
        for factor in (0.0, 0.0, 0.0, -0.0):
            x = schuss.ones(2, requires_grad=True)
            (x * factor).sum().backward()
            assert np.signbit(x.grad.numpy()).all() == (str(factor) == "-0.0")

    def test_state_is_not_counted_twice(self):
        def build():
            w = schuss.ones(2, requires_grad=True)
            optimizer = schuss.optim.Adam([w], lr=0.1)

            def step(b, x):
                b.add_(1)
                optimizer.zero_grad()
                (w * b * x).sum().backward()
                optimizer.step()

            return w, optimizer, step

        (w, o, step), (v, p, other) = build(), build()
        compiled = schuss.compile(other)
        for i in range(8):
            for run in (step, compiled):
                b, x = schuss.ones(2), schuss.full((2,), 2.0)
                run(b, x if i < 4 else b)
        assert schuss.equal(w, v) and o.state[w]["step"] == p.state[v]["step"] == 8

    def test_hooks_of_leaves_run_once(self):
        w = schuss.tensor([1.0, 2.0], requires_grad=True)
        w.register_hook(lambda g: g * 2)
        step = schuss.compile(lambda x: (x * w).sum())
        for _ in range(5):
            w.grad = None
            step(schuss.ones(2)).backward()
            assert w.grad.tolist() == [2.0, 2.0]

    def test_a_result_that_the_derivative_reads_must_not_change(self):
        x = schuss.tensor([1.0, 2.0], requires_grad=True)
        step = schuss.compile(lambda x: x.exp())
        for _ in range(4):
            out = step(x)
        with schuss.no_grad():
            out.zero_()
        with pytest.raises(schuss.GradError, match="modified by an in-place"):
            out.sum().backward()

    def test_a_walked_result_beside_one_that_is_not(self):
        w = schuss.tensor([1.0, 2.0], requires_grad=True)

        @schuss.compile
        def step(x):
            loss = (x * w).exp().sum()
            loss.backward()
            return loss, (w**2).sum()

        for _ in range(5):
            w.grad = None
            _, out = step(schuss.zeros(2))
            w.grad = None
            (out + w.sum()).backward()
            assert w.grad.tolist() == [3.0, 5.0]

    def test_tapes_see_every_operation(self):
        step = schuss.compile(lambda v: (v * v).sum())
        v = schuss.tensor([1.0, 2.0])
        for _ in range(3):
            step(v)
        with schuss.GradientTape() as tape:
            tape.watch(v)
            out = step(v)
        assert tape.gradient(out, v).tolist() == [2.0, 4.0]

    def test_a_loaded_state_and_a_new_group(self):
        def build():
            w, u = (schuss.ones(2, requires_grad=True) for _ in range(2))
            optimizer = schuss.optim.Adam([w], lr=0.1)

            def step():
                optimizer.zero_grad()
                ((w + u) ** 2).sum().backward()
                optimizer.step()

            return (w, u), optimizer, step

        ((w, u), o, step), ((v, s), p, other) = build(), build()
        compiled = schuss.compile(other)
        for i in range(15):
            if i == 5:
                o.load_state_dict(o.state_dict())
                p.load_state_dict(p.state_dict())
            if i == 10:
                o.add_param_group({"params": [u]})
                p.add_param_group({"params": [s]})
            step()
            compiled()
            assert schuss.equal(w, v) and schuss.equal(u, s), i
        assert o.state[w]["step"] == p.state[v]["step"]

    def test_the_default_dtype_and_seeds(self):
        step = schuss.compile(lambda x: schuss.zeros(2) + x)
        try:
            for dtype in (schuss.float32, schuss.float64, schuss.float32):
                schuss.set_default_dtype(dtype)
                for _ in range(3):
                    assert step(schuss.ones(2, dtype=schuss.float32)).dtype == dtype
        finally:
            schuss.set_default_dtype(schuss.float32)

        def seeded(x):
            schuss.manual_seed(0)
            return x + schuss.rand(2)

        seeded = schuss.compile(seeded)
        seeded(schuss.ones(2))
        with pytest.raises(schuss.CompileError, match="seeds"):
            seeded(schuss.ones(2))


def test_a_tensor_that_shares_an_arguments_memory_has_its_gradient():
    w = schuss.tensor([1.0, 2.0, 3.0], requires_grad=True)
    step = schuss.compile(lambda x: (w * x).sum())
    for _ in range(5):
        (g,) = schuss.autograd.grad(step(w.detach()), w)
        assert g.tolist() == [1.0, 2.0, 3.0]


def test_a_compiled_function_inside_a_gradient():
    def loss(y):
        step = schuss.compile(lambda x: (y * x).sum())
        for _ in range(3):
            step(schuss.ones(3) * 2)
        return step(schuss.tensor([1.0, 2.0, 3.0])) + step(y.detach())

    x = schuss.tensor([1.0, 2.0, 3.0])
    assert schuss.func.grad(loss)(x).tolist() == [2.0, 4.0, 6.0]


def test_a_compiled_model_has_what_the_model_has():
    model = schuss.nn.Sequential(schuss.nn.Linear(2, 2), schuss.nn.Dropout(0.5))
    compiled = schuss.compile(model)
    optimizer = schuss.optim.SGD(compiled.parameters(), lr=0.1)
    assert optimizer.param_groups[0]["params"][0] is model[0].weight
    compiled.eval()
    assert not model.training and not compiled.training
    x = schuss.randn(3, 2)
    for _ in range(4):
        assert (compiled(x) == model(x)).all()
    with pytest.raises(AttributeError, match="wieght"):
        _ = compiled.wieght
