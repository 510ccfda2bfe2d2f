// The functions that shaders may call, float32 alone, each pasted into a kernel only if it is named there.
// Polynomials and constants are the processor's (src/backend/cpu/math), in straight lines that no driver's algebra
// undoes: NaN is told by its bits, and what must be rounded at once goes through `hold`.

fn hold(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ p.zero); }
fn infinity() -> f32 { return bitcast<f32>(0x7f800000u ^ p.zero); }
fn no_number() -> f32 { return bitcast<f32>(0x7fc00000u ^ p.zero); }
fn larger(a: f32, b: f32) -> f32 { return select(b, a, is_nan(a) || a > b); }
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn is_endless(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u; }
fn is_negative(x: f32) -> bool { return (bitcast<u32>(x) >> 31u) == 1u; }
fn with_sign(x: f32, s: f32) -> f32 { return bitcast<f32>((bitcast<u32>(x) & 0x7fffffffu) | (bitcast<u32>(s) & 0x80000000u)); }
fn at_most(x: f32, high: f32) -> f32 { return select(x, high, x > high); }
fn at_least(x: f32, low: f32) -> f32 { return select(x, low, x < low); }
fn power_of_two(n: i32) -> f32 { return bitcast<f32>(u32(n + 127) << 23u); }

// Sums and products with what rounding took from them.
fn sum_two(a: f32, b: f32) -> vec2<f32> {
    let s = hold(a + b);
    let t = hold(s - a);
    return vec2<f32>(s, hold(a - hold(s - t)) + hold(b - t));
}
fn sum_ordered(a: f32, b: f32) -> vec2<f32> {
    let s = hold(a + b);
    return vec2<f32>(s, hold(b - hold(s - a)));
}
fn product_two(a: f32, b: f32) -> vec2<f32> {
    let q = hold(a * b);
    let ah = bitcast<f32>(bitcast<u32>(a) & 0xfffff000u);
    let al = hold(a - ah);
    let bh = bitcast<f32>(bitcast<u32>(b) & 0xfffff000u);
    let bl = hold(b - bh);
    return vec2<f32>(q, hold(hold(hold(hold(ah * bh) - q) + hold(ah * bl)) + hold(al * bh)) + hold(al * bl));
}

// (n, r) with x = n ln 2 + r.
fn reduced(x: f32) -> vec2<f32> {
    let n = round(x * 1.442695f);
    let r = hold(x - hold(n * 0.69314575f));
    return vec2<f32>(n, r - n * 1.4286068e-6f);
}
fn expm1_tail(r: f32) -> f32 {
    return r * r * (0.49999997f + r * (0.1666655f + r * (0.041667294f + r * (0.008366982f + r * 0.0013887238f))));
}
fn expm1_reduced(r: f32) -> f32 { return expm1_tail(r) + r; }
fn exp_reduced(r: f32) -> f32 {
    let y = sum_ordered(1.0f, r);
    return y.x + (expm1_tail(r) + y.y);
}
// y 2^n: neither power alone need be a normal number.
fn scaled(y: f32, n: i32) -> f32 {
    let low = n < -100;
    let s = power_of_two(select(n - 1, n + 64, low));
    return hold(y * s) * select(2.0f, 5.421010862427522e-20f, low);
}
fn exp_f32(x: f32) -> f32 {
    let q = reduced(at_least(at_most(x, 89.0f), -104.0f));
    return select(scaled(exp_reduced(q.y), i32(q.x)), x, is_nan(x));
}
fn exp_middle(x: f32) -> f32 {
    let q = reduced(x);
    return exp_reduced(q.y) * power_of_two(i32(q.x));
}
fn exp_quarter(x: f32) -> f32 {
    let q = reduced(at_most(x, 90.0f));
    return exp_reduced(q.y) * power_of_two(i32(q.x) - 2);
}
// e^x (u + w) for x <= 0 and w far below u < 1.
fn exp_times(x: f32, u: f32, w: f32) -> f32 {
    let q = reduced(at_least(x, -104.0f));
    let y = sum_ordered(1.0f, expm1_reduced(q.y));
    return scaled(y.x * u + (y.x * w + y.y * u), i32(q.x));
}
fn exp2_f32(x: f32) -> f32 {
    let y = at_least(at_most(x, 129.0f), -151.0f);
    let n = round(y);
    return select(scaled(exp_reduced((y - n) * 0.6931472f), i32(n)), x, is_nan(x));
}
fn expm1_f32(x: f32) -> f32 {
    let q = reduced(at_least(at_most(x, 89.0f), -40.0f));
    let s = power_of_two(i32(q.x) - 1);
    let y = (expm1_reduced(q.y) * s + (s - 0.5f)) * 2.0f;
    return select(y, x, x == 0.0f || is_nan(x));
}
fn sigmoid_f32(x: f32) -> f32 {
    let e = exp_f32(-abs(x));
    return select(select(1.0f, e, x < 0.0f) / (1.0f + e), x, is_nan(x));
}

