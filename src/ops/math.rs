//! Elementary functions of floats, element by element. Leans on graph.

const LN2: f64 = std::f64::consts::LN_2;
const LN10: f64 = std::f64::consts::LN_10;
/// 2 / sqrt(pi).
const ERF_SLOPE: f64 = std::f64::consts::FRAC_2_SQRT_PI;

crate::op! {
    /// e to the power of each element.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).exp()
    /// tensor([1.0000, 2.7183])
    exp(input) Float { map(mild value, |x;| x.exp()); vjp |g, [_x], y| [g * y]; complex Yes; face in_place; }
    /// 2 to the power of each element.
    ///
    /// >>> schuss.tensor([0.0, 3.0]).exp2()
    /// tensor([1., 8.])
    exp2(input) Float { map(float value, |x;| x.exp2()); vjp |g, [_x], y| [g * &(y * LN2)]; complex Yes; face in_place; }
    /// `exp(x) - 1`, exact also near 0.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).expm1()
    /// tensor([0.0000, 1.7183])
    expm1(input) Float { map(float value, |x;| x.expm1()); vjp |g, [_x], y| [g * &(y + 1.0)]; complex Yes; face in_place; }
    /// The natural logarithm; -inf at 0 and NaN below.
    ///
    /// >>> schuss.tensor([1.0, 2.0]).log()
    /// tensor([0.0000, 0.6931])
    log(input) Float { map(positive value, |x;| x.log()); vjp |g, [x], _y| [g / x]; check 0.2..4.0; complex Yes; face in_place; }
    /// The logarithm to base 2.
    ///
    /// >>> schuss.tensor([1.0, 8.0]).log2()
    /// tensor([0., 3.])
    log2(input) Float { map(positive value, |x;| x.log2()); vjp |g, [x], _y| [g / &(x * LN2)]; check 0.2..4.0; complex Yes; face in_place; }
    /// The logarithm to base 10.
    ///
    /// >>> schuss.tensor([1.0, 100.0]).log10()
    /// tensor([0., 2.])
    log10(input) Float { map(positive value, |x;| x.log10()); vjp |g, [x], _y| [g / &(x * LN10)]; check 0.2..4.0; complex Yes; face in_place; }
    /// `log(1 + x)`, exact also near 0.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).log1p()
    /// tensor([0.0000, 0.6931])
    log1p(input) Float { map(float value, |x;| x.log1p()); vjp |g, [x], _y| [g / &(x + 1.0)]; check -0.7..4.0; complex Yes; face in_place; }
    /// The square root; NaN below 0.
    ///
    /// >>> schuss.tensor([4.0, 9.0]).sqrt()
    /// tensor([2., 3.])
    sqrt(input) Float { map(float value, |x;| x.sqrt()); vjp |g, [_x], y| [g / &(y * 2.0)]; check 0.2..4.0; complex Yes; face in_place; }
    /// One over the square root.
    ///
    /// >>> schuss.tensor([4.0]).rsqrt()
    /// tensor([0.5000])
    rsqrt(input) Float { map(float value, |x;| x.sqrt().recip()); vjp |g, [_x], y| [g * &(y * y * y) * -0.5]; check 0.2..4.0; complex Yes; face in_place; }
    /// One over each element.
    ///
    /// >>> schuss.tensor([4.0]).reciprocal()
    /// tensor([0.2500])
    reciprocal(input) Float { map(float value, |x;| x.recip()); vjp |g, [_x], y| [-(g * &(y * y))]; check 0.5..4.0; complex Yes; face in_place; }
    /// The sine of an angle in radians.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).sin()
    /// tensor([0.0000, 0.8415])
    sin(input) Float { map(angle value, |x;| x.sin()); vjp |g, [x], _y| [g * &x.cos()]; complex Yes; face in_place; }
    /// The cosine of an angle in radians.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).cos()
    /// tensor([1.0000, 0.5403])
    cos(input) Float { map(angle value, |x;| x.cos()); vjp |g, [x], _y| [-(g * &x.sin())]; complex Yes; face in_place; }
    /// The tangent of an angle in radians.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).tan()
    /// tensor([0.0000, 1.5574])
    tan(input) Float { map(angle value, |x;| x.tan()); vjp |g, [_x], y| [g * &(y * y + 1.0)]; check -1.2..1.2; complex Yes; face in_place; }
    /// The angle in radians whose sine it is; NaN outside [-1, 1].
    ///
    /// >>> schuss.tensor([0.0, 1.0]).asin()
    /// tensor([0.0000, 1.5708])
    asin(input) Float { map(whole value, |x;| x.asin()); vjp |g, [x], _y| [g * &(1.0 - x * x).rsqrt()]; check -0.8..0.8; complex Yes; face in_place; }
    /// The angle in radians whose cosine it is; NaN outside [-1, 1].
    ///
    /// >>> schuss.tensor([0.0, 1.0]).acos()
    /// tensor([1.5708, 0.0000])
    acos(input) Float { map(whole value, |x;| x.acos()); vjp |g, [x], _y| [-(g * &(1.0 - x * x).rsqrt())]; check -0.8..0.8; complex Yes; face in_place; }
    /// The angle in radians whose tangent it is.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).atan()
    /// tensor([0.0000, 0.7854])
    atan(input) Float { map(whole value, |x;| x.atan()); vjp |g, [x], _y| [g / &(x * x + 1.0)]; complex Yes; face in_place; }
    /// The angle in radians of the point (other, input), by quadrant.
    ///
    /// >>> schuss.atan2(schuss.tensor([1.0]), schuss.tensor([-1.0]))
    /// tensor([2.3562])
    atan2(input: Tensor, other: Tensor) Float {
        map(float value, |y, x;| y.atan2(x));
        vjp |g, [y, x], _o| [g * x / &(x * x + y * y), -(g * y / &(x * x + y * y))];
        check 0.5..4.0;
        face in_place;
    }
    /// The hyperbolic sine.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).sinh()
    /// tensor([0.0000, 1.1752])
    sinh(input) Float { map(float value, |x;| x.sinh()); vjp |g, [x], _y| [g * &x.cosh()]; complex Yes; face in_place; }
    /// The hyperbolic cosine.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).cosh()
    /// tensor([1.0000, 1.5431])
    cosh(input) Float { map(float value, |x;| x.cosh()); vjp |g, [x], _y| [g * &x.sinh()]; complex Yes; face in_place; }
    /// The hyperbolic tangent.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).tanh()
    /// tensor([0.0000, 0.7616])
    tanh(input) Float { map(whole value, |x;| x.tanh()); vjp |g, [_x], y| [g.tanh_slope(y)]; complex Yes; face in_place; }
    /// A cotangent times the slope of `tanh`, of its result.
    tanh_slope(grad, result) Float {
        map(float value, |g, y;| g * (1.0 - y * y));
        vjp |g, [d, y], _o| [g.tanh_slope(y), g * d * y * -2.0];
        complex Yes;
        face hidden;
    }
    /// The inverse hyperbolic sine.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).asinh()
    /// tensor([0.0000, 0.8814])
    asinh(input) Float { map(float value, |x;| x.asinh()); vjp |g, [x], _y| [g * &(x * x + 1.0).rsqrt()]; complex Yes; face in_place; }
    /// The inverse hyperbolic cosine; NaN below 1.
    ///
    /// >>> schuss.tensor([1.0, 2.0]).acosh()
    /// tensor([0.0000, 1.3170])
    acosh(input) Float { map(float value, |x;| x.acosh()); vjp |g, [x], _y| [g * &(x - 1.0).rsqrt() * &(x + 1.0).rsqrt()]; check 1.5..4.0; complex Yes; face in_place; }
    /// The inverse hyperbolic tangent; NaN outside [-1, 1].
    ///
    /// >>> schuss.tensor([0.0, 0.5]).atanh()
    /// tensor([0.0000, 0.5493])
    atanh(input) Float { map(float value, |x;| x.atanh()); vjp |g, [x], _y| [g / &(1.0 - x * x)]; check -0.8..0.8; complex Yes; face in_place; }
    /// The error function, `2 / sqrt(pi)` times the integral of `exp(-t^2)` from 0.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).erf()
    /// tensor([0.0000, 0.8427])
    erf(input) Float { map(whole value, |x;| x.erf()); vjp |g, [x], _y| [g.erf_slope(x)]; check -3.0..3.0; face in_place; }
    /// A cotangent times the slope of `erf`.
    erf_slope(grad, input) Float {
        map(float value, |g, x;| g * (-(x * x)).exp() * ERF_SLOPE);
        vjp |g, [d, x], _y| [g.erf_slope(x), g * d.erf_slope(x) * x * -2.0];
        check -3.0..3.0;
        face hidden;
    }
    /// `1 - erf(x)`, exact also for large arguments.
    ///
    /// >>> schuss.tensor([0.0, 1.0]).erfc()
    /// tensor([1.0000, 0.1573])
    erfc(input) Float { map(float value, |x;| x.erfc()); vjp |g, [x], _y| [g * &((-(x * x)).exp() * -ERF_SLOPE)]; check -3.0..3.0; face in_place; }
    /// The largest integer not above; the derivative is 0.
    ///
    /// >>> schuss.tensor([1.5, -1.5]).floor()
    /// tensor([ 1., -2.])
    floor(input) Float { map(float value, |x;| x.floor()); vjp |g, [_x], _y| [g * 0.0]; face in_place; }
    /// The smallest integer not below; the derivative is 0.
    ///
    /// >>> schuss.tensor([1.5, -1.5]).ceil()
    /// tensor([ 2., -1.])
    ceil(input) Float { map(float value, |x;| x.ceil()); vjp |g, [_x], _y| [g * 0.0]; face in_place; }
    /// The integer part; the derivative is 0.
    ///
    /// >>> schuss.tensor([1.5, -1.5]).trunc()
    /// tensor([ 1., -1.])
    trunc(input) Float { map(float value, |x;| x.trunc()); vjp |g, [_x], _y| [g * 0.0]; face in_place; }
    /// The nearest integer, halves to the even one; the derivative is 0.
    ///
    /// >>> schuss.tensor([0.5, 1.5, 2.6]).round()
    /// tensor([0., 2., 3.])
    round(input) Float { map(float value, |x;| x.round()); vjp |g, [_x], _y| [g * 0.0]; face in_place; }
    /// What is left of the integer part, with the element's sign.
    ///
    /// >>> schuss.tensor([1.5, -1.25]).frac()
    /// tensor([ 0.5000, -0.2500])
    frac(input) Real { map(float value, |x;| x - x.trunc()); vjp |g, [_x], _y| [g]; face in_place; }
    /// The size of the first with the sign of the second.
    ///
    /// >>> schuss.copysign(schuss.tensor([1.0, 2.0]), schuss.tensor([-3.0, 4.0]))
    /// tensor([-1.,  2.])
    copysign(input: Tensor, other) Float {
        map(float value, |x, y;| x.copysign(y));
        vjp |g, [x, y], o| [g * &(x.sign() * &o.sign()), g * 0.0];
        face in_place;
    }
    /// The length of the hypotenuse, `sqrt(x^2 + y^2)`.
    ///
    /// >>> schuss.hypot(schuss.tensor([3.0]), schuss.tensor([4.0]))
    /// tensor([5.])
    hypot(input: Tensor, other: Tensor) Real {
        map(float value, |x, y;| {
            // The larger side is taken out of the root, so that squares neither overflow nor vanish.
            let (a, b) = (x.abs(), y.abs());
            let (big, small) = (a.max(b), a.min(b));
            let ratio = Value::select(big.equals(V::lit(0.0)), V::lit(0.0), small / big);
            let whole = big * (1.0 + ratio * ratio).sqrt();
            Value::select(a.is_inf() | b.is_inf(), V::lit(f64::INFINITY), whole)
        });
        vjp |g, [x, y], o| [g * x / o, g * y / o];
        check 0.5..4.0;
        face in_place;
    }
}
