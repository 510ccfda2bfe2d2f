//! Arithmetic, and the operators of `Sym` that rules are written with. Leans on graph.

use super::complex::modulus;
use crate::base::{DType, Number};
use crate::graph::{Feed, Grads, Op, Pull, Sym};
use std::ops::{Add, Div, Mul, Neg, Sub};

crate::op! {
    /// The sum of two tensors, element by element, with broadcasting.
    ///
    /// >>> schuss.tensor([1.0, 2.0]).add(3.0)
    /// tensor([4., 5.])
    add(input, other) Number {
        map(number value, |x, y;| x + y);
        vjp |g, [_x, _y], _o| [g, g];
        complex Yes;
        face in_place;
    }
    /// The difference of two tensors, element by element, with broadcasting.
    ///
    /// >>> schuss.tensor([1.0, 2.0]).sub(3.0)
    /// tensor([-2., -1.])
    sub(input, other) Arithmetic {
        map(number value, |x, y;| x - y);
        vjp |g, [_x, _y], _o| [g, -g];
        quirk Subtracts;
        complex Yes;
        face in_place;
    }
    /// The product of two tensors, element by element, with broadcasting.
    ///
    /// >>> schuss.tensor([1.0, 2.0]).mul(3.0)
    /// tensor([3., 6.])
    mul(input, other) Number {
        map(number value, |x, y;| x * y);
        vjp |g, [x, y], _o| [g * y, g * x];
        complex Yes;
        face in_place;
    }
    /// The quotient of two tensors, element by element; integers are divided as floats.
    ///
    /// >>> schuss.tensor([1, 2]).div(2)
    /// tensor([0.5000, 1.0000])
    div(input, other) Float {
        map(light value, |x, y;| x / y);
        vjp |g, [x, y], _o| [g / y, -(g * &(x / y) / y)];
        check 0.5..4.0;
        complex Yes;
        face in_place;
    }
    /// The quotient rounded down, as Python's `//`. Integer division by zero raises RuntimeError.
    ///
    /// >>> schuss.tensor([7, -7]).floor_divide(2)
    /// tensor([ 3, -4])
    floor_divide(input, other) Arithmetic {
        map(quotient value, |x, y;| x.floor_div(y));
        vjp |g, [_x, _y], _o| [g * 0.0, g * 0.0];
        check 0.5..4.0;
        quirk Divides;
        face in_place;
    }
    /// The remainder with the divisor's sign, as Python's `%`. Integer division by zero raises RuntimeError.
    ///
    /// >>> schuss.tensor([7, -7]).remainder(3)
    /// tensor([1, 2])
    remainder(input, other) Arithmetic {
        map(quotient value, |x, y;| x.modulo(y));
        vjp |g, [x, y], _o| [g, -(g * &(x / y).floor())];
        check 0.5..4.0;
        quirk Divides;
        face in_place;
    }
    /// The remainder with the dividend's sign, as C's `fmod`. Integer division by zero raises RuntimeError.
    ///
    /// >>> schuss.tensor([7, -7]).fmod(3)
    /// tensor([ 1, -1])
    fmod(input: Tensor, other) Arithmetic {
        map(quotient value, |x, y;| x.fmod(y));
        vjp |g, [x, y], _o| [g, -(g * &(x / y).trunc())];
        check 0.5..4.0;
        quirk Divides;
        face in_place;
    }
    /// A power, element by element. Integers to negative integer powers raise RuntimeError.
    ///
    /// >>> schuss.tensor([1.0, 2.0, 3.0]).pow(2)
    /// tensor([1., 4., 9.])
    pow(input, exponent) Arithmetic {
        map(power value, |x, y;| x.pow(y));
        rule power;
        check 0.5..2.0;
        quirk Raises;
        complex Yes;
        face in_place;
    }
    /// The square, element by element.
    ///
    /// >>> schuss.tensor([1.0, -2.0]).square()
    /// tensor([1., 4.])
    square(input) Number {
        map(number value, |x;| x * x);
        vjp |g, [x], _o| [g.double_product(x)];
        quirk Counts;
        complex Yes;
        face in_place;
    }
    /// Twice the product: the derivative of the square, in one pass.
    double_product(input, other) Number {
        map(number value, |x, y;| x * (y + y));
        vjp |g, [x, y], _o| [g.double_product(y), g.double_product(x)];
        complex Yes;
        face hidden;
    }
    /// The negative, element by element.
    ///
    /// >>> schuss.tensor([1.0, -2.0]).neg()
    /// tensor([-1.,  2.])
    neg(input) Arithmetic {
        map(number value, |x;| -x);
        vjp |g, [_x], _o| [-g];
        complex Yes;
        face in_place;
    }
    /// The absolute value, element by element; its derivative at 0 is 0.
    ///
    /// >>> schuss.tensor([1.0, -2.0]).abs()
    /// tensor([1., 2.])
    abs(input) Arithmetic {
        map(number value, |x;| x.abs());
        vjp |g, [x], _o| [g * &x.sign()];
        complex modulus;
        face in_place;
    }
    /// -1, 0 or 1 by sign, element by element; 0 for NaN.
    ///
    /// >>> schuss.tensor([3.0, -2.0, 0.0]).sign()
    /// tensor([ 1., -1.,  0.])
    sign(input) Number {
        map(number value, |x;| x.sign());
        vjp |g, [_x], _o| [g * 0.0];
        face in_place;
    }
    /// The larger of two, element by element; NaN if either is. Equal elements share the gradient.
    ///
    /// >>> schuss.maximum(schuss.tensor([1.0, 5.0]), schuss.tensor([3.0, 2.0]))
    /// tensor([3., 5.])
    maximum(input: Tensor, other: Tensor) Number {
        map(number value, |x, y;| x.max(y));
        rule of_larger;
    }
    /// The smaller of two, element by element; NaN if either is. Equal elements share the gradient.
    ///
    /// >>> schuss.minimum(schuss.tensor([1.0, 5.0]), schuss.tensor([3.0, 2.0]))
    /// tensor([1., 2.])
    minimum(input: Tensor, other: Tensor) Number {
        map(number value, |x, y;| x.min(y));
        rule of_smaller;
    }
    /// The element where the condition holds, else the other's.
    ///
    /// >>> schuss.where(schuss.tensor([True, False]), schuss.tensor([1.0, 2.0]), schuss.tensor([3.0, 4.0]))
    /// tensor([1., 4.])
    where_(condition, input, other) Number {
        map(number value, |c, x, y;| Value::select(c.truth(), x, y));
        vjp |g, [c, _x, _y], _o| [g * 0.0, &c.where_(g, &Sym::from(0.0)), &c.where_(&Sym::from(0.0), g)];
        quirk Chooses;
        complex Yes;
        face hidden;
    }
    /// A value in place of the elements where the mask holds.
    ///
    /// >>> schuss.tensor([1.0, 2.0]).masked_fill(schuss.tensor([True, False]), 9.0)
    /// tensor([9., 2.])
    masked_fill(input: Tensor, mask: Tensor, value: Single) Number {
        map(number value, |x, m, v;| Value::select(m.truth(), v, x));
        vjp |g, [_x, m, _v], _o| [&g.masked_fill(m, &Sym::from(0.0)), g * 0.0, &m.where_(g, &Sym::from(0.0))];
        quirk Masks;
        complex Yes;
        face in_place;
    }
    /// Elements kept within two bounds, of which either may be absent; NaN stays NaN.
    ///
    /// >>> schuss.tensor([-2.0, 0.5, 2.0]).clamp(-1.0, 1.0)
    /// tensor([-1.0000,  0.5000,  1.0000])
    clamp(input, min, max) Arithmetic {
        map(number value, |x, low, high;| {
            let y = Value::select(x.lt(low) | low.is_nan(), low, x);
            Value::select(high.lt(y) | high.is_nan(), high, y)
        });
        rule clamped;
        face hidden;
    }
    /// `clamp` between two numbers.
    clamp_between(input: Tensor; min: Number, max: Number) Arithmetic {
        map(number value, |x; low, high| {
            let y = Value::select(x.lt(low) | low.is_nan(), low, x);
            Value::select(high.lt(y) | high.is_nan(), high, y)
        });
        vjp |g, [x], _y| [x.gt(&Sym::Number(min)).logical_and(&x.lt(&Sym::Number(max))).where_(g, &Sym::from(0.0))];
        face hidden in_place;
    }
    /// `input + alpha * other`, element by element.
    add_scaled(input: Tensor, other: Tensor; alpha: Number) Arithmetic {
        map(number value, |x, y; a| x + a * y);
        vjp |g, [_x, _y], _o| [g, g * &Sym::Number(alpha)];
        complex Yes;
        linear Together;
        face hidden in_place;
    }
    /// The element, or a number in place of NaN and of either infinity.
    nan_to_num(input: Tensor; nan: Number, posinf: Number, neginf: Number) Real {
        map(float value, |x; nan, high, low| {
            let bounded = Value::select(x.is_inf(), Value::select(x.gt(V::lit(0.0)), high, low), x);
            Value::select(x.is_nan(), nan, bounded)
        });
        vjp |g, [x], _y| [x.abs().lt(&Sym::from(f64::INFINITY)).where_(g, &Sym::from(0.0))];
        face hidden;
    }
    /// `input + weight * (end - input)`, element by element.
    ///
    /// >>> schuss.tensor([1.0]).lerp(schuss.tensor([3.0]), 0.5)
    /// tensor([2.])
    lerp(input: Tensor, end: Tensor, weight) Real {
        map(light value, |x, y, w;| x + w * (y - x));
        vjp |g, [x, y, w], _o| [g * &(1.0 - w), g * w, g * &(y - x)];
        complex Yes;
        face in_place;
    }
    /// `input + value * tensor1 * tensor2`, element by element.
    ///
    /// >>> schuss.tensor([1.0]).addcmul(schuss.tensor([2.0]), schuss.tensor([3.0]), value=0.5)
    /// tensor([4.])
    addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor; value: Number = Arg::Int(1)) Arithmetic {
        map(number value, |x, a, b; v| x + v * a * b);
        vjp |g, [_x, a, b], _o| [g, g * b * &Sym::Number(value), g * a * &Sym::Number(value)];
        complex Yes;
        face in_place;
    }
    /// `input + value * tensor1 / tensor2`, element by element.
    ///
    /// >>> schuss.tensor([1.0]).addcdiv(schuss.tensor([2.0]), schuss.tensor([4.0]))
    /// tensor([1.5000])
    addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor; value: Number = Arg::Int(1)) Real {
        map(light value, |x, a, b; v| x + v * (a / b));
        vjp |g, [_x, a, b], _o| [g, g / b * &Sym::Number(value), -(g * a / &(b * b) * &Sym::Number(value))];
        check 0.5..4.0;
        complex Yes;
        face in_place;
    }
}

