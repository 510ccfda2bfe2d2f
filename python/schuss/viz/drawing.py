"""Ink for graphs: turns boxes and lines with places into SVG, Graphviz text or a figure.
Leans on charts for matplotlib, and only when a figure is asked for; SVG and dot need nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .charts import new_figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from .graph import Graph, Node

FONT, SMALL = 12.0, 10.0
LETTER = 0.602 * FONT  # advance of DejaVu Sans Mono, so a box fits its text everywhere
LINE = 15.0
PAD = 8.0
GAP, RISE, LABELLED_RISE, MARGIN = 14.0, 30.0, 44.0, 12.0
HEAD = 6.0
INK, THREAD = "#22303c", "#8795a1"
# kind -> (fill, outline), light fills under dark text
PAINT = {
    "parameter": ("#a8d1f5", "#2b6cb0"),
    "leaf": ("#ffffff", "#8795a1"),
    "operation": ("#e2e6ea", "#8795a1"),
    "output": ("#b7e4b0", "#2f855a"),
    "more": ("#fff4cc", "#b7791f"),
}


class Scene(NamedTuple):
    """Boxes and bends with sizes and centres, pieces of line, their labels, the whole's size."""

    nodes: list[Node]
    widths: list[float]
    heights: list[float]
    places: list[tuple[float, float]]
    pieces: list[tuple[int, int]]
    labels: dict[tuple[int, int], str]
    size: tuple[float, float]


def box_size(lines: tuple[str, ...]) -> tuple[float, float]:
    """Return (width, height) that hold the lines."""
    return max(map(len, lines)) * LETTER + 2 * PAD, len(lines) * LINE + PAD


def label_width(label: str) -> float:
    """Return the width that a label on a line needs."""
    return len(label) * LETTER * SMALL / FONT + 4 if label else 0.0


def label_pieces(
    edges: dict[tuple[int, int], str], pieces: list[tuple[int, int]], boxes: int
) -> dict[tuple[int, int], str]:
    """Put the label of an edge on the piece that leaves its producer's last bend."""
    into: dict[int, list[tuple[int, int]]] = {}
    for piece in pieces:
        into.setdefault(piece[1], []).append(piece)
    source = list(range(boxes))
    for upper, lower in pieces:
        if lower >= boxes:
            source.extend([0] * (lower + 1 - len(source)))
            source[lower] = source[upper]
    return {
        piece: text
        for (producer, consumer), text in edges.items()
        if text
        for piece in into[consumer]
        if source[piece[0]] == producer
    }


def boxes_of(scene: Scene) -> Iterator[tuple[Node, float, float, tuple[float, float]]]:
    """Pair every box with its width, height and centre; the bends behind them have none."""
    return zip(scene.nodes, scene.widths, scene.heights, scene.places, strict=False)


class Piece(NamedTuple):
    """A line from `start` straight down, a cubic through two handles, straight down to `end`."""

    x0: float
    x1: float
    start: float
    leave: float
    middle: float
    enter: float
    end: float
    arrow: bool
    label: str

    def label_place(self) -> tuple[float, float]:
        """Return the point a quarter down the cubic, where neighbouring lines are still apart."""
        t = 0.25
        return (
            self.x0 + (self.x1 - self.x0) * t * t * (3 - 2 * t),
            self.leave + (self.enter - self.leave) * (t**3 + 1.5 * t * (1 - t)),
        )


def pieces_of(scene: Scene) -> list[Piece]:
    """Work out the run of every piece of line."""
    boxes, out = len(scene.nodes), []
    for upper, lower in scene.pieces:
        (x0, y0), (x1, y1) = scene.places[upper], scene.places[lower]
        leave = y0 + scene.heights[upper] / 2
        arrow = lower < boxes
        enter = y1 - scene.heights[lower] / 2 - (HEAD if arrow else 0)
        start, end = (leave if upper < boxes else y0), (enter if arrow else y1)
        label = scene.labels.get((upper, lower), "")
        out.append(Piece(x0, x1, start, leave, (leave + enter) / 2, enter, end, arrow, label))
    return out