// (k, m) with x = m 2^k, m in [sqrt(1/2), sqrt(2)), for positive finite x.
fn parted(x: f32) -> vec2<f32> {
    let small = x < 1.1754944e-38f;
    let u = bitcast<u32>(select(x, x * 8388608.0f, small)) + (0x3f800000u - 0x3f3504f3u);
    let m = bitcast<f32>((u & 0x7fffffu) + 0x3f3504f3u);
    return vec2<f32>(f32(i32(u >> 23u) - 127 - select(0, 23, small)), m);
}
fn log_tail(f: f32) -> f32 {
    let y = f * f;
    let even = 0.33333313f + y * (0.20002085f + y * (0.1421908f + y * (0.118897654f + y * 0.06831523f)));
    let odd = -0.25000015f + y * (-0.1666775f + y * (-0.12403614f + y * -0.11724483f));
    return y * 0.5f - f * y * (odd * f + even);
}
fn log_edges(x: f32, y: f32) -> f32 {
    let edge = select(select(x, no_number(), x < 0.0f), -infinity(), x == 0.0f);
    return select(edge, y, x > 0.0f && x < infinity());
}
fn log_f32(x: f32) -> f32 {
    let q = parted(x);
    let f = q.y - 1.0f;
    let low = log_tail(f) - q.x * 1.4286068e-6f;
    return log_edges(x, q.x * 0.69314575f + (f - low));
}
fn log2_f32(x: f32) -> f32 {
    let q = parted(x);
    let f = q.y - 1.0f;
    let l = f - log_tail(f);
    return log_edges(x, l * 1.442695f + (l * 1.925963e-8f + q.x));
}
fn log10_f32(x: f32) -> f32 {
    let q = parted(x);
    let f = q.y - 1.0f;
    let l = f - log_tail(f);
    let low = l * -1.010305e-8f + q.x * 4.605039e-6f;
    return log_edges(x, q.x * 0.3010254f + (l * 0.4342945f + low));
}
fn log1p_f32(x: f32) -> f32 {
    let s = sum_two(1.0f, x);
    let q = parted(s.x);
    let inverse = select(0.0f, power_of_two(-i32(clamp(q.x, -126.0f, 126.0f))), s.x < 7e13f);
    let f = s.y * inverse + (q.y - 1.0f);
    let low = log_tail(f) - q.x * 1.4286068e-6f;
    let y = log_edges(s.x, q.x * 0.69314575f + (f - low));
    return select(y, x, x == 0.0f || is_nan(x));
}

