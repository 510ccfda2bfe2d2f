"""The graph of a computation as a picture: the walk from a result back to its parameters.
Leans on layout for the places and on drawing for the files; reads `grad_fn` or `prevs` only.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from . import drawing
from .layout import arrange

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from matplotlib.figure import Figure


class Node:
    """A box of the picture: its kind ("parameter", "leaf", "operation", "output", "more") and text.

    >>> Node("operation", "add")
    Node('operation', 'add')
    """

    __slots__ = ("kind", "lines")

    def __init__(self, kind: str, *lines: str) -> None:
        self.kind = kind
        self.lines = lines

    def __repr__(self) -> str:
        return f"Node({', '.join(map(repr, (self.kind, *self.lines)))})"


class Graph:
    """The picture of a graph: `nodes`, `edges` as (producer, consumer) to label, and `left_out`.

    >>> from schuss import tensor, viz
    >>> w = tensor([1.0, 2.0], requires_grad=True)
    >>> picture = viz.graph((w * w).sum(), params={"w": w})
    >>> [node.kind for node in picture.nodes]
    ['output', 'operation', 'operation', 'parameter']
    """

    def __init__(
        self, nodes: list[Node], edges: dict[tuple[int, int], str], left_out: int = 0
    ) -> None:
        self.nodes = nodes
        self.edges = edges
        self.left_out = left_out

    def __repr__(self) -> str:
        rest = f", {self.left_out:,} nodes left out" if self.left_out else ""
        return f"Graph({len(self.nodes)} nodes, {len(self.edges)} edges{rest})"

    def scene(self) -> drawing.Scene:
        """Lay the boxes out: centres, sizes and pieces of line, in pixels."""
        sizes = [drawing.box_size(node.lines) for node in self.nodes]
        widths = [width for width, _ in sizes]
        for (producer, _), label in self.edges.items():
            widths[producer] = max(widths[producer], drawing.label_width(label))
        heights = [height for _, height in sizes]
        rise = drawing.LABELLED_RISE if any(self.edges.values()) else drawing.RISE
        places, heights, pieces, size = arrange(
            widths, heights, list(self.edges), drawing.GAP, rise
        )
        labels = drawing.label_pieces(self.edges, pieces, len(self.nodes))
        return drawing.Scene(self.nodes, widths, heights, places, pieces, labels, size)

    def svg(self) -> str:
        """Return the picture as SVG text."""
        return drawing.svg(self.scene())

    def dot(self) -> str:
        """Return the graph in Graphviz' language, for its own layout programs."""
        return drawing.dot(self.nodes, self.edges)

    def figure(self) -> Figure:
        """Return the picture as a matplotlib figure; ImportError when matplotlib is missing."""
        return drawing.figure(self.scene())

    def save(self, path: str | Path) -> Path:
        """Write the picture to `path`, whose ending decides: .svg and .dot need no matplotlib.

        Folders on the way are made. ValueError for an ending other than .svg, .dot, .png, .pdf.
        """
        return drawing.save(self, path)

    def _repr_svg_(self) -> str:
        return self.svg()


def graph(value: Any, params: Any = None, *, data: Any = None, limit: int = 200) -> Graph:
    """Draw how `value` (a Tensor or a Scalar) came to be: blue parameters, grey operations, green
    output.

    `params` names the parameters: a Model, a dict of name to Tensor or Scalar, or pairs as
    `named_parameters()` gives. `data` names tensors that need no gradient, in the same ways: they
    get a box with their values, or from where to where these reach, at every operation whose
    derivative reads them (not after a `backward()` that let the graph go). At most `limit` boxes
    nearest to the output are drawn; one more box says how many are left out. TypeError when `value`
    is neither Tensor nor Scalar; ValueError when nothing was recorded for it.

    >>> from schuss import tensor, viz
    >>> a, b = tensor(2.0, requires_grad=True), tensor(3.0, requires_grad=True)
    >>> viz.graph(a * b + b, params={"a": a, "b": b})
    Graph(5 nodes, 5 edges)
    """
    if limit < 2:
        raise ValueError(f"graph: limit is {limit}; a picture needs at least 2 boxes")
    named = dict(named_values(params))
    names = {id(item): name for name, item in named.items()}
    if hasattr(value, "prevs"):
        return collect(
            value,
            lambda node: scalar_inputs(node, names),
            lambda node: scalar_box(node, names, value),
            limit,
        )
    if not hasattr(value, "grad_fn"):
        raise TypeError(f"graph: needs a Tensor or a Scalar, got {type(value).__name__}")
    if value.grad_fn is None and not value.requires_grad:
        raise ValueError(
            f"graph: nothing was recorded for this tensor of shape {tuple(value.shape)}; "
            "one of its inputs needs requires_grad=True"
        )
    root = Root(value)
    given = {t.data_ptr(): Given(name, t) for name, t in named_values(data)}
    return collect(
        root,
        lambda node: function_inputs(node, given),
        lambda node: function_box(node, names),
        limit,
    )


