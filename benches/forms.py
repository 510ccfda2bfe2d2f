"""Times operators as they are written, in place, with out= and keywords, beside PyTorch's.

Leans on schuss and torch. `python benches/forms.py [pattern] [sizes]` prints a line for each form
that a regular expression finds, the slowest beside torch first, and the mean for each size.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
import warnings
from typing import Any

import numpy as np
import schuss
import torch

SIZES = (64, 16_384, 1_048_576)
ROUNDS, ROUND = 7, 0.004
# Decompositions of large matrices would take all the time, and are timed by kernels_peer.
SMALL = re.compile(r"linalg|matrix_power")

# `L` is the library and `F` its functional; a, b, b2 are vectors of standard normal numbers, p, q,
# u and v lie in (0, 5), (1, 6), (-1, 1) and (0, 1), c and c2 are truths, i and ip integers, d, h
# and z of float64, float16 and complex64; m, M and S are square matrices of as many elements, M
# with an inverse and S definite, m3 many of 32 x 32; idx is a permutation of the rows, g one of
# every row, tg a class for each row, o and na, la an output, an array and a list. w and mw are
# what is written in place: fresh copies of a and m for each form.
FORMS = """
a.add(b) | a.add(b,alpha=0.5) | a.sub(b,alpha=2) | w.add_(b,alpha=1e-9) | w.sub_(b,alpha=1e-9) |
L.add(a,b,out=o) | L.mul(a,b,out=o) | L.div(a,b,out=o) | L.sub(a,b,out=o)

L.add(a,1.0,out=o) | L.exp(a,out=o) | L.sqrt(p,out=o) | L.maximum(a,b,out=o) | L.where(c,a,b) |
L.where(c,a,0.0) | L.where(c,0.0,a) | L.clamp(a,-1,1) | w.clamp_(-9,9) | a.clamp(min=0) |
a.clamp(max=0) | w.clamp_(min=-9)

w.fill_(0.5) | w.zero_() | w.copy_(b) | L.zeros_like(a) | L.ones_like(a) | L.full_like(a,2.0) |
L.empty_like(a) | a.clone() | a.contiguous() | a.to(L.float64) | d.to(L.float32) |
i.to(L.float32) | a.to(L.int64) | c.to(L.float32) | a.bool() | h.to(L.float32) |
a.to(L.float16) | a.to(L.bfloat16)

a.masked_fill(c,0.0) | w.masked_fill_(c,0.5) | a[c] | a.masked_select(c) | L.nonzero(c) |
c.sum() | c.any() | c.all() | ~c | c&c2 | c.__or__(c2) | c^c2 | a>0 | a>b | a==b | a!=b | a<=b |
L.isnan(a) | L.isfinite(a) | L.isinf(a) | L.sign(a) | L.abs(a) | -a | a.square() |
a.reciprocal() | p.rsqrt() | a**3 | p**0.5 | p**1.5 | p**b | 2.0**a | a%0.7 | a//0.7 |
L.fmod(a,0.7) | L.floor(a) | L.round(a) | L.ceil(a) | L.trunc(a) | L.frac(a)

L.addcmul(a,b,b2,value=0.5) | L.addcdiv(a,b,p,value=0.5) | L.lerp(a,b,0.3) | L.lerp(a,b,p) |
w.lerp_(b,1e-9) | w.addcmul_(b,b2,value=1e-9) | w.mul_(1.0) | w.div_(1.0) | w.sub_(0.0) |
w.neg_().neg_() | w.relu_()

L.sin(a) | L.cos(a) | L.tan(a) | L.asin(u) | L.acos(u) | L.atan(a) | L.sinh(a) | L.cosh(a) |
L.asinh(a) | L.acosh(q) | L.atanh(u) | L.exp2(a) | L.expm1(a) | L.log1p(p) | L.log2(p) |
L.log10(p) | L.erf(a) | L.erfc(a) | L.erfinv(u) | L.lgamma(p) | L.digamma(p) | L.sigmoid(a) |
L.logit(v) | L.atan2(a,b) | L.hypot(a,b) | L.logaddexp(a,b) | L.xlogy(p,p) | L.sinc(a) |
L.i0(a) | L.nan_to_num(a) | L.copysign(a,b) | L.heaviside(a,b) | L.minimum(a,b) | L.fmax(a,b) |
L.ldexp(a,i) | L.special.ndtr(a) | L.special.log_ndtr(a) | L.special.entr(p) | L.deg2rad(a)