// 64 of the 96 bits of three words, from bit s of the first on.
fn window_of(a: u32, b: u32, s: u32) -> u32 { return (a << s) | select(0u, b >> (32u - (s & 31u)), s > 0u); }
fn product_wide(a: u32, b: u32) -> vec2<u32> {
    let al = a & 0xffffu;
    let ah = a >> 16u;
    let bl = b & 0xffffu;
    let bh = b >> 16u;
    let low = al * bl;
    let middle = ah * bl + (low >> 16u);
    let other = al * bh + (middle & 0xffffu);
    return vec2<u32>(ah * bh + (middle >> 16u) + (other >> 16u), (other << 16u) | (low & 0xffffu));
}
// Bits of 2 / pi after 32 zeros, as words.
fn turn_bits(i: u32) -> u32 {
    switch i {
        case 0u: { return 0u; }
        case 1u: { return 0xa2f9836eu; }
        case 2u: { return 0x4e441529u; }
        case 3u: { return 0xfc2757d1u; }
        case 4u: { return 0xf534ddc0u; }
        case 5u: { return 0xdb629599u; }
        case 6u: { return 0x3c439041u; }
        case 7u: { return 0xfe5163abu; }
        default: { return 0xdebbc561u; }
    }
}
// (quarter turns modulo 4, high, low) of |x|, the rest in [-pi/4, pi/4] in two parts: near by four parts of pi / 2, far
// by Payne and Hanek's method.
fn turned(x: f32) -> vec3<f32> {
    let a = abs(x);
    if (a < 3000.0f) {
        let n = round(a * 0.63661975f);
        let first = sum_two(hold(a - hold(n * 1.5703125f)), -hold(n * 0.00048351288f));
        let r = sum_two(first.x, -hold(n * 3.138557e-7f));
        return vec3<f32>(f32(u32(n) & 3u), r.x, first.y + r.y - n * 6.077094e-11f);
    }
    // a = m 2^(e - 23): the window begins where the product with m is below 4.
    let bits = bitcast<u32>(a);
    let e = (bits >> 23u) - 127u;
    let m = (bits & 0x7fffffu) | 0x800000u;
    let place = e + 7u;
    let word = place >> 5u;
    let s = place & 31u;
    let f0 = window_of(turn_bits(word), turn_bits(word + 1u), s);
    let f1 = window_of(turn_bits(word + 1u), turn_bits(word + 2u), s);
    let f2 = window_of(turn_bits(word + 2u), turn_bits(word + 3u), s);
    let p2 = product_wide(m, f2);
    let p1 = product_wide(m, f1);
    let low = p1.y + p2.x;
    let carry = select(0u, 1u, low < p1.y);
    let high = m * f0 + p1.x + carry;
    let quarter = (high + 0x20000000u) >> 30u;
    let rest = bitcast<i32>(high - (quarter << 30u));
    // The rest in units of 2^-30, of which 24 bits, then 6 and those of the second word.
    let second = sum_two(f32(rest & 63), f32(low) * 2.3283064e-10f);
    let whole = sum_two(f32(rest - (rest & 63)), second.x);
    let r = product_two(whole.x, 1.5707964f);
    let tail = r.y + (whole.x * -4.371139e-8f + (whole.y + second.y) * 1.5707964f);
    return vec3<f32>(f32(quarter & 3u), r.x * 9.313225746154785e-10f, tail * 9.313225746154785e-10f);
}
fn sine_near(r: f32, low: f32) -> f32 {
    let z = r * r;
    return (r * z * (-0.16666667f + z * (0.008333379f + z * (-0.00019853066f + z * 2.8325076e-6f))) + low) + r;
}
fn cosine_near(r: f32, low: f32) -> f32 {
    let z = r * r;
    let half = z * 0.5f;
    let w = hold(1.0f - half);
    let lost = (hold(1.0f - w) - half) - r * low;
    return w + (z * z * (0.041666646f + z * (-0.001388731f + z * 2.4432316e-5f)) + lost);
}
fn sin_f32(x: f32) -> f32 {
    let q = turned(x);
    let n = u32(q.x);
    let y = select(sine_near(q.y, q.z), cosine_near(q.y, q.z), (n & 1u) == 1u);
    let sign = (n >> 1u) ^ (bitcast<u32>(x) >> 31u);
    let s = select(y, -y, (sign & 1u) == 1u);
    return select(select(s, x, x == 0.0f), no_number(), is_nan(x) || is_endless(x));
}
fn cos_f32(x: f32) -> f32 {
    let q = turned(x);
    let n = u32(q.x);
    let y = select(cosine_near(q.y, q.z), sine_near(q.y, q.z), (n & 1u) == 1u);
    let s = select(y, -y, ((n + 1u) & 2u) == 2u);
    return select(s, no_number(), is_nan(x) || is_endless(x));
}
fn tan_f32(x: f32) -> f32 {
    let q = turned(x);
    let s = sine_near(q.y, q.z);
    let c = cosine_near(q.y, q.z);
    let t = select(s, -c, (u32(q.x) & 1u) == 1u) / select(c, s, (u32(q.x) & 1u) == 1u);
    let y = select(t, -t, is_negative(x));
    return select(select(y, x, x == 0.0f), no_number(), is_nan(x) || is_endless(x));
}

