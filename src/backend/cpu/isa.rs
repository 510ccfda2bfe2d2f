//! The same loop compiled for each instruction set, and the choice made once at start. Leans on launch and native.
//!
//! A record's body is plain scalar Rust; inside a `#[target_feature]` function the compiler makes the vectors of it
//! (docs/kernels.md tells why this beats hand-written vectors for maps). `map_body!` is the one place where the
//! unsafe of those functions is written.

use crate::backend::launch::{ISAS, MapLoop, MapLoops, RectangleLoop};
use std::sync::atomic::{AtomicUsize, Ordering};

const UNKNOWN: usize = usize::MAX;
static LEVEL: AtomicUsize = AtomicUsize::new(UNKNOWN);
pub const NAMES: [&str; ISAS] = ["scalar", "avx2", "avx512"];

/// The widest instruction set this machine has (0 plain, 1 AVX2 with FMA, 2 AVX-512), or the one that SCHUSS_CPU names.
#[inline]
pub fn level() -> usize {
    match LEVEL.load(Ordering::Relaxed) {
        UNKNOWN => find(),
        level => level,
    }
}

/// Forces an instruction set, never one that the machine lacks; for tests. Returns the one in force.
pub fn force(level: usize) -> usize {
    let level = level.min(best());
    LEVEL.store(level, Ordering::Relaxed);
    level
}

#[cold]
fn find() -> usize {
    let wish = std::env::var("SCHUSS_CPU").ok();
    let asked = match wish.as_deref() {
        Some("scalar") => 0,
        Some("avx2") => 1,
        _ => 2,
    };
    force(asked)
}

#[cfg(target_arch = "x86_64")]
fn best() -> usize {
    let v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let v4 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    if v3 && v4 { 2 } else { usize::from(v3) }
}

#[cfg(not(target_arch = "x86_64"))]
fn best() -> usize {
    0
}

/// Loops over rectangles of float32 and of float64.
pub type Both = ([RectangleLoop; ISAS], [RectangleLoop; ISAS]);

impl MapLoops {
    #[inline]
    pub fn pick(&self) -> MapLoop {
        self.0[level()]
    }
    /// The loop, and whether it is as quick where its result lies over its first operand.
    #[inline]
    pub fn pick_over(&self) -> (MapLoop, bool) {
        (self.pick(), self.2)
    }
    #[inline]
    pub fn pick_rectangle(&self) -> Option<RectangleLoop> {
        self.1.map(|loops| loops[level()])
    }
}

/// Compiles an expression's function for each instruction set: `per_isa!(fn name<FMA>(args) -> ret { body })` makes
/// `name` an array of three functions, in which `FMA` is a constant.
#[macro_export]
macro_rules! per_isa {
    ($(#[$meta:meta])* $vis:vis static $($rest:tt)*) => {
        $crate::per_isa!(["avx2,fma,f16c,bmi2"] $(#[$meta])* $vis static $($rest)*);
    };
    ([$second:literal] $(#[$meta:meta])* $vis:vis static $name:ident: unsafe fn($($arg:ident: $ty:ty),*) $(-> $ret:ty)? = $inner:ident $(::<$($g:ty),*>)?) => {
        $(#[$meta])*
        #[allow(non_upper_case_globals)]
        $vis static $name: [unsafe fn($($ty),*) $(-> $ret)?; 3] = {
            #[allow(clippy::too_many_arguments)]
            unsafe fn plain($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: the caller's promises are passed on.
                unsafe { $inner::<{ cfg!(target_arch = "aarch64") } $($(, $g)*)?>($($arg),*) }
            }
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = $second))]
            #[allow(clippy::too_many_arguments)]
            unsafe fn v3($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: as above; the table is entered at this level only where the machine has the features.
                unsafe { $inner::<{ cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) } $($(, $g)*)?>($($arg),*) }
            }
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c,bmi2"))]
            #[allow(clippy::too_many_arguments)]
            unsafe fn v4($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: as above.
                unsafe { $inner::<{ cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) } $($(, $g)*)?>($($arg),*) }
            }
            [plain, v3, v4]
        };
    };
}

