"""Who keeps what derivatives read: hooks on saved tensors, checkpoints; forward mode by hand; and
the search for NaN.

Leans on schuss.autograd and schuss.utils.checkpoint.
"""

from __future__ import annotations

import weakref

import pytest
import schuss
from schuss.autograd import forward_ad
from schuss.autograd.graph import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks
from schuss.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def net() -> schuss.nn.Sequential:
    schuss.manual_seed(3)
    layers = [(schuss.nn.Linear(8, 8), schuss.nn.Tanh(), schuss.nn.Dropout(0.3)) for _ in range(4)]
    return schuss.nn.Sequential(*(layer for group in layers for layer in group))


def slopes(run, model, x):
    schuss.manual_seed(7)
    loss = run(model, x).square().sum()
    return loss, schuss.autograd.grad(loss, [x, *model.parameters()])


@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: checkpoint(m, x, use_reentrant=False),
        lambda m, x: checkpoint(m, x, use_reentrant=True),
        lambda m, x: checkpoint_sequential(m, 3, x),
        lambda m, x: m[6:](checkpoint(m[:6], x)),
    ],
)
def test_checkpoints_change_no_number(run):
    model, x = net(), schuss.randn(4, 8, requires_grad=True)
    plain, wanted = slopes(lambda m, x: m(x), model, x)
    loss, found = slopes(run, model, x)
    assert loss.item() == plain.item()
    assert all(bool((a == b).all()) for a, b in zip(wanted, found, strict=True))


def test_checkpoints_have_second_derivatives():
    x = schuss.tensor([0.3, 0.7], dtype=schuss.float64, requires_grad=True)
    (g,) = schuss.autograd.grad(checkpoint(lambda x: x.sin() * x, x).sum(), x, create_graph=True)
    (h,) = schuss.autograd.grad(g.sum(), x)
    want = 2 * x.cos() - x * x.sin()
    assert (h - want).abs().max().item() < 1e-14


def test_a_checkpoint_keeps_nothing_inside():
    alive = []

    def inside(x):
        y = x.exp()
        alive.append(weakref.ref(y))
        return y.sin()

    x = schuss.randn(4, requires_grad=True)
    y = checkpoint(inside, x)
    assert alive[0]() is None
    y.sum().backward()
    assert (x.grad - x.exp().cos() * x.exp()).abs().max().item() < 1e-5


def test_a_second_run_that_differs_is_refused():
    runs = []

    def changing(x):
        runs.append(1)
        return x.exp() if len(runs) > 1 else x.sin() * x

    with pytest.raises(CheckpointError, match="first time 3"):
        checkpoint(changing, schuss.ones(2, requires_grad=True)).sum().backward()