F.relu(a) | F.leaky_relu(a) | F.elu(a) | F.selu(a) | F.celu(a) | F.gelu(a) |
F.gelu(a,approximate='tanh') | F.silu(a) | F.mish(a) | F.softplus(a) | F.softsign(a) |
F.hardtanh(a) | F.hardswish(a) | F.hardsigmoid(a) | F.relu6(a) | F.logsigmoid(a) |
F.tanhshrink(a) | F.softshrink(a) | F.hardshrink(a) | F.threshold(a,0.1,2.0) |
F.dropout(a,0.5) | F.glu(m2) | F.prelu(a,w1)

a.sum() | a.mean() | a.max() | a.min() | a.prod() | a.std() | a.var() | a.norm() | a.norm(1) |
a.argmax() | a.argmin() | a.logsumexp(0) | a.median() | L.quantile(a[:1000],0.5) | a.cumsum(0) |
a.cumprod(0) | a.cummax(0) | L.logcumsumexp(a,0) | a.diff() | a.sort() | a.argsort() |
a.topk(5) | a.kthvalue(5) | a.flip(0) | a.roll(3) | a.unique() | L.bincount(ip) | L.histc(a) |
L.searchsorted(s,a) | L.bucketize(a,s) | a.count_nonzero() | L.aminmax(a) | a.nansum() |
a.nanmean() | L.var_mean(a) | L.std_mean(a) | L.trapz(a) | a.amax() | a.dist(b)

m.sum(0) | m.sum(1) | m.mean(0) | m.mean(1) | m.max(0) | m.max(1) | m.min(1) | m.argmax(0) |
m.argmax(1) | m.var(0) | m.var(1) | m.std(1,keepdim=True) | m.norm(dim=1) | m.norm(dim=0) |
m.logsumexp(1) | m.logsumexp(0) | m.prod(1) | m.cumsum(0) | m.cumsum(1) | m.cumprod(1) |
m.sort(1) | m.sort(0) | m.argsort(1) | m.topk(3,1) | m.median(1) | m.flip(0) | m.flip(1) |
m.roll(1,1) | m.any(1) | (m>0).any(1) | (m>0).all(0) | m.amax((0,1)) | m.amin(1) | m.nansum(1) |
m.T.contiguous() | m.T.sum(0) | m.T+m.T | m+m.T | m.T.clone() | m[:,::2]+1.0 | m[::2].sum() |
m[:,0]*2 | m[:,1:]-m[:,:-1] | m[1:]-m[:-1] | m[idx] | m[:,idx] | m[idx,idx] |
m.index_select(0,idx) | m.index_select(1,idx) | m.gather(1,g) | m.gather(0,g) |
m.take_along_dim(g,1) | m.scatter(1,g,0.5) | m.scatter_add(1,g,m) | m.index_add(0,idx,m[idx]) |
m.index_fill(0,idx,1.0) | m.index_copy(0,idx,m) | m.scatter_reduce(1,g,m,'amax')

L.cat([m,m]) | L.cat([m,m],1) | L.stack([m,m]) | L.stack([m,m],2) | m.chunk(2) | m.split(8,1) |
m.unbind(0) | m.repeat(2,2) | m.repeat_interleave(2,0) | m.tile(2,1) |
m.expand(2,-1,-1).contiguous() | L.tril(m) | L.triu(m) | m.diag() | m.diagonal() | m.trace() |
m.unfold(1,4,2).sum() | F.pad(m,(1,1,1,1)) | F.pad(m[None],(1,1),mode='reflect') |
L.outer(k,k) | m@m.T | m@k | k@m | k@k | L.dot(k,k) | m.mv(k) | L.addmm(m,m,m) |
L.baddbmm(m3,m3,m3) | L.bmm(m3,m3) | L.einsum('ij,kj->ik',m,m) | L.einsum('ij,ij->i',m,m) |
L.einsum('bij,bjk->bik',m3,m3) | L.kron(m[:8,:8],m[:8,:8]) | L.cdist(m,m) |
L.cross(x3,x3,dim=1) | L.tensordot(m,m,1) | L.matrix_power(m,3) | L.linalg.norm(m) |
L.linalg.solve(M,m) | L.linalg.inv(M) | L.linalg.det(M) | L.linalg.cholesky(S) |
L.linalg.qr(m) | L.linalg.svd(m) | L.linalg.eigh(S) | L.linalg.eigvals(m) |
L.linalg.lstsq(M,m) | L.linalg.pinv(m) | L.linalg.slogdet(M) | L.linalg.matrix_norm(m) |
L.linalg.vector_norm(m,dim=1)

