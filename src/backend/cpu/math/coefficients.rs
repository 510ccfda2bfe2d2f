//! Constants and fitted polynomials of each type.
//! Leans on `real` alone.
//!
//! Every polynomial is a minimax fit of our own: weighted Remez exchange in 45 decimal digits
//! (mpmath) on a Chebyshev grid, coefficients rounded from the lowest on, the rest fitted again
//! after each. The comment of a field says what is approximated and where; the one of its values,
//! the largest error after rounding, relative to the function that the polynomial completes.

use super::real::{Real, fma, poly};

/// What the bodies know about a type beyond its arithmetic.
pub trait Fitted: Real {
    /// `log2 e` and the rest of it.
    const LOG2_E: Self;
    const LOG2_E_LOW: Self;
    /// `log10 e` and the rest of it.
    const LOG10_E: Self;
    const LOG10_E_LOW: Self;
    /// `ln 2` and the rest of it; and in two parts of which the first times an exponent is exact.
    const LN_2: Self;
    const LN_2_REST: Self;
    const LN_2_HIGH: Self;
    const LN_2_LOW: Self;
    /// `log10 2` in two parts of the same kind.
    const LOG10_2_HIGH: Self;
    const LOG10_2_LOW: Self;
    /// `pi / 2` and `pi`, and the rests of them; `pi / 4`; `tan(pi / 8)`.
    const FRAC_PI_2: Self;
    const FRAC_PI_2_LOW: Self;
    const PI: Self;
    const PI_LOW: Self;
    const FRAC_PI_4: Self;
    const TAN_FRAC_PI_8: Self;
    /// Bounds outside which `exp` is infinite or zero, and below which powers turn denormal.
    const EXP_MAX: Self;
    const EXP_MIN: Self;
    const EXP_LOW: Self;
    /// The same for `exp2`.
    const EXP2_MAX: Self;
    const EXP2_MIN: Self;
    const EXP2_LOW: Self;
    /// From here on `sinh` is infinite.
    const SINH_MAX: Self;
    /// From here on `erfc` is 0.
    const ERFC_MAX: Self;

    /// `(e^r - 1 - r) / r^2`, `|r| <= ln 2 / 2`.
    const EXP: &'static [Self];
    /// `(r coth(r / 2) - 2) / r^2` in `r^2`, `|r| <= ln 2 / 2`; errors are those of `e^r`, got from it.
    const COTH: &'static [Self];
    /// `(sin x - x) / x^3` in `x^2`, `|x| <= pi / 4`.
    const SIN: &'static [Self];
    /// The same for `|x| <= 1.578`; none where nothing asks for it.
    const SIN_HALF: &'static [Self];
    /// `(cos x - 1 + x^2 / 2) / x^4` in `x^2`, `|x| <= pi / 4`.
    const COS: &'static [Self];
    /// `(tanh x - x) / x^3` in `x^2`, `|x| <= 0.55`.
    const TANH: &'static [Self];
    /// `(sinh x - x) / x^3` in `x^2`, `|x| <= 1`.
    const SINH: &'static [Self];
    /// `(asin x - x) / x^3` in `x^2`, `|x| <= 1 / 2`.
    const ASIN: &'static [Self];
    /// `(atan x - x) / x^3` in `x^2`, `|x| <= tan(pi / 8)`.
    const ATAN: &'static [Self];
    /// `erf x / x - 1` in `x^2`, `|x| <= 1`.
    const ERF: &'static [Self];
    /// `erfc(x) e^(x^2) / u - 1` in `v = u ERFC_SCALE - ERFC_CENTRE`, `u = 1 / (x + ERFC_SHIFT)`,
    /// for `x` from 3/4 to `ERFC_MAX`; the scale is a power of two, so that `v` is hardly rounded.
    const ERFC: &'static [Self];
    const ERFC_SHIFT: Self;
    const ERFC_SCALE: Self;
    const ERFC_CENTRE: Self;

    /// `((log(1 + f) - f) / f^2 + 1/2) / f` for `1 + f` in `[sqrt(1/2), sqrt(2)]`, where `natural` is to multiply less often.
    const LOG: Option<[Self; 8]>;
    /// `f - log(1 + f)` for the same `f`.
    fn log_tail<const FMA: bool>(f: Self) -> Self;
}