fn power(pull: &Pull) -> Grads {
    let (g, x, y, out) = (pull.grad(), &pull.ins[0], &pull.ins[1], &pull.outs[0]);
    let mut grads = Grads::new();
    let zero = |n: &Number| n.pair() == (0.0, 0.0);
    if pull.needs.has(0) {
        // What the rule reads must not hang on the exponent, of which the record knows only that it is a number.
        super::view::reads(&[x]);
    }
    grads.push(pull.needs.has(0).then(|| match y {
        Sym::Number(n) if zero(n) => g * 0.0,
        Sym::Number(n) => {
            let less = match n {
                Number::Int(i) => Sym::from(Number::Int(i - 1)),
                Number::Complex(re, im) => Sym::from(Number::Complex(re - 1.0, *im)),
                other => Sym::from(other.as_f64() - 1.0),
            };
            g * &(x.pow(&less) * y)
        }
        // x^(y-1) is infinite at x = 0 for y = 0, where the derivative of a constant is 0.
        _ => y.eq(&Sym::from(0.0)).where_(&Sym::from(0.0), &(g * &(y * &x.pow(&(y - 1.0))))),
    }));
    grads.push(pull.needs.has(1).then(|| {
        let up = if y.dtype().is_complex() { y.real().ge(&Sym::from(0.0)) } else { y.ge(&Sym::from(0.0)) };
        let flat = x.eq(&Sym::from(0.0)).logical_and(&up);
        flat.where_(&Sym::from(0.0), &(g * &(out * &x.log())))
    }));
    grads
}

