"""Tests of the pictures: what a graph shows, how it is laid out, what charts draw, what is refused.
Leans on pytest, NumPy, matplotlib and schuss.
"""

import builtins
import math
from xml.etree import ElementTree

import numpy as np
import pytest
import schuss
from schuss import Scalar, nn, viz
from schuss.viz import layout

pytest.importorskip("matplotlib", reason="pictures need matplotlib")


def kinds(picture):
    return sorted(node.kind for node in picture.nodes)


def named(picture, kind):
    return {node.lines[0] for node in picture.nodes if node.kind == kind}


def line_loss(a, b):
    x = schuss.linspace(0, 1, 7)
    return ((a + b * x - (1 + 2 * x)) ** 2).mean()


# --- the graph of tensors


def test_graph_of_a_line_has_its_parameters_operations_and_output():
    a, b = schuss.zeros(1, requires_grad=True), schuss.ones(1, requires_grad=True)
    picture = viz.graph(line_loss(a, b), params={"a": a, "b": b})
    assert named(picture, "parameter") == {"a", "b"}
    assert picture.nodes[[n.lines[0] for n in picture.nodes].index("a")].lines[1:] == ("(1,)",)
    assert kinds(picture).count("output") == 1
    assert {"mean", "add", "mul"} <= named(picture, "operation")


def test_data_have_boxes_with_their_values():
    w = schuss.ones(3, 2, requires_grad=True)
    x, y = schuss.arange(12.0).reshape(4, 3), schuss.tensor([1, 0, 1, 1])
    scores = nn.functional.log_softmax(x.flatten(1) @ w, 1)
    loss = -scores.gather(1, y.unsqueeze(1)).mean()
    picture = viz.graph(loss, params={"w": w}, data={"x": x, "y": y, "other": schuss.ones(1)})
    leaves = {node.lines[0]: node.lines[1:] for node in picture.nodes if node.kind == "leaf"}
    assert leaves == {"x": ("(4, 3)", "0 to 11"), "y": ("(4,)", "1, 0, 1, 1")}
    (output,) = (node for node in picture.nodes if node.kind == "output")
    assert output.lines == ("output", "scalar", "0.6931")
    loss.backward()
    assert "leaf" not in kinds(viz.graph(loss, params={"w": w}, data={"x": x}))


