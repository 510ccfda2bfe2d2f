//! What has to hold exactly: rounding, remainders, identities, the same bits in every vector width.
//! Leans on what the parent module shares.

use super::{Draw, alike, every};
use schuss::backend::cpu::math::{all_near, double as d, single as s};

fn python_remainder(a: f64, b: f64) -> f64 {
    let r = a % b;
    if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r }
}

#[test]
fn remainders_are_exact() {
    let mut draw = Draw(99);
    for i in 0..200_000 {
        let (a, b) = if i % 2 == 0 {
            (f32::from_bits(draw.bits() as u32), f32::from_bits(draw.bits() as u32))
        } else {
            ((draw.unit() * 20.0 - 10.0) as f32, (draw.unit() * 4.0 - 2.0) as f32)
        };
        let r = a % b;
        let wrapped = if r != 0.0 && (r < 0.0) != (b < 0.0) { r + b } else { r };
        for (got, truth) in [
            (s::fmod::<true>(a, b), r),
            (s::fmod::<false>(a, b), r),
            (s::remainder::<true>(a, b), wrapped),
            (s::remainder::<false>(a, b), wrapped),
        ] {
            assert!(alike(got.into(), truth.into()), "{a:e} by {b:e}: {got:e}, not {truth:e}");
        }
        let (a, b) = (f64::from(a) * 1.1, f64::from(b) / 3.0);
        assert!(alike(d::fmod::<true>(a, b), a % b));
        assert!(alike(d::remainder::<true>(a, b), python_remainder(a, b)));
    }
}

#[test]
fn rounding_is_exact() {
    let one = |x: f32| {
        let pairs = [
            (s::floor::<true>(x), s::floor::<false>(x), x.floor()),
            (s::ceil::<true>(x), s::ceil::<false>(x), x.ceil()),
            (s::trunc::<true>(x), s::trunc::<false>(x), x.trunc()),
            (s::round::<true>(x), s::round::<false>(x), x.round_ties_even()),
            (s::sign::<true>(x), s::sign::<false>(x), if x == 0.0 { x } else { x.signum() }),
        ];
        pairs.map(|(a, b, t)| {
            let ok = alike(a.into(), t.into()) && alike(b.into(), t.into());
            f64::from(u8::from(!ok))
        })
    };
    for (bad, x) in every(one) {
        assert!(bad == 0.0, "{x:e}");
    }
    let mut draw = Draw(5);
    for i in 0..200_000 {
        let half = (draw.unit() * 64.0 - 32.0).round() * 0.5;
        let x = if i % 2 == 0 { f64::from_bits(draw.bits()) } else { half };
        assert!(alike(d::floor::<false>(x), x.floor()), "{x:e}");
        assert!(alike(d::ceil::<false>(x), x.ceil()), "{x:e}");
        assert!(alike(d::trunc::<false>(x), x.trunc()), "{x:e}");
        assert!(alike(d::round::<false>(x), x.round_ties_even()), "{x:e}");
    }
}

#[test]
fn identities() {
    for n in -1074..=1023 {
        let power = 2f64.powi(n.max(-1022)) * 2f64.powi((n + 1022).min(0));
        assert_eq!(d::exp2::<true>(f64::from(n)), power);
        assert_eq!(d::log2::<false>(power), f64::from(n));
        assert_eq!(d::pow::<true>(2.0, f64::from(n)), power);
    }
    let mut draw = Draw(2024);
    for _ in 0..100_000 {
        let x = draw.unit() * 20.0 - 10.0;
        assert_eq!(d::pow::<true>(x, 1.0), x);
        assert_eq!(d::sinh::<true>(-x), -d::sinh::<true>(x));
        assert_eq!(d::cosh::<true>(-x), d::cosh::<true>(x));
        assert_eq!(d::erf::<true>(-x), -d::erf::<true>(x));
        assert_eq!(d::tan::<true>(-x), -d::tan::<true>(x));
        let (sine, cosine) = (d::sin::<true>(x), d::cos::<true>(x));
        assert!((sine * sine + cosine * cosine - 1.0).abs() < 5e-16, "{x}");
        assert_eq!(d::fma::<false>(x, 3.0, 1.0), x * 3.0 + 1.0);
        assert_eq!(d::copysign::<true>(x, -1.0), -x.abs());
    }
    assert!(all_near(&[1e5f32, -1e5]) && !all_near(&[0.0f32, 1.1e5]) && !all_near(&[f32::NAN]));
    assert!(all_near(&[1e8f64, -3.0]) && !all_near(&[f64::INFINITY]));
}

