// Integers of either width: divisors are never zero (the engine has looked), and what overflows wraps.

fn fmod_INT(a: INT, b: INT) -> INT {
    if (b == INT(0i) || b == INT(-1i)) { return INT(0i); }
    return a % b;
}
fn modulo_INT(a: INT, b: INT) -> INT {
    let r = fmod_INT(a, b);
    return select(r, r + b, r != INT(0i) && ((r < INT(0i)) != (b < INT(0i))));
}
fn floor_div_INT(a: INT, b: INT) -> INT {
    if (b == INT(0i)) { return INT(0i); }
    if (b == INT(-1i)) { return INT(0i) - a; }
    let q = a / b;
    let r = a - q * b;
    return select(q, q - INT(1i), r != INT(0i) && ((r < INT(0i)) != (b < INT(0i))));
}
fn pow_INT(a: INT, b: INT) -> INT {
    if (b < INT(0i)) {
        if (a == INT(1i) || (a == INT(-1i) && b % INT(2i) == INT(0i))) { return INT(1i); }
        return select(INT(0i), a, a == INT(-1i));
    }
    var base = a;
    var left = b;
    var result = INT(1i);
    loop {
        if (left == INT(0i)) { break; }
        if (left % INT(2i) != INT(0i)) { result = result * base; }
        base = base * base;
        left = left / INT(2i);
    }
    return result;
}
fn shl_INT(a: INT, by: INT, bits: i32) -> INT {
    let n = i32(clamp(by, INT(-1i), INT(64i)));
    if (n < 0 || n >= bits) { return INT(0i); }
    return a << u32(n);
}
fn shr_INT(a: INT, by: INT, bits: i32) -> INT {
    let n = i32(clamp(by, INT(-1i), INT(64i)));
    if (n < 0 || n >= bits) { return a >> u32(bits - 1); }
    return a >> u32(n);
}
