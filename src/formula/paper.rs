//! A formula written down: the body of a map read with `Paper` as its value becomes a list of lines. Leans on value.
//!
//! This is what fusion joins, what a shader is printed from, and what the slow oracle evaluates line by line.

use super::value::{Float, Integer, Truth, Value};
use std::cell::RefCell;
use std::fmt;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

/// The words of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    Add,
    Sub,
    Mul,
    Div,
    Neg,
    Abs,
    Conj,
    Lt,
    Le,
    Eq,
    IsNan,
    And,
    Or,
    Xor,
    Not,
    Select,
    Modulo,
    Fmod,
    FloorDiv,
    Pow,
    BitAnd,
    BitOr,
    BitXor,
    BitNot,
    Shl,
    Shr,
    Sqrt,
    Floor,
    Ceil,
    Trunc,
    Round,
    Exp,
    Exp2,
    Expm1,
    Log,
    Log2,
    Log10,
    Log1p,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Atan2,
    Sinh,
    Cosh,
    Tanh,
    Asinh,
    Acosh,
    Atanh,
    Erf,
    Erfc,
    Sigmoid,
    Lgamma,
    Digamma,
    Copysign,
}

/// One line: an input, a parameter, a constant, or a word applied to earlier lines.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    Input(usize),
    Param(usize),
    Constant(f64),
    Apply(Word, Vec<usize>),
}

/// A straight-line program on scalars; `outputs` name the lines that are its results.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Formula {
    pub lines: Vec<Line>,
    pub outputs: Vec<usize>,
}

/// A value on paper: the number of its line.
#[derive(Clone, Copy, Debug)]
pub struct Paper(usize);

/// A truth on paper.
#[derive(Clone, Copy, Debug)]
pub struct PaperMask(usize);

thread_local! {
    static SHEET: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

fn write(line: Line) -> usize {
    SHEET.with_borrow_mut(|sheet| {
        // An equal line is found again instead of written twice.
        let same = |l: &Line| match (l, &line) {
            (Line::Constant(a), Line::Constant(b)) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        };
        sheet.iter().position(same).unwrap_or_else(|| {
            sheet.push(line);
            sheet.len() - 1
        })
    })
}

fn apply(word: Word, on: &[usize]) -> usize {
    write(Line::Apply(word, on.to_vec()))
}

impl Formula {
    /// Reads a body: `body` gets its inputs and parameters on paper and returns its outputs' lines.
    pub fn read(inputs: usize, params: usize, body: impl FnOnce(&[Paper], &[Paper]) -> Vec<usize>) -> Formula {
        let outer = SHEET.take();
        let ins: Vec<Paper> = (0..inputs).map(|i| Paper(write(Line::Input(i)))).collect();
        let pars: Vec<Paper> = (0..params).map(|i| Paper(write(Line::Param(i)))).collect();
        let outputs = body(&ins, &pars);
        Formula { lines: SHEET.replace(outer), outputs }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, line) in self.lines.iter().enumerate() {
            match line {
                Line::Input(k) => writeln!(f, "v{i} = x{k}")?,
                Line::Param(k) => writeln!(f, "v{i} = p{k}")?,
                Line::Constant(c) => writeln!(f, "v{i} = {c:?}")?,
                Line::Apply(word, on) => {
                    let text: String = on.iter().map(|o| format!(" v{o}")).collect();
                    writeln!(f, "v{i} = {}{text}", format!("{word:?}").to_lowercase())?;
                }
            }
        }
        writeln!(f, "return {}", self.outputs.iter().map(|o| format!("v{o}")).collect::<Vec<_>>().join(", "))
    }
}