def test_operations_have_the_names_of_their_calls():
    class Doubled(schuss.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return 2 * grad

    w = schuss.ones(2, 3, requires_grad=True)
    picture = viz.graph(nn.functional.log_softmax(Doubled.apply(w), 1))
    assert named(picture, "operation") == {"log_softmax", "doubled"}


def test_a_tensor_without_gradient_is_no_box():
    a, b = schuss.zeros(1), schuss.ones(1, requires_grad=True)
    picture = viz.graph(line_loss(a, b), params={"a": a, "b": b})
    assert named(picture, "parameter") == {"b"}


@pytest.mark.parametrize("as_params", [lambda m: m, lambda m: dict(m.named_parameters()),
                                       lambda m: m.named_parameters()])  # fmt: skip
def test_graph_of_a_network_names_every_parameter(as_params):
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    loss = model(schuss.ones(5, 4)).sum()
    picture = viz.graph(loss, params=as_params(model))
    assert named(picture, "parameter") == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_a_parameter_used_twice_is_one_box():
    w = schuss.ones(2, 2, requires_grad=True)
    picture = viz.graph((w @ w + w).sum(), params={"w": w})
    assert kinds(picture).count("parameter") == 1


def test_a_leaf_is_its_own_graph():
    w = schuss.ones(3, requires_grad=True)
    picture = viz.graph(w, params={"w": w})
    assert kinds(picture) == ["output", "parameter"]
    assert len(picture.edges) == 1


def test_every_box_leads_to_the_output():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    picture = viz.graph(model(schuss.ones(5, 4)).sum(), params=model)
    below = {0}
    for _ in picture.nodes:
        below |= {producer for producer, consumer in picture.edges if consumer in below}
    assert below == set(range(len(picture.nodes)))
    assert picture.nodes[0].kind == "output"


@pytest.mark.timeout(30)
def test_a_long_graph_is_cut_and_says_so(tmp_path):
    value = schuss.ones(2, requires_grad=True)
    for _ in range(10_000):
        value = value * 1.0
    picture = viz.graph(value.sum(), limit=50)
    # Output, sum, 10,000 products and the leaf: 10,003 nodes, of which 50 are drawn.
    assert picture.left_out == 10_003 - 50
    assert len(picture.nodes) == 51
    assert picture.nodes[-1].kind == "more"
    assert "9,953 more nodes" in picture.save(tmp_path / "long.svg").read_text()
    assert "9,953" in repr(picture)


@pytest.mark.timeout(30)
def test_a_wide_graph_is_cut_too():
    w = schuss.ones(2, requires_grad=True)
    total = w
    for k in range(3_000):
        total = total + w * float(k)
    picture = viz.graph(total.sum(), params={"w": w}, limit=80)
    assert picture.left_out > 5_000
    assert named(picture, "parameter") <= {"w"}
    picture.svg()


# --- the graph of Scalars


def three_errors():
    predictions = [Scalar(value) for value in (0.9, 0.2, 0.5)]
    truths = [Scalar(value) for value in (-1.0, 0.3, 0.7)]
    loss = sum((p - y) ** 2 for p, y in zip(predictions, truths, strict=True)) / 3
    names = {f"p{k}": p for k, p in enumerate(predictions, 1)}
    names |= {f"y{k}": y for k, y in enumerate(truths, 1)}
    return loss, names


def test_graph_of_the_mean_squared_error_of_three():
    loss, names = three_errors()
    loss.backward()
    picture = viz.graph(loss, params=names)
    assert named(picture, "parameter") == set(names)
    assert {"**", "+"} <= named(picture, "operation")
    first = next(node for node in picture.nodes if node.lines[0] == "p1")
    assert first.lines == ("p1", "0.9", "grad 1.267")  # 2 (0.9 + 1) / 3
    output = picture.nodes[0]
    assert output.kind == "output"
    assert output.lines == ("/", "1.22", "grad 1")


def test_edges_of_scalars_carry_local_derivatives():
    a, b = Scalar(3), Scalar(4)
    picture = viz.graph(a * b, params={"a": a, "b": b})
    slopes = {picture.nodes[producer].lines[0]: label
              for (producer, _), label in picture.edges.items()}  # fmt: skip
    assert slopes == {"a": "4", "b": "3"}


def test_equal_scalars_are_different_boxes():
    a, b = Scalar(2), Scalar(2)
    assert len(viz.graph(a * b).nodes) == 3


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda a, b: a + b, "+"),
        (lambda a, b: a * b, "*"),
        (lambda a, b: a / b, "/"),
        (lambda a, b: a**b, "**"),
    ],
)
def test_the_operation_is_read_from_the_numbers(make, name):
    picture = viz.graph(make(Scalar(1.7), Scalar(0.6)))
    assert picture.nodes[0].lines[0] == name


# --- layout


def rectangles(scene):
    boxes = zip(scene.widths, scene.heights, scene.places[: len(scene.nodes)], strict=False)
    return [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for w, h, (x, y) in boxes]


def pictures():
    a, b = schuss.zeros(1, requires_grad=True), schuss.ones(1, requires_grad=True)
    yield viz.graph(line_loss(a, b), params={"a": a, "b": b})
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    yield viz.graph(model(schuss.ones(5, 4)).sum(), params=model)
    loss, names = three_errors()
    yield viz.graph(loss, params=names)
    state = schuss.zeros(1, 2)
    w = schuss.ones(2, 2, requires_grad=True)
    for _ in range(6):
        state = (state @ w).tanh() + state
    yield viz.graph(state.sum() + w.sum(), params={"w": w})


@pytest.mark.parametrize("which", range(4))
def test_boxes_do_not_overlap_and_arrows_point_down(which):
    picture = list(pictures())[which]
    scene = picture.scene()
    spots = rectangles(scene)
    for k, (left, top, right, bottom) in enumerate(spots):
        assert left >= -1e-6 and top >= -1e-6
        assert right <= scene.size[0] + 1e-6 and bottom <= scene.size[1] + 1e-6
        for other in spots[k + 1 :]:
            apart = (right <= other[0] or other[2] <= left
                     or bottom <= other[1] or other[3] <= top)  # fmt: skip
            assert apart, f"box {k} lies on another"
    for producer, consumer in picture.edges:
        assert spots[producer][3] < spots[consumer][1]


