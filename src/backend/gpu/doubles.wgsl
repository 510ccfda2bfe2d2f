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