/// What a body may return: a value, a truth, or several values.
pub trait OnPaper {
    fn lines(&self) -> Vec<usize>;
}
impl OnPaper for Paper {
    fn lines(&self) -> Vec<usize> {
        vec![self.0]
    }
}
impl OnPaper for PaperMask {
    fn lines(&self) -> Vec<usize> {
        vec![self.0]
    }
}
impl<const N: usize> OnPaper for [Paper; N] {
    fn lines(&self) -> Vec<usize> {
        self.iter().map(|p| p.0).collect()
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $word:ident),*) => {$(
        impl $trait for Paper {
            type Output = Paper;
            fn $method(self, other: Paper) -> Paper { Paper(apply(Word::$word, &[self.0, other.0])) }
        }
    )*};
}
operators!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div, BitAnd bitand BitAnd, BitOr bitor BitOr, BitXor bitxor BitXor);

macro_rules! with_literals {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait<f64> for Paper {
            type Output = Paper;
            fn $method(self, other: f64) -> Paper { $trait::$method(self, Paper::lit(other)) }
        }
        impl $trait<Paper> for f64 {
            type Output = Paper;
            fn $method(self, other: Paper) -> Paper { $trait::$method(Paper::lit(self), other) }
        }
    )*};
}
with_literals!(Add add, Sub sub, Mul mul, Div div);

impl Neg for Paper {
    type Output = Paper;
    fn neg(self) -> Paper {
        Paper(apply(Word::Neg, &[self.0]))
    }
}
impl Not for Paper {
    type Output = Paper;
    fn not(self) -> Paper {
        Paper(apply(Word::BitNot, &[self.0]))
    }
}

macro_rules! mask_operators {
    ($($trait:ident $method:ident $word:ident),*) => {$(
        impl $trait for PaperMask {
            type Output = PaperMask;
            fn $method(self, other: PaperMask) -> PaperMask { PaperMask(apply(Word::$word, &[self.0, other.0])) }
        }
    )*};
}
mask_operators!(BitAnd bitand And, BitOr bitor Or, BitXor bitxor Xor);
impl Not for PaperMask {
    type Output = PaperMask;
    fn not(self) -> PaperMask {
        PaperMask(apply(Word::Not, &[self.0]))
    }
}
impl Truth for PaperMask {}

macro_rules! words {
    ($($name:ident($($arg:ident),*) $word:ident),* $(,)?) => {$(
        fn $name(self $(, $arg: Self)*) -> Self { Paper(apply(Word::$word, &[self.0 $(, $arg.0)*])) }
    )*};
}

impl Value for Paper {
    type Mask = PaperMask;
    fn lit(value: f64) -> Paper {
        Paper(write(Line::Constant(value)))
    }
    fn lt(self, other: Paper) -> PaperMask {
        PaperMask(apply(Word::Lt, &[self.0, other.0]))
    }
    fn le(self, other: Paper) -> PaperMask {
        PaperMask(apply(Word::Le, &[self.0, other.0]))
    }
    fn equals(self, other: Paper) -> PaperMask {
        PaperMask(apply(Word::Eq, &[self.0, other.0]))
    }
    fn is_nan(self) -> PaperMask {
        PaperMask(apply(Word::IsNan, &[self.0]))
    }
    fn select(mask: PaperMask, yes: Paper, no: Paper) -> Paper {
        Paper(apply(Word::Select, &[mask.0, yes.0, no.0]))
    }
    words!(abs() Abs, conj() Conj, modulo(other) Modulo, fmod(other) Fmod, floor_div(other) FloorDiv, pow(other) Pow);
}

impl Integer for Paper {
    words!(shl(other) Shl, shr(other) Shr);
}

impl Float for Paper {
    words!(
        sqrt() Sqrt, floor() Floor, ceil() Ceil, trunc() Trunc, round() Round, exp() Exp, exp2() Exp2, expm1() Expm1,
        log() Log, log2() Log2, log10() Log10, log1p() Log1p, sin() Sin, cos() Cos, tan() Tan, asin() Asin,
        acos() Acos, atan() Atan, atan2(other) Atan2, sinh() Sinh, cosh() Cosh, tanh() Tanh, asinh() Asinh,
        acosh() Acosh, atanh() Atanh, erf() Erf, erfc() Erfc, sigmoid() Sigmoid, lgamma() Lgamma, digamma() Digamma, copysign(other) Copysign,
    );
}
