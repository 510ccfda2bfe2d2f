//! The core as a Rust library, without Python: training, views, deep graphs, errors and threads.
//! Leans on schuss alone, as a program that uses it would.

use schuss::base::error::ErrorKind;
use schuss::engine::{backward, write};
use schuss::graph::mode::GradGuard;
use schuss::graph::{Feed, Op};
use schuss::ops::{activation, arith, compare, extreme, index, linear, loss, math, moves, reduce, view};
use schuss::tensor::index::{Item, get, set};
use schuss::{DType, Result, Tensor};

/// `target = op(target, other)` over the same bytes.
fn in_place<'a>(op: &'static Op, target: &'a Tensor, other: impl Into<Feed<'a>>) -> Result<()> {
    write::apply(op, target, &[target.into(), other.into()], &[])
}

fn leaf(list: &[f32], shape: &[usize]) -> Result<Tensor> {
    let t = Tensor::from_slice(list, shape)?;
    t.require_grad(true)?;
    Ok(t)
}

fn grad(t: &Tensor) -> Vec<f64> {
    t.grad().expect("a leaf that was reached has a gradient").to_vec()
}

fn number(t: &Tensor) -> Result<f64> {
    Ok(t.item()?.as_f64())
}

fn row(i: i64) -> [Item; 1] {
    [Item::Int(i)]
}

/// One step of gradient descent, outside the graph; the gradients are forgotten.
fn descend(parameters: &[&Tensor], rate: f64) -> Result<()> {
    let _quiet = GradGuard::set(false);
    for p in parameters {
        let slope = p.grad().expect("backward has reached every parameter");
        in_place(&arith::sub::OP, p, &arith::mul(&slope, rate)?)?;
        p.set_grad(None);
    }
    Ok(())
}

/// Numbers of [-1, 1) that need no generator: the golden ratio's multiples.
fn spread(n: usize) -> Vec<f32> {
    (1..=n).map(|i| (2.0 * (i as f64 * 0.618_033_988_749_895).fract() - 1.0) as f32).collect()
}

#[test]
fn a_line_is_learned() -> Result<()> {
    let points = spread(200);
    let labels: Vec<f32> = points.chunks(2).map(|p| 2.0 * p[0] - 3.4 * p[1] + 4.2).collect();
    let (x, y) = (Tensor::from_slice(&points, &[100, 2])?, Tensor::from_slice(&labels, &[100, 1])?);
    let (w, b) = (leaf(&[0.0, 0.0], &[2, 1])?, leaf(&[0.0], &[1])?);
    let mut losses = Vec::new();
    for _ in 0..200 {
        let guess = arith::add(&linear::matmul(&x, &w)?, &b)?;
        let error = loss::mse_loss(&guess, &y, ())?;
        error.backward()?;
        descend(&[&w, &b], 0.3)?;
        losses.push(number(&error)?);
    }
    assert!(losses[0] > 10.0 && losses[199] < 1e-8, "the loss went from {} to {}", losses[0], losses[199]);
    for (got, want) in [w.to_vec::<f64>(), b.to_vec()].concat().iter().zip([2.0, -3.4, 4.2]) {
        assert!((got - want).abs() < 1e-3, "{got}, not {want}");
    }
    Ok(())
}

#[test]
fn a_network_of_two_layers_learns_exclusive_or() -> Result<()> {
    let x = Tensor::from_slice(&[0f32, 0., 0., 1., 1., 0., 1., 1.], &[4, 2])?;
    let y = Tensor::from_slice(&[0f32, 1., 1., 0.], &[4, 1])?;
    let start = spread(24);
    let (w, b) = (leaf(&start[..16], &[8, 2])?, leaf(&[0.0; 8], &[8])?);
    let (v, c) = (leaf(&start[16..], &[1, 8])?, leaf(&[0.0], &[1])?);
    let guess = || linear::linear(&math::tanh(&linear::linear(&x, &w, &b)?)?, &v, &c);
    let first = number(&loss::mse_loss(&guess()?, &y, ())?)?;
    for _ in 0..2000 {
        loss::mse_loss(&guess()?, &y, ())?.backward()?;
        descend(&[&w, &b, &v, &c], 0.2)?;
    }
    let last = number(&loss::mse_loss(&guess()?, &y, ())?)?;
    assert!(first > 0.2 && last < 1e-3, "the loss went from {first} to {last}");
    let answers: Vec<f64> = guess()?.to_vec();
    assert_eq!(answers.iter().map(|a| a.round()).collect::<Vec<_>>(), [0.0, 1.0, 1.0, 0.0]);
    Ok(())
}

