//! Activations of neural networks, element by element. Leans on graph.

use super::parts::softsign_parts;
use crate::base::{Error, Few, Result, shape};
use crate::graph::{Arg, Grads, Pull, Sym, Tensor};

/// 1 / sqrt(2 pi).
const DENSITY: f64 = 0.398_942_280_401_432_7;
/// sqrt(2 / pi).
const TANH_SCALE: f64 = 0.797_884_560_802_865_4;
/// Three times the weight of the cube in the argument of tanh.
const TANH_BEND: f64 = 3.0 * 0.044715;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

crate::op! {
    /// Logistic sigmoid, `1 / (1 + exp(-x))`.
    ///
    /// >>> schuss.tensor([-1.0, 0.0, 1.0]).sigmoid()
    /// tensor([0.2689, 0.5000, 0.7311])
    sigmoid(input) Float { map(mild value, |x;| x.sigmoid()); vjp |g, [_x], y| [g.sigmoid_slope(y)]; complex Yes; face in_place; }
    /// A cotangent times the slope of `sigmoid`, of its result.
    sigmoid_slope(grad, result) Float {
        map(float value, |g, y;| g * (y * (1.0 - y)));
        vjp |g, [d, y], _o| [g.sigmoid_slope(y), g * d * (1.0 - 2.0 * y)];
        complex Yes;
        face hidden;
    }
    /// The element where it is positive, else 0; NaN stays NaN.
    ///
    /// >>> schuss.tensor([-1.0, 2.0]).relu()
    /// tensor([0., 2.])
    relu(input) Arithmetic {
        map(number value, |x;| Value::select(x.le(V::lit(0.0)), V::lit(0.0), x));
        vjp |g, [_x], y| [y.gt(&Sym::from(0.0)).where_(g, &Sym::from(0.0))];
        face in_place;
    }
    /// `x` where positive, else `negative_slope * x`.
    ///
    /// >>> schuss.nn.functional.leaky_relu(schuss.tensor([-1.0, 2.0]))
    /// tensor([-0.0100,  2.0000])
    leaky_relu(input; negative_slope: Number = Arg::Number(crate::base::Number::Float(0.01))) Real {
        map(float value, |x; slope| Value::select(x.gt(V::lit(0.0)), x, x * slope));
        vjp |g, [x], _y| [x.gt(&Sym::from(0.0)).where_(g, &(g * &Sym::Number(negative_slope)))];
        face function;
    }
    /// `x` where positive, else `alpha * (exp(x) - 1)` (Clevert et al. 2015).
    ///
    /// >>> schuss.nn.functional.elu(schuss.tensor([-1.0, 2.0]))
    /// tensor([-0.6321,  2.0000])
    elu(input; alpha: Number = Arg::Number(crate::base::Number::Float(1.0))) Real {
        map(float value, |x; a| Value::select(x.gt(V::lit(0.0)), x, a * x.expm1()));
        vjp |g, [x], _y| [x.gt(&Sym::from(0.0)).where_(g, &(g * &(x.exp() * &Sym::Number(alpha))))];
        face function;
    }
    /// The self-normalising exponential unit (Klambauer et al. 2017).
    ///
    /// >>> schuss.nn.functional.selu(schuss.tensor([-1.0, 2.0]))
    /// tensor([-1.1113,  2.1014])
    selu(input) Real {
        map(float value, |x;| SELU_SCALE * Value::select(x.gt(V::lit(0.0)), x, SELU_ALPHA * x.expm1()));
        vjp |g, [x], _y| [g * &(x.gt(&Sym::from(0.0)).where_(&Sym::from(SELU_SCALE), &(x.exp() * (SELU_SCALE * SELU_ALPHA))))];
        face function;
    }
    /// `x` where positive, else `alpha * (exp(x / alpha) - 1)` (Barron 2017).
    celu(input; alpha: Number = Arg::Number(crate::base::Number::Float(1.0))) Real {
        map(float value, |x; a| Value::select(x.gt(V::lit(0.0)), x, a * (x / a).expm1()));
        vjp |g, [x], _y| [g * &(x.gt(&Sym::from(0.0)).where_(&Sym::from(0.0), x) / &Sym::Number(alpha)).exp()];
        face hidden;
    }
    /// `x` where positive, else `weight * x` (He et al. 2015).
    prelu(input: Tensor, weight: Tensor) Real {
        map(float value, |x, w;| Value::select(x.gt(V::lit(0.0)), x, w * x));
        vjp |g, [x, w], _y| [x.gt(&Sym::from(0.0)).where_(g, &(g * w)), x.gt(&Sym::from(0.0)).where_(&Sym::from(0.0), &(g * x))];
        face hidden;
    }
    /// `x * sigmoid(x)`, also called swish.
    ///
    /// >>> schuss.nn.functional.silu(schuss.tensor([-1.0, 2.0]))
    /// tensor([-0.2689,  1.7616])
    silu(input) Real {
        map(mild value, |x;| x * x.sigmoid());
        vjp |g, [x], _y| [g.silu_slope(x)];
        complex Yes;
        face function;
    }
    /// A cotangent times the slope of `silu`.
    silu_slope(grad, input) Real {
        map(float value, |g, x;| {
            let s = x.sigmoid();
            g * (s + x * (s * (1.0 - s)))
        });
        rule silu_slope_back;
        complex Yes;
        face hidden;
    }
    /// `log(1 + exp(beta x)) / beta`, straight above the threshold.
    ///
    /// >>> schuss.nn.functional.softplus(schuss.tensor([0.0, 1.0]))
    /// tensor([0.6931, 1.3133])
    softplus(input; beta: Number = Arg::Number(crate::base::Number::Float(1.0)), threshold: Number = Arg::Number(crate::base::Number::Float(20.0))) Real {
        map(float value, |x; b, t| {
            let bx = b * x;
            // max(bx, 0) + log1p(exp(-|bx|)) overflows on neither side.
            let soft = (Value::select(bx.gt(V::lit(0.0)), bx, V::lit(0.0)) + (-bx.abs()).exp().log1p()) / b;
            Value::select(bx.gt(t), x, soft)
        });
        vjp |g, [x], _y| [
            (x * &Sym::Number(beta)).gt(&Sym::Number(threshold)).where_(g, &(g * &(x * &Sym::Number(beta)).sigmoid()))
        ];
        face function;
    }
    /// `log(sigmoid(x))`, exact also far out.
    ///
    /// >>> schuss.nn.functional.logsigmoid(schuss.tensor([0.0]))
    /// tensor([-0.6931])
    logsigmoid(input) Real {
        map(float value, |x;| Value::select(x.lt(V::lit(0.0)), x, V::lit(0.0)) - (-x.abs()).exp().log1p());
        vjp |g, [x], _y| [g * &(-x).sigmoid()];
        face function;
    }
    /// Gaussian error linear unit, `x * Phi(x)` (Hendrycks and Gimpel 2016).
    ///
    /// >>> schuss.nn.functional.gelu(schuss.tensor([1.0, -1.0]))
    /// tensor([ 0.8413, -0.1587])
    gelu_exact(input) Real {
        map(whole value, |x;| x.gelu());
        vjp |g, [x], _y| [g.gelu_exact_slope(x)];
        face hidden;
    }
    /// A cotangent times the slope of `gelu_exact`.
    gelu_exact_slope(grad, input) Real {
        map(float value, |g, x;| g * (x.normal() + x * (-0.5 * x * x).exp() * DENSITY));
        vjp |g, [d, x], _y| [g.gelu_exact_slope(x), g * d * (2.0 - x * x) * (x * x * -0.5).exp() * DENSITY];
        face hidden;
    }
    /// The tanh approximation of the Gaussian error linear unit.
    ///
    /// >>> schuss.nn.functional.gelu(schuss.tensor([1.0]), approximate="tanh")
    /// tensor([0.8412])
    gelu_tanh(input) Real {
        map(float value, |x;| 0.5 * x * (1.0 + (TANH_SCALE * (x + 0.044715 * x * x * x)).tanh()));
        vjp |g, [x], _y| [g.gelu_tanh_slope(x)];
        face hidden;
    }
    /// A cotangent times the slope of `gelu_tanh`.
    gelu_tanh_slope(grad, input) Real {
        map(float value, |g, x;| {
            let t = (TANH_SCALE * (x + 0.044715 * x * x * x)).tanh();
            let inner = (x * x * TANH_BEND + 1.0) * TANH_SCALE;
            g * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner)
        });
        rule gelu_tanh_slope_back;
        face hidden;
    }
    /// Elements kept within [min_val, max_val], with no gradient outside.
    ///
    /// >>> schuss.nn.functional.hardtanh(schuss.tensor([-2.0, 0.5]))
    /// tensor([-1.0000,  0.5000])
    hardtanh(input; min_val: Number = Arg::Number(crate::base::Number::Float(-1.0)), max_val: Number = Arg::Number(crate::base::Number::Float(1.0))) Arithmetic {
        map(number value, |x; low, high| {
            let y = Value::select(x.lt(low), low, x);
            Value::select(high.lt(y), high, y)
        });
        vjp |g, [x], _y| [x.gt(&Sym::Number(min_val)).logical_and(&x.lt(&Sym::Number(max_val))).where_(g, &Sym::from(0.0))];
        face function;
    }
    /// `x * tanh(softplus(x))` (Misra 2019).
    ///
    /// >>> schuss.nn.functional.mish(schuss.tensor([1.0]))
    /// tensor([0.8651])
    mish(input) Real {
        map(float value, |x;| {
            let soft = Value::select(x.gt(V::lit(0.0)), x, V::lit(0.0)) + (-x.abs()).exp().log1p();
            x * soft.tanh()
        });
        rule mish_back;
        face function;
    }
    /// `x / (1 + |x|)`.
    ///
    /// >>> schuss.nn.functional.softsign(schuss.tensor([1.0, -3.0]))
    /// tensor([ 0.5000, -0.7500])
    softsign(input) Float {
        map(float value, |x;| x / (1.0 + x.abs()));
        vjp |g, [x], _y| [g / &(x.abs() + 1.0).square()];
        complex softsign_parts;
        face function;
    }
    /// `x * relu6(x + 3) / 6` (Howard et al. 2019).
    hardswish(input) Real {
        map(float value, |x;| x * (x + 3.0).max(V::lit(0.0)).min(V::lit(6.0)) / 6.0);
        rule hardswish_back;
        face function;
    }
    /// `relu6(x + 3) / 6`.
    hardsigmoid(input) Real {
        map(float value, |x;| (x + 3.0).max(V::lit(0.0)).min(V::lit(6.0)) / 6.0);
        vjp |g, [x], _y| [
            x.gt(&Sym::from(-3.0)).logical_and(&x.lt(&Sym::from(3.0))).where_(&(g * (1.0 / 6.0)), &Sym::from(0.0))
        ];
        face function;
    }
    /// The element where it passes the threshold, else the value.
    ///
    /// >>> schuss.threshold(schuss.tensor([1.0, 3.0]), 2.0, 0.0)
    /// tensor([0., 3.])
    threshold(input; threshold: Number, value: Number) Arithmetic {
        map(number value, |x; t, v| Value::select(x.le(t), v, x));
        vjp |g, [x], _y| [x.le(&Sym::Number(threshold)).where_(&Sym::from(0.0), g)];
        face function;
    }
    /// `x - lambd` above lambd, `x + lambd` below -lambd, 0 between.
    softshrink(input; lambd: Number = Arg::Number(crate::base::Number::Float(0.5))) Real {
        map(float value, |x; l| {
            let low = Value::select(x.lt(-l), x + l, Value::select(x.is_nan(), x, V::lit(0.0)));
            Value::select(x.gt(l), x - l, low)
        });
        vjp |g, [_x], y| [y.eq(&Sym::from(0.0)).where_(&Sym::from(0.0), g)];
        face function;
    }
    /// The element where its size passes lambd, else 0.
    ///
    /// >>> schuss.tensor([0.2, -3.0]).hardshrink()
    /// tensor([ 0., -3.])
    hardshrink(input; lambd: Number = Arg::Number(crate::base::Number::Float(0.5))) Real {
        map(float value, |x; l| Value::select(x.abs().le(l), V::lit(0.0), x));
        vjp |g, [x], _y| [x.abs().le(&Sym::Number(lambd)).where_(&Sym::from(0.0), g)];
    }
    /// The first half along an axis times the sigmoid of the second (Dauphin et al. 2017).
    glu(input; dim: Axis = Arg::Int(-1)) Any { inline(glu_inline); face function; }
}