fn arc_poly(z: f32) -> f32 {
    return 0.1666666f + z * (0.07500522f + z * (0.044513352f + z * (0.03183952f + z * (0.014312196f + z * 0.037702102f))));
}
// asin |x| up to a half, else half of acos |x|.
fn arc(x: f32) -> f32 {
    let a = abs(x);
    let far = a > 0.5f;
    let z = select(a * a, (1.0f - a) * 0.5f, far);
    let s = select(a, sqrt(z), far);
    return s * z * arc_poly(z) + s;
}
fn asin_f32(x: f32) -> f32 {
    let q = arc(x);
    let y = with_sign(select(q, 1.5707964f - ((q + q) - -4.371139e-8f), abs(x) > 0.5f), x);
    return select(y, no_number(), !(abs(x) <= 1.0f) || is_nan(x));
}
fn acos_f32(x: f32) -> f32 {
    let q = arc(x);
    let twice = q + q;
    let left = 3.1415927f - (twice - -8.742278e-8f);
    let middle = 1.5707964f - (with_sign(q, x) - -4.371139e-8f);
    let y = select(middle, select(twice, left, x < 0.0f), abs(x) > 0.5f);
    return select(y, no_number(), !(abs(x) <= 1.0f) || is_nan(x));
}
fn octant(low: f32, high: f32) -> f32 {
    let over = low > high * 0.41421357f;
    let t = select(low, low - high, over) / select(high, low + high, over);
    let z = t * t;
    let y = t * z * (-0.33333316f + z * (0.19998528f + z * (-0.14244391f + z * (0.10599167f + z * -0.0609004f)))) + t;
    return select(y, 0.7853982f + y, over);
}
fn atan_f32(x: f32) -> f32 {
    let a = abs(x);
    let steep = a > 1.0f;
    let y = octant(select(a, 1.0f, steep), select(1.0f, a, steep));
    let endless = is_endless(x);
    let z = select(select(y, 1.5707964f - (y - -4.371139e-8f), steep), 1.5707964f, endless);
    return select(with_sign(z, x), x, is_nan(x));
}
fn atan2_f32(y: f32, x: f32) -> f32 {
    let ax = abs(x);
    let ay = abs(y);
    let steep = ay > ax;
    var low = select(ay, ax, steep);
    var high = select(ax, ay, steep);
    let endless = is_endless(high);
    low = select(low, select(0.0f, 1.0f, is_endless(low)), endless);
    high = select(select(high, 1.0f, high == 0.0f), 1.0f, endless);
    let shrink = select(1.0f, 0.25f, high > 1e38f);
    var r = octant(low * shrink, high * shrink);
    r = select(r, 1.5707964f - (r - -4.371139e-8f), steep);
    r = with_sign(select(r, 3.1415927f - (r - -8.742278e-8f), is_negative(x)), y);
    return select(r, no_number(), is_nan(x) || is_nan(y));
}

