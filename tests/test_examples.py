"""Every program of examples/ runs, draws its pictures and ends with the numbers it promises.
Leans on pytest and NumPy; the programs are loaded from their files, as a reader would run them.
"""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the programs draw pictures with matplotlib")

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
PROGRAMS = sorted(path.stem for path in EXAMPLES.glob("*.py"))


@pytest.fixture
def run(tmp_path):
    """Run a program's main with its pictures in a fresh folder; check that each one was drawn."""

    def run_main(name, pictures, **options):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = module.main(out=tmp_path, **options)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(pictures)
        assert all(path.stat().st_size > 500 for path in tmp_path.iterdir())
        return found

    return run_main


def png(name, *endings):
    return [f"{name}_{ending}.png" if ending else f"{name}.png" for ending in endings]


LINES = {
    "line_with_gradient_tape": ("before", "after", "parameters"),
    "line_with_backward": ("before", "after", "parameters", "hills", "valley"),
}


@pytest.mark.parametrize("name", LINES)
def test_line(run, name, capsys):
    found = run(name, png(name, *LINES[name]))
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed[:20]] == [f"Epoch {k}" for k in range(20)]
    assert len(found["losses"]) == 20
    # (16 - 3)^2 + (10 - 0.5)^2 + 1 on the average, and about the noise's variance at the end.
    assert found["losses"][0] == pytest.approx(260, abs=45)
    assert found["losses"][-1] == pytest.approx(1.05, abs=0.2)
    assert found["Ws"][0] == 16.0
    assert found["W"] == pytest.approx(3.15, abs=0.15)
    assert found["b"] == pytest.approx(0.61, abs=0.12)


def test_line_descends_every_epoch(run):
    found = run("line_with_backward", png("line_with_backward", *LINES["line_with_backward"]))
    assert all(np.diff(found["losses"]) < 0)
    assert all(np.diff(found["Ws"]) < 0)


def test_descent_from_scratch(run):
    pictures = png("descent_from_scratch", "data", "guess", "fit", "loss")
    found = run("descent_from_scratch", [*pictures, "descent_from_scratch.gif"])
    assert found["cost"] == pytest.approx(8, abs=2)
    assert found["slope"] == pytest.approx(3, abs=0.2)
    assert found["offset"] == pytest.approx(2.5, abs=0.1)
    assert found["losses"][-1] < 0.12  # uniform noise has a variance of 1/12
    assert found["wild"][found["broken"]] == math.inf


def test_scalar_graph(run):
    pictures = [*png("scalar_graph", "mse", "fit", "slow_fit"), "scalar_graph_mse.svg"]
    found = run("scalar_graph", pictures)
    assert found["answer"].value == 43
    assert repr(found["answer"]) == "Scalar(43)"
    three, four = found["product"].prevs
    assert (three.prev.value, three.local_grad) == (3, 4)
    assert (four.prev.value, four.local_grad) == (4, 3)
    assert found["fast"]["a"] == pytest.approx(0.80, abs=0.1)
    assert found["fast"]["b"] == pytest.approx(-1.20, abs=0.06)
    assert found["slow"]["a"] == pytest.approx(0.59, abs=0.03)
    assert found["slow"]["b"] == pytest.approx(-1.09, abs=0.03)
    assert len(found["losses"]) == 1000
    assert found["losses"][-1] < found["losses"][0]
    assert found["loaded"] == (-1, -1)


def test_numpy_to_autograd(run):
    found = run("numpy_to_autograd", png("numpy_to_autograd", "graph", "graph_without_a"))
    assert found["numpy"] == pytest.approx(found["exact"], abs=5e-7)
    assert found["tensors"] == pytest.approx(found["exact"], abs=1e-4)
    assert np.array_equal(found["back"], found["x"].astype(np.float32))
    assert found["is_leaf"] is False
    assert "in place" in found["message"]
    boxes = [sum(node.kind == "parameter" for node in graph.nodes) for graph in found["graphs"]]
    assert boxes == [2, 1]


def test_regression_step_by_step(run):
    pictures = png("regression_step_by_step", "loss", "fit")
    found = run("regression_step_by_step", pictures)
    for name, (intercept, slope) in found["found"].items():
        assert intercept == pytest.approx(1, abs=0.1), name
        assert slope == pytest.approx(2, abs=0.15), name
    # The same data and the same minimum, whichever way the model is written.
    assert np.ptp([losses[-1] for losses in found["losses"].values()]) < 1e-5
    assert list(found["models"]["layer"].state_dict()) == ["linear.weight", "linear.bias"]