F.softmax(m,1) | F.softmax(m,0) | F.log_softmax(m,1) | F.softmin(m,1) | F.normalize(m,dim=1) |
F.cosine_similarity(m,m,1) | F.pairwise_distance(m,m) | F.layer_norm(m,(m.shape[1],)) |
F.rms_norm(m,(m.shape[1],)) | F.mse_loss(a,b) | F.l1_loss(a,b) | F.smooth_l1_loss(a,b) |
F.huber_loss(a,b) | F.binary_cross_entropy(v,v2) | F.binary_cross_entropy_with_logits(a,v) |
F.cross_entropy(m,tg) | F.nll_loss(m,tg) | F.kl_div(a,v) | F.gaussian_nll_loss(a,b,p) |
F.poisson_nll_loss(a,p) | F.hinge_embedding_loss(a,sg) | F.one_hot(tg,m.shape[1]) |
F.embedding(tg,m) | F.linear(m,m) | F.linear(m,m,k) | F.bilinear(m[:16,:8],m[:16,:8],t3)

L.rand(a.shape) | L.randn(a.shape) | L.randint(0,10,a.shape) | L.randperm(a.shape[0]) |
L.bernoulli(v) | w.uniform_() | w.normal_() | L.arange(a.shape[0]) |
L.linspace(0,1,a.shape[0]) | L.eye(m.shape[0]) | L.multinomial(k.abs(),5) |
L.normal(0.0,1.0,a.shape) | L.empty(a.shape).exponential_() | L.meshgrid(k,k,indexing='ij') |
L.vander(k) | L.tensor(na) | L.from_numpy(na) | a.numpy() | a.tolist() | L.tensor(la) | i+i |
i*i | i//3 | i%3 | i.sum() | i.max() | i>3 | i&3 | i<<1 | d+d | d*2.0 | d.sum() | d.exp() |
d.log().sum() | d.sin() | d.tanh() | h+h | h.exp() | h.sum() | z*z | z.abs() | z.exp() |
z.sum() | z.conj()*z | a*d | a+i | a*2 | a/3 | 3-a | 1/a | i/2 | a.mean().item()

a.flatten() | a.reshape(-1,2) | a.view(2,-1) | m.transpose(0,1) | m.permute(1,0) |
m.unsqueeze(0) | m.squeeze() | m[None] | m[...,None] | m[0] | m[-1] | m[:,0] | m[1:] | m[::2] |
m[1:-1,1:-1] | m[0,0] | m.expand(2,-1,-1) | a.detach() | a.dim() | a.shape | a.size(0) |
a.numel() | len(a) | a.stride() | m.narrow(0,0,2) | m.select(0,0) | m.swapaxes(0,1) |
m.movedim(0,1) | m.ravel() | L.broadcast_to(k,m.shape) | L.atleast_2d(a) | L.is_tensor(a) |
a.requires_grad | a.is_contiguous() | a.dtype

