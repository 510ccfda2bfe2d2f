//! Complex numbers: their parts, what they are made of, and the operators that are no derivative in the complex sense.
//! Leans on arith, math and backend's maps over the parts.
//!
//! A gradient of a complex tensor is that by the real part plus i times that by the imaginary one, as PyTorch's (the
//! conjugate of Wirtinger's derivative): a step against it goes downhill. Rules here give it themselves; the walk
//! conjugates for all others.

use super::arith::add;
use super::view::{operand, reads};
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, Layout, Number, Result, shape};
use crate::graph::{Arg, Body, Call, Grads, Meta, Metas, Op, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// The complex conjugate, element by element.
    conj(input) Number {
        map(number value, |x;| x.conj());
        vjp |g, [_x], _y| [g.conj()];
        complex Own;
        linear Together;
        face hidden;
    }
    /// The real parts, as a view.
    real(input) Any {
        view(real_rule);
        vjp |g, [x], _y| [g.cast(x.dtype())];
        quirk Parts;
        complex Own;
        batch lead;
        face hidden;
    }
    /// The imaginary parts, as a view.
    imag(input) Any {
        view(imag_rule);
        vjp |g, [x], _y| [g.cast(x.dtype()) * Sym::Number(I)];
        quirk Parts;
        complex Own;
        batch lead;
        face hidden;
    }
    /// A complex tensor seen as a real one with an axis of two more: the real and the imaginary part.
    view_as_real(input: Tensor) Any {
        view(parts_rule);
        vjp |g, [_x], _y| [g.paired().view_as_complex()];
        quirk Parts;
        complex Own;
        batch lead;
        face hidden;
    }
    /// A real tensor whose last axis holds two numbers, seen as a complex one.
    view_as_complex(input: Tensor) Any {
        view(pairs_rule);
        vjp |g, [_x], _y| [g.view_as_real()];
        quirk Pairs;
        complex Own;
        batch lead;
        face hidden;
    }
    /// Complex numbers of their real and imaginary parts, which are of one dtype, float32 or float64.
    complex(real: Tensor, imag: Tensor) Any {
        kernel(joined_meta, joined_run);
        vjp |g, [_x, _y], _o| [g.real(), g.imag()];
        complex Own;
        linear Together;
        batch align;
        face hidden;
    }
    /// Complex numbers of their moduli and their angles in radians.
    polar(abs: Tensor, angle: Tensor) Any { inline(polar_inline); face hidden; }
    /// The modulus of complex numbers; its derivative at 0 is 0.
    modulus(input) Any {
        kernel(part_meta, modulus_run);
        vjp |g, [x], _y| [g * &x.sgn()];
        complex Own;
        batch lead;
        face hidden;
    }
    /// The angle of complex numbers in radians; its derivative at 0 is 0.
    argument(input) Any {
        kernel(part_meta, argument_run);
        rule argument_back;
        complex Own;
        batch lead;
        face hidden;
    }
    /// Each element divided by its absolute value; 0 at 0. Of real numbers, the sign.
    ///
    /// >>> schuss.tensor([3 + 4j, 0]).sgn()
    /// tensor([0.6000+0.8000j, 0.0000+0.0000j])
    sgn(input) Number {
        map(number value, |x;| x.sign());
        vjp |g, [_x], _y| [g * 0.0];
        complex unit;
        face in_place;
    }
    /// Complex numbers divided by their modulus; 0 at 0.
    unit(input) Float {
        map(float value, |x;| Value::select(x.equals(V::lit(0.0)), x, x / x.abs()));
        rule unit_back;
        complex Own;
        face hidden;
    }
    /// The variance of complex numbers: that of the real parts and that of the imaginary ones together.
    spread_of(input; dim: Axes = Arg::None, correction: Number = Arg::Int(1), keepdim: Bool = Arg::Bool(false)) Any {
        inline(spread_inline);
        face hidden;
    }
    /// The Euclidean norm of complex numbers over some axes; its derivative at 0 is 0.
    length_of(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false)) Any { inline(length_inline); face hidden; }
    /// Where complex numbers have no imaginary part.
    is_whole_real(input) Any { inline(real_inline); face hidden; }
}

const I: Number = Number::Complex(0.0, 1.0);

/// Steps from one part to the next of the same kind: complex elements counted in real ones.
fn doubled(x: &Layout, first: usize) -> Layout {
    Layout::new(x.shape.clone(), x.strides.iter().map(|s| s * 2).collect(), x.offset * 2 + first)
}

fn real_rule(x: &Layout, _args: &[Arg]) -> Result<Layout> {
    Ok(doubled(x, 0))
}

fn imag_rule(x: &Layout, _args: &[Arg]) -> Result<Layout> {
    Ok(doubled(x, 1))
}

fn parts_rule(x: &Layout, _args: &[Arg]) -> Result<Layout> {
    Ok(parts(x))
}

/// A layout of complex elements as one of reals with an axis of two more.
pub fn parts(x: &Layout) -> Layout {
    let flat = doubled(x, 0);
    let (mut shape, mut strides) = (flat.shape.clone(), flat.strides.clone());
    shape.push(2);
    strides.push(1);
    Layout::new(shape, strides, flat.offset)
}