/// What computes the same, of the first operand alone where it can be: most powers are squares, and then roots.
#[inline]
pub fn shorter<'a, 'b>(op: &'static Op, feeds: &'a [Feed<'b>]) -> (&'static Op, &'a [Feed<'b>]) {
    match *feeds {
        [Feed::Tensor(x), Feed::Number(n)] if std::ptr::eq(op, &raw const pow::OP) => match n {
            Number::Int(2) | Number::Float(2.0) if x.dtype() != DType::Bool => (&square::OP, &feeds[..1]),
            Number::Float(0.5) if x.dtype().is_inexact() => (&super::math::sqrt::OP, &feeds[..1]),
            _ => (op, feeds),
        },
        _ => (op, feeds),
    }
}

fn of_larger(pull: &Pull) -> Grads {
    share(pull, &|a, b| a.gt(b))
}

fn of_smaller(pull: &Pull) -> Grads {
    share(pull, &|a, b| a.lt(b))
}

fn share(pull: &Pull, wins: &dyn Fn(&Sym, &Sym) -> Sym) -> Grads {
    let (g, x, y) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let part = |a: &Sym, b: &Sym| {
        let half = a.eq(b).where_(&(g * 0.5), &Sym::from(0.0));
        wins(a, b).where_(g, &half)
    };
    [(0, x, y), (1, y, x)].into_iter().map(|(i, a, b)| pull.needs.has(i).then(|| part(a, b))).collect()
}