mw.__setitem__((0,),1.0) | mw.__setitem__((slice(None),0),1.0) | mw.__setitem__(0,k) |
mw.__setitem__((slice(None),slice(1,None)),m0[:,1:]) | w.__setitem__(c,0.5) |
mw.__setitem__(idx,m0)
"""


def operands(lib: Any, n: int) -> dict[str, Any]:
    """The names that forms are made of."""
    draw = np.random.default_rng(1)

    def normal(*shape: int) -> np.ndarray:
        return draw.standard_normal(shape).astype("float32")

    def uniform(low: float, high: float) -> Any:
        return lib.tensor((draw.random(n) * (high - low) + low).astype("float32"))

    vector = normal(n)
    side = int(n**0.5) // 8 * 8
    square = normal(side, side)
    few = min(side, 32)
    held = {
        "na": vector.copy(),
        "la": vector.tolist(),
        "a": vector,
        "b": normal(n),
        "b2": normal(n),
        "c": draw.random(n) > 0.5,
        "c2": draw.random(n) > 0.5,
        "i": draw.integers(1, 9, n),
        "ip": draw.integers(0, 99, n),
        "sg": np.where(draw.random(n) > 0.5, 1.0, -1.0).astype("float32"),
        "d": np.abs(draw.standard_normal(n)) + 0.1,
        "z": (draw.standard_normal(n) + 1j * draw.standard_normal(n)).astype("complex64"),
        "m": square / side**0.5,
        "m0": square,
        "m2": square,
        "k": normal(side),
        "idx": draw.permutation(side),
        "g": np.stack([draw.permutation(side) for _ in range(side)]),
        "tg": draw.integers(0, side, side),
        "w1": np.array([0.25], "float32"),
        "s": np.sort(normal(100)),
        "x3": normal(n // 3, 3),
        "M": square / side**0.5 + 2 * np.eye(side, dtype="float32"),
        "S": square @ square.T / side + np.eye(side, dtype="float32"),
        "t3": normal(4, 8, 8),
        "m3": normal(max(1, n // (few * few)), few, few),
    }
    names = {k: v if k in ("na", "la") else lib.tensor(v) for k, v in held.items()}
    bounds = {"p": (0.01, 5.01), "q": (1.01, 6.01), "u": (-0.99, 0.99)}
    names |= {k: uniform(*both) for k, both in bounds.items()}
    names |= {"v": uniform(0.01, 0.99), "v2": uniform(0.01, 0.99), "o": lib.zeros(n)}
    return names | {"h": names["b"].to(lib.float16), "L": lib, "F": lib.nn.functional}


def best(form: str, sides: list[dict[str, Any]]) -> list[float]:
    """The shortest time of a call on either side, by turns."""
    own = [side | {"w": side["a"].clone(), "mw": side["m"].clone()} for side in sides]
    calls = [eval(f"lambda: {form}", side) for side in own]
    counts = []
    for call in calls:
        call()
        start = time.perf_counter()
        call()
        counts.append(max(1, int(ROUND / max(time.perf_counter() - start, 1e-7))))
    least = [float("inf")] * len(sides)
    for _ in range(ROUNDS):
        for k, (call, count) in enumerate(zip(calls, counts, strict=True)):
            start = time.perf_counter()
            for _ in range(count):
                call()
            least[k] = min(least[k], (time.perf_counter() - start) / count)
    return least


def main(pattern: str = "", sizes: str = "") -> None:
    """One thread each."""
    warnings.filterwarnings("ignore")
    schuss.set_num_threads(1)
    torch.set_num_threads(1)
    found = (form.strip(" |") for form in re.split(r" \| |\n", FORMS))
    forms = [form for form in found if form and re.search(pattern, form)]
    print("| elements | form | schuss | torch | ratio |\n|---|---|---|---|---|")
    for n in [int(size) for size in sizes.split(",")] if sizes else SIZES:
        sides = [operands(lib, n) for lib in (schuss, torch)]
        rows = []
        for form in forms:
            if not (n > 20_000 and SMALL.search(form)):
                ours, theirs = best(form, sides)
                rows.append((theirs / ours, form, ours, theirs))
        for ratio, form, ours, theirs in sorted(rows):
            shown = form.replace("|", "\\|")
            print(
                f"| {n:,} | `{shown}` | {ours * 1e6:.2f} us | {theirs * 1e6:.2f} us | {ratio:.2f} |"
            )
        if rows:
            mean = statistics.geometric_mean(ratio for ratio, *_ in rows)
            print(f"| {n:,} | geometric mean of {len(rows)} | | | {mean:.2f} |")


if __name__ == "__main__":
    main(*sys.argv[1:3])