#[test]
fn views_share_their_elements() -> Result<()> {
    let x = Tensor::from_slice(&[1f32, 2., 3., 4., 5., 6.], &[2, 3])?;
    let turned = view::transpose(&x, 0, 1)?;
    let back = get(&x, &[Item::Ellipsis, Item::Slice(None, None, Some(-1))])?;
    in_place(&arith::mul::OP, &get(&turned, &row(1))?, 10.0)?;
    assert_eq!(x.to_vec::<f32>(), [1., 20., 3., 4., 50., 6.]);
    assert_eq!(back.to_vec::<f32>(), [3., 20., 1., 6., 50., 4.]);
    // Written from back to front, and over itself.
    set(&back, &[Item::Int(0)], Feed::Tensor(&Tensor::from_slice(&[7f32, 8., 9.], &[3])?))?;
    assert_eq!(x.to_vec::<f32>(), [9., 8., 7., 4., 50., 6.]);
    set(&x, &[], Feed::Tensor(&back))?;
    assert_eq!(x.to_vec::<f32>(), [7., 8., 9., 6., 50., 4.]);
    assert_eq!(turned.to_vec::<f32>(), [7., 6., 8., 50., 9., 4.]);
    Ok(())
}

#[test]
fn writes_through_views_have_the_right_gradients() -> Result<()> {
    // y = 1 x; its first row is tripled, its last column gets the second's square.
    let x = leaf(&[1., 2., 3., 4., 5., 6.], &[2, 3])?;
    let y = arith::mul(&x, 1.0)?;
    in_place(&arith::mul::OP, &get(&y, &row(0))?, 3.0)?;
    let column = |k| [Item::Slice(None, None, None), Item::Int(k)];
    let square = arith::square(&view::clone_(&get(&y, &column(1))?)?)?;
    set(&y, &column(2), (&square).into())?;
    assert_eq!(y.to_vec::<f32>(), [3., 6., 36., 4., 5., 25.]);
    reduce::sum(&y, (), false, ())?.backward()?;
    // d/dx of 3 x0 + 3 x1 + (3 x1)^2 and of x3 + x4 + x4^2.
    assert_eq!(grad(&x), [3., 3. + 18. * 2., 0., 1., 1. + 2. * 5., 0.]);
    Ok(())
}

#[test]
fn a_view_taken_before_the_write_sees_it_in_its_gradient() -> Result<()> {
    let x = leaf(&[1., 2., 3.], &[3])?;
    let y = arith::mul(&x, 2.0)?;
    let seen = get(&y, &[Item::Slice(Some(1), None, None)])?;
    in_place(&arith::mul::OP, &y, 5.0)?;
    reduce::sum(&arith::square(&seen)?, (), false, ())?.backward()?;
    // (10 x)^2 for the last two.
    assert_eq!(grad(&x), [0., 400., 600.]);
    Ok(())
}

#[test]
fn second_derivatives_are_derivatives() -> Result<()> {
    let x = leaf(&[2.0], &[1])?;
    let cube = arith::mul(&arith::square(&x)?, &x)?;
    let found = |list: Vec<Option<Tensor>>| list.into_iter().flatten().next().expect("x is an input of its cube");
    let first = found(backward::grad(&[cube], std::slice::from_ref(&x), &[None], true, true)?);
    assert_eq!(first.to_vec::<f32>(), [12.0]);
    let second = found(backward::grad(&[first], std::slice::from_ref(&x), &[None], false, false)?);
    assert_eq!(second.to_vec::<f32>(), [12.0]);
    Ok(())
}

const LONG: usize = 1_000_000;

fn long_chain() -> Result<()> {
    let x = leaf(&[0.0], &[1])?;
    let mut y = arith::mul(&x, 3.0)?;
    for _ in 0..LONG {
        y = arith::add(&y, 1.0)?;
    }
    assert_eq!(y.to_vec::<f32>(), [LONG as f32]);
    y.backward()?;
    assert_eq!(grad(&x), [3.0]);
    drop(y);
    // A second one is dropped with its whole graph, never walked.
    let mut z = arith::mul(&x, 3.0)?;
    for _ in 0..LONG {
        z = arith::add(&z, &x)?;
    }
    drop(z);
    Ok(())
}

