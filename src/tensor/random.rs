//! Random tensors: the generator that all draws of a program share, and the draws. Leans on backend's draw family.

use crate::backend::cpu::draw;
use crate::backend::cpu::random::{Generator, blocks};
use crate::backend::launch::Draw;
use crate::backend::trace;
pub use crate::backend::trace::Stream;
use crate::backend::{Launch, Operand, at, of};
use crate::base::{DType, Device, Error, Lock, Result, shape};
use crate::engine::{self, lift};
use crate::graph::Tensor;
use crate::graph::mode::Mode;
use std::sync::{Arc, LazyLock};

/// The seed of a program that sets none; fixed, so that a run can be repeated.
pub const FIRST_SEED: u64 = 67_280_421_310_721;

static DEFAULT: LazyLock<Stream> = LazyLock::new(|| stream(FIRST_SEED));

/// A stream of its own.
pub fn stream(seed: u64) -> Stream {
    Arc::new(Lock::new(Generator::new(seed)))
}

/// The generator used where none is named.
pub fn default() -> Stream {
    DEFAULT.clone()
}

pub fn manual_seed(seed: u64) {
    DEFAULT.get().manual_seed(seed);
}

/// Checks a draw's parameters before it runs.
fn check(op: &str, what: Draw) -> Result<()> {
    let bad = |message: String| Err(Error::runtime(op, message));
    match what {
        Draw::Uniform(a, b) if a > b || !(b - a).is_finite() => bad(format!("needs finite bounds with from <= to, got {a} and {b}")),
        Draw::Normal(_, s) if s < 0.0 || s.is_nan() => bad(format!("the standard deviation must be at least 0, got {s}")),
        Draw::Integers(a, b) if a >= b => bad(format!("needs low < high, got low {a} and high {b}")),
        Draw::Bernoulli(p) if !(0.0..=1.0).contains(&p) => bad(format!("the probability must be from 0 to 1, got {p}")),
        Draw::Exponential(l) if l <= 0.0 || l.is_nan() => bad(format!("lambda must be positive, got {l}")),
        _ => Ok(()),
    }
}

/// Moves a generator on by so many blocks: its seed, and where they begin.
fn taken(stream: &Stream, count: u64) -> (u64, u64) {
    let mut generator = stream.get();
    (generator.initial_seed(), generator.take(count))
}

/// Draws into an operand and moves the generator on.
pub fn into(op: &str, what: Draw, out: &Operand, stream: &Stream) -> Result<()> {
    check(op, what)?;
    if out.dtype.is_complex() {
        // Of a normal number each part has half the variance.
        let what = match what {
            Draw::Normal(mean, spread) => Draw::Normal(mean, spread * std::f64::consts::FRAC_1_SQRT_2),
            other => other,
        };
        return into(op, what, &crate::ops::complex::parts_of(out), stream);
    }
    let count = blocks(out.numel() as u64, draw::width(what, out.dtype));
    let (seed, offset) = taken(stream, count);
    of(&out.storage).launch(&Launch::Random { draw: what, seed, offset, out })?;
    if trace::on() {
        trace::drew(stream, count);
    }
    Ok(())
}

impl Tensor {
    /// A fresh tensor of random elements.
    pub fn random(op: &str, what: Draw, sizes: &[usize], dtype: DType, stream: &Stream, device: Device) -> Result<Tensor> {
        engine::start();
        shape::count(op, sizes)?;
        let integers = matches!(what, Draw::Integers(..) | Draw::Bernoulli(_) | Draw::Permutation);
        if !integers && !dtype.is_inexact() {
            return Err(Error::dtype(op, format!("draws floats, and cannot fill {dtype}; use randint for integers")));
        }
        let batches = if Mode::now().lifted() { lift::drawn(op)? } else { Vec::new() };
        let full: Vec<usize> = batches.iter().map(|(_, count)| *count).chain(sizes.iter().copied()).collect();
        let out = Operand::new(at(device)?, &full, dtype)?;
        into(op, what, &out, stream)?;
        Ok(batches.into_iter().fold(Tensor::from_operand(out), |t, (level, _)| Tensor::batch(level, t)))
    }

    /// Overwrites this tensor with random elements, through views as well.
    pub fn random_(&self, op: &str, what: Draw, stream: &Stream) -> Result<()> {
        check(op, what)?;
        if Mode::now().lifted() {
            let levels = lift::drawn(op)?;
            lift::must_differ(op, self, &levels)?;
        }
        engine::write::overwrite(op, self, &mut |out| into(op, what, out, stream))
    }
}

/// Elements kept with probability `1 - p` and scaled by `1 / (1 - p)`, the others zero (Srivastava et al. 2014).
pub fn dropout(x: &Tensor, p: f64, stream: &Stream) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&p) {
        return Err(Error::value("dropout", format!("the probability must be from 0 to 1, got {p}")));
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    let scale = if p == 1.0 { 0.0 } else { 1.0 / (1.0 - p) };
    // The way back of many examples reads what was drawn; so does that of a recorded step on the processor, where to read it
    // is quicker than to draw again. On a device such a step keeps where its draws begin, which is another place each time.
    let device = x.device();
    if x.dtype().is_float() && x.dtype().compute() == DType::F32 && !(trace::on() && device.is_cpu()) && !Mode::now().lifted() {
        engine::start();
        let count = blocks(x.numel() as u64, draw::width(Draw::Bernoulli(p), x.dtype()));
        let (seed, offset) = taken(stream, count);
        if !trace::on() {
            return crate::ops::drops::dropped(x, seed as i64, offset as i64, 1.0 - p, scale);
        }
        let place = Operand::new(at(device)?, &[4], DType::I32)?;
        of(&place.storage).launch(&Launch::Random { draw: Draw::Place, seed, offset, out: &place })?;
        trace::drew(stream, count);
        return crate::ops::drops::dropped_by(x, &Tensor::from_operand(place), 1.0 - p, scale);
    }
    // A complex number is kept or dropped as one.
    let keep = Tensor::random("dropout", Draw::Bernoulli(1.0 - p), &x.shape(), x.dtype().real(), stream, x.device())?;
    let mask = crate::ops::arith::mul(&keep, scale)?;
    crate::ops::arith::mul(x, &mask)
}
