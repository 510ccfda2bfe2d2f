"""Results written into tensors that are handed over as `out`: by every function that takes one.

Leans on schuss, NumPy and the sources of the package, searched for an `out` that nothing reads.
"""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import schuss
from conftest import refuses
from schuss import Tensor, linalg
from schuss.nn import functional as F
from schuss.testing import assert_close

RNG = np.random.default_rng(3)
X = schuss.tensor(RNG.standard_normal((3, 4)))
Y = schuss.tensor(RNG.standard_normal((3, 4)))
V = schuss.tensor(RNG.standard_normal(4))
SQUARE = schuss.tensor(RNG.standard_normal((3, 3)) + 4 * np.eye(3))
EVEN = SQUARE @ SQUARE.T
SIGNAL = schuss.tensor(RNG.standard_normal((2, 3, 4, 4)))
DEEP = SIGNAL.unsqueeze(2)
HOLES = schuss.tensor([[1.0, np.nan], [3.0, 4.0]], dtype=schuss.float64)
AT = schuss.tensor([2, 0, 2])
WIDE = AT.unsqueeze(1).expand(3, 4)
WHOLE = schuss.tensor([[5, 2, 5], [1, 2, 2]])

ONE = {
    "add": lambda **k: schuss.add(X, Y, alpha=2, **k),
    "addmm": lambda **k: schuss.addmm(SQUARE, SQUARE, EVEN, beta=2, **k),
    "avg_pool2d": lambda **k: F.avg_pool2d(SIGNAL, 2, **k),
    "avg_pool3d": lambda **k: F.avg_pool3d(DEEP, (1, 2, 2), **k),
    "cat": lambda **k: schuss.cat([X, Y], 1, **k),
    "chain_matmul": lambda **k: schuss.chain_matmul(SQUARE, EVEN, X, **k),
    "clamp": lambda **k: schuss.clamp(X, -0.5, 0.5, **k),
    "cholesky": lambda **k: linalg.cholesky(EVEN, **k),
    "cond": lambda **k: linalg.cond(SQUARE, **k),
    "cumsum": lambda **k: schuss.cumsum(X, 1, **k),
    "det": lambda **k: linalg.det(SQUARE, **k),
    "diag of a matrix": lambda **k: schuss.diag(SQUARE, **k),
    "diag of a vector": lambda **k: schuss.diag(V, 1, **k),
    "diff": lambda **k: schuss.diff(X, **k),
    "div": lambda **k: schuss.div(X, Y, rounding_mode="trunc", **k),
    "einsum's kin": lambda **k: schuss.tensordot(X, Y.T, 1, **k),
    "float_power": lambda **k: schuss.float_power(X, 2, **k),
    "gather": lambda **k: schuss.gather(X, 0, WIDE, **k),
    "gelu": lambda **k: F.gelu(X, **k),
    "gelu by tanh": lambda **k: F.gelu(X, "tanh", **k),
    "hardshrink": lambda **k: F.hardshrink(X, **k),
    "histc": lambda **k: schuss.histc(X, 5, **k),
    "index_add": lambda **k: schuss.index_add(X, 0, AT, Y, alpha=3, **k),
    "index_copy": lambda **k: schuss.index_copy(X, 0, AT[:2], Y[:2], **k),
    "index_reduce": lambda **k: schuss.index_reduce(X, 0, AT, Y, "amax", **k),
    "index_select": lambda **k: schuss.index_select(X, 0, AT, **k),
    "inv": lambda **k: linalg.inv(SQUARE, **k),
    "isin": lambda **k: schuss.isin(WHOLE, schuss.tensor([2, 9]), **k),
    "isin of nothing": lambda **k: schuss.isin(WHOLE, schuss.tensor([]), **k),
    "kron": lambda **k: schuss.kron(SQUARE, V, **k),
    "logspace": lambda **k: schuss.logspace(0, 2, 5, dtype=schuss.float64, **k),
    "matrix_exp's power": lambda **k: linalg.matrix_power(SQUARE, 3, **k),
    "matrix_norm": lambda **k: linalg.matrix_norm(SQUARE, "nuc", **k),
    "matrix_rank": lambda **k: linalg.matrix_rank(SQUARE, **k),
    "max": lambda **k: schuss.max(X, **k),
    "maximum": lambda **k: schuss.maximum(X, Y, **k),
    "mean": lambda **k: schuss.mean(X, 1, **k),
    "median": lambda **k: schuss.median(X, **k),
    "multi_dot": lambda **k: linalg.multi_dot([SQUARE, EVEN, X], **k),
    "nan_to_num": lambda **k: schuss.nan_to_num(HOLES, 7.0, **k),
    "nan_to_num of integers": lambda **k: schuss.nan_to_num(WHOLE, **k),
    "nanmean": lambda **k: schuss.nanmean(HOLES, 0, **k),
    "nanquantile": lambda **k: schuss.nanquantile(HOLES, 0.25, 0, **k),
    "nansum": lambda **k: schuss.nansum(HOLES, 0, **k),
    "nonzero": lambda **k: schuss.nonzero(WHOLE > 1, **k),
    "norm": lambda **k: schuss.norm(X, dim=1, **k),
    "norm of three": lambda **k: schuss.norm(X, 3, 0, **k),
    "normalize": lambda **k: F.normalize(X, **k),
    "pinv": lambda **k: linalg.pinv(X, **k),
    "polygamma": lambda **k: schuss.polygamma(2, X.abs() + 1, **k),
    "prod": lambda **k: schuss.prod(X, 1, **k),
    "quantile": lambda **k: schuss.quantile(X, 0.3, 1, **k),
    "round": lambda **k: schuss.round(X, decimals=1, **k),
    "round to tens": lambda **k: schuss.round(X * 30, decimals=-1, **k),
    "round of integers": lambda **k: schuss.round(WHOLE, **k),
    "scatter": lambda **k: schuss.scatter(X, 0, WIDE, Y, **k),
    "scatter of products": lambda **k: schuss.scatter(X, 0, WIDE, Y, reduce="multiply", **k),
    "scatter_add": lambda **k: schuss.scatter_add(X, 0, WIDE, Y, **k),
    "scatter_reduce": lambda **k: schuss.scatter_reduce(X, 0, WIDE, Y, "mean", **k),
    "searchsorted": lambda **k: schuss.searchsorted(V.sort().values, X, **k),
    "slice_scatter": lambda **k: schuss.slice_scatter(X, Y[:, :2], 1, 1, 3, **k),
    "softplus": lambda **k: F.softplus(X, 2.0, **k),
    "softshrink": lambda **k: F.softshrink(X, **k),
    "solve": lambda **k: linalg.solve(SQUARE, X, **k),
    "stack": lambda **k: schuss.stack([X, Y], 1, **k),
    "std": lambda **k: schuss.std(X, 1, **k),
    "sum": lambda **k: schuss.sum(X, 1, **k),
    "svdvals": lambda **k: linalg.svdvals(SQUARE, **k),
    "take": lambda **k: schuss.take(X, AT, **k),
    "take_along_dim": lambda **k: schuss.take_along_dim(X, WIDE, 0, **k),
    "trunc": lambda **k: schuss.trunc(X, **k),
    "unfold_copy": lambda **k: schuss.unfold_copy(X, 1, 2, 2, **k),
    "var": lambda **k: schuss.var(X, 0, **k),
    "where": lambda **k: schuss.where(X > 0, X, Y, **k),
}
SEVERAL = {
    "aminmax": lambda **k: schuss.aminmax(X, dim=0, **k),
    "cummax": lambda **k: schuss.cummax(X, 1, **k),
    "eigh": lambda **k: linalg.eigh(EVEN, **k),
    "frexp": lambda **k: schuss.frexp(X, **k),
    "histogram": lambda **k: schuss.histogram(X, 3, **k),
    "kthvalue": lambda **k: schuss.kthvalue(X, 2, **k),
    "lstsq": lambda **k: linalg.lstsq(X, Y, driver="gelsd", **k),
    "lu": lambda **k: linalg.lu(SQUARE, **k),
    "lu_factor": lambda **k: linalg.lu_factor(SQUARE, **k),
    "max": lambda **k: schuss.max(X, 1, **k),
    "median": lambda **k: schuss.median(X, 1, **k),
    "mode": lambda **k: schuss.mode(WHOLE, 1, **k),
    "native_batch_norm": lambda **k: schuss.native_batch_norm(
        SIGNAL, None, None, None, None, True, 0.1, 1e-5, **k
    ),
    "polar": lambda **k: linalg.polar(SQUARE, **k),
    "polar on the left": lambda **k: linalg.polar(SQUARE, side="left", **k),
    "qr": lambda **k: linalg.qr(SQUARE, **k),
    "slogdet": lambda **k: linalg.slogdet(SQUARE, **k),
    "sort": lambda **k: schuss.sort(X, 1, **k),
    "svd": lambda **k: linalg.svd(SQUARE, **k),
    "topk": lambda **k: schuss.topk(X, 2, 1, **k),
}