fn sinh_f32(x: f32) -> f32 {
    let a = abs(x);
    let z = x * x;
    let near = a * z * (0.16666667f + z * (0.0083333105f + z * (0.00019842896f + z * 2.782219e-6f))) + a;
    let h = exp_quarter(a);
    let far = (h - 0.0625f / h) * 2.0f;
    return select(with_sign(select(far, near, a < 1.0f), x), x, is_nan(x));
}
fn cosh_f32(x: f32) -> f32 {
    let h = exp_quarter(abs(x));
    return select((h + 0.0625f / h) * 2.0f, x, is_nan(x));
}
fn tanh_f32(x: f32) -> f32 {
    let a = abs(x);
    let z = x * x;
    let near = a * z * (-0.3333332f + z * (0.13332637f + z * (-0.05385684f + z * (0.021088198f + z * -0.0062953937f)))) + a;
    let e = exp_middle(at_most(a + a, 44.0f));
    let far = 1.0f - 2.0f / (e + 1.0f);
    return select(with_sign(select(far, near, a < 0.55f), x), x, is_nan(x));
}
fn asinh_f32(x: f32) -> f32 {
    let a = abs(x);
    let huge = a > 1e18f;
    let z = a * a;
    let near = a + z / (1.0f + sqrt(1.0f + z));
    let y = log1p_f32(select(near, a, huge)) + select(0.0f, 0.6931472f, huge);
    return select(with_sign(y, x), x, is_nan(x));
}
fn acosh_f32(x: f32) -> f32 {
    let t = x - 1.0f;
    let huge = x > 1e18f;
    let near = t + sqrt(t * t + (t + t));
    let y = log1p_f32(select(near, x, huge)) + select(0.0f, 0.6931472f, huge);
    return select(y, no_number(), x < 1.0f || is_nan(x));
}
fn atanh_f32(x: f32) -> f32 {
    let a = abs(x);
    let y = with_sign(log1p_f32((a + a) / (1.0f - a)) * 0.5f, x);
    return select(select(y, with_sign(infinity(), x), a == 1.0f), no_number(), a > 1.0f || is_nan(x));
}

fn erf_near(x: f32) -> f32 {
    let z = x * x;
    let q = 0.12837917f + z * (-0.37612626f + z * (0.11283579f + z * (-0.026853347f + z * (0.005187162f + z * (-0.00079978525f + z * 7.8068995e-5f)))));
    return x * q + x;
}
fn erf_f32(x: f32) -> f32 {
    let a = abs(x);
    let v = at_most(a, 4.0f) - 1.0f;

    return select(with_sign(select(1.0f - erfc_one(v), erf_near(a), a < 1.0f), x), x, is_nan(x));
}
// erfc(1 + v): the fit of its logarithm has the constant first.
fn erfc_one(v: f32) -> f32 {
    let l = 1.8496056f + v * (2.6389627f + v * (0.84317243f + v * (0.041260444f + v * (-0.009445907f + v * (0.0014730885f + v * -8.7063156e-5f)))));
    return exp_middle(-l);
}
fn erfc_f32(x: f32) -> f32 {
    let a = at_most(abs(x), 10.2f);
    let s = sum_two(3.0f, a);
    let u = 1.0f / s.x;
    let q = product_two(u, s.x);
    let u_low = ((hold(1.0f - q.x) - q.y) - u * s.y) * u;
    let v = (u * 8.0f - 1.4375f) + u_low * 8.0f;
    let even = erfc_even(v * v);
    let odd = erfc_odd(v * v);
    let w = odd * v + even;
    let square = product_two(a, a);
    let low = u_low - u * square.y;
    let head = sum_ordered(u, u * w);
    let tail = exp_times(-square.x, head.x, (low * w + low) + head.y);
    let far = select(tail, 2.0f - tail, x < 0.0f);
    return select(select(far, 1.0f - erf_near(x), a < 0.8f), x, is_nan(x));
}
fn erfc_even(z: f32) -> f32 {
    return 0.14677714f + z * (0.37546793f + z * (0.041082658f + z * (-0.0005229861f + z * -3.3156084e-5f)));
}
fn erfc_odd(z: f32) -> f32 {
    return 0.7361516f + z * (0.14742033f + z * (0.0061361953f + z * (-0.00043797243f + z * 1.8515053e-5f)));
}