impl Fitted for f32 {
    const LOG2_E: f32 = core::f32::consts::LOG2_E;
    const LOG2_E_LOW: f32 = 1.925963e-8;
    const LOG10_E: f32 = core::f32::consts::LOG10_E;
    const LOG10_E_LOW: f32 = -1.010305e-8;
    const LN_2: f32 = core::f32::consts::LN_2;
    const LN_2_REST: f32 = -1.9046542e-9;
    const LN_2_HIGH: f32 = 0.69314575;
    const LN_2_LOW: f32 = 1.4286068e-6;
    const LOG10_2_HIGH: f32 = 0.3010254;
    const LOG10_2_LOW: f32 = 4.605039e-6;
    const FRAC_PI_2: f32 = core::f32::consts::FRAC_PI_2;
    const FRAC_PI_2_LOW: f32 = -4.371139e-8;
    const PI: f32 = core::f32::consts::PI;
    const PI_LOW: f32 = -8.742278e-8;
    const FRAC_PI_4: f32 = core::f32::consts::FRAC_PI_4;
    const TAN_FRAC_PI_8: f32 = 0.41421357;
    const EXP_MAX: f32 = 89.0;
    const EXP_MIN: f32 = -104.0;
    const EXP_LOW: f32 = -86.0;
    const EXP2_MAX: f32 = 129.0;
    const EXP2_MIN: f32 = -151.0;
    const EXP2_LOW: f32 = -125.0;
    const SINH_MAX: f32 = 90.0;
    const ERFC_MAX: f32 = 10.2;
    // Error 2^-25.4.
    const EXP: &'static [f32] = &[0.49999997, 0.1666655, 0.041667294, 0.008366982, 0.0013887238];
    // Error 2^-30.8.
    const COTH: &'static [f32] = &[0.16666618, -0.002766001];
    // Error 2^-32.5.
    const SIN: &'static [f32] = &[-0.16666667, 0.008333379, -0.00019853066, 2.8325076e-6];
    // Error 2^-25.3; of the last places tried, those that leave no sine above 1.
    const SIN_HALF: &'static [f32] = &[-0.16666657, 0.008333054, -0.00019809604, 2.6056211e-6];
    // Error 2^-33.0.
    const COS: &'static [f32] = &[0.041666646, -0.001388731, 2.4432316e-5];
    // Error 2^-29.8.
    const TANH: &'static [f32] = &[-0.3333332, 0.13332637, -0.05385684, 0.021088198, -0.0062953937];
    // Error 2^-31.6.
    const SINH: &'static [f32] = &[0.16666667, 0.0083333105, 0.00019842896, 2.782219e-6];
    // Error 2^-31.7.
    const ASIN: &'static [f32] = &[0.1666666, 0.07500522, 0.044513352, 0.03183952, 0.014312196, 0.037702102];
    // Error 2^-30.4.
    const ATAN: &'static [f32] = &[-0.33333316, 0.19998528, -0.14244391, 0.10599167, -0.0609004];
    // Error 2^-29.4.
    const ERF: &'static [f32] = &[0.12837917, -0.37612626, 0.11283579, -0.026853347, 0.005187162, -0.00079978525, 7.8068995e-5];
    // Error 2^-26.9.
    const ERFC: &'static [f32] = &[
        0.14677714,
        0.7361516,
        0.37546793,
        0.14742033,
        0.041082658,
        0.0061361953,
        -0.0005229861,
        -0.00043797243,
        -3.3156084e-5,
        1.8515053e-5,
    ];
    const ERFC_SHIFT: f32 = 3.0;
    const ERFC_SCALE: f32 = 8.0;
    const ERFC_CENTRE: f32 = 1.4375;

    // Error 2^-27.3.
    const LOG: Option<[f32; 8]> = Some([0.33333316, -0.2500081, 0.20002304, -0.16624562, 0.14180872, -0.1312837, 0.1288342, -0.078626245]);

    // Error 2^-28.8: here a longer polynomial is cheaper than a division.
    #[inline(always)]
    fn log_tail<const FMA: bool>(f: f32) -> f32 {
        const P: &[f32] = &[0.33333313, -0.25000015, 0.20002085, -0.1666775, 0.1421908, -0.12403614, 0.118897654, -0.11724483, 0.06831523];
        let square = f * f;
        fma::<f32, FMA>(-f * square, poly::<f32, FMA>(f, P), square * 0.5)
    }
}