def room(x: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the memory that a result needs, and every second element of it."""
    whole = schuss.full((*x.shape, 2), 7).to(x.dtype)
    return whole, whole[..., 1]


@pytest.mark.parametrize("name", ONE)
def test_one_result_goes_where_out_lies(name: str) -> None:
    want = ONE[name]()
    whole, out = room(want)
    assert ONE[name](out=out) is out
    assert_close(whole[..., 1], want)
    assert bool((whole[..., 0] == schuss.tensor(7).to(want.dtype)).all())
    fresh = schuss.empty(0, dtype=want.dtype)
    assert ONE[name](out=fresh) is fresh
    assert_close(fresh, want)
    if want.is_floating_point():
        with refuses(RuntimeError, "float64 cannot be written to an out of type"):
            ONE[name](out=schuss.zeros(want.shape, dtype=schuss.int64))
        with refuses(RuntimeError, "do not support automatic differentiation"):
            ONE[name](out=schuss.zeros_like(want).requires_grad_())


@pytest.mark.parametrize("name", SEVERAL)
def test_several_results_go_where_out_lies(name: str) -> None:
    want = SEVERAL[name]()
    rooms = [room(x) for x in want]
    found = SEVERAL[name](out=tuple(out for _, out in rooms))
    assert type(found) is type(want)
    for x, y, (whole, out) in zip(found, want, rooms, strict=True):
        assert x is out
        assert_close(whole[..., 1], y)
        assert bool((whole[..., 0] == schuss.tensor(7).to(y.dtype)).all())
    with refuses(TypeError, f"out must be {len(want)} tensors"):
        SEVERAL[name](out=(rooms[0][1],))
    with refuses(TypeError, f"out must be {len(want)} tensors"):
        SEVERAL[name](out=rooms[0][1])


def test_results_with_a_past_are_not_written() -> None:
    x = X.clone().requires_grad_()
    out = schuss.zeros(3, dtype=schuss.float64)
    for call in (schuss.std, schuss.norm, schuss.nanmean, schuss.prod):
        with refuses(RuntimeError, "do not support automatic differentiation"):
            call(x, dim=1, out=out)
    with schuss.no_grad():
        assert_close(schuss.std(x, dim=1, out=out), X.std(1))


def test_grids_of_counts_go_where_out_lies() -> None:
    points = X[:, :2]
    want = schuss.histogramdd(points, [2, 3])
    whole, out = room(want.hist)
    edges = [schuss.empty(0, dtype=points.dtype) for _ in want.bin_edges]
    found = schuss.histogramdd(points, [2, 3], out=(out, edges))
    assert found.hist is out and all(a is b for a, b in zip(found.bin_edges, edges, strict=True))
    assert_close(whole[..., 1], want.hist)
    for edge, other in zip(edges, want.bin_edges, strict=True):
        assert_close(edge, other)


def test_no_function_takes_an_out_that_it_does_not_read() -> None:
    root, idle, seen = Path(schuss.__file__).parent, [], 0
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            if not any(a.arg == "out" for a in (*node.args.args, *node.args.kwonlyargs)):
                continue
            seen += 1
            if not any(isinstance(x, ast.Name) and x.id == "out" for x in ast.walk(node)):
                idle.append(f"{path.relative_to(root)}: {node.name}")
    assert seen > 100 and not idle


@pytest.mark.parametrize("name", ["sort", "cummax", "cummin", "max", "median", "mode"])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_places_are_int64_alone(name: str, dtype: str) -> None:
    values, places = schuss.zeros(0, dtype=X.dtype), schuss.zeros(0, dtype=getattr(schuss, dtype))
    with refuses(TypeError, name, "int64", dtype):
        getattr(schuss, name)(X, 1, out=(values, places))