// log2 of a positive finite number in two parts: k + l with l = s (C0 + z (C1 + ...)), s = (m - 1) / (m + 1).
fn log2_parts(a: f32) -> vec2<f32> {
    let q = parted(a);
    let g = sum_two(q.y, 1.0f);
    let f = q.y - 1.0f;
    let s = f / g.x;
    let r = product_two(s, g.x);
    let s_low = ((hold(f - r.x) - r.y) - s * g.y) / g.x;
    let z = s * s;
    let first = product_two(s, 2.88539f);
    let first_low = first.y + s_low * 2.88539f + s * 3.8519265e-8f;
    let rest = s * z * (0.9617967f + z * (0.577078f + z * (0.412199f + z * (0.320599f + z * 0.28f))));
    let a1 = sum_ordered(first.x, rest);
    let whole = sum_ordered(q.x, a1.x);
    let zero = q.x == 0.0f;
    return select(vec2<f32>(whole.x, whole.y + (a1.y + first_low)), vec2<f32>(a1.x, a1.y + first_low), zero);
}
fn pow_f32(x: f32, y: f32) -> f32 {
    let a = abs(x);
    var r: f32;
    if (a > 0.0f && a < infinity() && !is_endless(y) && !is_nan(y)) {
        let l = log2_parts(a);
        let q = product_two(y, l.x);
        let low = q.y + y * l.y;
        let v = at_least(at_most(q.x, 129.0f), -160.0f);
        let far = v != q.x;
        let n = round(v);
        let t = hold(v - n) + select(low, 0.0f, far);
        r = scaled(1.0f + expm1_two(t), i32(n));
    } else {
        // 0, infinity, NaN, or an endless exponent.
        let up = (a > 1.0f) == (y > 0.0f);
        r = select(0.0f, infinity(), up);
        r = select(r, 1.0f, a == 1.0f);
        r = select(r, no_number(), is_nan(x) || is_nan(y));
    }
    let whole = round(y) == y;
    let odd = whole && !(round(y * 0.5f) == y * 0.5f) && abs(y) < 1.6777216e7f;
    r = select(r, -r, is_negative(x) && odd);
    r = select(r, no_number(), x < 0.0f && !is_endless(x) && !whole);
    return select(r, 1.0f, y == 0.0f || x == 1.0f || (is_endless(y) && x == -1.0f));
}
// 2^t - 1 for |t| <= 1/2 and a little more.
fn expm1_two(t: f32) -> f32 {
    let q = product_two(t, 0.6931472f);
    let r = q.x;
    let tail = q.y + t * -1.9046542e-9f;
    return r + (r * r * (0.5f + r * (0.16666667f + r * (0.041666668f + r * (0.008333334f + r * (0.0013888889f + r * 0.0001984127f))))) + tail);
}

