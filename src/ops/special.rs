//! Special functions and the further elementary ones, element by element. Leans on graph and backend's special family.

use super::complex::{argument, conj};
use super::parts::logaddexp_parts;
use super::view::operand;
use crate::backend::launch::Special;
use crate::backend::{Launch, of};
use crate::base::{DType, Error, Result, dtype, shape};
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

const LN2: f64 = std::f64::consts::LN_2;
const PI: f64 = std::f64::consts::PI;
const DEGREE: f64 = PI / 180.0;
const RADIAN: f64 = 180.0 / PI;
/// Half the root of pi, the slope of the inverse error function at 0.
const ERFINV_SLOPE: f64 = 0.886_226_925_452_758;

crate::op! {
    /// Degrees as radians.
    ///
    /// >>> schuss.deg2rad(schuss.tensor([180.0]))
    /// tensor([3.1416])
    deg2rad(input) Float {
        map(float value, |x;| x * DEGREE);
        vjp |g, [_x], _y| [g * DEGREE];
        face in_place;
    }
    /// Radians as degrees.
    ///
    /// >>> schuss.rad2deg(schuss.tensor([3.14159265]))
    /// tensor([180.])
    rad2deg(input) Float {
        map(float value, |x;| x * RADIAN);
        vjp |g, [_x], _y| [g * RADIAN];
        face in_place;
    }
    /// The element itself; bool is refused.
    ///
    /// >>> schuss.positive(schuss.tensor([-1.0]))
    /// tensor([-1.])
    positive(input) Arithmetic {
        map(number value, |x;| x);
        vjp |g, [_x], _y| [g];
        complex Yes;
    }
    /// The complex conjugate: the same, for real numbers.
    ///
    /// >>> schuss.conj_physical(schuss.tensor([-1.0]))
    /// tensor([-1.])
    conj_physical(input) Number {
        map(number value, |x;| x);
        vjp |g, [_x], _y| [g];
        complex conj;
        face in_place;
    }
    /// The angle of a number in the plane, in radians: of a real one 0, or pi below 0.
    ///
    /// >>> schuss.angle(schuss.tensor([1.0, -1.0]))
    /// tensor([0.0000, 3.1416])
    angle(input) Float {
        map(float value, |x;| Value::select(x.is_nan(), x, Value::select(x.lt(V::lit(0.0)), V::lit(std::f64::consts::PI), V::lit(0.0))));
        vjp |g, [_x], _y| [g * 0.0];
        complex argument;
    }
    /// The larger of two, the other one where one is NaN.
    ///
    /// >>> schuss.fmax(schuss.tensor([1.0, float("nan")]), schuss.tensor([3.0, 2.0]))
    /// tensor([3., 2.])
    fmax(input: Tensor, other: Tensor) Number {
        map(number value, |x, y;| Value::select(x.is_nan(), y, Value::select(y.is_nan() | y.le(x), x, y)));
        vjp |g, [x, y], _o| {
            let first = x.ge(y).logical_or(&y.isnan());
        } [&first.where_(g, &Sym::from(0.0)), &first.where_(&Sym::from(0.0), g)];
    }
    /// The smaller of two, the other one where one is NaN.
    ///
    /// >>> schuss.fmin(schuss.tensor([1.0, float("nan")]), schuss.tensor([3.0, 2.0]))
    /// tensor([1., 2.])
    fmin(input: Tensor, other: Tensor) Number {
        map(number value, |x, y;| Value::select(x.is_nan(), y, Value::select(y.is_nan() | x.le(y), x, y)));
        vjp |g, [x, y], _o| {
            let first = x.le(y).logical_or(&y.isnan());
        } [&first.where_(g, &Sym::from(0.0)), &first.where_(&Sym::from(0.0), g)];
    }
    /// 0 below 0, 1 above it, and the second operand at 0.
    ///
    /// >>> schuss.heaviside(schuss.tensor([-2.0, 0.0, 2.0]), schuss.tensor(0.5))
    /// tensor([0.0000, 0.5000, 1.0000])
    heaviside(input: Tensor, values: Tensor) Number {
        map(number value, |x, v;| Value::select(x.equals(V::lit(0.0)), v, Value::select(x.gt(V::lit(0.0)), V::lit(1.0), V::lit(0.0))));
        face in_place;
    }
    /// `input * 2 ** other`.
    ///
    /// >>> schuss.ldexp(schuss.tensor([1.0, 3.0]), schuss.tensor([2, 1]))
    /// tensor([4., 6.])
    ldexp(input: Tensor, other: Tensor) Float {
        map(float value, |x, y;| x * y.exp2());
        vjp |g, [_x, y], o| [g * &y.exp2(), g * o * LN2];
        complex Yes;
        face in_place;
    }
    /// `log(exp(input) + exp(other))` without overflow.
    ///
    /// >>> schuss.logaddexp(schuss.tensor([1000.0]), schuss.tensor([1000.0]))
    /// tensor([1000.6932])
    logaddexp(input: Tensor, other: Tensor) Real {
        map(float value, |x, y;| {
            let (high, low) = (x.max(y), x.min(y));
            Value::select(x.equals(y) & x.is_inf(), x, high + (low - high).exp().log1p())
        });
        rule logaddexp_back;
        complex logaddexp_parts;
    }
    /// `log2(2 ** input + 2 ** other)` without overflow.
    ///
    /// >>> schuss.logaddexp2(schuss.tensor([1000.0]), schuss.tensor([1000.0]))
    /// tensor([1001.])
    logaddexp2(input: Tensor, other: Tensor) Real {
        map(float value, |x, y;| {
            let (high, low) = (x.max(y), x.min(y));
            Value::select(x.equals(y) & x.is_inf(), x, high + (low - high).exp2().log1p() * std::f64::consts::LOG2_E)
        });
        rule logaddexp2_back;
    }
    /// `input * log(other)`, 0 where the input is 0.
    ///
    /// >>> schuss.xlogy(schuss.tensor([0.0, 2.0]), schuss.tensor([0.0, 1.0]))
    /// tensor([0., 0.])
    xlogy(input, other) Float {
        map(float value, |x, y;| Value::select(x.equals(V::lit(0.0)) & !y.is_nan(), V::lit(0.0), x * y.log()));
        vjp |g, [x, y], _o| {
            let flat = x.eq(&Sym::from(0.0)).logical_and(&y.le(&Sym::from(0.0)));
        } [&flat.where_(&Sym::from(0.0), &(g * &y.log())), g * x / y];
        check 0.5..4.0;
        face in_place;
    }
    /// `sin(pi x) / (pi x)`, 1 at 0.
    ///
    /// >>> schuss.sinc(schuss.tensor([0.0, 0.5]))
    /// tensor([1.0000, 0.6366])
    sinc(input) Float {
        map(float value, |x;| {
            let z = x * std::f64::consts::PI;
            Value::select(x.equals(V::lit(0.0)), V::lit(1.0), z.sin() / z)
        });
        rule sinc_back;
        complex Yes;
        face in_place;
    }
    /// The logarithm of the absolute value of the gamma function.
    ///
    /// >>> schuss.lgamma(schuss.tensor([0.5, 1.0]))
    /// tensor([0.5724, 0.0000])
    lgamma(input) Float {
        map(float value, |x;| x.lgamma());
        vjp |g, [x], _y| [g * &x.digamma()];
        check 0.5..4.0;
        face in_place;
    }
    /// The slope of the logarithm of the gamma function.
    ///
    /// >>> schuss.digamma(schuss.tensor([1.0]))
    /// tensor([-0.5772])
    digamma(input) Float {
        map(float value, |x;| x.digamma());
        vjp |g, [x], _y| [g * &x.polygamma_of(1i64)];
        check 0.5..4.0;
        face in_place;
    }
    /// The inverse of the error function.
    ///
    /// >>> schuss.erfinv(schuss.tensor([0.0, 0.5]))
    /// tensor([0.0000, 0.4769])
    erfinv(input) Float {
        map(float value, |x;| x.erfinv());
        vjp |g, [_x], y| [g * &((y * y).exp() * ERFINV_SLOPE)];
        check -0.9..0.9;
        face in_place;
    }
    /// `log(x / (1 - x))`, the inverse of the sigmoid; with `eps` the input is kept within [eps, 1 - eps].
    ///
    /// >>> schuss.logit(schuss.tensor([0.5, 0.75]))
    /// tensor([0.0000, 1.0986])
    logit(input; eps: MaybeNumber = Arg::None) Any { inline(logit_inline); }
    /// `log(x / (1 - x))` alone.
    log_odds(input) Float {
        map(float value, |x;| (x / (1.0 - x)).log());
        vjp |g, [x], _y| [g / &(x * &(1.0 - x))];
        check 0.1..0.9;
        face hidden;
    }
    /// The next number after the first on the way to the second.
    ///
    /// >>> schuss.nextafter(schuss.tensor([1.0]), schuss.tensor([2.0])) > 1
    /// tensor([True])
    nextafter(input, other) Any {
        kernel(floats_meta, nextafter_run);
        vjp |g, [_x, _y], _o| [g, g * 0.0];
    }
    /// Mantissas from 0.5 to 1, and the int32 powers of two beside them.
    frexp(input) Any {
        kernel(frexp_meta, frexp_run);
        rule frexp_back;
        batch align;
        face hidden;
    }
}