def named_values(params: Any) -> Iterable[tuple[str, Any]]:
    """Read names from a Model, a mapping or pairs."""
    if params is None:
        return []
    if hasattr(params, "named_parameters"):
        own = params.parameters()
        params = own if hasattr(own, "items") else params.named_parameters()
    if hasattr(params, "items"):
        params = params.items()
    pairs = list(params)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise TypeError("graph: params needs names: pass a Model, a dict or named_parameters()")
    return pairs


class Root:
    """The output of a tensor graph, standing below the operation that made it."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor


def collect(start: Any, inputs: Any, box: Any, limit: int) -> Graph:
    """Walk the graph breadth first, without recursion, and box the `limit` nearest nodes."""
    reached = [start]
    number = {node_key(start): 0}
    links: dict[tuple[int, int], list[str]] = {}
    at = 0
    while at < len(reached):
        for node, label in inputs(reached[at]):
            key = node_key(node)
            if key not in number:
                number[key] = len(reached)
                reached.append(node)
            if at < limit:
                links.setdefault((number[key], at), []).append(label)
        at += 1
    left_out = max(0, len(reached) - limit)
    nodes = [box(node) for node in reached[:limit]]
    if left_out:
        nodes.append(Node("more", f"{left_out:,} more nodes", "left out"))
    edges: dict[tuple[int, int], str] = {}
    for (producer, consumer), labels in links.items():
        if producer < limit:
            edges[producer, consumer] = ", ".join(filter(None, labels))
        else:
            edges[limit, consumer] = ""
    return Graph(nodes, edges, left_out)


def node_key(node: Any) -> Any:
    """Tell nodes apart: functions by their own equality, Scalars (equal by value) by identity."""
    return node if hasattr(node, "next_functions") else id(node)


class Given:
    """A named tensor of data, which has no function of its own."""

    __slots__ = ("name", "tensor")
    next_functions = ()

    def __init__(self, name: str, tensor: Any) -> None:
        self.name = name
        self.tensor = tensor


def function_inputs(node: Any, given: Mapping[int, Given]) -> Iterable[tuple[Any, str]]:
    """List the functions that feed a backward function, or the one that made the output."""
    if not isinstance(node, Root):
        read = given and [given.get(t.data_ptr()) for t in kept(node)]
        found = [(data, "") for data in dict.fromkeys(filter(None, read))] if read else []
        return found + [(fn, "") for fn, _ in node.next_functions if fn is not None]
    if node.tensor.grad_fn is not None:
        return [(node.tensor.grad_fn, "")]
    return [(Leaf(node.tensor), "")]


def kept(node: Any) -> Iterable[Any]:
    """List the tensors that a function reads; none once they were let go."""
    try:
        return getattr(node, "saved_tensors", ())
    except RuntimeError:
        return ()


class Leaf:
    """A tensor that is its own output: the graph of a parameter nobody has used yet."""

    __slots__ = ("variable",)
    next_functions = ()

    def __init__(self, tensor: Any) -> None:
        self.variable = tensor


def function_box(node: Any, names: Mapping[int, str]) -> Node:
    """Box a backward function: the output, a leaf with its name and shape, or an operation."""
    if isinstance(node, Root):
        return Node("output", "output", shape_text(node.tensor), *values_text(node.tensor))
    if isinstance(node, Given):
        return Node("leaf", node.name, shape_text(node.tensor), *values_text(node.tensor))
    leaf = getattr(node, "variable", None)
    if leaf is None:
        return Node("operation", operation_name(node))
    name = names.get(id(leaf), "")
    return Node("parameter", *([name] if name else []), shape_text(leaf))


def shape_text(tensor: Any) -> str:
    shape = tuple(tensor.shape)
    return str(shape) if shape else "scalar"


def values_text(tensor: Any) -> list[str]:
    """Up to four values as they are; from where to where more of them reach.

    >>> from schuss import tensor
    >>> values_text(tensor([1.0, 0.5])), values_text(tensor([[3, 0, 1], [9, 1, 2]]))
    (['1, 0.5'], ['0 to 9'])
    """
    plain = tensor.detach()
    if not plain.numel():
        return []
    if plain.numel() <= 4:
        return [", ".join(map(number_text, plain.reshape(-1).tolist()))]
    return [f"{number_text(plain.min().item())} to {number_text(plain.max().item())}"]


# What a program calls the records that have names of their own.
_CALLED = {
    "amax": "max",
    "amin": "min",
    "dropped": "dropout",
    "entropy_of_rows": "cross_entropy",
    "gelu_exact": "gelu",
    "mean_windows": "avg_pool",
    "normalised_channels": "batch_norm",
    "normalised_groups": "group_norm",
    "normalised_rows": "layer_norm",
    "pool_windows": "max_pool",
    "recurrence": "rnn",
    "take_at": "embedding",
}


def operation_name(fn: Any) -> str:
    """Turn a function's name such as LogSoftmaxBackward0 into the operation's: log_softmax."""
    name = re.sub(r"Backward\d*$", "", fn.name()) or fn.name()
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return _CALLED.get(name, name)


def scalar_inputs(node: Any, names: Mapping[int, str]) -> Iterable[tuple[Any, str]]:
    """List a Scalar's inputs, each with its local derivative; once there are names, a nameless
    leaf is a constant, and its derivative would only clutter the picture.
    """
    return [
        (prev, "" if names and not prev.prevs and id(prev) not in names else number_text(slope))
        for prev, slope in node.prevs
    ]


def scalar_box(node: Any, names: Mapping[int, str], output: Any) -> Node:
    """Box a Scalar: name or operation, value, and its gradient once backward has run."""
    lines = [number_text(node.value)]
    if node.backwards_grad:
        lines.append(f"grad {number_text(node.backwards_grad)}")
    name = names.get(id(node))
    if node is output:
        return Node("output", name or scalar_operation(node) or "output", *lines)
    if node.prevs:
        return Node("operation", name or scalar_operation(node), *lines)
    return Node("parameter", name, *lines) if name else Node("leaf", lines[0])


def scalar_operation(node: Any) -> str:
    """Name the operation that made a Scalar from its value and local derivatives alone.

    Each operation has its own tie between the two (a product's slopes multiply to its value, exp's
    slope is its value), so a graph whose nodes keep no name can still be read.
    """
    value = float(node.value)
    slopes = [float(slope) for _, slope in node.prevs]
    inputs = [float(prev.value) for prev, _ in node.prevs]

    def same(a: float, b: float) -> bool:
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)

    if len(slopes) == 2:
        first, second = slopes
        if (first, second) in ((1, 1), (1, -1)) and same(sum_of(slopes, inputs), value):
            return "+" if second == 1 else "-"
        if same(first * second, value):
            return "*"
        if same(-value * first, second):
            return "/"
        return "**"
    if len(slopes) != 1:
        return "sum" if slopes else ""
    (slope,) = slopes
    ties = {
        "negate": same(slope, -1) and same(value, -inputs[0]),
        "relu": slope in (0, 1) and same(value, max(inputs[0], 0)),
        "exp": same(slope, value),
        "log": value < 700 and same(slope, math.exp(-value)),
        "tanh": same(slope, 1 - value * value),
        "sigmoid": same(slope, value * (1 - value)),
    }
    return next((name for name, holds in ties.items() if holds), "function")


def sum_of(slopes: list[float], inputs: list[float]) -> float:
    return sum(slope * value for slope, value in zip(slopes, inputs, strict=True))


def number_text(number: Any) -> str:
    """Write a number short enough for a box: four digits, no trailing zeros.

    >>> number_text(2), number_text(0.8163006575397458)
    ('2', '0.8163')
    """
    return format(float(number), ".4g")