def test_a_walk_over_a_retained_checkpoint_may_be_repeated():
    x = schuss.tensor([1.0, 2.0], requires_grad=True)
    y = checkpoint(lambda x: x**3, x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [6.0, 24.0]


def test_without_gradients_a_checkpoint_is_a_call():
    with schuss.no_grad():
        assert not checkpoint(lambda x: x * 2, schuss.ones(2, requires_grad=True)).requires_grad


@pytest.mark.parametrize("segments", [0, 13])
def test_segments_that_do_not_fit(segments):
    with pytest.raises(ValueError, match="segments"):
        checkpoint_sequential(net(), segments, schuss.ones(1, 8))


def test_hooks_see_what_is_saved_and_give_it_back():
    seen = []

    def pack(t):
        seen.append(tuple(t.shape))
        return t.numpy().copy()

    x = schuss.randn(3, requires_grad=True)
    w = schuss.randn(2, 3, requires_grad=True)
    with saved_tensors_hooks(pack, schuss.tensor):
        y = ((w @ x).tanh() * 2).sum()
    y.backward()
    assert sorted(seen) == [(2,), (2, 3), (3,)]
    t = 1 - (w @ x).tanh() ** 2
    assert (x.grad - 2 * (w.T @ t)).abs().max().item() < 1e-5


def test_the_innermost_hooks_count():
    outer, inner = [], []

    def keeps(where):
        return saved_tensors_hooks(lambda t: where.append(1) or t, lambda t: t)

    x = schuss.ones(2, requires_grad=True)
    with keeps(outer):
        a = x.sin()
        with keeps(inner):
            b = a.cos()
        b.exp().sum().backward()
    assert (len(outer), len(inner)) == (2, 1)
    x.sin()
    assert len(outer) == 2


def test_what_comes_back_must_be_alike():
    x = schuss.randn(4, requires_grad=True)
    with saved_tensors_hooks(lambda t: 0, lambda k: schuss.ones(9)):
        y = (x * x).sum()
    with pytest.raises(RuntimeError, match=r"\(4,\).*\(9,\)"):
        y.backward()
    with saved_tensors_hooks(lambda t: 0, lambda k: k):
        y = (x * x).sum()
    with pytest.raises(RuntimeError, match="must return a Tensor"):
        y.backward()


def test_an_error_in_a_hook_reaches_the_user():
    def pack(t):
        raise KeyError("full")

    x = schuss.ones(2, requires_grad=True)
    with pytest.raises(KeyError), saved_tensors_hooks(pack, lambda t: t):
        (x * x).sum()
    assert (x * x).sum().item() == 2.0


def test_hooks_may_be_refused_and_memory_moved():
    with disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"):
        saved_tensors_hooks(str, str).__enter__()
    x = schuss.tensor([1.0, 2.0], requires_grad=True)
    with save_on_cpu():
        y = (x.exp() * x).sum()
    y.backward()
    assert (x.grad - x.exp() * (1 + x)).abs().max().item() < 1e-5


def test_forward_mode_by_hand():
    with forward_ad.dual_level():
        x = forward_ad.make_dual(schuss.tensor([1.0, 2.0]), schuss.tensor([1.0, 0.5]))
        y = forward_ad.unpack_dual(x * x)
        assert y.primal.tolist() == [1.0, 4.0] and y.tangent.tolist() == [2.0, 2.0]
        assert forward_ad.unpack_dual(schuss.ones(2)).tangent is None
    assert forward_ad.unpack_dual(x).tangent is None
    with pytest.raises(RuntimeError, match="no level is open"):
        forward_ad.make_dual(schuss.ones(2), schuss.ones(2))
    with pytest.raises(RuntimeError, match="innermost"):
        forward_ad.exit_dual_level()


def test_the_line_behind_a_nan():
    x = schuss.tensor([0.0, 1.0], requires_grad=True)
    with schuss.autograd.detect_anomaly():
        assert schuss.is_anomaly_enabled() and schuss.is_anomaly_check_nan_enabled()
        y = (x.sqrt() * schuss.tensor([0.0, 1.0])).sum()
        with pytest.raises(RuntimeError, match=r"sqrt returned NaN.*test_saving.py:\d+"):
            y.backward()
    assert not schuss.is_anomaly_enabled()
    y = (x.sqrt() * schuss.tensor([0.0, 1.0])).sum()
    y.backward()
    assert x.grad[0].isnan()


def test_anomalies_without_the_search():
    x = schuss.tensor(0.0, requires_grad=True)
    with schuss.autograd.set_detect_anomaly(True, check_nan=False):
        (x.sqrt() * 0).backward()
    assert x.grad.isnan() and not schuss.is_anomaly_enabled()


def test_a_search_may_be_opened_again_inside_itself():
    search = schuss.autograd.detect_anomaly()
    with search, search:
        assert schuss.is_anomaly_enabled()
    assert not schuss.is_anomaly_enabled()


def test_a_checkpoint_whose_argument_was_written_is_refused():
    w = schuss.ones(3, requires_grad=True)
    a = w * 2
    y = checkpoint(lambda a: a.sin().sum(), a)
    a.mul_(3)
    with pytest.raises(CheckpointError, match="written in place"):
        y.backward()


def test_levels_by_hand_are_each_threads_own():
    import threading

    found = []
    with forward_ad.dual_level():
        x = forward_ad.make_dual(schuss.ones(2), schuss.ones(2))

        def work():
            with forward_ad.dual_level():
                found.append(forward_ad.unpack_dual(schuss.ones(2)).tangent)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert forward_ad.unpack_dual(x * 2).tangent.tolist() == [2.0, 2.0]
    assert found == [None]