fn logaddexp_back(pull: &Pull) -> Grads {
    shares(pull, &|gap| gap.sigmoid())
}

fn logaddexp2_back(pull: &Pull) -> Grads {
    shares(pull, &|gap| (gap * LN2).sigmoid())
}

/// Each operand's share of the sum; two equal infinities share evenly.
fn shares(pull: &Pull, share: &dyn Fn(&Sym) -> Sym) -> Grads {
    let (g, x, y) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let gap = x.eq(y).where_(&Sym::from(0.0), &(x - y));
    [pull.needs.has(0).then(|| g * &share(&gap)), pull.needs.has(1).then(|| g * &share(&-&gap))].into_iter().collect()
}

fn sinc_back(pull: &Pull) -> Grads {
    let (g, x) = (pull.grad(), &pull.ins[0]);
    let flat = x.eq(&Sym::from(0.0));
    let z = flat.where_(&Sym::from(1.0), x) * PI;
    let slope = (&z.cos() - &(z.sin() / &z)) / &z * PI;
    [Some(flat.where_(&Sym::from(0.0), &(g * &slope)))].into_iter().collect()
}

pub(super) fn input(ins: &[Option<Sym>]) -> &Sym {
    ins[0].as_ref().unwrap_or(&Sym::Absent)
}

