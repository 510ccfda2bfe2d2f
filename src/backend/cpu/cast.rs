//! Elements of one type made of elements of another: one by one, and in rows by vectors where types often meet. Leans on dtype, half and isa.

use super::isa;
use crate::base::dtype::Element;
use crate::base::{DType, Number};
use crate::dispatch_all;
use half::f16;
use half::slice::HalfFloatSliceExt;
use std::mem::MaybeUninit;

/// One element converted as C converts it.
#[inline(always)]
pub fn cast<S: Element, D: Element>(s: S) -> D {
    if S::DTYPE.is_complex() && (D::DTYPE.is_complex() || D::DTYPE == DType::Bool) {
        let (re, im) = s.to_pair();
        return if D::DTYPE.is_complex() { D::from_pair(re, im) } else { D::from_i64(i64::from(re != 0.0 || im != 0.0)) };
    }
    match (S::DTYPE.is_inexact(), D::DTYPE) {
        (_, DType::F64 | DType::C128 | DType::C64) => D::from_f64(s.to_f64()),
        (_, DType::F32 | DType::F16 | DType::BF16) => {
            if matches!(S::DTYPE, DType::F64 | DType::C128) {
                D::from_f64(s.to_f64())
            } else {
                D::from_f32(s.to_f32())
            }
        }
        (true, _) => D::from_f64(s.to_f64()),
        (false, _) => D::from_i64(s.to_i64()),
    }
}

/// A plain number as an element.
#[inline(always)]
pub fn of_number<D: Element>(value: Number) -> D {
    match value {
        Number::Float(f) => D::from_f64(f),
        Number::Complex(re, im) => D::from_pair(re, im),
        other if D::DTYPE.is_inexact() => D::from_f64(other.as_f64()),
        other => D::from_i64(other.as_i64()),
    }
}

/// Elements that lie side by side, converted; both types are known only at run time.
///
/// # Safety
/// Both sides must hold `n` elements, and not share any unless the types are one.
pub unsafe fn row(from: DType, src: *const u8, to: DType, dst: *mut u8, n: usize) {
    use DType::*;
    let frequent = match (from, to) {
        // SAFETY: the caller's promise.
        (from, to) if from == to => return unsafe { std::ptr::copy(src, dst, n * from.size()) },
        // SAFETY: as above.
        (F16 | BF16, F32) => return unsafe { of_short(from, src, dst.cast(), n) },
        // SAFETY: as above.
        (F32, F16 | BF16) => return unsafe { to_short(src.cast(), to, dst, n) },
        (F32, F64) => &single_double,
        (F64, F32) => &double_single,
        (I64, F32) => &long_single,
        (I64, F64) => &long_double,
        (I64, I32) => &long_int,
        (I32, F32) => &int_single,
        (I32, F64) => &int_double,
        (I32, I64) => &int_long,
        (U8, F32) => &byte_single,
        (U8, F64) => &byte_double,
        (U8, I32) => &byte_int,
        (U8, I64) => &byte_long,
        (Bool, F32) => &truth_single,
        (Bool, F64) => &truth_double,
        (Bool, I32) => &truth_int,
        (Bool, I64) => &truth_long,
        (Bool, U8) => &byte_truth,
        (F32, I32) => &single_int,
        (F64, I32) => &double_int,
        (F32, I64) => &single_long,
        (F64, I64) => &double_long,
        (F32, Bool) => &single_truth,
        (F64, Bool) => &double_truth,
        (I32, Bool) => &int_truth,
        (I64, Bool) => &long_truth,
        (U8, Bool) => &byte_truth,
        // By way of float32, which holds every number of the short floats: as `cast` does it.
        // SAFETY: as above.
        (F16 | BF16, _) | (Bool | U8 | I8 | I16 | I32 | I64, F16 | BF16) => return unsafe { by_singles(from, src, to, dst, n) },
        // SAFETY: as above.
        _ => return unsafe { any(from, src, to, dst, n) },
    };
    // SAFETY: as above.
    unsafe { frequent[isa::level()](src, dst, n) }
}

