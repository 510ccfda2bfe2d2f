//! How far the element-wise mathematics is from the truth, in units in the last place (ulp).
//! Leans on the public names of `backend::cpu::math` and on math/points.txt.
//!
//! The truth is: for `f64`, the points of that file (values to 60 digits by mpmath, written by
//! math/points.py); for `f32`, the functions of `f64`, over the whole range of bit patterns.
//! `cargo test --release --test math_ulp -- --nocapture` prints the table of docs/numerics.md.

mod math;

use math::{Draw, every, functions};
use schuss::backend::cpu::math::{double as d, single as s};
use std::collections::BTreeMap;

const POINTS: &str = include_str!("math/points.txt");

/// Distance of `got` from `near + rest`, in units of the last place of `near`.
fn ulps(got: f64, near: f64, rest: f64, mantissa: i32, least: i32) -> f64 {
    if got == near || (got.is_nan() && near.is_nan()) {
        let unsigned = got.is_nan() || got.is_sign_negative() == near.is_sign_negative();
        return if unsigned { rest.abs() } else { f64::INFINITY };
    }
    if !(got - near).is_finite() {
        return f64::INFINITY;
    }
    let exponent = if near == 0.0 { least } else { (near.abs().log2().floor() as i32).max(least) };
    // In two steps, since the unit of a denormal's scale may itself be none.
    let scaled = (got - near) * 2f64.powi((mantissa - exponent).min(1000));
    (scaled * 2f64.powi((mantissa - exponent - 1000).max(0)) - rest).abs()
}

fn points() -> BTreeMap<&'static str, Vec<Vec<f64>>> {
    let mut blocks: BTreeMap<&str, Vec<Vec<f64>>> = BTreeMap::new();
    let mut name = "";
    for line in POINTS.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [numbers @ .., rest] = words.as_slice() else { panic!("an empty line") };
        if numbers.is_empty() {
            name = rest;
            continue;
        }
        let bits = |w: &&str| f64::from_bits(u64::from_str_radix(w, 16).expect("16 hex digits"));
        let mut row: Vec<f64> = numbers.iter().map(bits).collect();
        row.push(rest.parse::<f64>().expect("thousandths") / 1000.0);
        blocks.entry(name).or_default().push(row);
    }
    blocks
}

/// Error of an f32 against the truth in f64, whose last place is far below.
fn ulps_single(got: f32, truth: f64) -> f64 {
    let rounded = truth as f32;
    let rest = if rounded.is_finite() { truth - f64::from(rounded) } else { 0.0 };
    let exponent = ((rounded.to_bits() >> 23) & 255).max(1) as i32 - 127;
    ulps(f64::from(got), f64::from(rounded), rest * 2f64.powi(23 - exponent), 23, -126)
}

#[test]
fn f32_over_every_exponent() {
    println!("\n| function | type | with FMA | without |\n|---|---|---|---|");
    for f in functions() {
        let worst = every(|x| {
            if x < f.range.0 || x > f.range.1 {
                return [0.0; 2];
            }
            let truth = (f.truth)(f64::from(x));
            f.single.map(|g| ulps_single(g(x), truth))
        });
        println!("| {} | f32 | {:.2} | {:.2} |", f.name, worst[0].0, worst[1].0);
        for (e, x) in worst {
            assert!(e <= f.bound.0, "{}({x:e}) in f32: {e} ulp", f.name);
        }
    }
}

/// The f32 closest to a multiple of pi / 2 is the hardest to reduce.
#[test]
fn hardest_angle() {
    let x = 16_367_173.0 * 2f32.powi(72);
    let truth = f64::from(x).cos();
    assert!(truth.abs() < 1e-8, "cos({x:e}) = {truth:e}");
    for got in [s::cos::<true>(x), s::cos::<false>(x)] {
        assert!(ulps_single(got, truth) < 1.0, "cos({x:e}) = {got:e}, not {truth:e}");
    }
}

#[test]
fn f64_at_sixty_digits() {
    let points = points();
    println!();
    for f in functions() {
        let mut worst = [0.0; 2];
        for row in &points[f.name] {
            let &[x, value, rest] = row.as_slice() else { panic!("{}: three numbers", f.name) };
            for (w, g) in worst.iter_mut().zip(f.double) {
                let e = ulps(g(x), value, rest, 52, -1022);
                assert!(e <= f.bound.1, "{}({x:e}) = {:e}, not {value:e}: {e} ulp", f.name, g(x));
                *w = e.max(*w);
            }
        }
        println!("| {} | f64 | {:.2} | {:.2} |", f.name, worst[0], worst[1]);
    }
}

type Pair<T> = [fn(T, T) -> T; 2];
type Truth = fn(f64, f64) -> f64;

#[test]
fn two_arguments() {
    let singles: [(&str, Pair<f32>, Truth); 2] =
        [("pow", [s::pow::<true>, s::pow::<false>], f64::powf), ("atan2", [s::atan2::<true>, s::atan2::<false>], f64::atan2)];
    let doubles: [Pair<f64>; 2] = [[d::pow::<true>, d::pow::<false>], [d::atan2::<true>, d::atan2::<false>]];
    let (points, bounds) = (points(), [1.0, 3.0]);
    println!();
    for (((name, single, truth), double), bound) in singles.into_iter().zip(doubles).zip(bounds) {
        let (mut worst, mut draw) = ([0f64; 4], Draw(12345));
        for i in 0..300_000 {
            let (x, y) = if i % 2 == 0 {
                (f32::from_bits(draw.bits() as u32), f32::from_bits(draw.bits() as u32))
            } else {
                let x = draw.unit() * 4.0;
                (x as f32, ((draw.unit() * 2.0 - 1.0) * 100.0 / x.ln().abs()) as f32)
            };
            let t = truth(f64::from(x), f64::from(y));
            for (k, g) in single.iter().enumerate() {
                let e = ulps_single(g(x, y), t);
                assert!(e <= bound, "{name}({x:e}, {y:e}) in f32: {e} ulp");
                worst[k] = e.max(worst[k]);
            }
        }
        for row in &points[name] {
            let &[x, y, value, rest] = row.as_slice() else { panic!("{name}: four numbers") };
            for (k, g) in double.iter().enumerate() {
                let e = ulps(g(x, y), value, rest, 52, -1022);
                assert!(e <= bound, "{name}({x:e}, {y:e}): {e} ulp");
                worst[2 + k] = e.max(worst[2 + k]);
            }
        }
        println!("| {name} | f32 | {:.2} | {:.2} |", worst[0], worst[1]);
        println!("| {name} | f64 | {:.2} | {:.2} |", worst[2], worst[3]);
    }
}