@pytest.mark.parametrize("which", range(4))
def test_text_fits_its_box(which):
    scene = list(pictures())[which].scene()
    for node, width in zip(scene.nodes, scene.widths, strict=False):
        assert width >= 7 * max(map(len, node.lines))


def test_untangle_takes_the_crossings_out():
    # Two ladders whose sides are listed crosswise.
    edges = [(1, 0), (2, 0), (3, 2), (4, 1), (5, 4), (6, 3)]
    row, pieces = layout.bend(layout.rows(7, edges), edges)
    order = layout.untangle(row, pieces)
    down = [[] for _ in row]
    for upper, lower in pieces:
        down[upper].append(lower)
    assert layout.crossings(order, down) == 0
    assert layout.crossings([[0], [1, 2], [3, 4], [5, 6]], down) == 2


def test_settle_keeps_gaps_and_stays_near_the_wishes():
    x = [0.0] * 3
    layout.settle([0, 1, 2], x, [0.0, 0.0, 100.0], [10.0, 10.0, 10.0], 2.0)
    assert x == [-6.0, 6.0, 100.0]


# --- files


@pytest.mark.parametrize("ending", ["svg", "dot", "png", "pdf"])
def test_save_writes_each_kind_of_file(tmp_path, ending):
    loss, names = three_errors()
    path = viz.graph(loss, params=names).save(tmp_path / "new" / f"graph.{ending}")
    start = path.read_bytes()[:8]
    heads = {"svg": b"<svg", "dot": b"digraph", "png": b"\x89PNG", "pdf": b"%PDF"}
    assert start.startswith(heads[ending])


def test_svg_is_well_formed_and_escapes_names():
    w = schuss.ones(2, requires_grad=True)
    picture = viz.graph(w.sum(), params={'<w> & "v"': w})
    root = ElementTree.fromstring(picture._repr_svg_())
    texts = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert '<w> & "v"' in texts
    assert '\\"v\\"' in picture.dot()


def test_dot_has_a_line_for_every_node_and_edge():
    loss, names = three_errors()
    picture = viz.graph(loss, params=names)
    text = picture.dot()
    assert text.count(" -> ") == len(picture.edges)
    assert text.count("fillcolor") == len(picture.nodes)


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"save: 'graph.gif' should end in"):
        viz.graph(Scalar(1) + 2).save(tmp_path / "graph.gif")


def test_graph_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="requires_grad=True"):
        viz.graph(schuss.ones(3))
    with pytest.raises(TypeError, match="needs a Tensor or a Scalar, got float"):
        viz.graph(1.5)
    with pytest.raises(ValueError, match="limit is 1"):
        viz.graph(schuss.ones(1, requires_grad=True), limit=1)
    with pytest.raises(TypeError, match="params needs names"):
        viz.graph(schuss.ones(1, requires_grad=True), params=[schuss.ones(1)])


# --- charts


def without_matplotlib(name, *rest):
    if name.startswith("matplotlib"):
        raise ImportError(name)
    return REAL_IMPORT(name, *rest)


REAL_IMPORT = builtins.__import__


def test_without_matplotlib_charts_name_the_extra_and_svg_still_works(monkeypatch, tmp_path):
    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r"schuss\[viz\]"):
        viz.loss_curve([1.0, 0.5])
    picture = viz.graph(Scalar(1) + Scalar(2))
    picture.save(tmp_path / "graph.svg")
    with pytest.raises(ImportError, match=r"schuss\[viz\]"):
        picture.save(tmp_path / "graph.png")


def test_loss_curve_draws_one_or_several():
    (one,) = viz.loss_curve(schuss.tensor([3.0, 2.0, 1.0])).axes
    assert list(one.lines[0].get_ydata()) == [3, 2, 1]
    (several,) = viz.loss_curve({"a": [1.0, 2.0], "b": [schuss.tensor(3.0)]}, log=True).axes
    assert [text.get_text() for text in several.get_legend().get_texts()] == ["a", "b"]
    assert several.get_yscale() == "log"


