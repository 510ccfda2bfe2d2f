//! Scaled dot-product attention as one node: in tiles, the formula where the walk itself is recorded.
//! Leans on graph and backend's attention family.

use super::view::operand;
use crate::backend::launch::Attention;
use crate::backend::{Launch, Operand, of};
use crate::base::{Error, Result, shape};
use crate::graph::mode::Mode;
use crate::graph::sym::must;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// `softmax(scale * query @ key.T + added) @ value` over (batch, rows, heads, size), added (batch, heads, queries, keys)
    /// (Vaswani et al. 2017); and the log-sums of scores, which have no derivative of their own.
    attention_of(query, key, value, added: Maybe; scale: Number, causal: Bool) Any {
        kernel(attention_meta, attention_run);
        rule attention_back;
        face hidden;
    }
}

fn described(args: &[Arg], back: bool) -> Attention {
    Attention { back, causal: args[1] == Arg::Bool(true), scale: args[0].number().map_or(1.0, crate::base::Number::as_f64) }
}

fn attention_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let [Some(q), Some(k), Some(v), added] = ins else { return Err(Error::bug("attention", "an operand is missing")) };
    let (sq, sk, sv) = (&q.shape, &k.shape, &v.shape);
    let ranks = [sq, sk, sv].iter().all(|s| s.len() == 4);
    let fits = ranks && [0, 2].iter().all(|&i| sq[i] == sk[i] && sk[i] == sv[i]) && sq[3] == sk[3] && sk[1] == sv[1];
    if !fits || added.as_ref().is_some_and(|a| a.shape[..] != [sq[0], sq[2], sq[1], sk[1]]) {
        let shown = [sq, sk, sv].map(|s| shape::show(s));
        return Err(Error::shape(
            "scaled_dot_product_attention",
            format!("queries {}, keys {}, values {} (batch, rows, heads, size) and the mask do not fit", shown[0], shown[1], shown[2]),
        ));
    }
    if !q.dtype.is_float() || [k, v].into_iter().chain(added).any(|m| m.dtype != q.dtype) {
        return Err(Error::dtype(
            "scaled_dot_product_attention",
            format!("queries {}, keys {} and values {} must be of one float dtype", q.dtype, k.dtype, v.dtype),
        ));
    }
    let out = [sq[0], sq[1], sq[2], sv[3]][..].into();
    let sums = [sq[0], sq[2], sq[1]][..].into();
    Ok(smallvec![Meta { shape: out, dtype: q.dtype }, Meta { shape: sums, dtype: q.dtype.compute() }])
}

/// The same elements in the dtype that kernels compute in, those of a row side by side.
fn lined(x: &Operand) -> Result<Operand> {
    let dtype = x.dtype.compute();
    let (rank, last) = (x.layout.rank(), x.layout.rank() - 1);
    if x.dtype == dtype && (rank == 4 && x.layout.strides[last] == 1 || x.layout.shape[last] == 1 || x.layout.is_contiguous()) {
        return Ok(x.clone());
    }
    let copy = Operand::new(of(&x.storage), &x.layout.shape, dtype)?;
    of(&x.storage).launch(&Launch::Copy { src: x, dst: &copy })?;
    Ok(copy)
}

/// What is added may be spread over batches, heads or queries; it is only converted.
fn converted(x: &Operand) -> Result<Operand> {
    if x.dtype == x.dtype.compute() { Ok(x.clone()) } else { lined(x) }
}

fn launch(what: Attention, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let backend = of(&outs[0].storage);
    let made = |x: &Operand| -> Result<Operand> {
        if x.dtype == x.dtype.compute() { Ok(x.clone()) } else { Operand::new(backend, &x.layout.shape, x.dtype.compute()) }
    };
    let wide = outs.iter().map(made).collect::<Result<Vec<_>>>()?;
    backend.launch(&Launch::Attention { what, ins, outs: &wide })?;
    for (from, to) in wide.iter().zip(outs).filter(|(from, to)| from.dtype != to.dtype) {
        backend.launch(&Launch::Copy { src: from, dst: to })?;
    }
    Ok(())
}

fn attention_run(call: &Call) -> Result<()> {
    let mut ins = vec![lined(operand(call, 0)?)?, lined(operand(call, 1)?)?, lined(operand(call, 2)?)?];
    if let Some(Some(added)) = call.ins.get(3) {
        ins.push(converted(added)?);
    }
    launch(described(call.args, false), &ins, call.outs)
}

fn attention_back(pull: &Pull) -> Grads {
    let (q, k, v, added) = (&pull.ins[0], &pull.ins[1], &pull.ins[2], &pull.ins[3]);
    if Mode::now().probe() {
        let list = [q, k, v, added, &pull.outs[0], &pull.outs[1]];
        super::view::reads(&list.into_iter().filter(|s| !s.is_absent()).collect::<Vec<_>>());
        return Grads::new();
    }
    let Some(g) = &pull.grads[0] else {
        crate::graph::sym::fail(Error::grad("scaled_dot_product_attention", "the log-sums of scores have no derivative"))
    };
    // Where the walk itself is recorded, it must be made of what has derivatives; and what is added has its slope there.
    if Mode::now().grad() || Mode::now().lifted() || pull.needs.has(3) {
        return formula(pull, g);
    }
    let take = |s: &Sym| must(lined(&s.tensor().operand()));
    let mut ins = vec![take(g), take(&pull.outs[0]), take(q), take(k), take(v), take(&pull.outs[1])];
    if !added.is_absent() {
        ins.push(must(converted(&added.tensor().operand())));
    }
    let backend = of(&ins[2].storage);
    let outs = [q, k, v].map(|s| must(Operand::new(backend, &s.shape(), s.dtype())));
    must(launch(described(pull.args, true), &ins, &outs));
    outs.into_iter().enumerate().map(|(i, x)| pull.needs.has(i).then(|| Sym::Tensor(Tensor::from_operand(x)))).chain([None]).collect()
}

/// The same gradients written with operations, all scores at once.
fn formula(pull: &Pull, g: &Sym) -> Grads {
    let what = described(pull.args, false);
    let heads = |s: &Sym| s.transpose(1, 2);
    let (g, q, k, v, added) = (heads(g), heads(&pull.ins[0]), heads(&pull.ins[1]), heads(&pull.ins[2]), &pull.ins[3]);
    let mut scores = q.matmul(&k.transpose(2, 3)) * what.scale;
    if !added.is_absent() {
        scores = scores + added;
    }
    let none = Sym::from(f64::NEG_INFINITY);
    if what.causal {
        let ones = super::view::zeros_like(&scores) + 1.0;
        scores = ones.tril(0i64).eq(&Sym::from(0.0)).where_(&none, &scores);
    }
    let nowhere = scores.eq(&none).all([-1i64], true);
    // Where a query may look nowhere all scores are alike instead, and none of their shares is taken.
    let scores = nowhere.where_(&Sym::from(0.0), &scores);
    let shares = nowhere.where_(&Sym::from(0.0), &scores.softmax(-1i64, ()));
    let slopes = g.matmul(&v.transpose(2, 3));
    let level = (&slopes * &shares).sum([-1i64], true, ());
    let slopes = &shares * (&slopes - &level);
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| heads(&(slopes.matmul(&k) * what.scale))));
    grads.push(pull.needs.has(1).then(|| heads(&(slopes.transpose(2, 3).matmul(&q) * what.scale))));
    grads.push(pull.needs.has(2).then(|| heads(&shares.transpose(2, 3).matmul(&g))));
    grads.push(pull.needs.has(3).then_some(slopes));
    grads
}