/// Cheaper forms are chosen by what stands in the same stretch, of which no bit may tell.
#[test]
fn cheaper_forms_have_the_bits_of_the_others() {
    macro_rules! same {
        ($math:ident $word:ident $x:expr, $most:expr, $($near:ident $plain:ident)+) => {$(
            let x: $word = $x;
            if x.abs() <= $most {
                assert_eq!($math::$near::<true>(x).to_bits(), $math::$plain::<true>(x).to_bits(), "{}({x:e})", stringify!($near));
                assert_eq!($math::$near::<false>(x).to_bits(), $math::$plain::<false>(x).to_bits(), "{}({x:e})", stringify!($near));
            }
        )+};
    }
    for bits in (0..=u32::MAX).step_by(4_099) {
        same!(s f32 f32::from_bits(bits), 1e5, sin_near sin cos_near cos tan_near tan);
        same!(s f32 f32::from_bits(bits), 80.0, exp_mid exp sigmoid_mid sigmoid);
        same!(s f32 f32::from_bits(bits).abs().max(f32::MIN_POSITIVE), f32::MAX, log_plain log log2_plain log2 log10_plain log10);
    }
    let mut draw = Draw(77);
    for _ in 0..200_000 {
        let bits = f64::from_bits(draw.bits());
        same!(d f64 bits, 1e8, sin_near sin cos_near cos tan_near tan);
        same!(d f64 bits, 80.0, exp_mid exp sigmoid_mid sigmoid);
        same!(d f64 bits.abs().max(f64::MIN_POSITIVE), f64::MAX, log_plain log log2_plain log2 log10_plain log10);
        same!(d f64 draw.unit() * 160.0 - 80.0, 80.0, exp_mid exp sigmoid_mid sigmoid sin_near sin cos_near cos);
    }
}

/// An arc sine of more than 1 is no number: a polynomial that is right to two places is not enough.
#[test]
fn no_sine_is_above_one() {
    let look = |x: f32| {
        for y in [s::sin::<true>(x), s::cos::<true>(x), s::sin::<false>(x), s::cos::<false>(x)] {
            assert!(y.abs() <= 1.0, "{x:e}: {y:e}");
        }
    };
    for bits in 1.4f32.to_bits()..=1.75f32.to_bits() {
        look(f32::from_bits(bits));
    }
    for quarter in 0..63_662 {
        let near = (f64::from(quarter) * core::f64::consts::FRAC_PI_2) as f32;
        for bits in near.to_bits().saturating_sub(40)..=near.to_bits() + 40 {
            look(f32::from_bits(bits));
        }
    }
    assert_eq!(
        [s::sin::<true>(core::f32::consts::FRAC_PI_2), s::cos::<true>(1e-5), s::cos::<true>(core::f32::consts::PI)],
        [1.0, 1.0, -1.0]
    );
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_same_bits_in_vectors() {
    macro_rules! wide {
        ($($name:ident)+) => {
            #[inline(always)]
            fn all(x: &[f64], rows: &mut [Vec<f64>]) {
                let mut rows = rows.iter_mut();
                $(for (o, &x) in rows.next().expect("a row a function").iter_mut().zip(x) {
                    *o = d::$name::<true>(x);
                })+
            }
            #[target_feature(enable = "avx2,fma")]
            fn avx2(x: &[f64], rows: &mut [Vec<f64>]) {
                all(x, rows);
            }
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
            fn avx512(x: &[f64], rows: &mut [Vec<f64>]) {
                all(x, rows);
            }
            const ONE_BY_ONE: &[(&str, fn(f64) -> f64)] =
                &[$((stringify!($name), d::$name::<true>)),+];
        };
    }
    wide!(exp expm1 log log1p sin cos tan asin atan sinh tanh asinh erf erfc lgamma digamma round);
    if !(is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")) {
        println!("skipped: this processor has no AVX2");
        return;
    }
    let mut draw = Draw(31);
    let x: Vec<f64> = (0..4_096).map(|i| if i % 2 == 0 { f64::from_bits(draw.bits()) } else { draw.unit() * 8.0 - 4.0 }).collect();
    let mut rows = vec![vec![0.0; x.len()]; ONE_BY_ONE.len()];
    // SAFETY: the processor was just seen to have both features.
    unsafe { avx2(&x, &mut rows) };
    let wide = is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl");
    let mut wider = rows.clone();
    if wide {
        // SAFETY: seen too; every processor that has these two has avx512f.
        unsafe { avx512(&x, &mut wider) };
    } else {
        println!("avx512 not compared: this processor has none");
    }
    for ((name, f), (row, wider)) in ONE_BY_ONE.iter().zip(rows.iter().zip(&wider)) {
        for (&x, (&got, &wide)) in x.iter().zip(row.iter().zip(wider)) {
            let alone = f(x);
            assert!(alike(got, alone), "{name}({x:e}): {got:e} in avx2, {alone:e} alone");
            assert!(alike(wide, alone), "{name}({x:e}): {wide:e} in avx512, {alone:e} alone");
        }
    }
}