impl Fitted for f64 {
    const LOG2_E: f64 = core::f64::consts::LOG2_E;
    const LOG2_E_LOW: f64 = 2.0355273740931033e-17;
    const LOG10_E: f64 = core::f64::consts::LOG10_E;
    const LOG10_E_LOW: f64 = 1.098319650216765e-17;
    const LN_2: f64 = core::f64::consts::LN_2;
    const LN_2_REST: f64 = 2.3190468138462996e-17;
    const LN_2_HIGH: f64 = 0.693147180559663;
    const LN_2_LOW: f64 = 2.8235290563031577e-13;
    const LOG10_2_HIGH: f64 = 0.30102999566383914;
    const LOG10_2_LOW: f64 = 1.42050232272661e-13;
    const FRAC_PI_2: f64 = core::f64::consts::FRAC_PI_2;
    const FRAC_PI_2_LOW: f64 = 6.123233995736766e-17;
    const PI: f64 = core::f64::consts::PI;
    const PI_LOW: f64 = 1.2246467991473532e-16;
    const FRAC_PI_4: f64 = core::f64::consts::FRAC_PI_4;
    const TAN_FRAC_PI_8: f64 = 0.41421356237309503;
    const EXP_MAX: f64 = 710.0;
    const EXP_MIN: f64 = -746.0;
    const EXP_LOW: f64 = -708.0;
    const EXP2_MAX: f64 = 1025.0;
    const EXP2_MIN: f64 = -1076.0;
    const EXP2_LOW: f64 = -1021.0;
    const SINH_MAX: f64 = 711.0;
    const ERFC_MAX: f64 = 27.5;
    // Error 2^-58.9.
    const EXP: &'static [f64] = &[
        0.5,
        0.16666666666666677,
        0.04166666666666669,
        0.00833333333332183,
        0.0013888888888881495,
        0.00019841269884845715,
        2.4801587218298e-5,
        2.7557245982119884e-6,
        2.7557495011027684e-7,
        2.5108339681025175e-8,
        2.0805032145442276e-9,
    ];
    // Error 2^-62.3.
    const COTH: &'static [f64] =
        &[0.16666666666666552, -0.0027777777776675106, 6.613756244786861e-5, -1.6533831755167674e-6, 4.1358567663624954e-8];
    // Error 2^-63.2.
    const SIN: &'static [f64] = &[
        -0.16666666666666666,
        0.00833333333333304,
        -0.00019841269840959288,
        2.7557319071902834e-6,
        -2.505207029833975e-8,
        1.6054223762758543e-10,
        -7.384777546011395e-13,
    ];
    const SIN_HALF: &'static [f64] = &[];
    // Error 2^-63.9.
    const COS: &'static [f64] = &[
        0.041666666666666595,
        -0.001388888888887334,
        2.4801587288999772e-5,
        -2.7557314216164437e-7,
        2.0875705254835717e-9,
        -1.1358740977713884e-11,
    ];
    // Error 2^-55.5.
    const TANH: &'static [f64] = &[
        -0.3333333333333235,
        0.1333333333317338,
        -0.053968253878191624,
        0.02186948602162087,
        -0.008863195091152113,
        0.0035917241437976102,
        -0.0014532375037000155,
        0.000579195348272095,
        -0.00021039302481195115,
        5.10812348754974e-5,
    ];
    // Error 2^-61.7.
    const SINH: &'static [f64] = &[
        0.16666666666666669,
        0.00833333333333291,
        0.0001984126984159546,
        2.7557319105888934e-6,
        2.5052131167618454e-8,
        1.6056643783897468e-10,
        7.777131214280675e-13,
    ];
    // Error 2^-59.9.
    const ASIN: &'static [f64] = &[
        0.1666666666666676,
        0.07499999999970866,
        0.04464285717456059,
        0.030381942709910063,
        0.02237221493364616,
        0.017351612913809968,
        0.013980810325412337,
        0.011398992612760159,
        0.010779815145781928,
        0.0037080271322246458,
        0.021703568319838926,
        -0.020993629693809114,
        0.03262524847766455,
    ];
    // Error 2^-59.4.
    const ATAN: &'static [f64] = &[
        -0.333333333333332,
        0.1999999999995368,
        -0.14285714280200246,
        0.11111110783517482,
        -0.09090897757895516,
        0.07692060211338159,
        -0.06663104052067348,
        0.05847890087532289,
        -0.05039312768787369,
        0.03806489734338199,
        -0.01790773213264844,
    ];
    // Error 2^-56.0.
    const ERF: &'static [f64] = &[
        0.12837916709551256,
        -0.37612638903183343,
        0.11283791670936949,
        -0.02686617064195857,
        0.005223977596727607,
        -0.0008548325484401732,
        0.00012055280472146883,
        -1.4924465036850165e-5,
        1.6444141426383345e-6,
        -1.6183907867409186e-7,
        1.3616281362729905e-8,
        -7.606925673825526e-10,
    ];
    // Error 2^-57.4.
    const ERFC: &'static [f64] = &[
        0.09599566100049112,
        0.976548729080882,
        0.7732087022652372,
        0.5408538313132387,
        0.3308515878780246,
        0.17401093723977884,
        0.07638151490862352,
        0.026370053343310967,
        0.006112055668791569,
        0.00028095883518237014,
        -0.00045505281297865944,
        -0.00017681264236416453,
        -3.6344307277495213e-6,
        1.88602844445787e-5,
        4.691822910026364e-6,
        -1.4230082569588596e-6,
        -8.406751274079662e-7,
        7.432767001842321e-8,
        1.173013380393548e-7,
        -4.754161484577081e-10,
        -1.1104909740456726e-8,
    ];
    const ERFC_SHIFT: f64 = 4.0;
    const ERFC_SCALE: f64 = 8.0;
    const ERFC_CENTRE: f64 = 1.0;

    const LOG: Option<[f64; 8]> = None;

    // log(1 + f) = 2 atanh s = f - s (f - z R(z)), s = f / (2 + f), z = s^2. Error 2^-59.5.
    #[inline(always)]
    fn log_tail<const FMA: bool>(f: f64) -> f64 {
        const R: &[f64] = &[
            0.6666666666666734,
            0.3999999999941658,
            0.2857142874205895,
            0.22222198600269305,
            0.1818356317628516,
            0.15314074739836922,
            0.14795750914242323,
        ];
        let s = f / (2.0 + f);
        let z = s * s;
        s * fma::<f64, FMA>(-z, poly::<f64, FMA>(z, R), f)
    }
}
