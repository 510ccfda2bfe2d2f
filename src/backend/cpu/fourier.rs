//! Fourier transforms of rows: any length in n log n steps. Leans on the rustfft and realfft crates, and on convert.

use super::convert::{self, Cursor};
use super::{stop, threads};
use crate::backend::launch::{Fourier, Operand};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};
use num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftNum, FftPlanner};
use std::sync::{Arc, Mutex, PoisonError};

/// Steps of a transform that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// A real type, and the plans that were made for its transforms: planners remember them.
trait Lane: FftNum + Point<Self>
where
    Complex<Self>: Point<Self>,
{
    fn planners() -> &'static Planners<Self>;
}

/// Plans of a type: of whole transforms, and of halves.
type Planners<T> = Mutex<Option<(FftPlanner<T>, RealFftPlanner<T>)>>;

macro_rules! lanes {
    ($($t:ty),*) => {$(
        impl Lane for $t {
            fn planners() -> &'static Planners<$t> {
                static PLANNERS: Planners<$t> = Mutex::new(None);
                &PLANNERS
            }
        }
    )*};
}
lanes!(f32, f64);

fn planned<T: Lane, P>(pick: impl FnOnce(&mut (FftPlanner<T>, RealFftPlanner<T>)) -> P) -> P
where
    Complex<T>: Point<T>,
{
    let mut slot = T::planners().lock().unwrap_or_else(PoisonError::into_inner);
    pick(slot.get_or_insert_with(|| (FftPlanner::new(), RealFftPlanner::new())))
}

pub fn run(kind: Fourier, scale: f64, input: &Operand, out: &Operand) -> Result<()> {
    if out.numel() == 0 {
        return Ok(());
    }
    match (input.dtype, out.dtype) {
        (DType::F32 | DType::C64, DType::F32 | DType::C64) => typed::<f32>(kind, scale, input, out),
        (DType::F64 | DType::C128, DType::F64 | DType::C128) => typed::<f64>(kind, scale, input, out),
        (a, b) => Err(Error::bug("fft", format!("no transform from {a} to {b}"))),
    }
}

fn typed<T: Lane>(kind: Fourier, scale: f64, input: &Operand, out: &Operand) -> Result<()>
where
    Complex<T>: Point<T>,
{
    match kind {
        Fourier::Whole { inverse } => {
            let n = last(out);
            let plan: Arc<dyn Fft<T>> = planned(|p| if inverse { p.0.plan_fft_inverse(n) } else { p.0.plan_fft_forward(n) });
            rows::<T, Complex<T>, Complex<T>>(input, out, scale, |from, to, spare| {
                to.copy_from_slice(from);
                spare.resize(plan.get_inplace_scratch_len(), Complex::default());
                plan.process_with_scratch(to, spare);
                true
            })
        }
        Fourier::ToHalf => {
            let plan: Arc<dyn RealToComplex<T>> = planned(|p| p.1.plan_fft_forward(last(input)));
            rows::<T, T, Complex<T>>(input, out, scale, |from, to, spare| {
                spare.resize(plan.get_scratch_len(), Complex::default());
                plan.process_with_scratch(from, to, spare).is_ok()
            })
        }
        Fourier::FromHalf => {
            let n = last(out);
            let plan = planned(|p| p.1.plan_fft_inverse(n));
            rows::<T, Complex<T>, T>(input, out, scale, |from, to, spare| {
                // What stands for itself has no imaginary part; the halves of the others would cancel.
                from[0].im = T::zero();
                if n.is_multiple_of(2) {
                    from[n / 2].im = T::zero();
                }
                spare.resize(plan.get_scratch_len(), Complex::default());
                plan.process_with_scratch(from, to, spare).is_ok()
            })
        }
    }
}

fn last(x: &Operand) -> usize {
    x.layout.shape.last().copied().unwrap_or(1)
}

/// A number that a transform reads or writes.
trait Point<T>: Element {
    fn scaled(self, by: T) -> Self;
}
impl Point<f32> for f32 {
    fn scaled(self, by: f32) -> f32 {
        self * by
    }
}
impl Point<f64> for f64 {
    fn scaled(self, by: f64) -> f64 {
        self * by
    }
}
impl Point<f32> for Complex<f32> {
    fn scaled(self, by: f32) -> Complex<f32> {
        Complex::new(self.re * by, self.im * by)
    }
}
impl Point<f64> for Complex<f64> {
    fn scaled(self, by: f64) -> Complex<f64> {
        Complex::new(self.re * by, self.im * by)
    }
}

/// Each row read, transformed and written, by several threads where there are many.
fn rows<T: Lane, A: Point<T>, B: Point<T>>(
    input: &Operand,
    out: &Operand,
    scale: f64,
    work: impl Fn(&mut [A], &mut [B], &mut Vec<Complex<T>>) -> bool + Sync,
) -> Result<()>
where
    Complex<T>: Point<T>,
{
    let (n, m) = (last(input), last(out));
    let (from, to) = (Cursor::new(&input.layout), Cursor::new(&out.layout));
    let by = <T as Element>::from_f64(scale);
    let failed = std::sync::atomic::AtomicBool::new(false);
    threads::each(out.numel() / m, (CHUNK / n.max(m)).max(1), |range| {
        let (mut row, mut result, mut spare) = (vec![A::default(); n], vec![B::default(); m], Vec::new());
        for r in range {
            if n > CHUNK && stop::asked() {
                return;
            }
            // SAFETY: the rows hold `n` and `m` elements; each row of the output is written by one thread.
            unsafe { convert::read::<A>(input, &from, r * n, n, row.as_mut_ptr()) };
            if !work(&mut row, &mut result, &mut spare) {
                failed.store(true, std::sync::atomic::Ordering::Relaxed);
            }
            if scale != 1.0 {
                result.iter_mut().for_each(|y| *y = y.scaled(by));
            }
            // SAFETY: as above.
            unsafe { convert::write_as(B::DTYPE, result.as_ptr().cast(), out, &to, r * m, m) };
        }
    });
    if failed.into_inner() { Err(Error::bug("fft", "a row of another length than was planned")) } else { Ok(()) }
}
