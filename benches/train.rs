//! Times of whole training steps from Rust: `cargo bench --no-default-features --bench train`. Leans on clock.

mod clock;

use clock::{columns, heading, row, time};
use schuss::engine::write;
use schuss::graph::mode::GradGuard;
use schuss::graph::{Feed, Op};
use schuss::ops::{activation, arith, index, linear, reduce, step, view};
use schuss::{Result, Tensor};

/// Small numbers on both sides of 0, which need no generator.
fn numbers(shape: &[usize], scale: f32) -> Result<Tensor> {
    let n = shape.iter().product();
    let list: Vec<f32> = (1..=n).map(|i| scale * (2.0 * (i as f64 * 0.618_033_988_749_895).fract() - 1.0) as f32).collect();
    Tensor::from_slice(&list, shape)
}

fn parameter(shape: &[usize], scale: f32) -> Result<Tensor> {
    let t = numbers(shape, scale)?;
    t.require_grad(true)?;
    Ok(t)
}

fn in_place(op: &'static Op, target: &Tensor, other: &Tensor, args: &[schuss::graph::Arg]) -> Result<()> {
    write::apply(op, target, &[Feed::Tensor(target), Feed::Tensor(other)], args)
}

/// 100 points of a line: product, sum, mean squared error by hand, the update under grad mode off.
fn line() -> Result<impl Fn() -> Result<f64>> {
    let x = numbers(&[100, 2], 1.0)?;
    let y = linear::matmul(&x, &Tensor::from_slice(&[2f32, -3.4], &[2, 1])?)?;
    let (w, b) = (parameter(&[2, 1], 0.1)?, parameter(&[1], 0.1)?);
    Ok(move || {
        let guess = arith::add(&linear::matmul(&x, &w)?, &b)?;
        let loss = reduce::mean(&arith::square(&arith::sub(&guess, &y)?)?, (), false, ())?;
        loss.backward()?;
        let _quiet = GradGuard::set(false);
        for p in [&w, &b] {
            if let Some(slope) = p.grad() {
                in_place(&arith::sub::OP, p, &arith::mul(&slope, 0.1)?, &[])?;
            }
            p.set_grad(None);
        }
        Ok(loss.item()?.as_f64())
    })
}

/// A network of two layers on 64 pictures of 784 numbers, ten classes, cross-entropy.
fn network() -> Result<impl Fn() -> Result<f64>> {
    let x = numbers(&[64, 784], 1.0)?;
    let labels: Vec<i64> = (0..64).map(|i| i * 7 % 10).collect();
    let labels = view::unsqueeze(&Tensor::from_slice(&labels, &[64])?, 1)?;
    let layers = [parameter(&[128, 784], 0.06)?, parameter(&[128], 0.0)?, parameter(&[10, 128], 0.15)?, parameter(&[10], 0.0)?];
    Ok(move || {
        let [w, b, v, c] = &layers;
        let hidden = activation::relu(&linear::linear(&x, w, b)?)?;
        let scores = reduce::log_softmax(&linear::linear(&hidden, v, c)?, 1, ())?;
        let loss = arith::neg(&reduce::mean(&index::gather(&scores, &labels, 1)?, (), false, ())?)?;
        loss.backward()?;
        let _quiet = GradGuard::set(false);
        for p in &layers {
            if let Some(slope) = p.grad() {
                in_place(&step::plain_step::OP, p, &slope, &[1.0.into(), 0.05.into(), 0.0.into()])?;
            }
            p.set_grad(None);
        }
        Ok(loss.item()?.as_f64())
    })
}

/// A row of the table, after the steps have been seen to learn.
fn report(name: &str, step: impl Fn() -> Result<f64>, flops: f64) -> Result<()> {
    let first = step()?;
    let mut last = first;
    for _ in 0..200 {
        last = step()?;
    }
    assert!(last < 0.5 * first, "{name}: the loss went from {first} to {last}");
    let timing = time(&step);
    let speed = if flops > 0.0 { format!("{:.1} GFLOP/s", flops / timing.seconds / 1e9) } else { String::new() };
    row(name, &timing, &format!("{:.0}", 1.0 / timing.seconds), &speed);
    Ok(())
}

fn main() -> Result<()> {
    heading("Training");
    columns("steps a second", "matrix products");
    report("a line: (100, 2) @ (2, 1), SGD", line()?, 0.0)?;
    // Forward and the weights' gradients take 2 * 64 * in * out each; the hidden layer's gradient one more.
    let flops = 2.0 * 64.0 * (2.0 * 784.0 * 128.0 + 3.0 * 128.0 * 10.0);
    report("a network: 784-128-10, batch 64, SGD", network()?, flops)?;
    Ok(())
}