def test_minibatches(run):
    found = run("minibatches", png("minibatches", "loss", "validation"), batch_size=30)
    assert found["updates"] == {"batch": 1, "mini-batch": math.ceil(80 / 30), "stochastic": 80}
    for name, losses in found["losses"].items():
        assert len(losses) == 30 * found["updates"][name]
    assert all(np.diff(found["losses"]["batch"]) < 0)  # smooth
    assert not all(np.diff(found["losses"]["stochastic"]) < 0)  # noisy
    # One epoch of single points is enough; the others need many.
    assert max(found["validation"]["stochastic"]) < 0.1
    for name in ("batch", "mini-batch"):
        assert found["validation"][name][-1] < 0.5 * found["validation"][name][0]


def test_solve_ax_b(run):
    found = run("solve_ax_b", png("solve_ax_b", "loss"))
    assert set(found["distance"]) == {1, 2, 3}
    assert max(found["distance"].values()) < 1e-3
    # The fixed step goes on jumping; the decaying one settled by a factor of hundreds.
    assert max(found["fixed"][-100:]) > 100 * max(found["losses"]["p = 1"][-100:])


def test_parabola_rates(run):
    paths = run("parabola_rates", png("parabola_rates", "", "0.1", "0.3", "0.01"))
    near = {rate: next((k for k, x in enumerate(path) if abs(x - 2) < 0.05), None)
            for rate, path in paths.items()}  # fmt: skip
    assert near[0.3] < near[0.1]
    assert near[0.01] is None
    # Each step multiplies the distance to 2 by 1 - 2 rate.
    for rate, path in paths.items():
        assert path[-1] == pytest.approx(2 - 2 * (1 - 2 * rate) ** 20, abs=1e-5)


def test_saddle(run):
    found = run("saddle", png("saddle", "surface", "contour", "gradient"))
    slowest = min(found["slopes"])
    assert slowest < 0.1 < found["slopes"][0]
    assert abs(found["path"][-1][1]) > 1.5
    assert abs(found["path"][-1][0]) < 1e-3
    x, y = found["stuck"][-1]
    assert abs(x) < 1e-6 and y == 0


def test_line_from_zero(run):
    found = run("line_from_zero", png("line_from_zero", "start", "fit", "loss"))
    x, y = (np.asarray(found[name], dtype=float) for name in ("x", "y"))
    # One parameter is as good as settled, so compare with the best line through the origin.
    best = ((x @ y / (x @ x) * x - y) ** 2).mean()
    m, c, losses = found["results"]["autograd"]
    assert losses[-1] <= 1.01 * best
    assert found["results"]["formula"][:2] == pytest.approx((m, c), rel=1e-3)
    diverged = found["results"]["too large"][2]
    assert diverged[5] > 1e10 * diverged[0]
    assert not math.isfinite(diverged[-1])


def test_likelihood(run):
    found = run("likelihood", png("likelihood", "two_classes", "coin"))
    assert found["odds"] == pytest.approx(math.log(7 / 3), abs=1e-4)
    assert found["values"][0] == pytest.approx(math.log(2), abs=1e-5)
    assert found["values"][-1] < 0.3
    assert found["accuracy"] > 0.88


def test_custom_function(run):
    found = run("custom_function", png("custom_function", "", "graph"))
    assert found["error"] < 1e-8
    number, derivative = found["number"]
    assert derivative == pytest.approx(2 * number)
    (x0, x1), slopes = found["several"][0].flatten().tolist(), found["several"][1]
    assert slopes.flatten().tolist() == pytest.approx([2 * x0, 3 * x1**2 + 4 * x1**3])
    assert found["two"] == ([36.0, 81.0], [-12.0, -8.0])


def test_warm_restarts(run):
    found = run("warm_restarts", png("warm_restarts", "rate", "loss", "fit"))
    rates = found["rates"]
    assert [k for k in range(1, 70) if rates[k] > rates[k - 1]] == [10, 30]
    for start, length in ((0, 10), (10, 20), (30, 40)):
        for k in range(length):
            expected = 1e-3 + (0.05 - 1e-3) * (1 + math.cos(math.pi * k / length)) / 2
            assert rates[start + k] == pytest.approx(expected)
    assert found["losses"][-1] < 0.1 * found["losses"][0]


def test_gradient_clipping(run):
    found = run("gradient_clipping", png("gradient_clipping", "loss", "cliff"))
    assert not math.isfinite(found["plain"][-1])
    assert found["path"][-1] == pytest.approx(found["answer"], abs=1e-3)
    assert np.abs(np.diff(found["path"])).max() <= 0.01 + 1e-6


