//! Vectors of floats of each instruction set under one name, and functions compiled for all of them. Leans on std::arch,
//! isa's levels, and math.

use super::math::Fitted;

/// A register full of floats.
pub trait Lanes: Copy {
    type E: Float;
    const N: usize;
    /// Whether there are 32 registers to hold sums in, or 16.
    const MANY: bool;
    fn zero() -> Self;
    fn splat(x: Self::E) -> Self;
    /// # Safety
    /// `from` must hold `N` elements.
    unsafe fn load(from: *const Self::E) -> Self;
    /// # Safety
    /// `to` must hold `N` elements.
    unsafe fn store(self, to: *mut Self::E);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `a b + self`, in one rounding where the instruction set has it.
    fn madd(self, a: Self, b: Self) -> Self;
    /// Whether it is one rounding.
    const FMA: bool;
    /// The larger ones; where either is a NaN, `other` or NaN.
    fn max(self, other: Self) -> Self;
    /// `2^(n + 64)` of `MAGIC + n`.
    fn lifted(self) -> Self;

    /// The first `n < N` elements, and `fill`'s behind them.
    ///
    /// # Safety
    /// `from` must hold `n` elements.
    #[inline(always)]
    unsafe fn load_some(from: *const Self::E, n: usize, fill: Self) -> Self {
        let mut list = fill.list();
        for (l, to) in list.iter_mut().enumerate().take(n) {
            // SAFETY: the caller's promise.
            *to = unsafe { *from.add(l) };
        }
        // SAFETY: no vector has more than 16 lanes.
        unsafe { Self::load(list.as_ptr()) }
    }
    /// The first `n < N` elements alone.
    ///
    /// # Safety
    /// `to` must hold `n` elements.
    #[inline(always)]
    unsafe fn store_some(self, to: *mut Self::E, n: usize) {
        for (l, &x) in self.list().iter().enumerate().take(n) {
            // SAFETY: the caller's promise.
            unsafe { *to.add(l) = x };
        }
    }
    /// `row[at..at + N]`, and 0 where the row of so many elements has none.
    ///
    /// # Safety
    /// `row` must hold `size` elements.
    #[inline(always)]
    unsafe fn window(row: *const Self::E, at: isize, size: usize) -> Self {
        let size = size as isize;
        // SAFETY: the caller's promise; only elements inside of the row are read.
        unsafe {
            if at >= 0 && at + Self::N as isize <= size {
                return Self::load(row.offset(at));
            }
            let mut list = [Self::E::default(); 16];
            for (l, to) in list.iter_mut().enumerate().take(Self::N) {
                let x = at + l as isize;
                if x >= 0 && x < size {
                    *to = *row.offset(x);
                }
            }
            Self::load(list.as_ptr())
        }
    }
    /// The even and the odd ones of `row[at..at + 2 N]`, and 0 as above.
    ///
    /// # Safety
    /// `row` must hold `size` elements.
    #[inline(always)]
    unsafe fn parted(row: *const Self::E, at: isize, size: usize) -> (Self, Self) {
        let mut list = [Self::E::default(); 32];
        let (mut even, mut odd) = ([Self::E::default(); 16], [Self::E::default(); 16]);
        // SAFETY: the caller's promise; no vector has more than 16 lanes.
        unsafe {
            Self::window(row, at, size).store(list.as_mut_ptr());
            Self::window(row, at + Self::N as isize, size).store(list.as_mut_ptr().add(Self::N));
            for l in 0..Self::N {
                (even[l], odd[l]) = (list[2 * l], list[2 * l + 1]);
            }
            (Self::load(even.as_ptr()), Self::load(odd.as_ptr()))
        }
    }
    /// Whether some lanes can be read alone as fast as all of them.
    const MASKED: bool = false;
    /// The lanes of a mask from memory, the others from `rest`.
    ///
    /// # Safety
    /// `from` must hold the lanes of the mask.
    #[inline(always)]
    unsafe fn load_where(from: *const Self::E, mask: u32, rest: Self) -> Self {
        let mut list = rest.list();
        for (l, to) in list.iter_mut().enumerate().take(Self::N) {
            if mask >> l & 1 == 1 {
                // SAFETY: the caller's promise.
                *to = unsafe { *from.wrapping_add(l) };
            }
        }
        // SAFETY: no vector has more than 16 lanes.
        unsafe { Self::load(list.as_ptr()) }
    }
    /// The lanes of both by turns, this one's first.
    #[inline(always)]
    fn woven(self, other: Self) -> (Self, Self) {
        let (even, odd, mut all) = (self.list(), other.list(), [Self::E::default(); 32]);
        for l in 0..Self::N {
            (all[2 * l], all[2 * l + 1]) = (even[l], odd[l]);
        }
        // SAFETY: no vector has more than 16 lanes.
        unsafe { (Self::load(all.as_ptr()), Self::load(all.as_ptr().add(Self::N))) }
    }
    /// The lanes, and zeros up to 16.
    #[inline(always)]
    fn list(self) -> [Self::E; 16] {
        let mut list = [Self::E::default(); 16];
        // SAFETY: no vector has more than 16 lanes.
        unsafe { self.store(list.as_mut_ptr()) };
        list
    }
    /// The sum of the lanes, in pairs.
    #[inline(always)]
    fn total(self) -> Self::E {
        let (mut list, mut half) = (self.list(), Self::N / 2);
        while half > 0 {
            for l in 0..half {
                list[l] = list[l] + list[l + half];
            }
            half /= 2;
        }
        list[0]
    }
    /// `total` of each.
    #[inline(always)]
    fn totals(list: [Self; 8]) -> [Self::E; 8] {
        list.map(Self::total)
    }
    /// `greatest` of each.
    #[inline(always)]
    fn greatests(list: [Self; 8]) -> [Self::E; 8] {
        list.map(Self::greatest)
    }
    /// `2^64 e^x` for `x <= 0`.
    #[inline(always)]
    fn exp_lifted(self) -> Self {
        power::lifted(self)
    }
    /// The largest lane, where none is a NaN.
    #[inline(always)]
    fn greatest(self) -> Self::E {
        let (mut list, mut half) = (self.list(), Self::N / 2);
        while half > 0 {
            for l in 0..half {
                list[l] = if list[l + half] > list[l] { list[l + half] } else { list[l] };
            }
            half /= 2;
        }
        list[0]
    }
}

