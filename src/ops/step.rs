//! One step of an optimiser as a map with several outputs, so that a parameter and its moments are touched once. Leans on graph.

crate::op! {
    /// Gradient descent with momentum (Sutskever et al. 2013): new parameter and new velocity.
    sgd_step(param, grad, velocity; lr: Number, momentum: Number, damp: Number, decay: Number, nesterov: Number) Float {
        map(float [2], |p, g, v; lr, momentum, damp, decay, nesterov| {
            let d = g + decay * p;
            let v = momentum * v + damp * d;
            let step = Value::select(nesterov.gt(V::lit(0.0)), d + momentum * v, v);
            [p - lr * step, v]
        });
        face hidden;
    }
    /// Gradient descent without momentum: the new parameter.
    plain_step(param, grad; lr: Number, decay: Number) Float {
        map(float [1], |p, g; lr, decay| [p - lr * (g + decay * p)]);
        face hidden;
    }
    /// Adam (Kingma and Ba 2015), with decay in the gradient or on the parameter (Loshchilov and Hutter 2019):
    /// new parameter and new moments.
    adam_step(param, grad, first, second; lr: Number, beta1: Number, beta2: Number, eps: Number, decay: Number, shrink: Number, size: Number, root: Number) Float {
        map(float [3], |p, g, m, v; lr, beta1, beta2, eps, decay, shrink, size, root| {
            let d = g + decay * p;
            let kept = p * (1.0 - lr * shrink);
            let m = m + (1.0 - beta1) * (d - m);
            let v = beta2 * v + (1.0 - beta2) * (d * d);
            [kept - size * (m / (v.sqrt() / root + eps)), m, v]
        });
        face hidden;
    }
    /// Adam with the largest second moment seen so far (Reddi et al. 2018).
    amsgrad_step(param, grad, first, second, largest; lr: Number, beta1: Number, beta2: Number, eps: Number, decay: Number, shrink: Number, size: Number, root: Number) Float {
        map(float [4], |p, g, m, v, top; lr, beta1, beta2, eps, decay, shrink, size, root| {
            let d = g + decay * p;
            let kept = p * (1.0 - lr * shrink);
            let m = m + (1.0 - beta1) * (d - m);
            let v = beta2 * v + (1.0 - beta2) * (d * d);
            let top = top.max(v);
            [kept - size * (m / (top.sqrt() / root + eps)), m, v, top]
        });
        face hidden;
    }
}