pub(super) fn floated(x: &Sym) -> Sym {
    if x.dtype().is_float() { x.clone() } else { x.cast(dtype::default_float()) }
}

fn logit_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let mut x = floated(input(ins));
    if let Some(eps) = args[0].number() {
        // Not a clamp: for an eps above a half the two bounds change places.
        let (low, high) = (Sym::from(eps.as_f64()), Sym::from(1.0 - eps.as_f64()));
        x = x.lt(&low).where_(&low, &x.gt(&high).where_(&high, &x));
    }
    Ok(vec![x.log_odds().tensor().clone()])
}

pub(super) fn special_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let mut made = Meta { shape: shape::Shape::new(), dtype: DType::Bool };
    for x in ins.iter().flatten() {
        made.shape = shape::broadcast("", &made.shape, &x.shape)?;
        made.dtype = made.dtype.promote(x.dtype);
    }
    if !made.dtype.is_float() {
        made.dtype = dtype::default_float();
    }
    Ok(smallvec![made])
}

pub(super) fn floats_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    if let Some(x) = ins.iter().flatten().find(|x| !x.dtype.is_float()) {
        return Err(Error::no_float("igamma", "float tensors", x.dtype));
    }
    special_meta(ins, args)
}

pub(super) fn special(call: &Call, function: Special) -> Result<()> {
    let out = &call.outs[0];
    let mut ins = Vec::new();
    for x in call.ins.iter().flatten() {
        ins.push(x.view(x.layout.broadcast_to("", &out.layout.shape)?));
    }
    of(&out.storage).launch(&Launch::Special { function, ins: &ins, out })
}

fn nextafter_run(call: &Call) -> Result<()> {
    special(call, Special::NextAfter)
}

fn frexp_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let x = super::view::one(ins);
    if !x.dtype.is_float() {
        return Err(Error::no_float("frexp", "a float tensor", x.dtype));
    }
    Ok(smallvec![x.clone(), Meta { shape: x.shape, dtype: DType::I32 }])
}

fn frexp_run(call: &Call) -> Result<()> {
    let ins = [operand(call, 0)?.clone()];
    let backend = of(&ins[0].storage);
    backend.launch(&Launch::Special { function: Special::Mantissa, ins: &ins, out: &call.outs[0] })?;
    backend.launch(&Launch::Special { function: Special::Exponent, ins: &ins, out: &call.outs[1] })
}

fn frexp_back(pull: &Pull) -> Grads {
    let Some(g) = &pull.grads[0] else { return [None].into_iter().collect() };
    [Some(g / &pull.outs[1].cast(g.dtype()).exp2())].into_iter().collect()
}