def test_adam_loop(run):
    found = run("adam_loop", png("adam_loop", "loss", "fit", "graph"))
    assert found["losses"][-1] < found["losses"][0]
    assert found["losses"][-1] == pytest.approx(found["best"], rel=0.02, abs=1e-4)


def test_newton_root(run):
    paths = run("newton_root", png("newton_root", "square_root_of_2", "own_cosine"))
    assert paths["square_root_of_2"][-1] == pytest.approx(math.sqrt(2), abs=1e-12)
    assert paths["own_cosine"][-1] == pytest.approx(0.7390851332151607, abs=1e-12)
    assert all(len(path) < 10 for path in paths.values())


def test_digits(run):
    pytest.importorskip("sklearn", reason="the handwriting comes with scikit-learn")
    found = run("digits", png("digits", "loss", "predictions", "graph"))
    assert found["accuracy"] >= 0.97
    assert len(found["losses"]) == found["steps"]
    assert np.mean(found["losses"][-50:]) < 0.1 * np.mean(found["losses"][:50])


# ---- programs on real data, in small -------------------------------------------------------------


def sklearn():
    return pytest.importorskip("sklearn", reason="the data come with scikit-learn")


def test_digits_cnn(run):
    sklearn()
    found = run("digits_cnn", png("digits_cnn", "loss"), epochs=8, width=12)
    assert found["accuracy"] > 0.85
    assert found["history"]["val_loss"][-1] < 0.5 * found["history"]["val_loss"][0]


def test_text_transformer(run):
    small = {"steps": 60, "context": 32, "width": 32, "depth": 1, "batch": 16, "lr": 1e-2}
    found = run("text_transformer", png("text_transformer", "loss"), **small)
    # Far better than guessing every letter alike.
    assert found["unseen"] < 0.75 * math.log(found["letters"])
    assert found["written"].startswith("The ") and len(found["written"]) == 204


def test_sunspots_lstm(run):
    pytest.importorskip("statsmodels", reason="the sunspots come with statsmodels")
    found = run("sunspots_lstm", png("sunspots_lstm", "loss", "forecast"), steps=200)
    assert found["errors"]["network"] < 0.85 * found["errors"]["as last year"]
    assert found["errors"]["as last year"] < found["errors"]["the mean"]


def test_digits_vae(run):
    sklearn()
    found = run("digits_vae", png("digits_vae", "plane", "loss"), epochs=8, width=64)
    assert found["losses"][-1] < 29 < found["losses"][0]
    assert found["place"] > 0.5
    assert found["new"].shape == (144, 1, 8, 8)


def test_digits_gan(run):
    sklearn()
    found = run("digits_gan", png("digits_gan", "forged", "loss"), epochs=15, width=64)
    assert found["after"] < 0.4 * found["before"]
    assert np.isfinite(found["losses"]["judge"]).all()


def test_cartpole(run):
    found = run("cartpole", png("cartpole", "steps"), rounds=25, longest=100)
    lengths = found["lengths"]
    assert lengths[0] < 35 and np.mean(lengths[-3:]) > 2 * lengths[0]


def test_logistic_regression(run):
    sklearn()
    found = run("logistic_regression", png("logistic_regression", "loss"))
    assert found["ours"] == pytest.approx(found["theirs"], abs=1e-4)
    assert found["accuracy"] > 0.98
    assert len(found["losses"]) < 150


def test_matrix_factorisation(run):
    sklearn()
    found = run("matrix_factorisation", png("matrix_factorisation", "error"), epochs=8)
    assert found["losses"]["hidden"][-1] < 0.8 * found["plain"]


def test_soft_nand(run):
    found = run("soft_nand", png("soft_nand", "loss"), steps=250, nets=32)
    assert found["table"] == [0, 1, 1, 0]
    assert found["right"] >= 4
    assert len(found["program"]) == 4


def test_alexnet(run):
    sklearn()
    pytest.importorskip("PIL", reason="Pillow reads the photographs")
    found = run("alexnet", png("alexnet", "loss"), steps=3, batch=2)
    assert found["parameters"] == 57_012_034
    assert len(found["losses"]) == 3 and np.isfinite(found["losses"]).all()
    assert found["losses"][0] == pytest.approx(math.log(2), abs=0.1)


def test_every_program_is_tested():
    text = Path(__file__).read_text(encoding="utf-8")
    missing = [name for name in PROGRAMS if f'"{name}"' not in text]
    assert not missing


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_import_nothing_foreign(name):
    import ast
    import sys

    tree = ast.parse((EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.split(".")[0])
    allowed = {"schuss", "numpy", "matplotlib", "sklearn", "statsmodels", "pydoc_data"}
    assert found - allowed <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_short(name):
    assert len((EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()) <= 100
