//! Times of the kernel families from Rust, beside what this machine can do at most: `cargo bench --no-default-features
//! --bench kernels`. Leans on clock.

mod clock;

use clock::{columns, heading, peak, row, stream, time};
use schuss::graph::mode::GradGuard;
use schuss::ops::{arith, extreme, linear, math, reduce};
use schuss::{DType, Result, Tensor};

const MILLION: usize = 1 << 20;

/// The numbers of a period, which need no generator.
fn numbers(n: usize, shape: &[usize]) -> Result<Tensor> {
    let list: Vec<f32> = (0..n).map(|i| 0.5 + (i % 251) as f32 / 251.0).collect();
    Tensor::from_slice(&list, shape)
}

/// An operation with its operands bound.
type Ask<'a> = Box<dyn Fn() -> Result<Tensor> + 'a>;

/// Rows of which memory is the limit: bytes read and written per call.
fn moved(rows: &[(&str, usize, usize, Ask)], peak: f64) -> Result<()> {
    columns("ns an element", "of the stream");
    for (name, elements, bytes, ask) in rows {
        ask()?;
        let timing = time(ask);
        let each = format!("{:.3}", 1e9 * timing.seconds / *elements as f64);
        row(name, &timing, &each, &format!("{:.0} %", 100.0 * *bytes as f64 / timing.seconds / peak));
    }
    println!();
    Ok(())
}

fn maps_and_folds(stream: f64) -> Result<()> {
    let (a, b) = (numbers(MILLION, &[MILLION])?, numbers(MILLION, &[MILLION])?);
    let square = numbers(MILLION, &[1024, 1024])?;
    let turned = schuss::ops::view::transpose(&square, 0, 1)?;
    let line = numbers(1024, &[1024])?;
    moved(
        &[
            ("add, 1M float32", MILLION, 12 * MILLION, Box::new(|| arith::add(&a, &b))),
            ("add, a matrix and a row, 1024 x 1024", MILLION, 8 * MILLION, Box::new(|| arith::add(&square, &line))),
            ("add, a matrix and a transposed one", MILLION, 12 * MILLION, Box::new(|| arith::add(&square, &turned))),
            ("exp, 1M float32", MILLION, 8 * MILLION, Box::new(|| math::exp(&a))),
            ("tanh, 1M float32", MILLION, 8 * MILLION, Box::new(|| math::tanh(&a))),
            ("sum, 1M float32", MILLION, 4 * MILLION, Box::new(|| reduce::sum(&a, (), false, ()))),
            ("sum along the rows, 1024 x 1024", MILLION, 4 * MILLION, Box::new(|| reduce::sum(&square, [1], false, ()))),
            ("sum along the columns, 1024 x 1024", MILLION, 4 * MILLION, Box::new(|| reduce::sum(&square, [0], false, ()))),
            ("amax, 1M float32", MILLION, 4 * MILLION, Box::new(|| extreme::amax(&a, (), false))),
            ("argmax along the rows, 1024 x 1024", MILLION, 4 * MILLION, Box::new(|| extreme::argmax(&square, 1, false))),
            ("softmax along the rows, 1024 x 1024", MILLION, 8 * MILLION, Box::new(|| reduce::softmax(&square, 1, ()))),
        ],
        stream,
    )
}

fn products(peak: f64) -> Result<()> {
    columns("GFLOP/s", "of the peak");
    for n in [64usize, 128, 256, 512, 1024] {
        let (a, b) = (numbers(n * n, &[n, n])?, numbers(n * n, &[n, n])?);
        linear::matmul(&a, &b)?;
        let timing = time(|| linear::matmul(&a, &b));
        let speed = 2.0 * (n as f64).powi(3) / timing.seconds;
        row(&format!("matmul, {n} x {n}"), &timing, &format!("{:.1}", speed / 1e9), &format!("{:.0} %", 100.0 * speed / peak));
    }
    println!();
    Ok(())
}

fn small() -> Result<()> {
    columns("", "");
    let (a, b) = (numbers(6, &[6])?, numbers(6, &[6])?);
    let w = numbers(6, &[6])?;
    w.require_grad(true)?;
    row("add, 6 elements", &time(|| arith::add(&a, &b)), "", "");
    row("add, 6 elements, recorded", &time(|| arith::add(&w, &b)), "", "");
    let quiet = GradGuard::set(false);
    row("add, 6 elements, a parameter, grad mode off", &time(|| arith::add(&w, &b)), "", "");
    drop(quiet);
    row("mul, 6 elements by a number, recorded", &time(|| arith::mul(&w, 2.0)), "", "");
    row("sum, 6 elements", &time(|| reduce::sum(&a, (), false, ())), "", "");
    let (a, b) = (numbers(6, &[2, 3])?, numbers(6, &[3, 2])?);
    row("matmul, (2, 3) @ (3, 2)", &time(|| linear::matmul(&a, &b)), "", "");
    row("zeros, 6 elements", &time(|| Tensor::zeros(&[6], DType::F32)), "", "");
    Ok(())
}

fn main() -> Result<()> {
    heading("Kernels");
    let (stream, (peak, lanes)) = (stream(), peak());
    println!("stream: {:.1} GB/s, copying 4 MB to 4 MB, read and written bytes counted", stream / 1e9);
    println!("peak: {:.1} GFLOP/s, float32 multiply-adds in registers, {lanes} a vector\n", peak / 1e9);
    maps_and_folds(stream)?;
    products(peak)?;
    small()
}