/// Asks for the line of memory that an address lies in; any address will do.
#[inline(always)]
pub fn fetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, and every machine of this kind has it.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The same for a line that is wanted somewhat later, and need not come nearer than the second cache.
#[inline(always)]
pub fn fetch_far<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// A vector of a row: `N` elements from `i` on, or the last `k`.
#[derive(Clone, Copy)]
pub struct At {
    pub i: usize,
    pub k: usize,
}

impl At {
    /// # Safety
    /// `from` must hold the elements.
    #[inline(always)]
    pub unsafe fn load<L: Lanes>(self, from: *const L::E) -> L {
        // SAFETY: the caller's promise.
        unsafe { self.load_or(from, L::zero()) }
    }
    /// # Safety
    /// `from` must hold the elements.
    #[inline(always)]
    pub unsafe fn load_or<L: Lanes>(self, from: *const L::E, fill: L) -> L {
        // SAFETY: the caller's promise.
        unsafe { if self.k == L::N { L::load(from.add(self.i)) } else { L::load_some(from.add(self.i), self.k, fill) } }
    }
    /// # Safety
    /// `to` must hold the elements.
    #[inline(always)]
    pub unsafe fn store<L: Lanes>(self, value: L, to: *mut L::E) {
        // SAFETY: the caller's promise.
        unsafe { if self.k == L::N { value.store(to.add(self.i)) } else { value.store_some(to.add(self.i), self.k) } }
    }
}

/// Vectors that are summed in the elements' own type, before their sum goes on in float64.
pub const TOGETHER: usize = 8;
/// Such sums that grow side by side, so that none waits for the one before.
pub const BESIDE: usize = 4;

/// Goes over the vectors of a row, the last one short. No closure: it would be compiled for the plain instruction set where
/// it is not inlined.
macro_rules! vectors {
    ($lanes:ident, $n:expr, |$at:ident| $body:expr) => {{
        let mut i = 0;
        while i + $lanes::N <= $n {
            let $at = $crate::backend::cpu::lanes::At { i, k: $lanes::N };
            $body;
            i += $lanes::N;
        }
        if i < $n {
            let $at = $crate::backend::cpu::lanes::At { i, k: $n - i };
            $body;
        }
    }};
}

