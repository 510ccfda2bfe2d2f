//! What an operator is told besides its tensors: parameters, their kinds and their values. Leans on base.

use crate::base::{DType, Few, Number};
use std::sync::Arc;

/// One parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Arg {
    None,
    Bool(bool),
    Int(i64),
    Number(Number),
    Ints(Few<i64>),
    DType(DType),
    Text(Arc<str>),
}

/// What a parameter may be; the door reads the host language's values by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    Bool,
    Int,
    MaybeInt,
    Number,
    MaybeNumber,
    /// One axis, which may count from the end.
    Axis,
    MaybeAxis,
    /// Several axes; none means all.
    Axes,
    /// A shape or a list of integers; may be given as several arguments.
    Ints,
    MaybeDType,
    Text,
}

pub struct Param {
    pub name: &'static str,
    pub kind: ParamKind,
    pub default: Option<Arg>,
}

/// The Rust type of each kind of parameter inside a rule.
pub mod kinds {
    pub struct Bool;
    pub struct Int;
    pub struct MaybeInt;
    pub struct Number;
    pub struct MaybeNumber;
    pub struct Axis;
    pub struct MaybeAxis;
    pub struct Axes;
    pub struct Ints;
    pub struct MaybeDType;
    pub struct Text;
}

pub trait Typed {
    type Value;
    fn get(arg: &Arg) -> Self::Value;
}

macro_rules! typed {
    ($($kind:ident => $t:ty, |$a:ident| $e:expr);* $(;)?) => {$(
        impl Typed for kinds::$kind {
            type Value = $t;
            #[inline]
            fn get($a: &Arg) -> $t { $e }
        }
    )*};
}
typed! {
    Bool => bool, |a| matches!(a, Arg::Bool(true));
    Int => i64, |a| a.int().unwrap_or(0);
    MaybeInt => Option<i64>, |a| a.int();
    Number => Number, |a| a.number().unwrap_or(Number::Int(0));
    MaybeNumber => Option<Number>, |a| a.number();
    Axis => i64, |a| a.int().unwrap_or(0);
    MaybeAxis => Option<i64>, |a| a.int();
    Axes => Few<i64>, |a| a.ints();
    Ints => Few<i64>, |a| a.ints();
    MaybeDType => Option<DType>, |a| if let Arg::DType(d) = a { Some(*d) } else { None };
    Text => Arc<str>, |a| if let Arg::Text(t) = a { t.clone() } else { Arc::from("") };
}

impl Arg {
    #[inline]
    pub fn int(&self) -> Option<i64> {
        match self {
            Arg::Int(i) => Some(*i),
            Arg::Bool(b) => Some(i64::from(*b)),
            Arg::Number(n) => Some(n.as_i64()),
            _ => None,
        }
    }
    #[inline]
    pub fn number(&self) -> Option<Number> {
        match self {
            Arg::Number(n) => Some(*n),
            Arg::Int(i) => Some(Number::Int(*i)),
            Arg::Bool(b) => Some(Number::Bool(*b)),
            _ => None,
        }
    }
    #[inline]
    pub fn ints(&self) -> Few<i64> {
        match self {
            Arg::Ints(list) => list.clone(),
            Arg::Int(i) => Few::from(&[*i][..]),
            _ => Few::new(),
        }
    }
}

impl From<bool> for Arg {
    fn from(v: bool) -> Arg {
        Arg::Bool(v)
    }
}
impl From<i64> for Arg {
    fn from(v: i64) -> Arg {
        Arg::Int(v)
    }
}
impl From<i32> for Arg {
    fn from(v: i32) -> Arg {
        Arg::Int(i64::from(v))
    }
}
impl From<usize> for Arg {
    fn from(v: usize) -> Arg {
        Arg::Int(v as i64)
    }
}
impl From<f64> for Arg {
    fn from(v: f64) -> Arg {
        Arg::Number(Number::Float(v))
    }
}
impl From<Number> for Arg {
    fn from(v: Number) -> Arg {
        Arg::Number(v)
    }
}
impl From<DType> for Arg {
    fn from(v: DType) -> Arg {
        Arg::DType(v)
    }
}
impl From<&str> for Arg {
    fn from(v: &str) -> Arg {
        Arg::Text(Arc::from(v))
    }
}
impl From<Arc<str>> for Arg {
    fn from(v: Arc<str>) -> Arg {
        Arg::Text(v)
    }
}
impl From<()> for Arg {
    fn from((): ()) -> Arg {
        Arg::None
    }
}
impl From<Few<i64>> for Arg {
    fn from(v: Few<i64>) -> Arg {
        Arg::Ints(v)
    }
}
impl From<&[i64]> for Arg {
    fn from(v: &[i64]) -> Arg {
        Arg::Ints(Few::from(v))
    }
}
impl<const N: usize> From<[i64; N]> for Arg {
    fn from(v: [i64; N]) -> Arg {
        Arg::Ints(Few::from(&v[..]))
    }
}
impl From<&[usize]> for Arg {
    fn from(v: &[usize]) -> Arg {
        Arg::Ints(v.iter().map(|&i| i as i64).collect())
    }
}
impl From<&Few<usize>> for Arg {
    fn from(v: &Few<usize>) -> Arg {
        Arg::from(&v[..])
    }
}
impl<T: Into<Arg>> From<Option<T>> for Arg {
    fn from(v: Option<T>) -> Arg {
        v.map_or(Arg::None, Into::into)
    }
}
