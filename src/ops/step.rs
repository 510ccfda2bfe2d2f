//! One step of an optimiser as a map with several outputs, so that a parameter and its moments are touched once. Leans on graph.
//!
//! What a step writes comes first among its inputs, in the order of its outputs, and what it only reads comes after; so
//! it can be run in place. Numbers such as 1 - beta come from outside, where they are worked out in float64: in a
//! float32 loop they would lose half their digits. `sign` is -1 where the loss is to rise.

crate::op! {
    /// A number from outside, whatever was there before.
    given_step(number; value: Number) Float {
        map(float [1], |_before; value| [value]);
        face hidden;
    }
    /// Gradient descent without momentum.
    plain_step(param, grad; sign: Number, lr: Number, decay: Number) Float {
        map(float [1], |p, g; sign, lr, decay| [p - lr * (sign * g + decay * p)]);
        face hidden;
    }
    /// Gradient descent with momentum (Sutskever et al. 2013): new parameter and new velocity.
    sgd_step(param, velocity, grad; sign: Number, lr: Number, decay: Number, momentum: Number, damp: Number, nesterov: Number) Float {
        map(float [2], |p, v, g; sign, lr, decay, momentum, damp, nesterov| {
            let d = sign * g + decay * p;
            let v = momentum * v + damp * d;
            let step = Value::select(nesterov.gt(V::lit(0.0)), d + momentum * v, v);
            [p - lr * step, v]
        });
        face hidden;
    }
    /// Adam (Kingma and Ba 2015), with decay in the gradient or on the parameter (Loshchilov and Hutter 2019):
    /// new parameter and new moments.
    adam_step(param, first, second, grad; sign: Number, decay: Number, kept: Number, rest1: Number, beta2: Number, rest2: Number, size: Number, root: Number, eps: Number) Float {
        map(float [3], |p, m, v, g; sign, decay, kept, rest1, beta2, rest2, size, root, eps| {
            let d = sign * g + decay * p;
            let m = m + rest1 * (d - m);
            let v = beta2 * v + rest2 * (d * d);
            [kept * p - size * (m / (v.sqrt() / root + eps)), m, v]
        });
        face hidden;
    }
    /// Adam with the largest second moment seen so far (Reddi et al. 2018).
    amsgrad_step(param, first, second, largest, grad; sign: Number, decay: Number, kept: Number, rest1: Number, beta2: Number, rest2: Number, size: Number, root: Number, eps: Number) Float {
        map(float [4], |p, m, v, top, g; sign, decay, kept, rest1, beta2, rest2, size, root, eps| {
            let d = sign * g + decay * p;
            let m = m + rest1 * (d - m);
            let v = beta2 * v + rest2 * (d * d);
            let top = top.max(v);
            [kept * p - size * (m / (top.sqrt() / root + eps)), m, v, top]
        });
        face hidden;
    }
    /// Adam by the largest gradient, slowly forgotten (Kingma and Ba 2015, section 7.1).
    adamax_step(param, first, norm, grad; sign: Number, decay: Number, rest1: Number, beta2: Number, eps: Number, size: Number) Float {
        map(float [3], |p, m, n, g; sign, decay, rest1, beta2, eps, size| {
            let d = sign * g + decay * p;
            let m = m + rest1 * (d - m);
            let n = (beta2 * n).max(d.abs() + eps);
            [p - size * (m / n), m, n]
        });
        face hidden;
    }
    /// Adam with Nesterov's look-ahead (Dozat 2016): `now` and `ahead` are the rates of the gradient and of its mean.
    nadam_step(param, first, second, grad; sign: Number, decay: Number, kept: Number, rest1: Number, beta2: Number, rest2: Number, scale: Number, eps: Number, now: Number, ahead: Number) Float {
        map(float [3], |p, m, v, g; sign, decay, kept, rest1, beta2, rest2, scale, eps, now, ahead| {
            let d = sign * g + decay * p;
            let m = m + rest1 * (d - m);
            let v = beta2 * v + rest2 * (d * d);
            let root = (v / scale).sqrt() + eps;
            [kept * p - now * (d / root) - ahead * (m / root), m, v]
        });
        face hidden;
    }
    /// Adam whose adaptive rate waits until its variance is known (Liu et al. 2020); until then `rect` is 0.
    radam_step(param, first, second, grad; sign: Number, decay: Number, kept: Number, rest1: Number, beta2: Number, rest2: Number, size: Number, rect: Number, eps: Number) Float {
        map(float [3], |p, m, v, g; sign, decay, kept, rest1, beta2, rest2, size, rect, eps| {
            let d = sign * g + decay * p;
            let m = m + rest1 * (d - m);
            let v = beta2 * v + rest2 * (d * d);
            let rate = Value::select(rect.gt(V::lit(0.0)), rect / (v.sqrt() + eps), V::lit(1.0));
            [kept * p - size * (m * rate), m, v]
        });
        face hidden;
    }
    /// Adadelta (Zeiler 2012): steps measured by the mean square of those before.
    adadelta_step(param, square, delta, grad; sign: Number, decay: Number, rho: Number, rest: Number, eps: Number, lr: Number) Float {
        map(float [3], |p, s, a, g; sign, decay, rho, rest, eps, lr| {
            let d = sign * g + decay * p;
            let s = rho * s + rest * (d * d);
            let step = (a + eps).sqrt() / (s + eps).sqrt() * d;
            [p - lr * step, s, rho * a + rest * (step * step)]
        });
        face hidden;
    }
    /// Adagrad (Duchi, Hazan and Singer 2011).
    adagrad_step(param, sum, grad; sign: Number, decay: Number, lr: Number, eps: Number) Float {
        map(float [2], |p, s, g; sign, decay, lr, eps| {
            let d = sign * g + decay * p;
            let s = s + d * d;
            [p - lr * (d / (s.sqrt() + eps)), s]
        });
        face hidden;
    }
    /// RMSprop (Tieleman and Hinton 2012).
    rmsprop_step(param, square, grad; sign: Number, decay: Number, alpha: Number, rest: Number, eps: Number, lr: Number, momentum: Number) Float {
        map(float [2], |p, s, g; sign, decay, alpha, rest, eps, lr, momentum| {
            let d = sign * g + decay * p;
            let s = alpha * s + rest * (d * d);
            [p - lr * (d / (s.sqrt() + eps)), s]
        });
        face hidden;
    }
    /// RMSprop with momentum.
    rmsprop_momentum_step(param, square, velocity, grad; sign: Number, decay: Number, alpha: Number, rest: Number, eps: Number, lr: Number, momentum: Number) Float {
        map(float [3], |p, s, v, g; sign, decay, alpha, rest, eps, lr, momentum| {
            let d = sign * g + decay * p;
            let s = alpha * s + rest * (d * d);
            let v = momentum * v + d / (s.sqrt() + eps);
            [p - lr * v, s, v]
        });
        face hidden;
    }
    /// RMSprop by the variance of the gradient instead of its square (Graves 2013).
    rmsprop_centered_step(param, square, mean, grad; sign: Number, decay: Number, alpha: Number, rest: Number, eps: Number, lr: Number, momentum: Number) Float {
        map(float [3], |p, s, m, g; sign, decay, alpha, rest, eps, lr, momentum| {
            let d = sign * g + decay * p;
            let s = alpha * s + rest * (d * d);
            let m = m + rest * (d - m);
            [p - lr * (d / ((s - m * m).sqrt() + eps)), s, m]
        });
        face hidden;
    }
    /// RMSprop by the variance, with momentum (Graves 2013).
    rmsprop_centered_momentum_step(param, square, mean, velocity, grad; sign: Number, decay: Number, alpha: Number, rest: Number, eps: Number, lr: Number, momentum: Number) Float {
        map(float [4], |p, s, m, v, g; sign, decay, alpha, rest, eps, lr, momentum| {
            let d = sign * g + decay * p;
            let s = alpha * s + rest * (d * d);
            let m = m + rest * (d - m);
            let v = momentum * v + d / ((s - m * m).sqrt() + eps);
            [p - lr * v, s, m, v]
        });
        face hidden;
    }
    /// Rprop (Riedmiller and Braun 1993): a step size for each element, by whether its slope kept its sign.
    rprop_step(param, prev, size, grad; sign: Number, minus: Number, plus: Number, least: Number, most: Number) Float {
        map(float [3], |p, prev, size, g; sign, minus, plus, least, most| {
            let d = sign * g;
            let turn = d * prev;
            let zero = V::lit(0.0);
            let factor = Value::select(turn.gt(zero), plus, Value::select(turn.lt(zero), minus, V::lit(1.0)));
            let size = (size * factor).max(least).min(most);
            let d = Value::select(turn.lt(zero), zero, d);
            [p - d.sign() * size, d, size]
        });
        face hidden;
    }
    /// Averaged gradient descent (Polyak and Juditsky 1992): the parameter, and the mean of where it has been.
    asgd_step(param, mean, grad; sign: Number, decay: Number, kept: Number, eta: Number, mu: Number) Float {
        map(float [2], |p, a, g; sign, decay, kept, eta, mu| {
            let d = sign * g + decay * p;
            let p = kept * p - eta * d;
            [p, Value::select(mu.equals(V::lit(1.0)), p, a + mu * (p - a))]
        });
        face hidden;
    }
    /// Lion (Chen et al. 2023): steps by the sign of a mean.
    lion_step(param, mean, grad; sign: Number, kept: Number, lr: Number, beta1: Number, rest1: Number, beta2: Number, rest2: Number) Float {
        map(float [2], |p, m, g; sign, kept, lr, beta1, rest1, beta2, rest2| {
            let d = sign * g;
            [kept * p - lr * (beta1 * m + rest1 * d).sign(), beta2 * m + rest2 * d]
        });
        face hidden;
    }
    /// The direction of LAMB (You et al. 2020), whose length the caller sets: new moments, and the direction.
    lamb_direction(first, second, direction, grad, param; sign: Number, decay: Number, rest1: Number, beta2: Number, rest2: Number, scale1: Number, scale2: Number, eps: Number) Float {
        map(float [3], |m, v, _u, g, p; sign, decay, rest1, beta2, rest2, scale1, scale2, eps| {
            let d = sign * g;
            let m = m + rest1 * (d - m);
            let v = beta2 * v + rest2 * (d * d);
            [m, v, m / scale1 / ((v / scale2).sqrt() + eps) + decay * p]
        });
        face hidden;
    }
}
