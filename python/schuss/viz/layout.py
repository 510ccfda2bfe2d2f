"""Layered layout: gives each box of a directed graph a place so that few lines cross.
Leans on the standard library alone and knows nothing of tensors, colours or files.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from itertools import pairwise

SWEEPS = 12
BEND_WIDTH = 6.0


def arrange(
    widths: list[float], heights: list[float], edges: list[tuple[int, int]], gap: float, rise: float
) -> tuple[list[tuple[float, float]], list[float], list[tuple[int, int]], tuple[float, float]]:
    """Place boxes in rows, box 0 at the bottom and every producer above its consumers.

    `edges` are (producer, consumer); every box must reach box 0. A line that passes a row gets a
    bend there; lines of one producer share their bends. Rows, order and places follow Sugiyama,
    Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (1981).

    Returns the centres of the boxes and then of the bends, the heights of both (a bend is as tall
    as its row), the pieces of line as pairs (upper, lower) of neighbouring rows, and the
    (width, height) of the whole.

    >>> centres, heights, pieces, size = arrange([10, 10, 10], [8, 8, 8], [(1, 0), (2, 0)], 4, 6)
    >>> centres, size
    ([(12.0, 18.0), (5.0, 4.0), (19.0, 4.0)], (24.0, 22.0))
    """
    boxes = len(widths)
    row = rows(boxes, edges)
    row, pieces = bend(row, edges)
    widths = [*widths, *[BEND_WIDTH] * (len(row) - boxes)]
    heights = [*heights, *[0.0] * (len(row) - boxes)]
    order = untangle(row, pieces)
    x = spread(order, pieces, widths, gap)
    left = min(at - width / 2 for at, width in zip(x, widths, strict=True))
    right = max(at + width / 2 for at, width in zip(x, widths, strict=True))
    y = [0.0] * len(row)
    top = 0.0
    for members in reversed(order):
        tallest = max(heights[i] for i in members)
        for i in members:
            y[i] = top + tallest / 2
            if i >= boxes:
                heights[i] = tallest
        top += tallest + rise
    centres = [(a - left, b) for a, b in zip(x, y, strict=True)]
    return centres, heights, pieces, (right - left, top - rise)


def rows(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """Give each box the length of its longest way to box 0."""
    producers: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for producer, consumer in edges:
        producers[consumer].append(producer)
        waiting[producer] += 1
    row = [0] * count
    ready = [i for i in range(count) if waiting[i] == 0]
    while ready:
        i = ready.pop()
        for producer in producers[i]:
            row[producer] = max(row[producer], row[i] + 1)
            waiting[producer] -= 1
            if waiting[producer] == 0:
                ready.append(producer)
    return row


def bend(row: list[int], edges: list[tuple[int, int]]) -> tuple[list[int], list[tuple[int, int]]]:
    """Split lines that pass rows into pieces between neighbouring rows, with bends as new boxes."""
    row = list(row)
    pieces: dict[tuple[int, int], None] = {}
    bends: dict[tuple[int, int], int] = {}
    for producer, consumer in edges:
        above = producer
        for level in range(row[producer] - 1, row[consumer], -1):
            here = bends.setdefault((producer, level), len(row))
            if here == len(row):
                row.append(level)
            pieces[above, here] = None
            above = here
        pieces[above, consumer] = None
    return row, list(pieces)


def untangle(row: list[int], pieces: list[tuple[int, int]]) -> list[list[int]]:
    """Order each row by the mean place of its neighbours; keep the order that crosses least."""
    order: list[list[int]] = [[] for _ in range(max(row) + 1)]
    up: list[list[int]] = [[] for _ in row]
    down: list[list[int]] = [[] for _ in row]
    for upper, lower in pieces:
        up[lower].append(upper)
        down[upper].append(lower)
    # A walk upwards from box 0 puts the inputs of a box beside each other, in operand order.
    seen, stack = {0}, [0]
    while stack:
        i = stack.pop()
        order[row[i]].append(i)
        for upper in reversed(up[i]):
            if upper not in seen:
                seen.add(upper)
                stack.append(upper)
    best, fewest = [list(members) for members in order], crossings(order, down)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        rising = sweep % 2 == 0
        for level in range(1, len(order)) if rising else range(len(order) - 2, -1, -1):
            near = order[level - 1 if rising else level + 1]
            place = {i: k for k, i in enumerate(near)}
            links = down if rising else up
            middle = {
                i: sum(place[j] for j in links[i]) / len(links[i]) if links[i] else float(k)
                for k, i in enumerate(order[level])
            }
            order[level].sort(key=middle.__getitem__)
        now = crossings(order, down)
        if now < fewest:
            best, fewest = [list(members) for members in order], now
    return best


def crossings(order: list[list[int]], down: list[list[int]]) -> int:
    """Count the pairs of pieces that cross between neighbouring rows."""
    total = 0
    for lower, upper in pairwise(order):
        place = {i: k for k, i in enumerate(lower)}
        passed: list[int] = []
        for i in upper:
            ends = sorted(place[j] for j in down[i])
            total += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return total


def spread(
    order: list[list[int]], pieces: list[tuple[int, int]], widths: list[float], gap: float
) -> list[float]:
    """Choose x for every box: near the mean of its neighbours, never over the box beside it."""
    up: list[list[int]] = [[] for _ in widths]
    down: list[list[int]] = [[] for _ in widths]
    for upper, lower in pieces:
        up[lower].append(upper)
        down[upper].append(lower)
    x = [0.0] * len(widths)
    for members in order:
        settle(members, x, [0.0] * len(members), widths, gap)
    for sweep in range(SWEEPS):
        rising = sweep % 2 == 0
        links = down if rising else up
        for members in order if rising else order[::-1]:
            wish = [mean_place(links[i], x, widths, x[i]) for i in members]
            settle(members, x, wish, widths, gap)
    return x


def mean_place(links: list[int], x: list[float], widths: list[float], default: float) -> float:
    """Average the neighbours' places; boxes pull more than bends, so that chains stay straight."""
    weight = sum(widths[j] for j in links)
    return sum(x[j] * widths[j] for j in links) / weight if links else default


def settle(
    members: list[int], x: list[float], wish: list[float], widths: list[float], gap: float
) -> None:
    """Move one row as near to its wishes as the gaps allow (least squares, pooling neighbours)."""
    offset, offsets = 0.0, []
    for k, i in enumerate(members):
        if k:
            offset += (widths[members[k - 1]] + widths[i]) / 2 + gap
        offsets.append(offset)
    pools: list[tuple[float, int]] = []
    for want, away in zip(wish, offsets, strict=True):
        total, size = want - away, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / size:
            other, more = pools.pop()
            total, size = total + other, size + more
        pools.append((total, size))
    k = 0
    for total, size in pools:
        for _ in range(size):
            x[members[k]] = total / size + offsets[k]
            k += 1