fn silu_slope_back(pull: &Pull) -> Grads {
    let (g, d, x) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| g.silu_slope(x)));
    grads.push(pull.needs.has(1).then(|| {
        let s = x.sigmoid();
        g * d * (&s * (1.0 - &s)) * (2.0 + x * (1.0 - 2.0 * &s))
    }));
    grads
}

/// With t = tanh(u), the slope is (1 + t) / 2 + x t' / 2, and its own x (t'' / 2) + t'.
fn gelu_tanh_slope_back(pull: &Pull) -> Grads {
    let (g, d, x) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| g.gelu_tanh_slope(x)));
    grads.push(pull.needs.has(1).then(|| {
        let t = ((x + x * x * x * 0.044715) * TANH_SCALE).tanh();
        let inner = (x * x * TANH_BEND + 1.0) * TANH_SCALE;
        let bend = 1.0 - &t * &t;
        let second = &bend * (x * (2.0 * TANH_BEND * TANH_SCALE)) - &t * &bend * &inner * &inner * 2.0;
        g * d * (bend * inner + x * second * 0.5)
    }));
    grads
}

fn mish_back(pull: &Pull) -> Grads {
    let (g, x) = (pull.grad(), &pull.ins[0]);
    let t = x.softplus(1.0, 20.0).tanh();
    let slope = &t + x * (1.0 - &t * &t) * x.sigmoid();
    [Some(g * slope)].into_iter().collect()
}

