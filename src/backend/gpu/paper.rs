//! A record's formula as lines of WGSL. Leans on formula's paper and element.

use super::element::{Reg, change};
use crate::base::DType;
use crate::formula::Formula;
use crate::formula::paper::{Line, Word};
use std::fmt::Write as _;

/// The lines of a formula over inputs and parameters, named with a prefix, and the names of its results.
pub fn lines(formula: &Formula, compute: DType, ins: &[String], params: &[String], prefix: &str) -> Option<(String, Vec<String>)> {
    let reg = Reg::of(compute);
    let mut text = String::new();
    for (i, line) in formula.lines.iter().enumerate() {
        let value = match line {
            Line::Input(k) => ins[*k].clone(),
            Line::Param(k) => params[*k].clone(),
            Line::Constant(c) => reg.literal(*c),
            Line::Apply(word, on) => apply(*word, reg, compute, &on.iter().map(|k| format!("{prefix}{k}")).collect::<Vec<_>>())?,
        };
        let _ = writeln!(text, "let {prefix}{i} = {value};");
    }
    Some((text, formula.outputs.iter().map(|k| format!("{prefix}{k}")).collect()))
}

/// Whether a formula can be computed in a type: float64 has no mathematics beyond arithmetic on a GPU.
pub fn can(formula: &Formula, compute: DType) -> bool {
    formula.lines.iter().all(|line| match line {
        Line::Apply(word, on) => apply(*word, Reg::of(compute), compute, &vec![String::new(); on.len()]).is_some(),
        _ => true,
    })
}

fn apply(word: Word, reg: Reg, compute: DType, a: &[String]) -> Option<String> {
    if reg.part().is_some() {
        return complex(word, reg, a);
    }
    let name = reg.name();
    let width = compute.size() * 8;
    let call = |f: &str| format!("{f}({})", a.join(", "));
    let own = |f: &str| Some(format!("{f}_{name}({})", a.join(", ")));
    let infix = |op: &str| Some(format!("({} {op} {})", a[0], a[1]));
    let only32 = |f: &str| if reg == Reg::F32 { own(f) } else { None };
    match word {
        Word::Add => infix("+"),
        Word::Sub => infix("-"),
        Word::Mul => infix("*"),
        Word::Div => infix("/"),
        Word::Neg if reg.is_float() => Some(format!("(-{})", a[0])),
        Word::Neg => Some(format!("({} - {})", reg.zero(), a[0])),
        Word::Abs => Some(call("abs")),
        Word::Conj => Some(a[0].clone()),
        Word::Lt => infix("<"),
        Word::Le => infix("<="),
        Word::Eq => infix("=="),
        Word::IsNan => Some(match reg {
            Reg::F32 => call("is_nan"),
            Reg::F64 => call("is_nan_f64"),
            _ => format!("({0} != {0})", a[0]),
        }),
        Word::And => infix("&&"),
        Word::Or => infix("||"),
        Word::Xor => infix("!="),
        Word::Not => Some(format!("(!{})", a[0])),
        Word::Select => Some(format!("select({}, {}, {})", a[2], a[1], a[0])),
        Word::Modulo if reg != Reg::F64 => own("modulo"),
        Word::Fmod if reg != Reg::F64 => own("fmod"),
        Word::FloorDiv if reg != Reg::F64 => own("floor_div"),
        Word::Pow if reg != Reg::F64 => own("pow"),
        Word::Modulo | Word::Fmod | Word::FloorDiv | Word::Pow => None,
        Word::BitAnd => infix("&"),
        Word::BitOr => infix("|"),
        Word::BitXor => infix("^"),
        Word::BitNot => Some(format!("(~{})", a[0])),
        Word::Shl => Some(format!("shl_{name}({}, {}, {width}i)", a[0], a[1])),
        Word::Shr => Some(format!("shr_{name}({}, {}, {width}i)", a[0], a[1])),
        Word::Sqrt => Some(call("sqrt")),
        Word::Floor => Some(call("floor")),
        Word::Ceil => Some(call("ceil")),
        Word::Trunc => Some(call("trunc")),
        Word::Round => Some(call("round")),
        Word::Copysign => Some(match reg {
            Reg::F32 => call("with_sign"),
            _ => call("with_sign_f64"),
        }),
        Word::Exp => only32("exp"),
        Word::Exp2 => only32("exp2"),
        Word::Expm1 => only32("expm1"),
        Word::Log => only32("log"),
        Word::Log2 => only32("log2"),
        Word::Log10 => only32("log10"),
        Word::Log1p => only32("log1p"),
        Word::Sin => only32("sin"),
        Word::Cos => only32("cos"),
        Word::Tan => only32("tan"),
        Word::Asin => only32("asin"),
        Word::Acos => only32("acos"),
        Word::Atan => only32("atan"),
        Word::Atan2 => only32("atan2"),
        Word::Sinh => only32("sinh"),
        Word::Cosh => only32("cosh"),
        Word::Tanh => only32("tanh"),
        Word::Asinh => only32("asinh"),
        Word::Acosh => only32("acosh"),
        Word::Atanh => only32("atanh"),
        Word::Erf => only32("erf"),
        Word::Erfc => only32("erfc"),
        Word::Sigmoid => only32("sigmoid"),
        Word::Lgamma => only32("lgamma"),
        Word::Digamma => only32("digamma"),
    }
}

/// The same over complex numbers: arithmetic, and what has no branch cut.
fn complex(word: Word, reg: Reg, a: &[String]) -> Option<String> {
    let call = |f: &str| Some(format!("{f}_{}({})", reg.tag(), a.join(", ")));
    let infix = |op: &str| Some(format!("({} {op} {})", a[0], a[1]));
    match word {
        Word::Add => infix("+"),
        Word::Sub => infix("-"),
        Word::Mul => call("product"),
        Word::Div => call("quotient"),
        Word::Neg => Some(format!("(-{})", a[0])),
        Word::Conj => call("conjugate"),
        Word::Abs => call("modulus"),
        Word::Eq => Some(format!("all({} == {})", a[0], a[1])),
        Word::IsNan => call("has_nan"),
        Word::And => infix("&&"),
        Word::Or => infix("||"),
        Word::Xor => infix("!="),
        Word::Not => Some(format!("(!{})", a[0])),
        Word::Select => Some(format!("select({}, {}, {})", a[2], a[1], a[0])),
        _ => None,
    }
}

/// A formula's result brought to an element's type, with the truth of a mask as 0 or 1, and what a narrow type wraps.
pub fn result(value: &str, truth: bool, compute: DType, to: DType) -> String {
    if truth {
        return change(&format!("select(0i, 1i, {value})"), Reg::I32, Reg::of(to));
    }
    super::element::convert(value, compute, to)
}