// The remainder with the sign of the dividend, exactly: long division of the mantissas, eight bits at a time.
fn fmod_f32(a: f32, b: f32) -> f32 {
    let x = bitcast<u32>(a) & 0x7fffffffu;
    let y = bitcast<u32>(b) & 0x7fffffffu;
    if (x >= 0x7f800000u || y > 0x7f800000u || y == 0u) { return no_number(); }
    if (x < y) { return a; }
    if (x == y) { return with_sign(0.0f, a); }
    var ex = i32(x >> 23u);
    var ey = i32(y >> 23u);
    var mx = select(x & 0x7fffffu, (x & 0x7fffffu) | 0x800000u, ex > 0);
    var my = select(y & 0x7fffffu, (y & 0x7fffffu) | 0x800000u, ey > 0);
    ex = max(ex, 1);
    ey = max(ey, 1);
    var r = mx % my;
    var left = ex - ey;
    loop {
        if (left <= 0 || r == 0u) { break; }
        let step = min(left, 8);
        r = (r << u32(step)) % my;
        left = left - step;
    }
    if (r == 0u) { return with_sign(0.0f, a); }
    // r 2^(ey - 150), brought to a mantissa of 24 bits where the exponent allows.
    let up = min(i32(countLeadingZeros(r)) - 8, ey - 1);
    let m = r << u32(up);
    let e = ey - up;
    let bits = select((m & 0x7fffffu) | (u32(e) << 23u), m, m < 0x800000u);
    return with_sign(bitcast<f32>(bits), a);
}
fn modulo_f32(a: f32, b: f32) -> f32 {
    let r = fmod_f32(a, b);
    let across = (r < 0.0f) != (b < 0.0f);
    return select(r, r + b, !(r == 0.0f) && across);
}
fn floor_div_f32(a: f32, b: f32) -> f32 {
    let r = modulo_f32(a, b);
    let near = with_sign(round((a - r) / b), a / b);
    let usable = !is_nan(near) && !is_nan(a) && !is_endless(a) && !is_nan(b) && !is_endless(b) && !(b == 0.0f);
    return select(floor(a / b), near, usable);
}

fn lgamma_near(u: f32) -> f32 {
    let q = 0.42278433f + u * (-0.1003173f + u * (0.032965f + u * (-0.012384192f + u * (0.004998641f + u * (-0.0021081308f
        + u * (0.00091537694f + u * (-0.0004057074f + u * (0.0001825526f + u * (-8.309509e-05f + u * (3.8169263e-05f
        + u * (-1.7661943e-05f + u * (8.220268e-06f + u * (-3.8460557e-06f + u * (1.8147957e-06f + u * (-8.5705926e-07f
        + u * (3.8755894e-07f + u * (-1.8239415e-07f + u * (1.18556166e-07f + u * (-5.825381e-08f + u * (-1.1413643e-08f
        + u * (6.4690386e-09f)))))))))))))))))))));
    return (u * (u + 1.0f)) * q;
}
fn lgamma_f32(x: f32) -> f32 {
    let a = abs(x);
    if (is_nan(x)) { return x; }
    if (is_endless(x) || x == 0.0f) { return infinity(); }
    var y = a;
    var product = 1.0f;
    for (var i = 0; i < 5; i = i + 1) {
        if (y >= 3.0f && a < 8.0f) {
            y = y - 1.0f;
            product = product * y;
        }
    }
    let low = a < 1.0f;
    let far = a >= 8.0f;
    let near = lgamma_near(select(y - 2.0f, a - 1.0f, low));
    let l = log_f32(select(product, a, low || far));
    let inverse = 1.0f / a;
    let z = inverse * inverse;
    let series = inverse * (0.083333336f + z * (-0.0027777778f + z * (0.0007936508f + z * -0.0005952346f)));
    let stirling = (a - 0.5f) * (l - 1.0f) + (0.4189385332f + series);
    let right = select(near + select(l, -l, low), stirling, far);
    if (x > 0.0f) { return right; }
    let turn = abs(a - round(a));
    let sine = sin_f32(3.1415927f * turn);
    if (sine == 0.0f) { return infinity(); }
    let mirror = log_f32(sine * select(a, 1.0f, low) * 0.31830987f);
    return -mirror - select(right, near, low);
}
fn digamma_near(u: f32) -> f32 {
    let q = 0.7853075f + u * (-0.26073897f + u * (0.108999915f + u * (-0.049551032f + u * (0.023447309f + u * (-0.011338432f
        + u * (0.005552254f + u * (-0.002739573f + u * (0.0013581425f + u * (-0.0006753135f + u * (0.00033643038f
        + u * (-0.0001678141f + u * (8.379059e-05f + u * (-4.185197e-05f + u * (2.0851712e-05f + u * (-1.0420807e-05f
        + u * (5.3697504e-06f + u * (-2.6833836e-06f + u * (1.0334578e-06f + u * (-5.208321e-07f + u * (6.819595e-07f
        + u * (-3.3323258e-07f)))))))))))))))))))));
    return (hold(u + 0.5383678674697876f) - 1.243815006546356e-08f) * q;
}
fn digamma_f32(x: f32) -> f32 {
    let a = abs(x);
    if (is_nan(x)) { return x; }
    if (is_endless(x)) { return select(x, no_number(), x < 0.0f); }
    if (x == 0.0f) { return with_sign(infinity(), -x); }
    var y = a;
    var sum = 0.0f;
    for (var i = 0; i < 5; i = i + 1) {
        if (y >= 3.0f && a < 8.0f) {
            y = y - 1.0f;
            sum = sum + 1.0f / y;
        }
    }
    let low = a < 1.0f;
    let far = a >= 8.0f;
    let left = x < 0.0f;
    let near = digamma_near(select(y - 2.0f, a - 1.0f, low)) + sum;
    let inverse = 1.0f / a;
    let z = inverse * inverse;
    let series = z * (-0.083333336f + z * (0.008333334f + z * (-0.003968254f + z * 0.0041666f))) - 0.5f * inverse;
    var r = select(near, log_f32(a) + series, far);
    r = r + select(0.0f, select(-inverse, inverse, left), low != left);
    if (left) {
        let turn = a - round(a);
        if (turn == 0.0f) { return no_number(); }
        r = r + 3.1415927f / tan_f32(3.1415927f * turn);
    }
    return r;
}