/// Sums over the vectors of a row: each is a vector that the body adds to, and comes back as float64.
macro_rules! summed {
    ($lanes:ident, $n:expr, [$($sum:ident),+], |$at:ident| $body:expr) => {{
        let mut all = [$(summed!(@zero $sum)),+];
        let mut i = 0;
        while i < $n {
            let end = $n.min(i + $crate::backend::cpu::lanes::wave::<$lanes>());
            let parts = summed!(@wave $lanes, i, end, [$($sum),+], |$at| $body);
            for (all, part) in all.iter_mut().zip(parts) {
                let part: f64 = part.total().into();
                *all += part;
            }
        }
        all
    }};
    (@zero $sum:ident) => { 0f64 };
    (@wave $lanes:ident, $i:ident, $end:expr, [$($sum:ident),+], |$at:ident| $body:expr) => {{
        use $crate::backend::cpu::lanes::{At, BESIDE};
        let mut lists = [[$lanes::zero(); _]; BESIDE];
        while $i + BESIDE * $lanes::N <= $end {
            for list in &mut lists {
                let $at = At { i: $i, k: $lanes::N };
                let [$(mut $sum),+] = *list;
                $body;
                *list = [$($sum),+];
                $i += $lanes::N;
            }
        }
        let [$(mut $sum),+] = lists[0];
        while $i + $lanes::N <= $end {
            let $at = At { i: $i, k: $lanes::N };
            $body;
            $i += $lanes::N;
        }
        if $i < $end {
            let $at = At { i: $i, k: $end - $i };
            $body;
            $i = $end;
        }
        lists[0] = [$($sum),+];
        let mut parts = lists[0];
        for (k, part) in parts.iter_mut().enumerate() {
            *part = part.add(lists[1][k]).add(lists[2][k].add(lists[3][k]));
        }
        parts
    }};
}

/// The same over a row of at most a wave, with what the lanes hold not yet joined: rows do that together.
macro_rules! gathered {
    ($lanes:ident, $n:expr, [$($sum:ident),+], |$at:ident| $body:expr) => {{
        let mut i = 0;
        let parts = summed!(@wave $lanes, i, $n, [$($sum),+], |$at| $body);
        let _ = i;
        parts
    }};
}

/// Elements whose sums stay in lanes.
#[inline(always)]
pub const fn wave<L: Lanes>() -> usize {
    TOGETHER * BESIDE * L::N
}

/// A float with its vectors, plain to widest.
pub trait Float: Fitted + Default + Send + Sync + Into<f64> {
    type Plain: Lanes<E = Self>;
    type V3: Lanes<E = Self>;
    type V4: Lanes<E = Self>;
}

/// As many lanes as the instruction set that every machine has.
#[derive(Clone, Copy)]
pub struct Plain<E, const N: usize>([E; N]);

