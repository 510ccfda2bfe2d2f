// Wide conversions, for adapters that have wide types.

fn float_to_long(x: f32) -> i64 {
    if (is_nan(x)) { return i64(0i); }
    if (x >= 9.2233715e18f) { return i64(2147483647i) * i64(4294967296li) + i64(4294967295li); }
    if (x <= -9.2233715e18f) { return (i64(0i) - i64(2147483647i) * i64(4294967296li)) - i64(4294967296li); }
    return i64(x);
}
fn double_to_long(x: f64) -> i64 {
    if (!(x == x)) { return i64(0i); }
    if (x >= 9.223372036854775e18lf) { return i64(2147483647i) * i64(4294967296li) + i64(4294967295li); }
    if (x <= -9.223372036854775e18lf) { return (i64(0i) - i64(2147483647i) * i64(4294967296li)) - i64(4294967296li); }
    return i64(x);
}
fn double_to_int(x: f64) -> i32 {
    if (!(x == x)) { return 0i; }
    if (x >= 2147483647.0lf) { return 2147483647i; }
    if (x <= -2147483648.0lf) { return (-2147483647i - 1i); }
    return i32(x);
}
fn is_nan_f64(x: f64) -> bool { return (bitcast<u64>(x) & 9223372036854775807lu) > 9218868437227405312lu; }
fn with_sign_f64(x: f64, s: f64) -> f64 {
    return bitcast<f64>((bitcast<u64>(x) & 9223372036854775807lu) | (bitcast<u64>(s) & (9223372036854775807lu + 1lu)));
}
// Logarithms of normal numbers above zero, and sines and cosines of angles within an eighth of a turn.
fn log_near_f64(x: f64) -> f64 {
    let bits = bitcast<u64>(x);
    var n = f64(i32(bits >> 52u)) - 1023.0lf;
    var m = bitcast<f64>((bits & 4503599627370495lu) | 4607182418800017408lu);
    if (m > 1.4142135623730951lf) {
        m = m * 0.5lf;
        n = n + 1.0lf;
    }
    let f = m - 1.0lf;
    let s = f / (2.0lf + f);
    let z = s * s;
    let r = 0.6666666666666734lf + z * (0.3999999999941658lf + z * (0.2857142874205895lf + z * (0.22222198600269305lf
        + z * (0.1818356317628516lf + z * (0.15314074739836922lf + z * 0.14795750914242323lf)))));
    return n * 0.693147180559663lf + (f - (s * (f - z * r) - n * 2.8235290563031577e-13lf));
}
fn sine_near_f64(x: f64) -> f64 {
    let z = x * x;
    let r = -0.16666666666666666lf + z * (0.00833333333333304lf + z * (-0.00019841269840959288lf + z * (2.7557319071902834e-6lf
        + z * (-2.505207029833975e-8lf + z * (1.6054223762758543e-10lf + z * -7.384777546011395e-13lf)))));
    return x + x * (z * r);
}
fn cosine_near_f64(x: f64) -> f64 {
    let z = x * x;
    let r = 0.041666666666666595lf + z * (-0.001388888888887334lf + z * (2.4801587288999772e-5lf + z * (-2.7557314216164437e-7lf
        + z * (2.0875705254835717e-9lf + z * -1.1358740977713884e-11lf))));
    return (1.0lf - 0.5lf * z) + z * z * r;
}
