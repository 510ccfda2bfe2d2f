//! Printed tensors, letter for letter, and what is read to print them.
//! Leans on the printer alone.
//!
//! The expected texts were printed by PyTorch 2.15 with this program, given the expression that
//! stands in each case and the options it sets:
//!
//!     import torch
//!     from torch import *
//!     from torch.nn import Parameter
//!     class Mask(Tensor): pass
//!     set_printoptions(precision=..., threshold=..., edgeitems=..., linewidth=..., sci_mode=...)
//!     print(eval(expression))

use schuss::Number;
use schuss::tensor::print::{Kind, Options, Source, body, call};
use std::cell::Cell;

/// A tensor with its elements in row-major order, and how it is to be printed.
struct Print {
    kind: Kind,
    shape: Vec<usize>,
    elements: Vec<Number>,
    options: Options,
    opening: &'static str,
    suffixes: Vec<String>,
}

fn tensor(kind: Kind, shape: &[usize], elements: Vec<Number>) -> Print {
    assert_eq!(shape.iter().product::<usize>(), elements.len(), "the case itself is wrong");
    Print { kind, shape: shape.to_vec(), elements, options: Options::default(), opening: "tensor(", suffixes: Vec::new() }
}

fn floats(shape: &[usize], values: impl IntoIterator<Item = f64>) -> Print {
    tensor(Kind::Float, shape, values.into_iter().map(Number::Float).collect())
}

fn integers(shape: &[usize], values: impl IntoIterator<Item = i64>) -> Print {
    tensor(Kind::Integer, shape, values.into_iter().map(Number::Int).collect())
}

fn bools(shape: &[usize], values: impl IntoIterator<Item = bool>) -> Print {
    tensor(Kind::Bool, shape, values.into_iter().map(Number::Bool).collect())
}

/// 0, 1, 2, ...
fn count(end: u32) -> impl Iterator<Item = f64> {
    (0..end).map(f64::from)
}

/// The float32 values nearest to these.
fn single(values: impl IntoIterator<Item = f64>) -> impl Iterator<Item = f64> {
    values.into_iter().map(|value| f64::from(value as f32))
}

impl Print {
    fn precision(mut self, digits: usize) -> Self {
        self.options.precision = digits;
        self
    }

    fn threshold(mut self, elements: usize) -> Self {
        self.options.threshold = elements;
        self
    }

    fn edgeitems(mut self, items: usize) -> Self {
        self.options.edgeitems = items;
        self
    }

    fn linewidth(mut self, characters: usize) -> Self {
        self.options.linewidth = characters;
        self
    }

    fn sci_mode(mut self, always: bool) -> Self {
        self.options.sci_mode = Some(always);
        self
    }

    fn opening(mut self, opening: &'static str) -> Self {
        self.opening = opening;
        self
    }

    fn suffixes<const N: usize>(mut self, suffixes: [&str; N]) -> Self {
        self.suffixes = suffixes.map(str::to_owned).to_vec();
        self
    }

    fn prints(self, expression: &str, expected: &str) {
        let at = |index: &[usize]| {
            let flat = index.iter().zip(&self.shape).fold(0, |flat, (i, size)| flat * size + i);
            self.elements[flat]
        };
        let source = Source { kind: self.kind, shape: &self.shape, at: &at };
        let text = call(self.opening, &source, &self.options, &self.suffixes);
        assert_eq!(text, expected, "\n{expression}\n{text}\n{expected}");
    }
}

