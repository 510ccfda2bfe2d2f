//! The gamma function's kin: multivariate and incomplete ones, Hurwitz's zeta, and draws made by rejection.
//! Leans on graph, backend's special family and the records beside it.

use super::special::{floated, floats_meta, input, special, special_meta};
use crate::backend::launch::Special;
use crate::base::{DType, Error, Result};
use crate::graph::sym::fail;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};

const PI: f64 = std::f64::consts::PI;

crate::op! {
    /// The logarithm of the multivariate gamma function of dimension `p`, a sum of `lgamma`s.
    ///
    /// >>> schuss.mvlgamma(schuss.tensor([2.0]), 1)
    /// tensor([0.])
    mvlgamma(input; p: Int) Any { inline(mvlgamma_inline); }
    /// The n-th derivative of `digamma`, for n from 1 on.
    polygamma_of(input; n: Int) Any {
        inline(polygamma_inline);
        vjp |g, [x], _y| [g * &x.polygamma_of(n + 1)];
        check 0.5..4.0;
        face hidden;
    }
    /// Hurwitz's zeta function, the sum of `(other + k) ** -input` over k.
    hurwitz(input, other) Any {
        kernel(special_meta, zeta_run);
        rule zeta_back;
        batch align;
        face hidden;
    }
    /// The regularised lower incomplete gamma function.
    ///
    /// >>> schuss.igamma(schuss.tensor([1.0]), schuss.tensor([1.0]))
    /// tensor([0.6321])
    igamma(input, other) Any {
        kernel(floats_meta, igamma_run);
        rule igamma_back;
        check 0.5..4.0;
        batch align;
    }
    /// The regularised upper incomplete gamma function.
    ///
    /// >>> schuss.igammac(schuss.tensor([1.0]), schuss.tensor([1.0]))
    /// tensor([0.3679])
    igammac(input, other) Any {
        kernel(floats_meta, igammac_run);
        rule igammac_back;
        check 0.5..4.0;
        batch align;
    }
    /// The greatest common divisor of integers, 0 of two zeros (Euclid).
    ///
    /// >>> schuss.gcd(schuss.tensor([12, -9]), schuss.tensor([18, 6]))
    /// tensor([6, 3])
    gcd(input, other) Integer { kernel(gcd_meta, gcd_run); batch align; face in_place; }
    /// The slope of `igamma` in its first operand.
    igamma_slope(input, other) Any { kernel(floats_meta, slope_run); rule no_further; batch align; face hidden; }
    /// How fast a draw of the gamma distribution grows with its shape (Figurnov, Mohamed, Mnih 2018); from the shape and the draw.
    gamma_gain(input, other) Any { kernel(floats_meta, gain_run); rule no_further; batch align; face hidden; }
    /// Draws of the gamma distribution of a shape and of rate 1, from keys (Marsaglia and Tsang 2000).
    draw_gamma(input, key: Tensor) Any {
        kernel(special_meta, draw_gamma_run);
        vjp |g, [a, _k], y| [g * &a.gamma_gain(y), Sym::Absent];
        batch align;
        face hidden;
    }
    /// Draws of the Poisson distribution of a rate, from keys (Knuth 1969; Hörmann 1993).
    draw_poisson(input, key: Tensor) Any { kernel(special_meta, draw_poisson_run); batch align; face hidden; }
    /// Draws of the binomial distribution of a count and a probability, from keys (Hörmann 1993).
    draw_binomial(input, prob, key: Tensor) Any { kernel(special_meta, draw_binomial_run); batch align; face hidden; }
    /// Draws of von Mises's distribution of a concentration, from keys (Best and Fisher 1979).
    draw_von_mises(input, key: Tensor) Any { kernel(special_meta, draw_von_mises_run); batch align; face hidden; }
}

fn mvlgamma_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let (x, p) = (floated(input(ins)), args[0].int().unwrap_or(1));
    if p < 1 {
        return Err(Error::runtime("mvlgamma", format!("p must be at least 1, got {p}")));
    }
    let first = x.lgamma() + (p * (p - 1)) as f64 / 4.0 * PI.ln();
    Ok(vec![(1..p).fold(first, |sum, i| sum + (&x - i as f64 / 2.0).lgamma()).tensor().clone()])
}

fn polygamma_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let (x, n) = (floated(input(ins)), args[0].int().unwrap_or(0));
    if n < 0 {
        return Err(Error::runtime("polygamma", format!("n must be at least 0, got {n}")));
    }
    if n == 0 {
        return Ok(vec![x.digamma().tensor().clone()]);
    }
    // (-1)^(n + 1) n! zeta(n + 1, x).
    let factor = (1..=n).fold(if n % 2 == 0 { -1.0 } else { 1.0 }, |f, i| f * i as f64);
    let order = super::view::zeros_like(&x) + (n + 1) as f64;
    Ok(vec![(order.hurwitz(&x) * factor).tensor().clone()])
}

macro_rules! runs {
    ($($name:ident $function:ident;)*) => {$(
        fn $name(call: &Call) -> Result<()> {
            special(call, Special::$function)
        }
    )*};
}
runs! {
    zeta_run Zeta;
    gcd_run Gcd;
    igamma_run Igamma;
    igammac_run Igammac;
    slope_run IgammaSlope;
    gain_run GammaGain;
    draw_gamma_run DrawGamma;
    draw_poisson_run DrawPoisson;
    draw_binomial_run DrawBinomial;
    draw_von_mises_run DrawVonMises;
}

fn gcd_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    if let Some(x) = ins.iter().flatten().find(|x| x.dtype.is_float() || x.dtype == DType::Bool) {
        return Err(Error::dtype("gcd", format!("needs integers, got {}", x.dtype)));
    }
    let mut made = special_meta(ins, args)?;
    made[0].dtype = ins.iter().flatten().fold(DType::Bool, |kind, x| kind.promote(x.dtype));
    Ok(made)
}

fn zeta_back(pull: &Pull) -> Grads {
    let (g, s, q) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    if pull.needs.has(0) && !crate::graph::mode::Mode::now().probe() {
        fail(Error::grad("zeta", "there is no derivative in the first operand; use input.detach()"));
    }
    [None, pull.needs.has(1).then(|| -(g * s * &(s + 1.0).hurwitz(q)))].into_iter().collect()
}

fn igamma_back(pull: &Pull) -> Grads {
    incomplete_back(pull, 1.0)
}

fn igammac_back(pull: &Pull) -> Grads {
    incomplete_back(pull, -1.0)
}

fn incomplete_back(pull: &Pull, sign: f64) -> Grads {
    let (g, a, x) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let first = pull.needs.has(0).then(|| g * &(a.igamma_slope(x) * sign));
    let slope = || ((a - 1.0) * &x.log() - x - &a.lgamma()).exp() * sign;
    [first, pull.needs.has(1).then(|| g * &slope())].into_iter().collect()
}

/// The rule of a slope that has no slope of its own here.
fn no_further(_pull: &Pull) -> Grads {
    if !crate::graph::mode::Mode::now().probe() {
        fail(Error::grad("igamma", "there is no second derivative in the first operand; use input.detach()"));
    }
    [None, None].into_iter().collect()
}