/// On a stack of an eighth of what a thread usually has: whatever recursed would end the process.
#[test]
fn a_chain_of_a_million_is_built_differentiated_and_dropped() -> Result<()> {
    let small = std::thread::Builder::new().stack_size(256 * 1024);
    small.spawn(long_chain).expect("a thread can be started").join().expect("the thread ends without a panic")
}

fn refused(result: Result<Tensor>, kind: ErrorKind, words: &[&str]) {
    match result {
        Ok(t) => panic!("{t:?} where an error with {words:?} was due"),
        Err(e) => {
            assert_eq!(e.kind(), kind, "{e}");
            let text = e.to_string();
            for word in words {
                assert!(text.contains(word), "{text:?} does not say {word:?}");
            }
        }
    }
}

#[test]
fn bad_input_is_an_error_and_no_panic() -> Result<()> {
    use ErrorKind::{Index, Memory, Runtime, Shape, Value};
    let x = Tensor::from_slice(&[1f32, 2., 3., 4., 5., 6.], &[2, 3])?;
    let y = Tensor::zeros(&[2, 3], DType::F32)?;
    let nothing = Tensor::zeros(&[0, 3], DType::F32)?;
    let far = Tensor::from_slice(&[0i64, 7], &[1, 2])?;
    let whole = Tensor::from_slice(&[6i64, 7], &[2])?;
    refused(Tensor::from_slice(&[1f32, 2.], &[3]), Shape, &["from_slice", "2 elements", "(3,)"]);
    refused(arith::add(&x, &Tensor::zeros(&[2, 2], DType::F32)?), Shape, &["add", "(2, 3)", "(2, 2)"]);
    refused(linear::matmul(&x, &y), Shape, &["matmul", "(2, 3) @ (2, 3)", "inner sizes 3 and 2"]);
    refused(linear::matmul(&x, &Tensor::zeros(&[3, 1], DType::F64)?), ErrorKind::DType, &["matmul", "float32", "float64"]);
    refused(moves::cat(&[&x, &far], 0), Shape, &["cat", "(2, 3)", "(1, 2)"]);
    refused(view::view(&x, [4]), Shape, &["view", "(2, 3)", "4"]);
    refused(view::permute(&x, [0, 0]), Runtime, &["permute", "0"]);
    refused(view::expand(&x, [3, 3]), Shape, &["expand", "(2, 3)", "(3, 3)"]);
    refused(view::transpose(&x, 0, 2), Index, &["transpose", "2"]);
    refused(view::slice(&x, [0, 0], [3, 2], [1, 1]), Runtime, &["slice", "[3, 2]"]);
    refused(view::as_strided(&x, [3, 3], [4, 4], 0), Runtime, &["as_strided"]);
    refused(get(&x, &row(2)), Index, &["index 2", "axis 0", "(2, 3)", "-2 to 1"]);
    refused(get(&x, &row(i64::MIN)), Index, &["out of range"]);
    refused(get(&x, &[Item::Tensor(far.clone())]), Index, &["7", "size 2"]);
    refused(index::gather(&x, &far, 0), Runtime, &["gather", "7", "size 2"]);
    refused(extreme::amax(&nothing, (), false), Runtime, &["(0, 3)", "no element"]);
    refused(reduce::mean(&whole, (), false, ()), ErrorKind::DType, &["mean", "int64"]);
    refused(arith::floor_divide(&whole, 0), Runtime, &["zero"]);
    refused(activation::silu(&whole), ErrorKind::DType, &["silu", "int64"]);
    refused(loss::mse_loss(&x, &y, "median"), Value, &["mse_loss", "median"]);
    refused(Tensor::empty(&[1 << 45], DType::F32), Memory, &["no memory for 140737488355328 bytes"]);
    refused(Tensor::empty(&[1 << 61], DType::F32), Shape, &["(2305843009213693952,)"]);
    refused(Tensor::zeros(&[1 << 40, 1 << 40], DType::I8), Shape, &["1099511627776", "elements"]);
    refused(Tensor::arange(0.into(), 5.into(), 0.into(), DType::I64), Runtime, &["arange", "step"]);
    Ok(())
}