macro_rules! frequent {
    ($($name:ident $inner:ident |$x:ident: $s:ty| $d:ty { $($value:tt)* })*) => {$(
        #[inline(always)]
        unsafe fn $inner<const FMA: bool>(src: *const u8, dst: *mut u8, n: usize) {
            let (src, dst) = (src.cast::<$s>(), dst.cast::<$d>());
            for j in 0..n {
                // SAFETY: the caller promises `n` elements on both sides.
                unsafe {
                    let $x = *src.add(j);
                    *dst.add(j) = { $($value)* };
                }
            }
        }
        crate::per_isa!(static $name: unsafe fn(src: *const u8, dst: *mut u8, n: usize) = $inner);
    )*};
}
frequent! {
    single_double single_double_of |x: f32| f64 { f64::from(x) }
    double_single double_single_of |x: f64| f32 { x as f32 }
    long_single long_single_of |x: i64| f32 { x as f32 }
    long_double long_double_of |x: i64| f64 { x as f64 }
    long_int long_int_of |x: i64| i32 { x as i32 }
    int_single int_single_of |x: i32| f32 { x as f32 }
    int_double int_double_of |x: i32| f64 { f64::from(x) }
    int_long int_long_of |x: i32| i64 { i64::from(x) }
    byte_single byte_single_of |x: u8| f32 { f32::from(x) }
    byte_double byte_double_of |x: u8| f64 { f64::from(x) }
    byte_int byte_int_of |x: u8| i32 { i32::from(x) }
    byte_long byte_long_of |x: u8| i64 { i64::from(x) }
    truth_single truth_single_of |x: u8| f32 { f32::from(u8::from(x != 0)) }
    truth_double truth_double_of |x: u8| f64 { f64::from(u8::from(x != 0)) }
    truth_int truth_int_of |x: u8| i32 { i32::from(x != 0) }
    truth_long truth_long_of |x: u8| i64 { i64::from(x != 0) }
    single_int single_int_of |x: f32| i32 { x as i32 }
    double_int double_int_of |x: f64| i32 { x as i32 }
    single_truth single_truth_of |x: f32| u8 { u8::from(x != 0.0) }
    double_truth double_truth_of |x: f64| u8 { u8::from(x != 0.0) }
    int_truth int_truth_of |x: i32| u8 { u8::from(x != 0) }
    long_truth long_truth_of |x: i64| u8 { u8::from(x != 0) }
    byte_truth byte_truth_of |x: u8| u8 { u8::from(x != 0) }
    wide wide_of |x: u16| u32 { u32::from(x) << 16 }
    narrow narrow_of |x: u32| u16 {
        // To the nearest, halves to even; what a NaN keeps of its bits must not be zero.
        let near = x.wrapping_add(0x7fff + (x >> 16 & 1));
        ((if x & 0x7fff_ffff > 0x7f80_0000 { x | 0x0040_0000 } else { near }) >> 16) as u16
    }
}

/// Floats that are looked at together, to see whether they fit integers that there are instructions for.
const NEAR: usize = 256;

macro_rules! longs {
    ($($name:ident $inner:ident $s:ty),*) => {$(
        #[inline(always)]
        unsafe fn $inner<const FMA: bool>(src: *const u8, dst: *mut u8, n: usize) {
            let (src, dst) = (src.cast::<$s>(), dst.cast::<i64>());
            for start in (0..n).step_by(NEAR) {
                let end = n.min(start + NEAR);
                let mut far = 0u32;
                for j in start..end {
                    // SAFETY: the caller promises `n` elements on both sides.
                    let x = unsafe { *src.add(j) };
                    far |= u32::from(x.abs() >= 2147483520.0) | u32::from(x.is_nan());
                }
                for j in start..end {
                    // SAFETY: as above, and all of them lie within the integers of 32 bits in the first case.
                    unsafe {
                        let x = *src.add(j);
                        *dst.add(j) = if far == 0 { i64::from(x.to_int_unchecked::<i32>()) } else { x as i64 };
                    }
                }
            }
        }
        crate::per_isa!(static $name: unsafe fn(src: *const u8, dst: *mut u8, n: usize) = $inner);
    )*};
}
longs!(single_long single_long_of f32, double_long double_long_of f64);

/// Short floats made float32.
unsafe fn of_short(from: DType, src: *const u8, dst: *mut f32, n: usize) {
    // SAFETY: the caller promises `n` elements on both sides.
    unsafe {
        match from {
            DType::F16 => of_half(src.cast(), dst, n),
            _ => wide[isa::level()](src, dst.cast(), n),
        }
    }
}

/// float32 made short floats.
unsafe fn to_short(src: *const f32, to: DType, dst: *mut u8, n: usize) {
    // SAFETY: the caller promises `n` elements on both sides.
    unsafe {
        match to {
            DType::F16 => to_half(src, dst.cast(), n),
            _ => narrow[isa::level()](src.cast(), dst, n),
        }
    }
}

/// Halves eight at a time, where the machine has instructions for it that the compiler does not use by itself.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
unsafe fn of_eights(src: *const f16, dst: *mut f32, n: usize) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps, _mm256_storeu_ps};
    // SAFETY, here and below: the caller promises `n` elements on both sides, a multiple of 8.
    (0..n).step_by(8).for_each(|j| unsafe { _mm256_storeu_ps(dst.add(j), _mm256_cvtph_ps(_mm_loadu_si128(src.add(j).cast()))) });
}