#[test]
fn the_values_choose_the_form() {
    floats(&[3], [1.0, 2.0, 3.0]).prints("tensor([1.0, 2.0, 3.0])", "tensor([1., 2., 3.])");
    floats(&[], [3.0]).prints("tensor(3.0)", "tensor(3.)");
    floats(&[], single([2.34567])).prints("tensor(2.34567)", "tensor(2.3457)");
    floats(&[], [-0.0]).prints("tensor(-0.0)", "tensor(-0.)");
    floats(&[], [f64::NAN]).prints("tensor(nan)", "tensor(nan)");
    floats(&[0], []).prints("tensor([])", "tensor([])");
    floats(&[0, 3], []).suffixes(["size=(0, 3)"]).prints("zeros(0, 3)", "tensor([], size=(0, 3))");
    floats(&[3], single([0.1, 0.25, 1000.0])).prints("tensor([0.1, 0.25, 1000.0])", "tensor([1.0000e-01, 2.5000e-01, 1.0000e+03])");
    floats(&[3], [0.5, -12.0, 3.75]).prints("tensor([0.5, -12.0, 3.75])", "tensor([  0.5000, -12.0000,   3.7500])");
    floats(&[2], [1.0, 1000.0]).prints("tensor([1.0, 1000.0])", "tensor([   1., 1000.])");
    floats(&[2], [1.0, 1001.0]).prints("tensor([1.0, 1001.0])", "tensor([1.0000e+00, 1.0010e+03])");
    floats(&[2], [100000000.0, 200000000.0]).prints("tensor([1e8, 2e8])", "tensor([1.0000e+08, 2.0000e+08])");
    floats(&[1], single([0.0001])).prints("tensor([1e-4])", "tensor([1.0000e-04])");
    floats(&[1], [0.0001])
        .suffixes(["dtype=torch.float64"])
        .prints("tensor([1e-4], dtype=float64)", "tensor([0.0001], dtype=torch.float64)");
    floats(&[2], single([2e-05, 1e-05])).prints("tensor([2e-5, 1e-5])", "tensor([2.0000e-05, 1.0000e-05])");
    floats(&[2], [1.0, 10000000000.0]).prints("tensor([1.0, 1e10])", "tensor([1.0000e+00, 1.0000e+10])");
    floats(&[2], [1e+100, -1e-100])
        .suffixes(["dtype=torch.float64"])
        .prints("tensor([1e100, -1e-100], dtype=float64)", "tensor([ 1.0000e+100, -1.0000e-100], dtype=torch.float64)");
    floats(&[4], [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0]).prints("tensor([nan, inf, -inf, 1.0])", "tensor([nan, inf, -inf, 1.])");
    floats(&[3], [f64::NAN, f64::INFINITY, 0.5]).prints("tensor([nan, inf, 0.5])", "tensor([   nan,    inf, 0.5000])");
    floats(&[2], [f64::NAN, f64::NAN]).prints("tensor([nan, nan])", "tensor([nan, nan])");
    floats(&[2], single([f64::NEG_INFINITY, 1e-08])).prints("tensor([-inf, 1e-8])", "tensor([      -inf, 1.0000e-08])");
    floats(&[2], [0.0, -0.0]).prints("tensor([0.0, -0.0])", "tensor([0., -0.])");
    floats(&[3], [0.0, 0.03125, 0.09375]).precision(4).prints("tensor([0.0, 0.03125, 0.09375])", "tensor([0.0000, 0.0312, 0.0938])");
    floats(&[2], [0.03125, 0.09375]).precision(3).prints("tensor([0.03125, 0.09375])", "tensor([0.031, 0.094])");
    floats(&[2], single([0.1, 0.2])).prints("tensor([0.1, 0.2])", "tensor([0.1000, 0.2000])");
    floats(&[2], [0.1, 0.2])
        .precision(17)
        .suffixes(["dtype=torch.float64"])
        .prints("tensor([0.1, 0.2], dtype=float64)", "tensor([0.10000000000000001, 0.20000000000000001], dtype=torch.float64)");
    floats(&[2], single([0.1, 0.2])).precision(10).prints("tensor([0.1, 0.2])", "tensor([0.1000000015, 0.2000000030])");
    floats(&[2], [1.5, 2.5]).sci_mode(true).prints("tensor([1.5, 2.5])", "tensor([1.5000e+00, 2.5000e+00])");
    floats(&[2], [1.0, 1000000.0]).sci_mode(false).prints("tensor([1.0, 1e6])", "tensor([      1., 1000000.])");
    floats(&[2], [1.0, 2.0]).sci_mode(true).prints("tensor([1.0, 2.0])", "tensor([1.0000e+00, 2.0000e+00])");
    floats(&[2], [0.0, 0.0]).sci_mode(true).prints("tensor([0.0, 0.0])", "tensor([0., 0.])");
}