#[test]
fn misuse_of_the_graph_is_an_error_and_no_panic() -> Result<()> {
    use ErrorKind::{Grad, Runtime};
    let nothing = |result: Result<()>| result.map(|()| Tensor::zeros(&[], schuss::DType::F32))?;
    let x = leaf(&[1., 2.], &[2])?;
    refused(nothing(Tensor::zeros(&[], schuss::DType::F32)?.backward()), Grad, &["does not require grad"]);
    refused(nothing(arith::mul(&x, 2.0)?.backward()), Grad, &["scalar", "(2,)"]);
    refused(nothing(in_place(&arith::add::OP, &x, 1.0)), Grad, &["leaf", "no_grad"]);
    refused(nothing(Tensor::zeros(&[2], schuss::DType::I64)?.require_grad(true).map(drop)), Runtime, &["int64"]);
    refused(nothing(x.item().map(drop)), Runtime, &["item", "(2,)"]);

    let y = reduce::sum(&arith::square(&x)?, (), false, ())?;
    y.backward()?;
    refused(nothing(y.backward()), Grad, &["backward", "retain"]);

    // What the derivative of the square reads is overwritten before it is read.
    let held = arith::mul(&x, 1.0)?;
    let z = reduce::sum(&arith::square(&held)?, (), false, ())?;
    in_place(&arith::add::OP, &held, 1.0)?;
    refused(nothing(z.backward()), Grad, &["square", "in-place", "version 1"]);
    Ok(())
}

#[test]
fn threads_compute_on_shared_tensors() -> Result<()> {
    const TIMES: usize = 300;
    let n = 40_000;
    let x = Tensor::from_slice(&spread(n), &[n])?;
    let w = leaf(&[1.0, 2.0, 3.0], &[3])?;
    let want = arith::add(&math::tanh(&x)?, 1.0)?.to_vec::<f32>();
    let turns = |sign: f64| -> Result<()> {
        for _ in 0..TIMES {
            let scaled = arith::mul(&arith::mul(&w, sign)?, &w)?;
            reduce::sum(&scaled, (), false, ())?.backward()?;
        }
        for _ in 0..10 {
            let got = arith::add(&math::tanh(&x)?, 1.0)?;
            assert!(got.to_vec::<f32>() == want, "another thread's work is seen in the result");
        }
        Ok(())
    };
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = [1.0, 3.0]
            .map(|sign| {
                scope.spawn({
                    let turns = &turns;
                    move || turns(sign)
                })
            })
            .into_iter()
            .collect();
        threads.into_iter().map(|t| t.join().expect("the thread ends without a panic")).collect::<Vec<_>>()
    });
    results.into_iter().collect::<Result<()>>()?;
    // Nothing that either thread added is lost: d/dw of s w^2 is 2 s w, and s sums to 4.
    assert_eq!(grad(&w), [1.0, 2.0, 3.0].map(|w| TIMES as f64 * 8.0 * w));
    Ok(())
}

#[test]
fn grad_mode_is_each_threads_own() -> Result<()> {
    let x = leaf(&[1.0], &[1])?;
    let _quiet = GradGuard::set(false);
    assert!(!arith::mul(&x, 2.0)?.requires_grad());
    let there = std::thread::scope(|scope| scope.spawn(|| arith::mul(&x, 2.0).map(|y| y.requires_grad())).join());
    assert!(there.expect("the thread ends without a panic")?);
    Ok(())
}

#[test]
fn what_a_tensor_says_of_itself() -> Result<()> {
    let x = Tensor::from_slice(&[1f32, -2.5, 3., 4.], &[2, 2])?;
    assert_eq!(x.to_string(), "tensor([[ 1.0000, -2.5000],\n        [ 3.0000,  4.0000]])");
    let small = compare::lt(&x, 2)?;
    assert_eq!((small.dtype(), small.to_vec::<i64>()), (DType::Bool, vec![1, 1, 0, 0]));
    let picked = get(&x, &[Item::Tensor(small)])?;
    assert_eq!(picked.to_vec::<f64>(), [1.0, -2.5]);
    assert_eq!(Tensor::linspace(0.0, 1.0, 5, DType::F64)?.to_vec::<f64>(), [0.0, 0.25, 0.5, 0.75, 1.0]);
    Ok(())
}

#[test]
fn what_the_machine_has_not_got_is_an_error() {
    let found = Tensor::zeros(&[1 << 40, 8], DType::F32);
    assert!(found.is_err_and(|e| e.to_string().contains("memory")));
}

#[test]
fn a_window_may_not_look_past_its_tensor() {
    let x = Tensor::zeros(&[2, 2], DType::F32).expect("four zeros");
    assert!(schuss::ops::view::window(&x, [3i64, 3], [4i64, 4], 0i64).is_err());
    assert!(schuss::ops::view::window(&x, [1i64], [1i64], -5i64).is_err());
    assert!(schuss::ops::view::slice(&x, [1i64], [2i64], [-1i64]).is_err());
}