macro_rules! plain {
    ($e:ty, $n:literal) => {
        impl Lanes for Plain<$e, $n> {
            type E = $e;
            const N: usize = $n;
            const MANY: bool = false;
            #[inline(always)]
            fn zero() -> Self {
                Plain([0.0; $n])
            }
            #[inline(always)]
            fn splat(x: $e) -> Self {
                Plain([x; $n])
            }
            #[inline(always)]
            unsafe fn load(from: *const $e) -> Self {
                // SAFETY: the caller's promise.
                Plain(unsafe { from.cast::<[$e; $n]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $e) {
                // SAFETY: the caller's promise.
                unsafe { to.cast::<[$e; $n]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            fn add(mut self, other: Self) -> Self {
                for l in 0..$n {
                    self.0[l] += other.0[l];
                }
                self
            }
            #[inline(always)]
            fn sub(mut self, other: Self) -> Self {
                for l in 0..$n {
                    self.0[l] -= other.0[l];
                }
                self
            }
            #[inline(always)]
            fn mul(mut self, other: Self) -> Self {
                for l in 0..$n {
                    self.0[l] *= other.0[l];
                }
                self
            }
            #[inline(always)]
            fn madd(mut self, a: Self, b: Self) -> Self {
                for l in 0..$n {
                    self.0[l] += a.0[l] * b.0[l];
                }
                self
            }
            const FMA: bool = false;
            #[inline(always)]
            fn max(mut self, other: Self) -> Self {
                for l in 0..$n {
                    self.0[l] = if self.0[l] > other.0[l] { self.0[l] } else { other.0[l] };
                }
                self
            }
            #[inline(always)]
            fn lifted(mut self) -> Self {
                for l in 0..$n {
                    self.0[l] = super::math::Real::pow2_of_magic(self.0[l], 64);
                }
                self
            }
        }
    };
}
#[cfg(not(target_arch = "aarch64"))]
plain!(f32, 4);
#[cfg(not(target_arch = "aarch64"))]
plain!(f64, 2);

#[allow(unused_macros)]
macro_rules! vector {
    ($name:ident $v:ident $e:ty, $n:literal, $many:literal: $zero:expr, $splat:ident $load:ident $store:ident $add:ident $sub:ident $mul:ident $max:ident, |$z:ident, $a:ident, $b:ident| $madd:expr, |$t:ident| $lifted:expr; $($more:item)*) => {
        #[derive(Clone, Copy)]
        pub struct $name($v);
        impl Lanes for $name {
            type E = $e;
            const N: usize = $n;
            const MANY: bool = $many;
            // SAFETY, of all: a table is entered at a level only where the machine has the instructions.
            #[inline(always)]
            fn zero() -> Self {
                $name(unsafe { $zero })
            }
            #[inline(always)]
            fn splat(x: $e) -> Self {
                $name(unsafe { $splat(x) })
            }
            #[inline(always)]
            unsafe fn load(from: *const $e) -> Self {
                $name(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $e) {
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                $name(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                $name(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                $name(unsafe { $mul(self.0, other.0) })
            }
            #[inline(always)]
            fn madd(self, a: Self, b: Self) -> Self {
                let ($z, $a, $b) = (self.0, a.0, b.0);
                $name(unsafe { $madd })
            }
            const FMA: bool = true;
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                $name(unsafe { $max(self.0, other.0) })
            }
            #[inline(always)]
            fn lifted(self) -> Self {
                let $t = self.0;
                $name(unsafe { $lifted })
            }
            $($more)*
        }
    };
}

mod power;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
mod sets {
    use super::Lanes;
    use std::arch::aarch64::*;
    vector!(S4 float32x4_t f32, 4, true: vdupq_n_f32(0.0), vdupq_n_f32 vld1q_f32 vst1q_f32 vaddq_f32 vsubq_f32 vmulq_f32 vmaxq_f32, |z, a, b| vfmaq_f32(z, a, b),
        |t| vreinterpretq_f32_u32(vaddq_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(t)), vdupq_n_u32((127 + 64) << 23))););
    vector!(D2 float64x2_t f64, 2, true: vdupq_n_f64(0.0), vdupq_n_f64 vld1q_f64 vst1q_f64 vaddq_f64 vsubq_f64 vmulq_f64 vmaxq_f64, |z, a, b| vfmaq_f64(z, a, b),
        |t| vreinterpretq_f64_u64(vaddq_u64(vshlq_n_u64::<52>(vreinterpretq_u64_f64(t)), vdupq_n_u64((1023 + 64) << 52))););
    impl super::Float for f32 {
        type Plain = S4;
        type V3 = S4;
        type V4 = S4;
    }
    impl super::Float for f64 {
        type Plain = D2;
        type V3 = D2;
        type V4 = D2;
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod sets {
    impl super::Float for f32 {
        type Plain = super::Plain<f32, 4>;
        type V3 = super::Plain<f32, 4>;
        type V4 = super::Plain<f32, 4>;
    }
    impl super::Float for f64 {
        type Plain = super::Plain<f64, 2>;
        type V3 = super::Plain<f64, 2>;
        type V4 = super::Plain<f64, 2>;
    }
}

/// A function over `Lanes` compiled for every instruction set: an array of three, entered at isa's level.
#[macro_export]
macro_rules! per_lanes {
    ($vis:vis static $name:ident: unsafe fn($($arg:ident: $ty:ty),*) = $inner:ident::<$e:ty>) => {
        #[allow(non_upper_case_globals)]
        $vis static $name: [unsafe fn($($ty),*); 3] = {
            use $crate::backend::cpu::lanes::Float;
            unsafe fn plain($($arg: $ty),*) {
                // SAFETY: the caller's promises are passed on.
                unsafe { $inner::<<$e as Float>::Plain>($($arg),*) }
            }
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
            unsafe fn v3($($arg: $ty),*) {
                // SAFETY: as above; the table is entered at this level only where the machine has the features.
                unsafe { $inner::<<$e as Float>::V3>($($arg),*) }
            }
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"))]
            unsafe fn v4($($arg: $ty),*) {
                // SAFETY: as above.
                unsafe { $inner::<<$e as Float>::V4>($($arg),*) }
            }
            [plain, v3, v4]
        };
    };
}