#[test]
fn lines_break_at_the_width_and_axes_at_blank_lines() {
    floats(&[2, 2], [1.5, 2.0, 3.0, -4.0]).prints(
        "tensor([[1.5, 2.0], [3.0, -4.0]])",
        "\
tensor([[ 1.5000,  2.0000],
        [ 3.0000, -4.0000]])",
    );
    floats(&[30], count(30)).prints(
        "arange(30.0)",
        "\
tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11., 12., 13.,
        14., 15., 16., 17., 18., 19., 20., 21., 22., 23., 24., 25., 26., 27.,
        28., 29.])",
    );
    floats(&[14], count(14).map(|x| x * -9.5)).prints(
        "arange(14.0) * -9.5",
        "\
tensor([  -0.0000,   -9.5000,  -19.0000,  -28.5000,  -38.0000,  -47.5000,
         -57.0000,  -66.5000,  -76.0000,  -85.5000,  -95.0000, -104.5000,
        -114.0000, -123.5000])",
    );
    floats(&[30], count(30)).linewidth(40).prints(
        "arange(30.0)",
        "\
tensor([ 0.,  1.,  2.,  3.,  4.,  5.,
         6.,  7.,  8.,  9., 10., 11.,
        12., 13., 14., 15., 16., 17.,
        18., 19., 20., 21., 22., 23.,
        24., 25., 26., 27., 28., 29.])",
    );
    floats(&[4], count(4)).linewidth(5).prints(
        "arange(4.0)",
        "\
tensor([0.,
        1.,
        2.,
        3.])",
    );
    floats(&[2, 3, 4], count(24)).prints(
        "arange(24.0).reshape(2, 3, 4)",
        "\
tensor([[[ 0.,  1.,  2.,  3.],
         [ 4.,  5.,  6.,  7.],
         [ 8.,  9., 10., 11.]],

        [[12., 13., 14., 15.],
         [16., 17., 18., 19.],
         [20., 21., 22., 23.]]])",
    );
    floats(&[2, 2, 2, 2], count(16)).prints(
        "arange(16.0).reshape(2, 2, 2, 2)",
        "\
tensor([[[[ 0.,  1.],
          [ 2.,  3.]],

         [[ 4.,  5.],
          [ 6.,  7.]]],


        [[[ 8.,  9.],
          [10., 11.]],

         [[12., 13.],
          [14., 15.]]]])",
    );
    floats(&[2, 20], count(40).map(|x| f64::from(x as f32 / 3.0))).prints(
        "arange(40.0).reshape(2, 20) / 3",
        "\
tensor([[ 0.0000,  0.3333,  0.6667,  1.0000,  1.3333,  1.6667,  2.0000,  2.3333,
          2.6667,  3.0000,  3.3333,  3.6667,  4.0000,  4.3333,  4.6667,  5.0000,
          5.3333,  5.6667,  6.0000,  6.3333],
        [ 6.6667,  7.0000,  7.3333,  7.6667,  8.0000,  8.3333,  8.6667,  9.0000,
          9.3333,  9.6667, 10.0000, 10.3333, 10.6667, 11.0000, 11.3333, 11.6667,
         12.0000, 12.3333, 12.6667, 13.0000]])",
    );
}

