//! The clock of the benches: median times, what the machine can do at most, and the table. Leans on std, and on pulp for
//! the multiply-adds.

use pulp::{Arch, Simd, WithSimd};
use schuss::backend::cpu::{isa, threads};
use std::hint::black_box;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(25);

/// Seconds of one call: the median of the rounds, and (slowest - fastest) / median.
pub struct Timing {
    pub seconds: f64,
    pub spread: f64,
}

/// Times a closure in rounds of at least 25 ms.
pub fn time<R>(mut work: impl FnMut() -> R) -> Timing {
    let mut calls = 1u32;
    let mut round = |calls: u32| {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(work());
        }
        start.elapsed()
    };
    loop {
        let spent = round(calls);
        if spent >= ROUND {
            break;
        }
        // Not more than tenfold at once: the first calls are slow.
        let wanted = 1.2 * f64::from(calls) * ROUND.as_secs_f64() / spent.as_secs_f64().max(1e-9);
        calls = (wanted as u32).clamp(calls + 1, calls.saturating_mul(10));
    }
    let mut found: Vec<f64> = (0..ROUNDS).map(|_| round(calls).as_secs_f64() / f64::from(calls)).collect();
    found.sort_by(f64::total_cmp);
    let median = found[ROUNDS / 2];
    Timing { seconds: median, spread: (found[ROUNDS - 1] - found[0]) / median }
}

/// Bytes per second of copying 4 MB to 4 MB with all threads, read and written bytes counted.
#[allow(dead_code, reason = "each bench uses its part")]
pub fn stream() -> f64 {
    let (n, chunk) = (1usize << 20, 1usize << 15);
    let parts: Vec<_> = (0..n / chunk).map(|_| Mutex::new((vec![1f32; chunk], vec![0f32; chunk]))).collect();
    let copy = || {
        threads::each(n, chunk, |range| {
            let mut part = parts[range.start / chunk].lock().unwrap_or_else(PoisonError::into_inner);
            let (from, to) = &mut *part;
            to.copy_from_slice(black_box(from));
        });
    };
    (8 * n) as f64 / time(copy).seconds
}

/// Multiply-adds of float32 in registers, 16 sums side by side.
struct Sums(u32);

impl WithSimd for Sums {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (factor, term) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        let mut sums = [simd.splat_f32s(1.0); 16];
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        sums.into_iter().map(|sum| simd.reduce_sum_f32s(sum)).sum()
    }
}

struct Lanes;

impl WithSimd for Lanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// Floating-point operations per second of multiply-adds with all threads, and the lanes of a vector.
#[allow(dead_code, reason = "each bench uses its part")]
pub fn peak() -> (f64, usize) {
    const STEPS: u32 = 100_000;
    let arch = Arch::new();
    let lanes = arch.dispatch(Lanes);
    let shares = threads::count();
    let work = || {
        threads::each(shares, 1, |_| {
            black_box(arch.dispatch(Sums(STEPS)));
        })
    };
    let operations = f64::from(STEPS) * (2 * 16 * lanes * shares) as f64;
    (operations / time(work).seconds, lanes)
}

/// What stands above a table.
pub fn heading(title: &str) {
    let build = if cfg!(debug_assertions) { ", not optimised" } else { "" };
    println!("{title}: schuss {}{build}", env!("CARGO_PKG_VERSION"));
    println!("{}, kernels for {}, {} threads", processor(), isa::NAMES[isa::level()], threads::count());
    println!("median of {ROUNDS} rounds of at least {} ms\n", ROUND.as_millis());
}

fn processor() -> String {
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = facts.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

/// A time with three digits and its unit.
pub fn duration(seconds: f64) -> String {
    let (scale, unit) = match seconds {
        s if s < 1e-6 => (1e9, "ns"),
        s if s < 1e-3 => (1e6, "us"),
        _ => (1e3, "ms"),
    };
    let value = seconds * scale;
    format!("{value:.*} {unit}", if value < 10.0 { 2 } else { usize::from(value < 100.0) })
}

/// One row: what, its time and spread, and two columns of what that makes.
pub fn row(what: &str, timing: &Timing, rate: &str, share: &str) {
    println!("{what:<44}{:>10}{:>7.0} %{rate:>17}{share:>18}", duration(timing.seconds), 100.0 * timing.spread);
}

pub fn columns(rate: &str, share: &str) {
    println!("{:<44}{:>10}{:>9}{rate:>17}{share:>18}", "", "a call", "spread");
}