def test_a_smooth_loss_curve_is_the_mean_of_neighbours():
    losses = [4.0, 2.0, 3.0, 1.0]
    (one,) = viz.loss_curve(losses, smooth=2).axes
    pale, mean = one.lines
    assert list(pale.get_ydata()) == losses and pale.get_alpha() < 1
    assert mean.get_xydata().tolist() == [[0.5, 3.0], [1.5, 2.5], [2.5, 2.0]]
    texts = [text.get_text() for text in one.get_legend().get_texts()]
    assert texts == ["each step", "mean of 2 steps"]
    (several,) = viz.loss_curve({"a": losses, "b": losses[:1]}, smooth=2).axes
    texts = [text.get_text() for text in several.get_legend().get_texts()]
    assert texts == ["a, mean of 2 steps", "b, mean of 2 steps"]
    with pytest.raises(ValueError, match="smooth is a number of steps of at least 1, got 0"):
        viz.loss_curve(losses, smooth=0)


def test_a_loss_that_broke_is_still_drawn(tmp_path):
    viz.loss_curve([1.0, math.inf, math.nan]).savefig(tmp_path / "loss.png")


def test_fit_takes_tensors_that_require_grad_and_scalars():
    x = schuss.tensor([2.0, 0.0, 1.0])
    w = schuss.tensor(2.0, requires_grad=True)
    (ax,) = viz.fit(x, [0, 1, 2], w * x, residuals=True).axes
    assert ax.lines[0].get_xdata().tolist() == [0, 1, 2]
    assert ax.lines[0].get_ydata().tolist() == [0, 2, 4]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["residual", "true", "predicted"]
    viz.fit([0.0, 1.0], [1.0, 2.0], [Scalar(1.0), Scalar(2.0)])


def test_fit_refuses_sizes_that_differ():
    with pytest.raises(ValueError, match=r"fit: sizes \(2, 2, 3\) differ"):
        viz.fit([1, 2], [1, 2], [1, 2, 3])


def test_parameters_have_their_truths_dashed_in_the_same_colour():
    (ax,) = viz.parameters_over_epochs(
        {"W": [16.0, 3.1], "b": [10.0, 0.6]}, {"W": 3, "b": 0.5}
    ).axes
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["W", "b", "true W", "true b"]
    solid, _, dashed, _ = ax.lines
    assert solid.get_color() == dashed.get_color()
    assert dashed.get_linestyle() == "--"


def test_levels_of_a_valley_are_logarithmic():
    def valley(x, y):
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2

    def lines(f, **options):
        figure = viz.contour(f, (-2, 2), (-1, 3), count=20, **options)
        return np.asarray(figure.axes[0].collections[0].levels)

    gaps = np.diff(lines(valley))
    assert gaps[-1] > 100 * gaps[1] and len(gaps) == 23
    assert np.ptp(np.diff(lines(lambda x, y: x + y))) < 1e-6
    assert np.ptp(np.diff(lines(valley, scale="linear"))) < 1e-6
    assert len(lines(valley, levels=7, scale="log")) == 7
    assert lines(valley, levels=[1, 10, 100]).tolist() == [1, 10, 100]
    shares = np.diff(lines(valley, scale="quantile", levels=5))
    assert shares[0] < shares[-1]


@pytest.mark.parametrize(
    ("settings", "kind", "says"),
    [
        ({"f": "x"}, TypeError, "f must be a function of two numbers, got str"),
        ({"xlim": (1, 0)}, ValueError, r"xlim must be \(low, high\) with low < high, got \(1, 0\)"),
        ({"ylim": 3}, ValueError, "ylim must be"),
        ({"count": 1}, ValueError, "count must be at least 2"),
        ({"f": lambda x, y: x * schuss.ones(3)}, ValueError, r"got shape \(3,\); is a .sum"),
        ({"f": lambda x, y: (x - x) / 0}, ValueError, "f is NaN or infinite everywhere"),
        ({"scale": "loud"}, ValueError, "scale is 'linear', 'log', 'quantile' or None"),
        ({"levels": 1}, ValueError, "levels must be at least 2"),
        ({"levels": [1]}, ValueError, "two heights or more"),
    ],
)
def test_hills_that_cannot_be_drawn(settings, kind, says):
    usual = {"f": lambda x, y: x * y, "xlim": (0, 1), "ylim": (0, 1), "count": 4}
    with pytest.raises(kind, match=f"contour: .*{says}"):
        viz.contour(**{**usual, **settings})