/// The way back, to the nearest, halves to even.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,f16c")]
unsafe fn to_eights(src: *const f32, dst: *mut f16, n: usize) {
    use std::arch::x86_64::{_MM_FROUND_TO_NEAREST_INT, _mm_storeu_si128, _mm256_cvtps_ph, _mm256_loadu_ps};
    // SAFETY: as above.
    (0..n).step_by(8).for_each(|j| unsafe {
        _mm_storeu_si128(dst.add(j).cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(src.add(j))));
    });
}

/// How many of `n` halves go by eights.
fn eights(n: usize) -> usize {
    if cfg!(target_arch = "x86_64") && isa::level() > 0 { n / 8 * 8 } else { 0 }
}

unsafe fn of_half(src: *const f16, dst: *mut f32, n: usize) {
    let whole = eights(n);
    // SAFETY: the caller promises `n` elements on both sides.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        of_eights(src, dst, whole);
        let (rest, left) =
            (std::slice::from_raw_parts(src.add(whole), n - whole), std::slice::from_raw_parts_mut(dst.add(whole), n - whole));
        rest.convert_to_f32_slice(left);
    }
}

unsafe fn to_half(src: *const f32, dst: *mut f16, n: usize) {
    let whole = eights(n);
    // SAFETY: as above.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        to_eights(src, dst, whole);
        let (rest, left) =
            (std::slice::from_raw_parts(src.add(whole), n - whole), std::slice::from_raw_parts_mut(dst.add(whole), n - whole));
        left.convert_from_f32_slice(rest);
    }
}

/// Between a short float and another type, by way of float32.
unsafe fn by_singles(from: DType, src: *const u8, to: DType, dst: *mut u8, n: usize) {
    let mut tile = MaybeUninit::<[f32; NEAR]>::uninit();
    let tile: *mut u8 = tile.as_mut_ptr().cast();
    for start in (0..n).step_by(NEAR) {
        let count = NEAR.min(n - start);
        // SAFETY: the caller promises `n` elements on both sides; the tile holds a step's.
        unsafe {
            row(from, src.add(start * from.size()), DType::F32, tile, count);
            row(DType::F32, tile, to, dst.add(start * to.size()), count);
        }
    }
}

unsafe fn any(from: DType, src: *const u8, to: DType, dst: *mut u8, n: usize) {
    dispatch_all!(from, S => dispatch_all!(to, D => {
        let (src, dst) = (src.cast::<S>(), dst.cast::<D>());
        for j in 0..n {
            // SAFETY: the caller promises `n` elements on both sides.
            unsafe { *dst.add(j) = cast(*src.add(j)) };
        }
    }));
}

/// The plain conversions of every type into every other, one element at a time, against which the rows are tested.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::dtype::ALL;

    #[test]
    fn rows_have_the_bits_of_single_elements() {
        let special = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            0.5,
            1.5,
            2.5,
            -2.5,
            65504.0,
            65520.0,
            1e-7,
            6e-8,
            3e38,
            -1e30,
            2147483520.0,
            2147483647.0,
            4e9,
            -4e9,
            9.3e18,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::NAN,
            1e-40,
            127.6,
            255.0,
            256.0,
            -129.0,
            1.0039,
            1.00390625,
            1.01171875,
        ];
        let numbers: Vec<f64> =
            (0..1300).map(|i| if i % 7 == 3 { special[i / 7 % special.len()] } else { (i as f64 - 650.0) * 1.37 }).collect();
        for level in 0..=2 {
            isa::force(level);
            for from in ALL {
                let mut source = vec![0u64; 1300 * 2];
                dispatch_all!(from, S => for (i, &x) in numbers.iter().enumerate() {
                    // SAFETY: 1,300 elements of at most 16 bytes.
                    unsafe { *source.as_mut_ptr().cast::<S>().add(i) = cast::<f64, S>(x) };
                });
                for to in ALL {
                    for (start, n) in [(0, 1300), (1, 7), (3, 517), (700, 1)] {
                        let (mut fast, mut slow) = (vec![0u64; 1300 * 2], vec![0u64; 1300 * 2]);
                        let at = source.as_ptr().cast::<u8>().wrapping_add(start * from.size());
                        // SAFETY: as above.
                        unsafe {
                            row(from, at, to, fast.as_mut_ptr().cast(), n);
                            any(from, at, to, slow.as_mut_ptr().cast(), n);
                        }
                        dispatch_all!(to, D => for i in 0..n {
                            // SAFETY: as above.
                            let (a, b) = unsafe { (*fast.as_ptr().cast::<D>().add(i), *slow.as_ptr().cast::<D>().add(i)) };
                            let (a, b) = (a.to_pair(), b.to_pair());
                            let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                            assert!(same(a.0, b.0) && same(a.1, b.1), "{from} to {to}, element {i} of {n}: {a:?} and {b:?}");
                        });
                    }
                }
            }
        }
        isa::force(2);
    }
}