def svg(scene: Scene) -> str:
    """Write the scene as one SVG element."""
    from html import escape

    width, height = scene.size[0] + 2 * MARGIN, scene.size[1] + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-MARGIN:.0f} {-MARGIN:.0f} {width:.0f} {height:.0f}" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="{FONT:.0f}" '
        'text-anchor="middle">',
        f'<rect x="{-MARGIN:.0f}" y="{-MARGIN:.0f}" width="{width:.0f}" height="{height:.0f}" '
        'fill="white"/>',
    ]
    texts = []
    for piece in pieces_of(scene):
        x0, x1, start, leave, middle, enter, end, arrow, label = piece
        out.append(
            f'<path d="M{x0:.1f} {start:.1f}V{leave:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} '
            f'{middle:.1f} {x1:.1f} {enter:.1f}V{end:.1f}" fill="none" stroke="{THREAD}" '
            'stroke-width="1.2"/>'
        )
        if arrow:
            out.append(
                f'<path d="M{x1 - HEAD / 2:.1f} {end:.1f}h{HEAD}l{-HEAD / 2} {HEAD}z" '
                f'fill="{THREAD}"/>'
            )
        if label:
            x, y = piece.label_place()
            wide = label_width(label)
            texts.append(
                f'<rect x="{x - wide / 2:.1f}" y="{y - 6:.1f}" width="{wide:.1f}" height="12" '
                f'fill="white"/><text x="{x:.1f}" y="{y + 3.5:.1f}" font-size="{SMALL:.0f}" '
                f'fill="{INK}">{escape(label)}</text>'
            )
    for node, w, h, (x, y) in boxes_of(scene):
        fill, outline = PAINT[node.kind]
        out.append(
            f'<rect x="{x - w / 2:.1f}" y="{y - h / 2:.1f}" width="{w:.1f}" height="{h:.1f}" '
            f'rx="4" fill="{fill}" stroke="{outline}"/>'
        )
        for k, line in enumerate(node.lines):
            base = y + (k - (len(node.lines) - 1) / 2) * LINE + 0.35 * FONT
            out.append(f'<text x="{x:.1f}" y="{base:.1f}" fill="{INK}">{escape(line)}</text>')
    return "\n".join([*out, *texts, "</svg>"])


def dot(nodes: list[Node], edges: dict[tuple[int, int], str]) -> str:
    """Write nodes and edges in Graphviz' language."""

    def quote(text: str) -> str:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'

    out = ["digraph {", "node [shape=box style=filled fontname=monospace]"]
    for k, node in enumerate(nodes):
        fill, outline = PAINT[node.kind]
        label = quote("\n".join(node.lines)).replace("\n", "\\n")
        out.append(f'n{k} [label={label} fillcolor="{fill}" color="{outline}"]')
    for (producer, consumer), text in edges.items():
        out.append(f"n{producer} -> n{consumer}" + (f" [label={quote(text)}]" if text else ""))
    return "\n".join([*out, "}", ""])


def figure(scene: Scene) -> Figure:
    """Draw the scene with matplotlib, one pixel of the layout to a hundredth of an inch."""
    width, height = scene.size[0] + 2 * MARGIN, scene.size[1] + 2 * MARGIN
    fig = new_figure((width / 100, height / 100))
    from matplotlib.patches import FancyBboxPatch, PathPatch
    from matplotlib.path import Path as Line

    ax = fig.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(-MARGIN, width - MARGIN)
    ax.set_ylim(height - MARGIN, -MARGIN)
    point = 72 / 100
    run = [Line.MOVETO, Line.LINETO, Line.CURVE4, Line.CURVE4, Line.CURVE4, Line.LINETO]
    for piece in pieces_of(scene):
        x0, x1, start, leave, middle, enter, end, arrow, label = piece
        dots = [(x0, start), (x0, leave), (x0, middle), (x1, middle), (x1, enter), (x1, end)]
        ax.add_patch(PathPatch(Line(dots, run), fill=False, ec=THREAD, lw=1.2 * point))
        if arrow:
            head = [(x1 - HEAD / 2, end), (x1 + HEAD / 2, end), (x1, end + HEAD)]
            ax.add_patch(PathPatch(Line([*head, head[0]]), fc=THREAD, ec="none"))
        if label:
            ax.text(*piece.label_place(), label, color=INK, ha="center", va="center",
                    family="DejaVu Sans Mono", size=SMALL * point, zorder=3,
                    bbox={"fc": "white", "ec": "none", "pad": 0.6})  # fmt: skip
    for node, w, h, (x, y) in boxes_of(scene):
        fill, outline = PAINT[node.kind]
        ax.add_patch(FancyBboxPatch((x - w / 2 + 4, y - h / 2 + 4), w - 8, h - 8, zorder=2,
                                    boxstyle="round,pad=4,rounding_size=4",
                                    fc=fill, ec=outline, lw=point))  # fmt: skip
        for k, line in enumerate(node.lines):
            middle = y + (k - (len(node.lines) - 1) / 2) * LINE
            ax.text(x, middle, line, color=INK, ha="center", va="center_baseline",
                    family="DejaVu Sans Mono", size=FONT * point, zorder=4,
                    parse_math=False)  # fmt: skip
    return fig


def save(picture: Graph, path: str | Path) -> Path:
    """Write a graph to a file by the path's ending; ValueError for an ending nobody draws."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in (".svg", ".dot", ".png", ".pdf"):
        raise ValueError(f"save: {path.name!r} should end in .svg, .dot, .png or .pdf")
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending in (".svg", ".dot"):
        path.write_text(picture.svg() if ending == ".svg" else picture.dot(), encoding="utf-8")
        return path
    fig = picture.figure()
    # 2**16 pixels a side is the most that matplotlib's renderer takes.
    fig.savefig(path, dpi=min(200.0, 30_000 / max(fig.get_size_inches())))
    return path
