//! Zeros, infinities, NaN and the borders of the domains: what C99 says of them.
//! Leans on the table of functions in the parent module.

use super::{alike, functions};
use schuss::backend::cpu::math::{double as d, single as s};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// What C99 says of arguments at the edge; the same in both types.
const EDGES: &[(&str, &[(f64, f64)])] = &[
    ("exp", &[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (1e4, INF), (-1e4, 0.0)]),
    ("exp2", &[(0.0, 1.0), (3.0, 8.0), (-3.0, 0.125), (INF, INF), (-INF, 0.0), (2000.0, INF)]),
    ("expm1", &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -1.0), (-1e4, -1.0), (1e4, INF)]),
    ("sigmoid", &[(0.0, 0.5), (INF, 1.0), (-INF, 0.0), (1e4, 1.0), (-1e4, 0.0)]),
    ("log", &[(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN), (INF, INF), (-INF, NAN)]),
    ("log2", &[(0.0, -INF), (-0.0, -INF), (8.0, 3.0), (0.25, -2.0), (-1.0, NAN), (INF, INF)]),
    ("log10", &[(0.0, -INF), (-0.0, -INF), (1.0, 0.0), (-1.0, NAN), (INF, INF), (-INF, NAN)]),
    ("log1p", &[(0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-2.0, NAN), (INF, INF), (-INF, NAN)]),
    ("log1p_exp", &[(INF, INF), (-INF, 0.0), (1e4, 1e4), (-1e4, 0.0)]),
    ("sin", &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
    ("cos", &[(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)]),
    ("tan", &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
    ("sin_near", &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
    ("cos_near", &[(0.0, 1.0), (-0.0, 1.0), (INF, NAN), (-INF, NAN)]),
    ("tan_near", &[(0.0, 0.0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)]),
    ("asin", &[(0.0, 0.0), (-0.0, -0.0), (2.0, NAN), (-2.0, NAN), (INF, NAN)]),
    ("acos", &[(1.0, 0.0), (2.0, NAN), (-2.0, NAN), (INF, NAN)]),
    ("atan", &[(0.0, 0.0), (-0.0, -0.0)]),
    ("sinh", &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (1e4, INF)]),
    ("cosh", &[(0.0, 1.0), (INF, INF), (-INF, INF), (-1e4, INF)]),
    ("tanh", &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e4, 1.0)]),
    ("asinh", &[(0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF)]),
    ("acosh", &[(1.0, 0.0), (0.5, NAN), (-INF, NAN), (INF, INF)]),
    ("atanh", &[(0.0, 0.0), (-0.0, -0.0), (1.0, INF), (-1.0, -INF), (2.0, NAN), (INF, NAN)]),
    ("erf", &[(0.0, 0.0), (-0.0, -0.0), (INF, 1.0), (-INF, -1.0), (1e4, 1.0)]),
    ("erfc", &[(0.0, 1.0), (INF, 0.0), (-INF, 2.0), (1e4, 0.0), (-1e4, 2.0)]),
    ("lgamma", &[(1.0, 0.0), (2.0, 0.0), (0.0, INF), (-3.0, INF), (INF, INF), (-INF, INF)]),
    ("digamma", &[(0.0, -INF), (-0.0, INF), (-2.0, NAN), (INF, INF), (-INF, NAN)]),
];

#[test]
fn edges() {
    // A quiet NaN whose payload would disturb arithmetic on bits, beside the usual one.
    let (single_nan, double_nan) = (f32::from_bits(0x7fc0_0fff), f64::from_bits(0xfff8 << 48 | 7));
    let functions = functions();
    assert_eq!(functions.len(), EDGES.len());
    for (f, (name, cases)) in functions.iter().zip(EDGES) {
        assert_eq!(&f.name, name);
        for &(x, y) in *cases {
            for g in f.single {
                let got = f64::from(g(x as f32));
                assert!(alike(got, y), "{name}({x}) = {got} in f32, not {y}");
            }
            for g in f.double {
                assert!(alike(g(x), y), "{name}({x}) = {}, not {y}", g(x));
            }
        }
        for k in 0..2 {
            assert!(f.single[k](f32::NAN).is_nan() && f.single[k](single_nan).is_nan(), "{name}");
            assert!(f.double[k](NAN).is_nan() && f.double[k](double_nan).is_nan(), "{name}");
        }
    }
}

#[test]
fn pairs_at_the_edge() {
    // The C library's pow and atan2 are taken as C99 where any argument is special.
    let specials = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        2.0,
        -2.0,
        3.0,
        -3.0,
        2.5,
        -2.5,
        INF,
        -INF,
        NAN,
        1e-30,
        -1e-30,
        1e30,
        -1e30,
        16_777_215.0,
        -16_777_217.0,
        9_007_199_254_740_991.0,
    ];
    for x in specials {
        for y in specials {
            let (p, q) = (x as f32, y as f32);
            let (u, v) = (f64::from(p), f64::from(q));
            let checks = [
                ("pow f64", d::pow::<true>(x, y), d::pow::<false>(x, y), x.powf(y)),
                ("atan2 f64", d::atan2::<true>(x, y), d::atan2::<false>(x, y), x.atan2(y)),
                ("pow f32", s::pow::<true>(p, q).into(), s::pow::<false>(p, q).into(), f64::from(u.powf(v) as f32)),
                ("atan2 f32", s::atan2::<true>(p, q).into(), s::atan2::<false>(p, q).into(), f64::from(u.atan2(v) as f32)),
            ];
            for (name, a, b, truth) in checks {
                let least = if name.ends_with("f32") { 1e-45 } else { 5e-324 };
                let slack = truth.abs() * if name.ends_with("f32") { 3e-7 } else { 5e-16 } + least;
                for got in [a, b] {
                    let close = (got - truth).abs() <= slack && truth != 0.0;
                    assert!(alike(got, truth) || close, "{name}({x}, {y}) = {got}, not {truth}");
                }
            }
        }
    }
}
