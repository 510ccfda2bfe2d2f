//! Bessel's functions, Airy's, and orthogonal polynomials, element by element, with derivatives of every order.
//! Leans on graph, backend's special family and the records beside it.

use super::special::{special, special_meta};
use crate::backend::cpu::polynomial::ORDERS;
use crate::backend::launch::{Family, Special};
use crate::base::{Error, Result};
use crate::graph::sym::fail;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym};

crate::op! {
    /// The Bessel function of the first kind of order 0 (Abramowitz and Stegun 9.1.10, 9.12, 9.2.5).
    bessel_j0(input) Any { kernel(special_meta, j0_run); vjp |g, [x], _y| [-(g * &x.bessel_j1())]; batch align; face hidden; }
    /// The Bessel function of the first kind of order 1 (Abramowitz and Stegun 9.1.10, 9.12, 9.2.5).
    bessel_j1(input) Any {
        kernel(special_meta, j1_run);
        vjp |g, [x], y| [g * &(x.bessel_j0() - over(y, x, 0.5))];
        batch align;
        face hidden;
    }
    /// The Bessel function of the second kind of order 0 (Abramowitz and Stegun 9.1.13, 9.1.89, 9.2.6).
    bessel_y0(input) Any {
        kernel(special_meta, y0_run);
        vjp |g, [x], _y| [-(g * &x.bessel_y1())];
        check 0.5..4.0;
        batch align;
        face hidden;
    }
    /// The Bessel function of the second kind of order 1 (Abramowitz and Stegun 9.1.11, 9.1.89, 9.2.6).
    bessel_y1(input) Any {
        kernel(special_meta, y1_run);
        vjp |g, [x], y| [g * &(x.bessel_y0() - y / x)];
        check 0.5..4.0;
        batch align;
        face hidden;
    }
    /// The modified Bessel function of the first kind, of order 0 (Abramowitz and Stegun 9.6.10, 9.7.1).
    ///
    /// >>> schuss.i0(schuss.tensor([0.0, 1.0]))
    /// tensor([1.0000, 1.2661])
    i0(input) Any {
        kernel(special_meta, i0_run);
        vjp |g, [x], _y| [g * &x.bessel_i1()];
        check -3.0..3.0;
        batch align;
    }
    /// The modified Bessel function of the first kind, of order 1 (Abramowitz and Stegun 9.6.10, 9.7.1).
    bessel_i1(input) Any {
        kernel(special_meta, i1_run);
        vjp |g, [x], y| [g * &(x.i0() - over(y, x, 0.5))];
        batch align;
        face hidden;
    }
    /// `i0(x) exp(-|x|)`.
    bessel_i0e(input) Any {
        kernel(special_meta, i0e_run);
        vjp |g, [x], y| [g * &(x.bessel_i1e() - x.sign() * y)];
        batch align;
        face hidden;
    }
    /// `i1(x) exp(-|x|)`.
    bessel_i1e(input) Any {
        kernel(special_meta, i1e_run);
        vjp |g, [x], y| [g * &(x.bessel_i0e() - x.sign() * y - over(y, x, 0.5))];
        batch align;
        face hidden;
    }
    /// The modified Bessel function of the second kind of order 0 (Abramowitz and Stegun 9.6.13; Temme 1975).
    bessel_k0(input) Any {
        kernel(special_meta, k0_run);
        vjp |g, [x], _y| [-(g * &x.bessel_k1())];
        check 0.5..4.0;
        batch align;
        face hidden;
    }
    /// The modified Bessel function of the second kind of order 1 (Abramowitz and Stegun 9.6.11; Temme 1975).
    bessel_k1(input) Any {
        kernel(special_meta, k1_run);
        vjp |g, [x], y| [-(g * &(x.bessel_k0() + y / x))];
        check 0.5..4.0;
        batch align;
        face hidden;
    }
    /// `k0(x) exp(x)`.
    bessel_k0e(input) Any {
        kernel(special_meta, k0e_run);
        vjp |g, [x], y| [g * &(y - x.bessel_k1e())];
        check 0.5..4.0;
        batch align;
        face hidden;
    }
    /// `k1(x) exp(x)`.
    bessel_k1e(input) Any {
        kernel(special_meta, k1e_run);
        vjp |g, [x], y| [g * &(y - x.bessel_k0e() - y / x)];
        check 0.5..4.0;
        batch align;
        face hidden;
    }
    /// The spherical Bessel function of the first kind of order 0, `sin(x) / x`.
    spherical_bessel_j0(input) Float {
        map(float value, |x;| Value::select(x.equals(V::lit(0.0)), V::lit(1.0), Value::select(x.is_inf(), V::lit(0.0), x.sin() / x)));
        rule spherical_back;
        face hidden;
    }
    /// Airy's function Ai (Abramowitz and Stegun 10.4.1, 10.4.59 and 10.4.60).
    airy_ai(input) Any { kernel(special_meta, airy_run); vjp |g, [x], _y| [g * &x.airy_slope()]; batch align; face hidden; }
    /// The slope of Airy's function.
    airy_slope(input) Any { kernel(special_meta, airy_slope_run); vjp |g, [x], _y| [g * x * &x.airy_ai()]; batch align; face hidden; }
    /// A derivative, of order 0 to 7, of an orthogonal polynomial of degree `n` (Abramowitz and Stegun 22.7).
    polynomial_of(input, n; family: Int, order: Int = Arg::Int(0)) Any {
        kernel(polynomial_meta, polynomial_run);
        rule polynomial_back;
        batch align;
        face hidden;
    }
}