fn pairs_rule(x: &Layout, _args: &[Arg]) -> Result<Layout> {
    let refuse = |text: String| Err(Error::runtime("view_as_complex", text));
    let Some((&2, lead)) = x.shape.split_last() else {
        return refuse(format!("the last axis must have size 2, the shape is {}", shape::show(&x.shape)));
    };
    let n = lead.len();
    let even = x.strides[..n].iter().zip(lead).all(|(s, &d)| s % 2 == 0 || d <= 1);
    if x.strides[n] != 1 || !even || !x.offset.is_multiple_of(2) {
        return refuse(format!(
            "the parts of each number must lie side by side: strides {} from {} do not allow it; use x.contiguous() first",
            shape::show(&x.strides),
            x.offset
        ));
    }
    Ok(Layout::new(lead.into(), x.strides[..n].iter().map(|s| s / 2).collect(), x.offset / 2))
}

impl Sym {
    /// Row-major, so that parts lie side by side.
    fn paired(&self) -> Sym {
        self.compact()
    }
}

/// An operand of complex numbers as reals: its real parts, or its imaginary ones.
pub fn part_of(x: &Operand, first: usize) -> Operand {
    Operand { storage: x.storage.clone(), layout: doubled(&x.layout, first), dtype: x.dtype.real() }
}

/// An operand of complex numbers as reals with an axis of two more.
pub fn parts_of(x: &Operand) -> Operand {
    Operand { storage: x.storage.clone(), layout: parts(&x.layout), dtype: x.dtype.real() }
}

fn two(op: &str, ins: &[Option<Meta>]) -> Result<(Meta, Meta)> {
    match ins {
        [Some(a), Some(b), ..] => Ok((a.clone(), b.clone())),
        _ => Err(Error::bug(op, "an operand is missing")),
    }
}

fn joined_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (a, b) = two("complex", ins)?;
    if a.dtype != b.dtype || !matches!(a.dtype, DType::F32 | DType::F64) {
        return Err(Error::dtype(
            "complex",
            format!("the parts are {} and {}; both must be float32, or both float64: use x.float() or x.double()", a.dtype, b.dtype),
        ));
    }
    Ok(smallvec![Meta { shape: shape::broadcast("complex", &a.shape, &b.shape)?, dtype: a.dtype.complex() }])
}

fn joined_run(call: &Call) -> Result<()> {
    let out = &call.outs[0];
    for k in 0..2 {
        let x = operand(call, k)?;
        let src = x.view(x.layout.broadcast_to("complex", &out.layout.shape)?);
        of(&out.storage).launch(&Launch::Copy { src: &src, dst: &part_of(out, k) })?;
    }
    Ok(())
}

fn arg(ins: &[Option<Sym>], i: usize) -> &Sym {
    ins.get(i).and_then(Option::as_ref).unwrap_or(&Sym::Absent)
}

fn polar_inline(ins: &[Option<Sym>], _args: &[Arg]) -> Result<Vec<Tensor>> {
    let (size, angle) = (arg(ins, 0), arg(ins, 1));
    if size.dtype() != angle.dtype() || !matches!(size.dtype(), DType::F32 | DType::F64) {
        return Err(Error::dtype(
            "polar",
            format!("moduli are {} and angles {}; both must be float32, or both float64", size.dtype(), angle.dtype()),
        ));
    }
    Ok(vec![(size * angle.cos()).complex(&(size * angle.sin())).tensor().clone()])
}

fn part_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let x = super::view::one(ins);
    Ok(smallvec![Meta { shape: x.shape, dtype: x.dtype.real() }])
}

/// A map of two reals over the parts of complex numbers.
fn of_parts(call: &Call, op: &'static Op, order: [usize; 2]) -> Result<()> {
    let (x, Body::Map(body)) = (operand(call, 0)?, &op.body) else { return Err(Error::bug(op.name, "is no map")) };
    let ins = order.map(|k| part_of(x, k));
    of(&x.storage).launch(&Launch::Map { body, compute: x.dtype.real(), params: &[], ins: &ins, outs: call.outs })
}

fn modulus_run(call: &Call) -> Result<()> {
    of_parts(call, &super::math::hypot::OP, [0, 1])
}

fn argument_run(call: &Call) -> Result<()> {
    of_parts(call, &super::math::atan2::OP, [1, 0])
}

fn argument_back(pull: &Pull) -> Grads {
    let (g, x) = (pull.grad(), &pull.ins[0]);
    reads(&[x]);
    let size = x.modulus();
    let slope = x * &Sym::Number(I) * &(g / &(&size * &size));
    [Some(size.eq(&Sym::from(0.0)).where_(&Sym::from(0.0), &slope))].into_iter().collect()
}

/// What of the cotangent lies across the number, over its modulus.
fn unit_back(pull: &Pull) -> Grads {
    let (g, x, y) = (pull.grad(), &pull.ins[0], &pull.outs[0]);
    let across = g - &(y * &(g * &y.conj()).real());
    let size = x.modulus();
    [Some(size.eq(&Sym::from(0.0)).where_(&Sym::from(0.0), &(across / &size)))].into_iter().collect()
}

fn spread_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = arg(ins, 0);
    let of = |part: Sym| part.var(args[0].clone(), args[1].clone(), args[2].clone());
    add(of(x.real()).tensor(), of(x.imag()).tensor()).map(|t| vec![t])
}

fn length_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    Ok(vec![arg(ins, 0).modulus().norm(args[0].clone(), args[1].clone()).tensor().clone()])
}

fn real_inline(ins: &[Option<Sym>], _args: &[Arg]) -> Result<Vec<Tensor>> {
    Ok(vec![arg(ins, 0).imag().eq(&Sym::from(0.0)).tensor().clone()])
}