#[test]
fn large_tensors_are_shown_by_their_edges() {
    floats(&[1001], count(1001)).prints("arange(1001.0)", "tensor([   0.,    1.,    2.,  ...,  998.,  999., 1000.])");
    floats(&[1001], count(1001).map(|x| x / 4.0))
        .prints("arange(1001.0) / 4", "tensor([  0.0000,   0.2500,   0.5000,  ..., 249.5000, 249.7500, 250.0000])");
    floats(&[8], count(8)).threshold(5).prints("arange(8.0)", "tensor([0., 1., 2.,  ..., 5., 6., 7.])");
    floats(&[8], count(8)).threshold(5).edgeitems(1).prints("arange(8.0)", "tensor([0.,  ..., 7.])");
    floats(&[8], count(8)).threshold(5).edgeitems(4).prints("arange(8.0)", "tensor([0., 1., 2., 3., 4., 5., 6., 7.])");
    floats(&[8], count(8)).threshold(5).edgeitems(0).suffixes(["size=(8,)"]).prints("arange(8.0)", "tensor([...], size=(8,))");
    floats(&[40, 50], count(2000)).prints(
        "arange(2000.0).reshape(40, 50)",
        "\
tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 4.7000e+01, 4.8000e+01,
         4.9000e+01],
        [5.0000e+01, 5.1000e+01, 5.2000e+01,  ..., 9.7000e+01, 9.8000e+01,
         9.9000e+01],
        [1.0000e+02, 1.0100e+02, 1.0200e+02,  ..., 1.4700e+02, 1.4800e+02,
         1.4900e+02],
        ...,
        [1.8500e+03, 1.8510e+03, 1.8520e+03,  ..., 1.8970e+03, 1.8980e+03,
         1.8990e+03],
        [1.9000e+03, 1.9010e+03, 1.9020e+03,  ..., 1.9470e+03, 1.9480e+03,
         1.9490e+03],
        [1.9500e+03, 1.9510e+03, 1.9520e+03,  ..., 1.9970e+03, 1.9980e+03,
         1.9990e+03]])",
    );
    floats(&[10, 10, 12], count(1200).map(|x| x / 8.0)).edgeitems(1).prints(
        "arange(1200.0).reshape(10, 10, 12) / 8",
        "\
tensor([[[  0.0000,  ...,   1.3750],
         ...,
         [ 13.5000,  ...,  14.8750]],

        ...,

        [[135.0000,  ..., 136.3750],
         ...,
         [148.5000,  ..., 149.8750]]])",
    );
    floats(&[2, 2, 501], count(2004)).edgeitems(2).prints(
        "arange(2004.0).reshape(2, 2, 501)",
        "\
tensor([[[0.0000e+00, 1.0000e+00,  ..., 4.9900e+02, 5.0000e+02],
         [5.0100e+02, 5.0200e+02,  ..., 1.0000e+03, 1.0010e+03]],

        [[1.0020e+03, 1.0030e+03,  ..., 1.5010e+03, 1.5020e+03],
         [1.5030e+03, 1.5040e+03,  ..., 2.0020e+03, 2.0030e+03]]])",
    );
    floats(&[8, 8], count(64))
        .threshold(10)
        .edgeitems(0)
        .suffixes(["size=(8, 8)"])
        .prints("arange(64.0).reshape(8, 8)", "tensor([...], size=(8, 8))");
}

#[test]
fn suffixes_move_to_a_new_line_at_the_margin() {
    floats(&[3, 4], [2.0; 12]).suffixes(["grad_fn=<MulBackward0>"]).prints(
        "ones(3, 4, requires_grad=True) * 2",
        "\
tensor([[2., 2., 2., 2.],
        [2., 2., 2., 2.],
        [2., 2., 2., 2.]], grad_fn=<MulBackward0>)",
    );
    floats(&[8], [2.0; 8]).suffixes(["dtype=torch.float64", "grad_fn=<MulBackward0>"]).prints(
        "ones(8, dtype=float64, requires_grad=True) * 2",
        "\
tensor([2., 2., 2., 2., 2., 2., 2., 2.], dtype=torch.float64,
       grad_fn=<MulBackward0>)",
    );
    floats(&[7], [1.5; 7]).suffixes(["dtype=torch.float64", "grad_fn=<MulBackward0>"]).prints(
        "ones(7, dtype=float64, requires_grad=True) * 1.5",
        "\
tensor([1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000],
       dtype=torch.float64, grad_fn=<MulBackward0>)",
    );
    floats(&[20], [1.5; 20]).suffixes(["dtype=torch.float64", "grad_fn=<MulBackward0>"]).prints(
        "ones(20, dtype=float64, requires_grad=True) * 1.5",
        "\
tensor([1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000,
        1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000,
        1.5000, 1.5000], dtype=torch.float64, grad_fn=<MulBackward0>)",
    );
    floats(&[18], count(18)).suffixes(["requires_grad=True"]).prints(
        "arange(18.0, requires_grad=True)",
        "\
tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11., 12., 13.,
        14., 15., 16., 17.], requires_grad=True)",
    );
    floats(&[11], count(11)).suffixes(["requires_grad=True"]).prints(
        "arange(11.0, requires_grad=True)",
        "\
tensor([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10.],
       requires_grad=True)",
    );
    floats(&[2, 2], [1.0; 4]).suffixes(["requires_grad=True"]).prints(
        "Parameter(ones(2, 2))",
        "\
tensor([[1., 1.],
        [1., 1.]], requires_grad=True)",
    );
    floats(&[2, 2], [1.0; 4]).opening("Mask(").prints(
        "Mask(ones(2, 2))",
        "\
Mask([[1., 1.],
      [1., 1.]])",
    );
}

