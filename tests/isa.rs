//! Every compiled loop, on every instruction set of this machine, against the slow oracle and plain loops.
//! Leans on the record table, `backend::naive` and `isa::force`.

use schuss::backend::cpu::{Cpu, isa};
use schuss::backend::{Backend, Launch, MapBody, Operand, naive};
use schuss::base::dtype::Element;
use schuss::formula::Formula;
use schuss::formula::paper::{Line, Word};
use schuss::graph::{Body, Op};
use schuss::ops::{self, arith, extreme, linear, reduce, view};
use schuss::{DType, Number, Result, Tensor};
use std::fmt::{Debug, Write as _};
use std::ops::{Add, Mul, Sub};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Nothing, one, less than a vector of bytes, one more than a tile, and a size that no vector divides.
const SIZES: [usize; 5] = [0, 1, 17, 513, 5003];

/// The instruction set in force is the whole process's, so one test holds it at a time.
struct Force(#[allow(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

impl Force {
    fn take() -> Force {
        static HELD: Mutex<()> = Mutex::new(());
        Force(HELD.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// Each instruction set that this machine has, in force while its turn lasts.
    fn each(&self, mut work: impl FnMut(usize)) {
        for (level, name) in isa::NAMES.iter().enumerate() {
            if isa::force(level) == level {
                work(level);
            } else {
                eprintln!("{name} is not tested: this machine lacks it");
            }
        }
    }
}

impl Drop for Force {
    fn drop(&mut self) {
        isa::force(isa::NAMES.len() - 1);
    }
}

/// An element type, what counts as right in it, and its numbers for plain loops.
trait Sample: Element + PartialEq + Debug + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// The oracle's number as this type holds it.
    fn wrapped(want: f64) -> Self;
    /// The error allowed, relative to `1 + |want|`; 0 for integers.
    const TOLERANCE: f64;
    /// The bits; all NaNs are one.
    fn bits(self) -> u64;
}

macro_rules! sample {
    (floats $($t:ty, $tolerance:literal);*) => {$(
        impl Sample for $t {
            fn wrapped(want: f64) -> Self { want as $t }
            const TOLERANCE: f64 = $tolerance;
            fn bits(self) -> u64 { if self.is_nan() { u64::MAX } else { u64::from(self.to_bits()) } }
        }
    )*};
    (integers $($t:ty)*) => {$(
        impl Sample for $t {
            fn wrapped(want: f64) -> Self { want as i64 as $t }
            const TOLERANCE: f64 = 0.0;
            fn bits(self) -> u64 { self as u64 }
        }
    )*};
}
sample!(floats f32, 4e-6; f64, 1e-12);
sample!(integers u8 i8 i16 i32 i64);

fn agrees<T: Sample>(got: T, want: f64) -> bool {
    let (got, want) = (got.to_f64(), T::wrapped(want).to_f64());
    got == want || got.is_nan() && want.is_nan() || (got - want).abs() <= T::TOLERANCE * (1.0 + want.abs())
}

/// Sebastiano Vigna's splitmix64, as numbers of [0, 1).
struct Draw(u64);

impl Draw {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
    /// An element of a record's range; integers of a record without a range of its own are -9 to 9.
    fn of<T: Sample>(&mut self, (low, high): (f64, f64)) -> T {
        if T::DTYPE.is_float() {
            return T::from_f64(low + (high - low) * self.unit());
        }
        let (low, high) = if (low, high) == (-4.0, 4.0) { (-9.0, 9.0) } else { (low, high) };
        let low = if T::DTYPE == DType::U8 { low.max(0.0) } else { low }.ceil();
        T::from_f64(low + ((high.floor() - low + 1.0) * self.unit()).floor())
    }
    fn list<T: Sample>(&mut self, n: usize, range: (f64, f64)) -> Vec<T> {
        (0..n).map(|_| self.of(range)).collect()
    }
}

fn maps() -> impl Iterator<Item = (&'static Op, &'static MapBody)> {
    ops::all().filter_map(|op| if let Body::Map(body) = &op.body { Some((op, body)) } else { None })
}

fn uses(formula: &Formula, which: impl Fn(Word) -> bool) -> bool {
    formula.lines.iter().any(|line| matches!(line, Line::Apply(word, _) if which(*word)))
}

/// Words that are polynomials, whose last bit depends on whether multiply and add round once or twice.
fn is_polynomial(word: Word) -> bool {
    use Word::*;
    matches!(
        word,
        Pow | Exp | Exp2 | Expm1 | Log | Log2 | Log10 | Log1p | Sin | Cos | Tan | Asin | Acos | Atan | Atan2 | Sinh | Cosh | Tanh | Asinh
    ) || matches!(word, Acosh | Atanh | Erf | Erfc | Sigmoid | Lgamma | Digamma)
}

/// One map over row-major lists: its outputs, truths as 0 and 1.
fn launch<T: Sample>(body: &'static MapBody, ins: &[Vec<T>], params: &[Number]) -> Result<Vec<Vec<T>>> {
    let n = ins[0].len();
    let from = ins.iter().map(|list| Ok(Tensor::from_slice(list, &[n])?.operand())).collect::<Result<Vec<_>>>()?;
    let dtype = if body.truth { DType::Bool } else { T::DTYPE };
    let outs = (0..body.outputs).map(|_| Operand::new(&Cpu, &[n], dtype)).collect::<Result<Vec<_>>>()?;
    Cpu.launch(&Launch::Map { body, compute: T::DTYPE, params, ins: &from, outs: &outs })?;
    Ok(outs.into_iter().map(|out| Tensor::from_operand(out).to_vec()).collect())
}

/// One record on these inputs at every instruction set: what differs from the oracle, and between the sets.
fn compare<T: Sample>(force: &Force, op: &Op, body: &'static MapBody, ins: &[Vec<T>], params: &[Number], report: &mut String) {
    let formula = (body.formula)();
    let numbers: Vec<f64> = params.iter().map(|p| p.as_f64()).collect();
    let n = ins[0].len();
    let at = |i: usize| ins.iter().map(|list| list[i].to_f64()).collect::<Vec<_>>();
    let wanted: Vec<Vec<f64>> = (0..n).map(|i| naive::evaluate(&formula, &at(i), &numbers)).collect();
    let mut before: Option<(usize, Vec<Vec<T>>)> = None;
    force.each(|level| {
        let name = isa::NAMES[level];
        let got = launch(body, ins, params).expect("the record's own loop runs");
        for (k, list) in got.iter().enumerate() {
            assert_eq!(list.len(), n, "{} {name} {}: a result of another size", op.name, T::DTYPE);
            // Where a small change of an operand changes the result much (a variance near 0), rounding on the way does so too.
            let steep = |i: usize| {
                let moved = |j: usize, by: f64| {
                    let mut operands = at(i);
                    operands[j] *= 1.0 + by;
                    naive::evaluate(&formula, &operands, &numbers)[k]
                };
                let slack: f64 = (0..ins.len()).map(|j| (moved(j, T::TOLERANCE) - moved(j, -T::TOLERANCE)).abs()).sum();
                op.name.ends_with("_step") && (list[i].to_f64() - wanted[i][k]).abs() <= slack
            };
            if let Some(i) = (0..n).find(|&i| !agrees(list[i], wanted[i][k]) && !steep(i)) {
                let (got, want) = (list[i], wanted[i][k]);
                let _ = writeln!(report, "{} {} {name}, n={n}: {:?} gave {got:?}, oracle {want:?}", op.name, T::DTYPE, at(i));
            }
        }
        // Without FMA only the polynomials may differ, in their last bits.
        let comparable = before.as_ref().is_some_and(|(level, _)| *level > 0 || !uses(&formula, is_polynomial));
        if let (true, Some((_, old))) = (comparable, &before) {
            for (list, old) in got.iter().zip(old) {
                if let Some(i) = (0..n).find(|&i| list[i].bits() != old[i].bits()) {
                    let (new, old) = (list[i], old[i]);
                    let _ = writeln!(report, "{} {}, n={n}: {:?} gave {new:?} by {name}, {old:?} before", op.name, T::DTYPE, at(i));
                }
            }
        }
        before = Some((level, got));
    });
}

/// Parameters that every type here holds exactly.
fn params<T: Sample>(count: usize) -> Vec<Number> {
    (0..count).map(|k| if T::DTYPE.is_float() { Number::Float(0.25 * (k + 1) as f64) } else { Number::Int(1 + 2 * k as i64) }).collect()
}

fn every_size<T: Sample>(force: &Force, op: &Op, body: &'static MapBody, report: &mut String) {
    for n in SIZES {
        let mut draw = Draw(n as u64);
        let mut ins: Vec<Vec<T>> = (0..body.inputs).map(|_| draw.list(n, op.check)).collect();
        for (list, input) in ins.iter_mut().zip(op.inputs) {
            // Second moments are never negative.
            if matches!(input.name, "second" | "largest") {
                list.iter_mut().for_each(|x| *x = *x * *x);
            }
        }
        compare(force, op, body, &ins, &params::<T>(body.params), report);
    }
}

#[test]
fn every_map_agrees_with_the_oracle_on_every_instruction_set() {
    let force = Force::take();
    let mut report = String::new();
    let mut loops = 0;
    for (op, body) in maps() {
        assert!((body.native)(DType::F32).is_some() || (body.native)(DType::I64).is_some(), "{} has no loop", op.name);
        for dtype in [DType::F32, DType::F64, DType::U8, DType::I8, DType::I16, DType::I32, DType::I64] {
            if (body.native)(dtype).is_none() {
                continue;
            }
            loops += 1;
            match dtype {
                DType::F32 => every_size::<f32>(&force, op, body, &mut report),
                DType::F64 => every_size::<f64>(&force, op, body, &mut report),
                DType::U8 => every_size::<u8>(&force, op, body, &mut report),
                DType::I8 => every_size::<i8>(&force, op, body, &mut report),
                DType::I16 => every_size::<i16>(&force, op, body, &mut report),
                DType::I32 => every_size::<i32>(&force, op, body, &mut report),
                _ => every_size::<i64>(&force, op, body, &mut report),
            }
        }
    }
    assert!(loops > 200, "only {loops} loops were found");
    assert!(report.is_empty(), "\n{report}");
}

/// NaN, infinities, both zeros and a few plain numbers, in every combination.
fn specials<T: Sample>(force: &Force, op: &Op, body: &'static MapBody, report: &mut String) {
    let list = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5];
    let n = list.len().pow(body.inputs as u32);
    let column = |k: u32| (0..n).map(|i| T::from_f64(list[i / list.len().pow(k) % list.len()])).collect();
    let ins: Vec<Vec<T>> = (0..body.inputs as u32).map(column).collect();
    compare(force, op, body, &ins, &params::<T>(body.params), report);
}

#[test]
fn nan_and_infinity_go_through_maps_as_the_formula_says() {
    let force = Force::take();
    let mut report = String::new();
    for (op, body) in maps().filter(|(_, body)| body.inputs <= 3 && (body.native)(DType::F64).is_some()) {
        // The oracle's remainder and floored quotient are written for finite numbers.
        if uses(&(body.formula)(), |word| matches!(word, Word::Modulo | Word::FloorDiv)) {
            continue;
        }
        specials::<f32>(&force, op, body, &mut report);
        specials::<f64>(&force, op, body, &mut report);
    }
    assert!(report.is_empty(), "\n{report}");
}

/// A tensor of `rows` by `columns`, and its element (i, j) in plain words.
type Laid<T> = (&'static str, Tensor, Box<dyn Fn(usize, usize) -> T>);

fn layouts<T: Sample>(rows: usize, columns: usize, draw: &mut Draw) -> Result<Vec<Laid<T>>> {
    let base = |r: usize, c: usize, draw: &mut Draw| -> Result<(Tensor, Vec<T>)> {
        let list: Vec<T> = draw.list(r * c, (-4.0, 4.0));
        Ok((Tensor::from_slice(&list, &[r, c])?, list))
    };
    let (r, c) = (rows as i64, columns as i64);
    let mut found: Vec<Laid<T>> = Vec::new();
    let (t, list) = base(rows, columns, draw)?;
    found.push(("row-major", t, Box::new(move |i, j| list[i * columns + j])));
    let (t, list) = base(columns, rows, draw)?;
    found.push(("transposed", view::transpose(&t, 0, 1)?, Box::new(move |i, j| list[j * rows + i])));
    let (t, list) = base(1, columns, draw)?;
    found.push(("one row for all", view::expand(&t, [r, c])?, Box::new(move |_, j| list[j])));
    let (t, list) = base(rows, 1, draw)?;
    found.push(("one column for all", view::expand(&t, [r, c])?, Box::new(move |i, _| list[i])));
    let (t, list) = base(1, 1, draw)?;
    found.push(("one element for all", view::expand(&t, [r, c])?, Box::new(move |_, _| list[0])));
    let (wide, ahead) = (columns + 5, 3usize);
    let (t, list) = base(rows + 2, wide, draw)?;
    let part = view::slice(&t, [2, ahead as i64], [r, c], [1, 1])?;
    found.push(("inside a larger one", part, Box::new(move |i, j| list[(i + 2) * wide + j + ahead])));
    let (t, list) = base(rows, 2 * columns, draw)?;
    let part = view::slice(&t, [0, 1], [r, c], [1, 2])?;
    found.push(("every second column", part, Box::new(move |i, j| list[i * 2 * columns + 2 * j + 1])));
    let (t, list) = base(rows, columns, draw)?;
    let part = view::slice(&t, [r - 1, c - 1], [r, c], [-1, -1])?;
    found.push(("back to front", part, Box::new(move |i, j| list[(rows - 1 - i) * columns + columns - 1 - j])));
    Ok(found)
}

fn pairs<T: Sample>(rows: usize, columns: usize, pick: impl Fn(usize, usize) -> bool) -> Result<()> {
    type Ask = fn(&Tensor, &Tensor) -> Result<Tensor>;
    type Plain<T> = fn(T, T) -> T;
    let asks: [(&str, Ask, Plain<T>); 3] = [
        ("add", |a, b| arith::add(a, b), |x, y| x + y),
        ("sub", |a, b| arith::sub(a, b), |x, y| x - y),
        ("mul", |a, b| arith::mul(a, b), |x, y| x * y),
    ];
    let (left, right) = (layouts::<T>(rows, columns, &mut Draw(1))?, layouts::<T>(rows, columns, &mut Draw(2))?);
    for (p, (a_name, a, a_at)) in left.iter().enumerate() {
        for (_, (b_name, b, b_at)) in right.iter().enumerate().filter(|(q, _)| pick(p, *q)) {
            for (name, ask, plain) in asks {
                let got = ask(a, b)?;
                assert_eq!(got.shape()[..], [rows, columns]);
                let want: Vec<T> =
                    (0..rows * columns).map(|i| (i / columns, i % columns)).map(|(i, j)| plain(a_at(i, j), b_at(i, j))).collect();
                // One rounding each: equal to the last bit.
                assert!(got.to_vec::<T>() == want, "{name} {} of {rows} x {columns}, {a_name} and {b_name}", T::DTYPE);
            }
        }
    }
    Ok(())
}

#[test]
fn maps_read_every_layout() -> Result<()> {
    let force = Force::take();
    let mut done = Ok(());
    force.each(|_| {
        let all = || {
            pairs::<f32>(37, 53, |_, _| true)?;
            pairs::<f64>(37, 53, |_, _| true)?;
            pairs::<i64>(37, 53, |_, _| true)?;
            pairs::<f32>(1, 1, |_, _| true)?;
            // Long enough for several threads, each of which begins in the middle of a row.
            pairs::<f32>(211, 311, |p, q| q == (p + 1) % 8)
        };
        if done.is_ok() {
            done = all();
        }
    });
    done
}

#[test]
fn integer_quotients_and_remainders_take_pythons_signs() -> Result<()> {
    let force = Force::take();
    let (a, b): (Vec<i64>, Vec<i64>) = (-9..=9).flat_map(|a| (-4..=4).filter(|&b| b != 0).map(move |b| (a, b))).unzip();
    let (x, y) = (Tensor::from_slice(&a, &[a.len()])?, Tensor::from_slice(&b, &[b.len()])?);
    let mut found = Vec::new();
    force.each(|_| found.push((arith::floor_divide(&x, &y), arith::remainder(&x, &y), arith::fmod(&x, &y))));
    for (quotient, remainder, rest) in found {
        let (quotient, remainder, rest) = (quotient?.to_vec::<i64>(), remainder?.to_vec::<i64>(), rest?.to_vec::<i64>());
        for (i, (a, b)) in a.iter().zip(&b).enumerate() {
            let floored = (*a as f64 / *b as f64).floor() as i64;
            assert_eq!((quotient[i], remainder[i], rest[i]), (floored, a - b * floored, a % b), "{a} and {b}");
        }
    }
    Ok(())
}

#[test]
fn long_sums_of_short_floats_stay_exact() -> Result<()> {
    let force = Force::take();
    let n = 1usize << 24;
    let tenth = Tensor::full(&[n], 0.1, DType::F32)?;
    let (rows, columns) = (1usize << 18, 64usize);
    let list: Vec<f32> = Draw(3).list(rows * columns, (0.0, 1.0));
    let table = Tensor::from_slice(&list, &[rows, columns])?;
    let mut wanted = vec![0f64; columns];
    list.iter().enumerate().for_each(|(i, x)| wanted[i % columns] += f64::from(*x));
    let mut found = Vec::new();
    force.each(|level| found.push((level, reduce::sum(&tenth, (), false, ()), reduce::sum(&table, [0], false, ()))));
    for (level, all, columns) in found {
        let (got, want) = (all?.item()?.as_f64(), n as f64 * f64::from(0.1f32));
        assert!((got - want).abs() <= 1e-6 * want, "{}: the sum is {got}, not {want}", isa::NAMES[level]);
        for (got, want) in columns?.to_vec::<f64>().iter().zip(&wanted) {
            assert!((got - want).abs() <= 1e-6 * want, "{}: a column's sum is {got}, not {want}", isa::NAMES[level]);
        }
    }
    Ok(())
}

#[test]
fn folds_of_odd_shapes_agree_with_plain_loops() -> Result<()> {
    let force = Force::take();
    let shape = [7usize, 33, 19];
    let list: Vec<f32> = Draw(4).list(shape.iter().product(), (-4.0, 4.0));
    let x = Tensor::from_slice(&list, &shape)?;
    let turned = view::transpose(&x, 0, 2)?;
    let mut found = Vec::new();
    for axis in 0..3i64 {
        force.each(|level| {
            let along = |t: &Tensor, axis: i64| -> Result<[Tensor; 3]> {
                Ok([reduce::sum(t, [axis], false, ())?, extreme::amax(t, [axis], false)?, extreme::amin(t, [axis], false)?])
            };
            found.push((axis as usize, level, along(&x, axis), along(&turned, 2 - axis)));
        });
    }
    for (axis, level, plain, turned) in found {
        let (plain, turned) = (plain?, turned?);
        let inner: usize = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        let results: Vec<Vec<f64>> = plain.iter().map(Tensor::to_vec).collect();
        for o in 0..outer {
            for i in 0..inner {
                let along = || (0..shape[axis]).map(|k| f64::from(list[(o * shape[axis] + k) * inner + i]));
                let want = [along().sum(), along().fold(f64::MIN, f64::max), along().fold(f64::MAX, f64::min)];
                for (got, want) in results.iter().zip(want) {
                    let got = got[o * inner + i];
                    assert!(agrees(got as f32, want), "axis {axis}, {}: {got}, not {want}", isa::NAMES[level]);
                }
            }
        }
        for (a, b) in plain.iter().zip(&turned).skip(1) {
            assert_eq!(a.to_vec::<f32>(), view::transpose(b, 0, 1)?.to_vec::<f32>(), "an extreme of a transposed tensor, axis {axis}");
        }
    }
    Ok(())
}

/// What is left where large numbers cancel tells in which order they were added.
#[test]
fn sums_have_one_order_on_every_instruction_set() -> Result<()> {
    let force = Force::take();
    let mut draw = Draw(6);
    for n in (1..=80).chain([95, 96, 127, 129, 257, 4095, 4096, 4097, 70_001]) {
        let rows = if n > 100 { 3 } else { 9 };
        let mut list: Vec<f32> = Vec::new();
        for _ in 0..rows {
            let some: Vec<f32> = (0..n).map(|_| ((draw.unit() - 0.5) * 2f64.powi((draw.unit() * 80.0) as i32 - 40)) as f32).collect();
            list.extend(some.iter().enumerate().map(|(i, x)| if i % 2 == 1 { -some[n - 1 - i] } else { *x }));
        }
        let mut found: Vec<Vec<Vec<u32>>> = Vec::new();
        let mut failed = None;
        force.each(|_| {
            let all = || -> Result<Vec<Vec<u32>>> {
                let x = Tensor::from_slice(&list, &[rows, n])?;
                // Rows, columns, and rows that do not follow one another.
                let apart = view::transpose(&Tensor::from_slice(&list, &[n, rows])?, 0, 1)?;
                let gapped = view::slice(&x, [0, 0], [rows as i64, (n as i64 - 1).max(1)], [1, 1])?;
                // What is converted before it is folded.
                let short = x.to_dtype(DType::BF16)?;
                let mut made = Vec::new();
                for (t, axis) in [(&x, 1i64), (&x, 0), (&apart, 1), (&gapped, 1), (&short, 1), (&short, 0)] {
                    let sums = [reduce::sum(t, [axis], false, ())?, reduce::nansum(t, [axis], false)?];
                    let spreads = [reduce::norm(t, [axis], false)?, reduce::var(t, [axis], 1, false)?];
                    made.extend(sums.iter().chain(&spreads).map(|y| y.to_vec::<f32>().into_iter().map(f32::to_bits).collect()));
                }
                Ok(made)
            };
            match all() {
                Ok(made) => found.push(made),
                Err(error) => failed = Some(error),
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        for other in &found[1..] {
            assert_eq!(&found[0], other, "rows of {n}");
        }
    }
    Ok(())
}

#[test]
fn nan_is_the_extreme_of_whatever_holds_it() -> Result<()> {
    let force = Force::take();
    let (rows, columns) = (5usize, 301usize);
    let mut list: Vec<f32> = Draw(5).list(rows * columns, (-4.0, 4.0));
    // Rows 1 to 3 hold NaN: first, in the middle with a second behind it, last. Row 4 has equal largest elements.
    for at in [columns, 2 * columns + 150, 2 * columns + 200, 4 * columns - 1] {
        list[at] = f32::NAN;
    }
    list[4 * columns + 7] = 9.0;
    list[4 * columns + 290] = 9.0;
    let x = Tensor::from_slice(&list, &[rows, columns])?;
    let first = list[..columns].iter().enumerate().fold((0, f32::MIN), |best, (i, &v)| if v > best.1 { (i, v) } else { best }).0;
    let want = [first as i64, 0, 150, columns as i64 - 1, 7];
    let mut found = Vec::new();
    force.each(|_| {
        found.push((
            extreme::argmax(&x, 1, false),
            extreme::argmin(&x, 1, false),
            extreme::amax(&x, [1], false),
            extreme::argmax(&x, (), false),
        ));
    });
    for (largest, smallest, value, anywhere) in found {
        let (largest, smallest, value) = (largest?.to_vec::<i64>(), smallest?.to_vec::<i64>(), value?.to_vec::<f32>());
        assert_eq!(largest, want);
        assert_eq!(smallest[1..4], want[1..4]);
        assert_eq!(value.iter().map(|v| v.is_nan()).collect::<Vec<_>>(), [false, true, true, true, false]);
        assert_eq!(anywhere?.to_vec::<i64>(), [columns as i64]);
    }
    Ok(())
}

fn products<T: Sample>(draw: &mut Draw) -> Result<()> {
    let sizes = [(1, 1, 1), (3, 5, 7), (17, 33, 9), (65, 31, 129), (1, 300, 1), (64, 64, 64), (0, 3, 4), (2, 0, 3), (130, 257, 67)];
    for (m, k, n) in sizes {
        for (turn_a, turn_b) in [(false, false), (true, false), (false, true), (true, true)] {
            let operand = |rows: usize, columns: usize, turned: bool, draw: &mut Draw| -> Result<(Tensor, Vec<f64>)> {
                let list: Vec<T> = draw.list(rows * columns, (-4.0, 4.0));
                let at = |i: usize| if turned { list[i % columns * rows + i / columns] } else { list[i] };
                let plain = (0..list.len()).map(|i| at(i).to_f64()).collect();
                if turned {
                    let t = Tensor::from_slice(&list, &[columns, rows])?;
                    return Ok((view::transpose(&t, 0, 1)?, plain));
                }
                Ok((Tensor::from_slice(&list, &[rows, columns])?, plain))
            };
            let (a, a_list) = operand(m, k, turn_a, draw)?;
            let (b, b_list) = operand(k, n, turn_b, draw)?;
            let got = linear::matmul(&a, &b)?;
            assert_eq!(got.shape()[..], [m, n]);
            let want = naive::matmul(&a_list, &b_list, m, k, n);
            for (got, want) in got.to_vec::<T>().into_iter().zip(want) {
                // The terms are at most 81; each adds its own rounding.
                let room = T::TOLERANCE * 81.0 * k as f64;
                let error = (got.to_f64() - want).abs();
                let name = isa::NAMES[isa::level()];
                assert!(error <= room, "{name} {} ({m}, {k}) @ ({k}, {n}), turned {turn_a} {turn_b}: {got:?}, not {want}", T::DTYPE);
            }
        }
    }
    Ok(())
}

#[test]
fn matrix_products_agree_with_plain_loops() -> Result<()> {
    let force = Force::take();
    let mut done = Vec::new();
    force.each(|_| {
        done.push(products::<f32>(&mut Draw(6)));
        done.push(products::<f64>(&mut Draw(7)));
        done.push(products::<i64>(&mut Draw(8)));
    });
    done.into_iter().collect()
}