/// `y / x`, and its limit at 0.
fn over(y: &Sym, x: &Sym, limit: f64) -> Sym {
    let flat = x.eq(&Sym::from(0.0));
    flat.where_(&Sym::from(limit), &(y / &flat.where_(&Sym::from(1.0), x)))
}

fn spherical_back(pull: &Pull) -> Grads {
    let (g, x) = (pull.grad(), &pull.ins[0]);
    let flat = x.eq(&Sym::from(0.0));
    let safe = flat.where_(&Sym::from(1.0), x);
    let slope = (&safe.cos() - &(safe.sin() / &safe)) / &safe;
    [Some(flat.where_(&Sym::from(0.0), &(g * &slope)))].into_iter().collect()
}

macro_rules! runs {
    ($($name:ident $function:expr;)*) => {$(
        fn $name(call: &Call) -> Result<()> {
            special(call, $function)
        }
    )*};
}
runs! {
    j0_run Special::J0;
    j1_run Special::J1;
    y0_run Special::Y0;
    y1_run Special::Y1;
    i0_run Special::Growing { order: 0, scaled: false };
    i1_run Special::Growing { order: 1, scaled: false };
    i0e_run Special::Growing { order: 0, scaled: true };
    i1e_run Special::Growing { order: 1, scaled: true };
    k0_run Special::Falling { order: 0, scaled: false };
    k1_run Special::Falling { order: 1, scaled: false };
    k0e_run Special::Falling { order: 0, scaled: true };
    k1e_run Special::Falling { order: 1, scaled: true };
    airy_run Special::Airy;
    airy_slope_run Special::AirySlope;
}

/// The family and the order of the derivative.
fn which(args: &[Arg]) -> Option<(&'static str, Family, usize)> {
    let (name, family) = Family::ALL.get(usize::try_from(args[0].int()?).ok()?)?;
    Some((name, *family, usize::try_from(args[1].int()?).ok()?))
}

fn polynomial_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let Some((name, _, order)) = which(args) else {
        return Err(Error::runtime("polynomial_of", "there is no such family, or a negative order"));
    };
    if order >= ORDERS {
        return Err(Error::runtime(name, format!("derivatives go up to order {}, asked was {order}", ORDERS - 1)));
    }
    special_meta(ins, args)
}

fn polynomial_run(call: &Call) -> Result<()> {
    match which(call.args) {
        Some((_, family, order)) => special(call, Special::Polynomial { family, order }),
        None => Err(Error::runtime("polynomial_of", "there is no such family")),
    }
}

fn polynomial_back(pull: &Pull) -> Grads {
    let (g, x, n) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let (family, order) = (pull.args[0].int().unwrap_or(0), pull.args[1].int().unwrap_or(0));
    if pull.needs.has(1) && !crate::graph::mode::Mode::now().probe() {
        let name = which(pull.args).map_or("polynomial_of", |(name, ..)| name);
        fail(Error::grad(name, "there is no derivative in the degree n; use n.detach()"));
    }
    [pull.needs.has(0).then(|| g * &x.polynomial_of(n, family, order + 1)), None].into_iter().collect()
}