fn hardswish_back(pull: &Pull) -> Grads {
    let (g, x) = (pull.grad(), &pull.ins[0]);
    let middle = x.lt(&Sym::from(3.0)).where_(&(g * &(x * (1.0 / 3.0) + 0.5)), g);
    [Some(x.le(&Sym::from(-3.0)).where_(&Sym::from(0.0), &middle))].into_iter().collect()
}

fn glu_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = ins[0].as_ref().unwrap_or(&Sym::Absent);
    if !x.dtype().is_float() {
        return Err(Error::no_float("glu", "a float tensor", x.dtype()));
    }
    let sizes = x.shape();
    let axis = shape::axis("glu", args[0].int().unwrap_or(-1), sizes.len())?;
    if sizes.is_empty() || !sizes[axis].is_multiple_of(2) {
        return Err(Error::runtime("glu", format!("needs an even size along the axis to halve, got shape {}", shape::show(&sizes))));
    }
    let mut half = sizes.clone();
    half[axis] /= 2;
    let part = |start: usize| {
        let mut starts = Few::filled(0i64, sizes.len());
        starts[axis] = start as i64;
        x.slice(starts, &half, Few::filled(1i64, sizes.len()))
    };
    Ok(vec![(part(0) * part(half[axis]).sigmoid()).tensor().clone()])
}