/// The larger of the element and the lower bound, then the smaller of that and the upper one; equal ones share the gradient.
fn clamped(pull: &Pull) -> Grads {
    let (g, x, low, high) = (pull.grad(), &pull.ins[0], &pull.ins[1], &pull.ins[2]);
    let part = |wins: Sym, ties: Sym, g: &Sym| wins.where_(g, &ties.where_(&(g * 0.5), &Sym::from(0.0)));
    let raised = x.maximum(low);
    let below = || part(raised.lt(high), raised.eq(high), g);
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| part(x.gt(low), x.eq(low), &below())));
    grads.push(pull.needs.has(1).then(|| part(x.lt(low), x.eq(low), &below())));
    grads.push(pull.needs.has(2).then(|| part(raised.gt(high), raised.eq(high), g)));
    grads
}

impl From<f64> for Sym {
    fn from(n: f64) -> Sym {
        Sym::Number(crate::base::Number::Float(n))
    }
}
impl From<crate::base::Number> for Sym {
    fn from(n: crate::base::Number) -> Sym {
        Sym::Number(n)
    }
}
impl From<&Sym> for Sym {
    fn from(s: &Sym) -> Sym {
        s.clone()
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $record:ident),*) => {$(
        impl $trait<&Sym> for &Sym {
            type Output = Sym;
            fn $method(self, other: &Sym) -> Sym { Sym::apply(&$record::OP, &[self.feed(), other.feed()], &[]) }
        }
        impl $trait<Sym> for Sym {
            type Output = Sym;
            fn $method(self, other: Sym) -> Sym { $trait::$method(&self, &other) }
        }
        impl $trait<&Sym> for Sym {
            type Output = Sym;
            fn $method(self, other: &Sym) -> Sym { $trait::$method(&self, other) }
        }
        impl $trait<Sym> for &Sym {
            type Output = Sym;
            fn $method(self, other: Sym) -> Sym { $trait::$method(self, &other) }
        }
        impl $trait<f64> for &Sym {
            type Output = Sym;
            fn $method(self, other: f64) -> Sym { Sym::apply(&$record::OP, &[self.feed(), Feed::from(other)], &[]) }
        }
        impl $trait<f64> for Sym {
            type Output = Sym;
            fn $method(self, other: f64) -> Sym { $trait::$method(&self, other) }
        }
        impl $trait<&Sym> for f64 {
            type Output = Sym;
            fn $method(self, other: &Sym) -> Sym { Sym::apply(&$record::OP, &[Feed::from(self), other.feed()], &[]) }
        }
        impl $trait<Sym> for f64 {
            type Output = Sym;
            fn $method(self, other: Sym) -> Sym { $trait::$method(self, &other) }
        }
    )*};
}
operators!(Add add add, Sub sub sub, Mul mul mul, Div div div);

impl Neg for &Sym {
    type Output = Sym;
    fn neg(self) -> Sym {
        Sym::apply(&neg::OP, &[self.feed()], &[])
    }
}
impl Neg for Sym {
    type Output = Sym;
    fn neg(self) -> Sym {
        -&self
    }
}