#[test]
fn integers_and_truth_values() {
    integers(&[3], [1, -20, 300]).prints("tensor([1, -20, 300])", "tensor([  1, -20, 300])");
    integers(&[], [7]).prints("tensor(7)", "tensor(7)");
    integers(&[2, 2], [1, 2, 3, 4]).suffixes(["dtype=torch.int32"]).prints(
        "tensor([[1, 2], [3, 4]], dtype=int32)",
        "\
tensor([[1, 2],
        [3, 4]], dtype=torch.int32)",
    );
    integers(&[2], [i64::MIN, i64::MAX])
        .prints("tensor([-9223372036854775808, 9223372036854775807])", "tensor([-9223372036854775808,  9223372036854775807])");
    integers(&[0], []).suffixes(["dtype=torch.int64"]).prints("tensor([], dtype=int64)", "tensor([], dtype=torch.int64)");
    integers(&[2, 0], [])
        .suffixes(["size=(2, 0)", "dtype=torch.uint8"])
        .prints("zeros(2, 0, dtype=uint8)", "tensor([], size=(2, 0), dtype=torch.uint8)");
    integers(&[1001], 0..1001).prints("arange(1001)", "tensor([   0,    1,    2,  ...,  998,  999, 1000])");
    integers(&[4, 25], -5..95).prints(
        "arange(-5, 95).reshape(4, 25)",
        "\
tensor([[-5, -4, -3, -2, -1,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12,
         13, 14, 15, 16, 17, 18, 19],
        [20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37,
         38, 39, 40, 41, 42, 43, 44],
        [45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
         63, 64, 65, 66, 67, 68, 69],
        [70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87,
         88, 89, 90, 91, 92, 93, 94]])",
    );
    bools(&[2], [true, false]).prints("tensor([True, False])", "tensor([ True, False])");
    bools(&[1], [true]).prints("tensor([True])", "tensor([True])");
    bools(&[], [false]).prints("tensor(False)", "tensor(False)");
    bools(&[2, 12], (0..24).map(|x| x % 5 == 0)).prints(
        "arange(24).reshape(2, 12) % 5 == 0",
        "\
tensor([[ True, False, False, False, False,  True, False, False, False, False,
          True, False],
        [False, False, False,  True, False, False, False, False,  True, False,
         False, False]])",
    );
    bools(&[1200], (0..1200).map(|x| x % 2 == 0))
        .prints("arange(1200) % 2 == 0", "tensor([ True, False,  True,  ..., False,  True, False])");
}

/// Elements that are not shown are not read: a tensor of 10^18 elements prints at once.
#[test]
fn only_the_edges_are_read() {
    let read = Cell::new(0);
    let at = |index: &[usize]| {
        read.set(read.get() + 1);
        Number::Int(index.iter().sum::<usize>() as i64)
    };
    let source = Source { kind: Kind::Integer, shape: &[1_000_000; 3], at: &at };
    let text = body(&source, &Options::default(), 0);
    assert_eq!(read.get(), 6 * 6 * 6);
    assert!(text.starts_with("[[[      0,       1,       2,  ...,  999997,  999998,  999999],\n"));
    assert!(text.ends_with("2999995, 2999996, 2999997]]]"));
}

/// The opening of `tensor(...)` is the common case of any opening.
#[test]
fn the_plain_face_is_an_opening_of_its_own() {
    let at = |_: &[usize]| Number::Float(0.5);
    let source = Source { kind: Kind::Float, shape: &[2], at: &at };
    let suffixes = ["requires_grad=True".to_owned()];
    let text = schuss::tensor::print::tensor(&source, &Options::default(), &suffixes);
    assert_eq!(text, "tensor([0.5000, 0.5000], requires_grad=True)");
}