// Conversions, and the short floats as bits.
fn float_to_int(x: f32) -> i32 {
    let y = select(i32(clamp(x, -2147483648.0f, 2147483520.0f)), 2147483647, x >= 2147483648.0f);
    return select(y, 0, is_nan(x));
}
fn half_of(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    let sign = (bits >> 16u) & 0x8000u;
    let a = bits & 0x7fffffffu;
    if (a > 0x7f800000u) { return sign | 0x7e00u; }
    if (a >= 0x47800000u) { return sign | 0x7c00u; }
    if (a < 0x38800000u) {
        // Below the smallest normal: an integer of steps of 2^-24, halves to even.
        return sign | u32(round(bitcast<f32>(a) * 16777216.0f));
    }
    let odd = (a >> 13u) & 1u;
    return sign | ((a - 0x38000000u + 0xfffu + odd) >> 13u);
}
fn float_of_half(h: u32) -> f32 {
    let sign = (h & 0x8000u) << 16u;
    let e = (h >> 10u) & 31u;
    let m = h & 0x3ffu;
    if (e == 0u) { return bitcast<f32>(bitcast<u32>(f32(m) * 5.9604644775390625e-8f) | sign); }
    if (e == 31u) { return bitcast<f32>((0x7f800000u | (m << 13u) | sign) ^ p.zero); }
    return bitcast<f32>(((e + 112u) << 23u) | (m << 13u) | sign);
}
fn brain_of(x: f32) -> u32 {
    let bits = bitcast<u32>(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
    return (bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u;
}

// Random words by ten rounds of Philox (Salmon et al. 2011).
fn philox(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var c = counter;
    var k = key;
    for (var i = 0; i < 10; i = i + 1) {
        let q = product_wide(c.x, 0xD2511F53u);
        let r = product_wide(c.z, 0xCD9E8D57u);
        c = vec4<u32>(r.x ^ c.y ^ k.x, r.y, q.x ^ c.w ^ k.y, q.y);
        k = k + vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}
