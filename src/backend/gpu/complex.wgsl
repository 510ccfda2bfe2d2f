// Complex numbers as pairs of reals: products, quotients, moduli.

fn product_TAG(a: vec2<REAL>, b: vec2<REAL>) -> vec2<REAL> { return vec2<REAL>(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x); }
fn conjugate_TAG(a: vec2<REAL>) -> vec2<REAL> { return vec2<REAL>(a.x, -a.y); }
fn has_nan_TAG(a: vec2<REAL>) -> bool { return IS_NAN(a.x) || IS_NAN(a.y); }
fn is_far_TAG(x: REAL) -> bool { return abs(x) == REAL(infinity()); }
fn far_as_TAG(x: REAL) -> REAL { return select(0.0~, select(1.0~, -1.0~, x < 0.0~), is_far_TAG(x)); }
// R. L. Smith's division (1962).
fn quotient_TAG(a: vec2<REAL>, b: vec2<REAL>) -> vec2<REAL> {
    let c = b.x;
    let d = b.y;
    if (c == 0.0~ && d == 0.0~) { return a / abs(c); }
    if (is_far_TAG(c) || is_far_TAG(d)) {
        let small = !(is_far_TAG(a.x) || is_far_TAG(a.y) || IS_NAN(a.x) || IS_NAN(a.y));
        let u = far_as_TAG(c);
        let v = far_as_TAG(d);
        let zero = REAL(hold(0.0f));
        if (small) { return vec2<REAL>(zero * (a.x * u + a.y * v), zero * (a.y * u - a.x * v)); }
        return vec2<REAL>(REAL(no_number()), REAL(no_number()));
    }
    if (abs(c) >= abs(d)) {
        let r = d / c;
        let by = c + d * r;
        return vec2<REAL>((a.x + a.y * r) / by, (a.y - a.x * r) / by);
    }
    let r = c / d;
    let by = c * r + d;
    return vec2<REAL>((a.x * r + a.y) / by, (a.y * r - a.x) / by);
}
fn modulus_TAG(a: vec2<REAL>) -> vec2<REAL> {
    let x = abs(a.x);
    let y = abs(a.y);
    if (is_far_TAG(x) || is_far_TAG(y)) { return vec2<REAL>(REAL(infinity()), 0.0~); }
    if (IS_NAN(x) || IS_NAN(y)) { return vec2<REAL>(REAL(no_number()), 0.0~); }
    let large = max(x, y);
    let r = min(x, y) / select(large, 1.0~, large == 0.0~);
    return vec2<REAL>(large * sqrt(1.0~ + r * r), 0.0~);
}