/// A `MapBody` from one line of formula. `class` is the dtypes it has loops for, `out` is `value`, `mask` or `[N]`.
/// `Yes` in front of it says that there are loops over complex numbers too, `No` that there are none.
/// `angle`, `mild` and `positive` are `float`, `quotient` and `power` are `number`, with a second, cheaper loop for stretches
/// whose arguments it serves.
/// `light` is `float` with loops over rectangles, as `number` has them. `whole` is `float` whose float32 formula needs no
/// integers: without AVX2 the compiler keeps constants as whole vectors, which an instruction reads itself, where with it each
/// of them is spread by an instruction of its own.
#[macro_export]
macro_rules! map_body {
    ($complex:ident: $class:ident $([$many:literal])? $($out:ident)?, |$($x:ident),*; $($p:ident),*| $body:expr) => {{
        #[allow(unused_imports)]
        use $crate::backend::launch::{MapBody, MapLoops, Rectangle};
        use $crate::base::{DType, Number};
        #[allow(unused_imports)]
        use $crate::formula::{Float, Integer, Value, paper::{OnPaper, Paper}};
        #[allow(unused_imports)]
        use $crate::backend::cpu::{complex::Cx, native::{F32, F64, Int, NEAR_TILE, Native, Put}};
        #[allow(unused_imports)]
        use std::ops::{Add, Div, Mul, Sub};

        const INPUTS: usize = <[&str]>::len(&[$(stringify!($x)),*]);
        const PARAMS: usize = <[&str]>::len(&[$(stringify!($p)),*]);

        $crate::map_body!(@body $class ($($many)? $($out)?) [$($x),*] [$($p),*] $body);

        fn formula() -> $crate::formula::Formula {
            $crate::formula::Formula::read(INPUTS, PARAMS, |ins, params| {
                let (Ok(ins), Ok(params)) = (<[Paper; INPUTS]>::try_from(ins), <[Paper; PARAMS]>::try_from(params)) else {
                    unreachable!("the sheet hands out as many inputs as were asked for")
                };
                body::<Paper>(ins, params).lines()
            })
        }

        $crate::map_body!(@loops $class ($($many)? $($out)?) [$($x),*] [$($p),*]);
        $crate::map_body!(@complex_run $complex ($($many)? $($out)?) [$($x),*] [$($p),*]);

        MapBody {
            inputs: INPUTS,
            params: PARAMS,
            outputs: $crate::map_body!(@count ($($many)? $($out)?)),
            truth: $crate::map_body!(@truth ($($many)? $($out)?)),
            formula,
            native,
        }
    }};

    (@count ($n:literal)) => { $n };
    (@count ($out:ident)) => { 1 };
    // Loops of several results have vectors in place.
    (@listed ($n:literal)) => { true };
    (@listed $other:tt) => { false };
    (@truth (mask)) => { true };
    (@truth ($($other:tt)*)) => { false };
    (@out (value)) => { V };
    (@out (mask)) => { <V as Value>::Mask };
    (@out ($n:literal)) => { [V; $n] };

    (@body angle $($rest:tt)*) => { $crate::map_body!(@body float $($rest)*); };
    (@body mild $($rest:tt)*) => { $crate::map_body!(@body float $($rest)*); };
    (@body positive $($rest:tt)*) => { $crate::map_body!(@body float $($rest)*); };
    (@body light $($rest:tt)*) => { $crate::map_body!(@body float $($rest)*); };
    (@body whole $($rest:tt)*) => { $crate::map_body!(@body float $($rest)*); };
    (@body power $($rest:tt)*) => { $crate::map_body!(@body number $($rest)*); };
    (@body quotient $($rest:tt)*) => { $crate::map_body!(@body number $($rest)*); };
    (@body float $out:tt [$($x:ident),*] [$($p:ident),*] $body:expr) => {
        #[inline(always)]
        #[allow(unused_variables)]
        fn body<V: Float + Add<f64, Output = V> + Sub<f64, Output = V> + Mul<f64, Output = V> + Div<f64, Output = V>>(
            [$($x),*]: [V; INPUTS],
            [$($p),*]: [V; PARAMS],
        ) -> $crate::map_body!(@out $out)
        where
            f64: Add<V, Output = V> + Sub<V, Output = V> + Mul<V, Output = V> + Div<V, Output = V>,
        {
            $body
        }
    };
    (@body number $out:tt [$($x:ident),*] [$($p:ident),*] $body:expr) => {
        #[inline(always)]
        #[allow(unused_variables)]
        fn body<V: Value>([$($x),*]: [V; INPUTS], [$($p),*]: [V; PARAMS]) -> $crate::map_body!(@out $out) {
            $body
        }
    };
    (@body integer $out:tt [$($x:ident),*] [$($p:ident),*] $body:expr) => {
        #[inline(always)]
        #[allow(unused_variables)]
        fn body<V: Integer>([$($x),*]: [V; INPUTS], [$($p),*]: [V; PARAMS]) -> $crate::map_body!(@out $out) {
            $body
        }
    };

    (@loops float $($rest:tt)*) => { $crate::map_body!(@floats float "avx2,fma,f16c,bmi2" $($rest)*); };
    (@loops angle $($rest:tt)*) => { $crate::map_body!(@floats angle "avx2,fma,f16c,bmi2" $($rest)*); };
    (@loops mild $($rest:tt)*) => { $crate::map_body!(@floats mild "avx2,fma,f16c,bmi2" $($rest)*); };
    (@loops positive $($rest:tt)*) => { $crate::map_body!(@floats positive "avx2,fma,f16c,bmi2" $($rest)*); };
    (@loops light $($rest:tt)*) => { $crate::map_body!(@floats light "avx2,fma,f16c,bmi2" $($rest)*); };
    (@loops whole $($rest:tt)*) => { $crate::map_body!(@floats float "fma,f16c,bmi2" $($rest)*); };
    (@loops number $($rest:tt)*) => { $crate::map_body!(@numbers light $($rest)*); };
    (@loops power $($rest:tt)*) => { $crate::map_body!(@numbers power $($rest)*); };
    (@loops quotient $($rest:tt)*) => { $crate::map_body!(@numbers quotient $($rest)*); };
    (@floats $near:ident $second:literal $out:tt [$($x:ident),*] [$($p:ident),*]) => {
        $crate::map_body!(@float_run $near $out [$($x),*] [$($p),*]);
        $crate::map_body!(@rectangles $near $out [$($x),*] [$($p),*]);
        $crate::per_isa!([$second] static f32_loops: unsafe fn(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) = run32);
        $crate::per_isa!(static f64_loops: unsafe fn(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) = run64);
        fn native(dtype: DType) -> Option<MapLoops> {
            match dtype {
                DType::F32 => Some(MapLoops(f32_loops, RECTANGLES.map(|all| all.0), OVER)),
                DType::F64 => Some(MapLoops(f64_loops, RECTANGLES.map(|all| all.1), OVER)),
                other => complex_loops(other),
            }
        }
    };
    (@numbers $near:ident $out:tt [$($x:ident),*] [$($p:ident),*]) => {
        $crate::map_body!(@float_run $near $out [$($x),*] [$($p),*]);
        $crate::map_body!(@rectangles $near $out [$($x),*] [$($p),*]);
        $crate::map_body!(@int_run $out [$($x),*] [$($p),*]);
        $crate::per_isa!(static f32_loops: unsafe fn(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) = run32);
        $crate::per_isa!(static f64_loops: unsafe fn(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) = run64);
        fn native(dtype: DType) -> Option<MapLoops> {
            match dtype {
                DType::F32 => Some(MapLoops(f32_loops, RECTANGLES.map(|all| all.0), OVER)),
                DType::F64 => Some(MapLoops(f64_loops, RECTANGLES.map(|all| all.1), OVER)),
                other => int_loops(other).or_else(|| complex_loops(other)),
            }
        }
    };
    (@loops integer $out:tt [$($x:ident),*] [$($p:ident),*]) => {
        $crate::map_body!(@int_run $out [$($x),*] [$($p),*]);
        fn native(dtype: DType) -> Option<MapLoops> {
            int_loops(dtype)
        }
    };

    (@float_run light (value) [$($x:ident),+] [$($p:ident),*]) => {
        const OVER: bool = true;
        $crate::map_body!(@float_loops over (value) [$($x),+] [$($p),*]);
    };
    (@float_run light $($rest:tt)*) => { $crate::map_body!(@float_run float $($rest)*); };
    (@float_run float $out:tt $($rest:tt)*) => {
        const OVER: bool = $crate::map_body!(@listed $out);
        $crate::map_body!(@float_loops loop $out $($rest)*);
    };
    (@float_loops $loop:ident $out:tt [$($x:ident),*] [$($p:ident),*]) => {
        #[inline(always)]
        #[allow(unused_variables, unused_assignments)]
        unsafe fn run32<const FMA: bool>(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) {
            $crate::map_body!(@$loop F32<FMA>, $out, ins, params, outs, 0, n, [$($x),*] [$($p),*])
        }
        #[inline(always)]
        #[allow(unused_variables, unused_assignments)]
        unsafe fn run64<const FMA: bool>(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) {
            $crate::map_body!(@$loop F64<FMA>, $out, ins, params, outs, 0, n, [$($x),*] [$($p),*])
        }
    };
    (@float_run $near:ident $out:tt [$($x:ident),*] [$($p:ident),*]) => {
        const OVER: bool = false;
        $crate::map_body!(@near_run run32 F32 $near $out [$($x),*] [$($p),*]);
        $crate::map_body!(@near_run run64 F64 $near $out [$($x),*] [$($p),*]);
    };
    (@near_run $run:ident $v:ident $near:ident $out:tt [$($x:ident),*] [$($p:ident),*]) => {
        #[inline(always)]
        #[allow(unused_variables, unused_assignments)]
        unsafe fn $run<const FMA: bool>(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) {
            let mut from = 0;
            while from < n {
                let to = n.min(from + NEAR_TILE);
                // SAFETY: the caller promises `n` elements behind every pointer.
                if unsafe { <$v<FMA>>::$near(ins, from, to) } {
                    $crate::map_body!(@loop $v<FMA, true>, $out, ins, params, outs, from, to, [$($x),*] [$($p),*])
                } else {
                    $crate::map_body!(@loop $v<FMA>, $out, ins, params, outs, from, to, [$($x),*] [$($p),*])
                }
                from = to;
            }
        }
    };
    (@int_run $out:tt [$($x:ident),*] [$($p:ident),*]) => {
        #[inline(always)]
        #[allow(unused_variables, unused_assignments)]
        unsafe fn run_int<T: Copy>(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize)
        where
            Int<T>: Native<E = T> + Integer,
            $crate::map_body!(@put Int<T>, $out): Put,
        {
            $crate::map_body!(@loop Int<T>, $out, ins, params, outs, 0, n, [$($x),*] [$($p),*])
        }
        fn int_loops(dtype: DType) -> Option<MapLoops> {
            // Integers gain little from 512-bit vectors, so two builds of each loop are enough.
            macro_rules! pair { ($t:ty) => {{
                unsafe fn plain(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) {
                    // SAFETY: the caller's promises are passed on.
                    unsafe { run_int::<$t>(ins, params, outs, n) }
                }
                #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,bmi2"))]
                unsafe fn v3(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) {
                    // SAFETY: as above; the table is entered at this level only where the machine has the features.
                    unsafe { run_int::<$t>(ins, params, outs, n) }
                }
                Some(MapLoops([plain, v3, v3], None, false))
            }}; }
            match dtype {
                DType::U8 => pair!(u8),
                DType::I8 => pair!(i8),
                DType::I16 => pair!(i16),
                DType::I32 => pair!(i32),
                DType::I64 => pair!(i64),
                _ => None,
            }
        }
    };
    (@complex_run Yes $out:tt [$($x:ident),*] [$($p:ident),*]) => {
        fn complex_loops(dtype: DType) -> Option<MapLoops> {
            // Two builds, as of integers: what takes long is in functions of its own.
            macro_rules! pair { ($t:ty) => {{
                #[inline(always)]
                #[allow(unused_variables, unused_assignments)]
                unsafe fn run(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) {
                    $crate::map_body!(@loop Cx<$t>, $out, ins, params, outs, 0, n, [$($x),*] [$($p),*])
                }
                unsafe fn plain(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) {
                    // SAFETY: the caller's promises are passed on.
                    unsafe { run(ins, params, outs, n) }
                }
                #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,bmi2"))]
                unsafe fn v3(ins: &[*const u8], params: &[Number], outs: &[*mut u8], n: usize) {
                    // SAFETY: as above; the table is entered at this level only where the machine has the features.
                    unsafe { run(ins, params, outs, n) }
                }
                Some(MapLoops([plain, v3, v3], None, false))
            }}; }
            match dtype {
                DType::C64 => pair!(f32),
                DType::C128 => pair!(f64),
                _ => None,
            }
        }
    };
    (@complex_run No $($rest:tt)*) => {
        #[allow(dead_code)]
        fn complex_loops(_: DType) -> Option<MapLoops> {
            None
        }
    };
    (@put $v:ty, (value)) => { $v };
    (@put $v:ty, (mask)) => { bool };
    (@put $v:ty, ($n:literal)) => { [$v; $n] };

    (@rectangles light ($out:ident) [$a:ident, $b:ident] [$($p:ident),*]) => {
        #[inline(always)]
        #[allow(unused_variables, unused_assignments)]
        unsafe fn rect32<const FMA: bool>(on: &Rectangle, params: &[Number]) {
            $crate::map_body!(@rectangle F32<FMA>, ($out), on, params, $a, $b, [$($p),*])
        }
        #[inline(always)]
        #[allow(unused_variables, unused_assignments)]
        unsafe fn rect64<const FMA: bool>(on: &Rectangle, params: &[Number]) {
            $crate::map_body!(@rectangle F64<FMA>, ($out), on, params, $a, $b, [$($p),*])
        }
        $crate::per_isa!(static f32_rectangles: unsafe fn(on: &Rectangle, params: &[Number]) = rect32);
        $crate::per_isa!(static f64_rectangles: unsafe fn(on: &Rectangle, params: &[Number]) = rect64);
        const RECTANGLES: Option<$crate::backend::cpu::isa::Both> = Some((f32_rectangles, f64_rectangles));
    };
    (@rectangles $($other:tt)*) => {
        const RECTANGLES: Option<$crate::backend::cpu::isa::Both> = None;
    };
    (@rectangle $v:ty, $out:tt, $on:ident, $params:ident, $a:ident, $b:ident, [$($p:ident),*]) => {{
        let mut _k = 0;
        $( let $p = <$v>::param($params[_k]); _k += 1; )*
        let ([(mut x, x_by), (mut y, y_by)], (mut z, z_by)) = ($on.from, $on.to);
        for _ in 0..$on.rows {
            let ($a, $b) = (x.cast::<<$v as Native>::E>(), y.cast::<<$v as Native>::E>());
            let to = <$crate::map_body!(@put $v, $out) as Put>::pointers(&[z]);
            // SAFETY: the caller promises rows of `count` elements, or one where it is spread.
            unsafe {
                match $on.spread {
                    None => for i in 0..$on.count {
                        body::<$v>([<$v>::load(*$a.add(i)), <$v>::load(*$b.add(i))], [$($p),*]).put(to, i);
                    },
                    Some(0) => {
                        let $a = <$v>::load(*$a);
                        for i in 0..$on.count {
                            body::<$v>([$a, <$v>::load(*$b.add(i))], [$($p),*]).put(to, i);
                        }
                    }
                    Some(_) => {
                        let $b = <$v>::load(*$b);
                        if std::ptr::eq($a, z.cast()) {
                            // In place, as in the loops over whole tensors.
                            let $a = z.cast::<<$v as Native>::E>();
                            for i in 0..$on.count {
                                body::<$v>([<$v>::load(*$a.add(i)), $b], [$($p),*]).put(to, i);
                            }
                        } else {
                            for i in 0..$on.count {
                                body::<$v>([<$v>::load(*$a.add(i)), $b], [$($p),*]).put(to, i);
                            }
                        }
                    }
                }
            }
            (x, y, z) = (x.wrapping_offset(x_by), y.wrapping_offset(y_by), z.wrapping_offset(z_by));
        }
    }};

    // No closure around the body: it would be compiled for the plain instruction set where it is not inlined.
    (@loop $v:ty, ($n:literal), $($rest:tt)*) => { $crate::map_body!(@over_first $n, [put], $v, ($n), $($rest)*) };
    (@over $($rest:tt)*) => { $crate::map_body!(@over_first 1, [put_ever zero], $($rest)*) };
    (@over_first $n:literal, [$put:ident $($zero:ident)?], $v:ty, $out:tt, $ins:ident, $params:ident, $outs:ident, $from:expr, $to:expr, [$($x:ident),*] [$($p:ident),*]) => {{
        let mut _k = 0;
        $( let $x = $ins[_k].cast::<<$v as Native>::E>(); _k += 1; )*
        let mut _k = 0;
        $( let $p = <$v>::param($params[_k]); _k += 1; )*
        let to = <$crate::map_body!(@put $v, $out) as Put>::pointers($outs);
        let mut same = true;
        for k in 0..$n {
            same &= std::ptr::eq($ins[k], $outs[k]);
        }
        if same {
            // In place: only where it reads through the very pointers that it writes through may the compiler make vectors.
            let mut _k = 0;
            $( let $x = if _k < $n { $outs[_k].cast_const().cast() } else { $x }; _k += 1; )*
            $( let $zero = std::hint::black_box(0); )?
            for i in $from..$to {
                // SAFETY: the caller promises `n` elements behind every pointer.
                unsafe { body::<$v>([$(<$v>::load(*$x.add(i))),*], [$($p),*]).$put(to, i $(, $zero)?) };
            }
        } else {
            for i in $from..$to {
                // SAFETY: as above.
                unsafe { body::<$v>([$(<$v>::load(*$x.add(i))),*], [$($p),*]).put(to, i) };
            }
        }
    }};
    (@loop $v:ty, $out:tt, $ins:ident, $params:ident, $outs:ident, $from:expr, $to:expr, [$($x:ident),*] [$($p:ident),*]) => {{
        let mut _k = 0;
        $( let $x = $ins[_k].cast::<<$v as Native>::E>(); _k += 1; )*
        let mut _k = 0;
        $( let $p = <$v>::param($params[_k]); _k += 1; )*
        let to = <$crate::map_body!(@put $v, $out) as Put>::pointers($outs);
        for i in $from..$to {
            // SAFETY: the caller promises `n` elements behind every pointer.
            unsafe { body::<$v>([$(<$v>::load(*$x.add(i))),*], [$($p),*]).put(to, i) };
        }
    }};
}