@pytest.mark.parametrize("draw", [viz.contour, viz.surface])
def test_hills_take_functions_of_tensors_and_a_path(draw, tmp_path):
    data = schuss.linspace(-1, 1, 9)
    figure = draw(
        lambda w, b: ((w * data + b - 3 * data) ** 2).mean(),
        (-1, 5),
        (-2, 2),
        [(schuss.tensor(0.0), 1.0), (2.0, 0.5)],
        names=("W", "b"),
        count=8,
    )
    figure.savefig(tmp_path / "hills.png")
    assert figure.axes[0].get_xlabel() == "W"


def test_hills_refuse_a_path_of_triples():
    with pytest.raises(ValueError, match=r"contour: path has shape \(1, 3\)"):
        viz.contour(lambda x, y: x * y, (0, 1), (0, 1), [(1, 2, 3)], count=3)


def test_descent_1d_marks_every_step_on_the_curve():
    (ax,) = viz.descent_1d(lambda x: (x - 2) ** 2 + 1, [0.0, 1.0, 1.5]).axes
    steps = ax.lines[1]
    assert np.allclose(steps.get_xydata(), [[0, 5], [1, 2], [1.5, 1.25]])


def test_predictions_colour_mistakes_and_name_the_truth():
    images = schuss.zeros(3, 8, 8)
    figure = viz.predictions(images, schuss.tensor([3, 8, 1]), schuss.tensor([3, 9, 1]), columns=2)
    assert [ax.get_title() for ax in figure.axes] == ["3", "9, not 8", "1", ""]
    assert figure.get_suptitle() == "2 of 3 right"
    assert viz.predictions(images, [1, 2, 3], [1, 2, 3], title="own").get_suptitle() == "own"
    colours = {ax.title.get_color() for ax in figure.axes[:2]}
    assert len(colours) == 2
    with pytest.raises(ValueError, match="3 images but 2 labels"):
        viz.predictions(images, [1, 2], [1, 2])
    with pytest.raises(ValueError, match="shape"):
        viz.predictions(schuss.zeros(8, 8), [1], [1])


def test_moving_fit_writes_a_picture_for_each_prediction(tmp_path):
    from PIL import Image

    path = viz.moving_fit([0.0, 1.0], [0.0, 1.0], [[0.0, 0.0], [0.0, 0.5], [0.0, 1.0]],
                          tmp_path / "new" / "fit.gif")  # fmt: skip
    with Image.open(path) as animation:
        assert animation.n_frames == 3
    with pytest.raises(ValueError, match="predictions is empty"):
        viz.moving_fit([0.0], [0.0], [], tmp_path / "fit.gif")


def test_progress_writes_lines_where_there_is_no_terminal(capsys):
    for done in range(1, 21):
        viz.progress(done, 20, "epochs", lines=4)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["5/20", "10/20", "15/20", "20/20"]
    assert lines[-1] == "[" + "#" * 30 + "] 20/20 epochs"
    with pytest.raises(ValueError, match="5 of 4 parts"):
        viz.progress(5, 4)


def test_a_loss_between_two_gaps_is_a_point() -> None:
    lines = viz.loss_curve([1.0, math.nan, 3.0, math.inf, 0.1, 0.2]).axes[0].get_lines()
    alone = [
        tuple(point) for line in lines for point in line.get_xydata() if line.get_marker() == "."
    ]
    assert alone == [(0.0, 1.0), (2.0, 3.0)]


def test_operations_have_the_names_that_programs_call_them_by() -> None:
    x = schuss.randn(4, 3, 4, 4, requires_grad=True)
    y = nn.functional.dropout(nn.functional.batch_norm(x, None, None, training=True))
    loss = nn.functional.cross_entropy(y.amax((2, 3)), schuss.tensor([0, 1, 2, 0]))
    drawn = viz.graph(loss).dot()
    for name in ("dropout", "batch_norm", "max", "cross_entropy"):
        assert name in drawn
    assert "entropy_of_rows" not in drawn
