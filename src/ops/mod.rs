//! Rank 4, the library: only records, one for each operator, and the macro that writes them. Leans on base, formula, graph.

pub mod activation;
pub mod arith;
pub mod attention;
pub mod batch;
pub mod bessel;
pub mod compare;
pub mod complex;
pub mod convolution;
pub mod dense;
pub mod drops;
pub mod extreme;
pub mod fourier;
pub mod gamma;
pub mod index;
pub mod linear;
pub mod loss;
pub mod math;
pub mod merge;
pub mod moves;
pub mod norm;
pub mod normal;
pub mod order;
pub mod parts;
pub mod recurrent;
pub mod reduce;
pub mod running;
pub mod special;
pub mod step;
pub mod strided;
pub mod view;
pub mod windows;

use crate::graph::Op;

/// One operator: `name(inputs; parameters) class { body; derivative; where to test it; how it is transformed; how to reach it }`.
///
/// It becomes a module `name` holding the record `OP`, a function `name(...)` that returns a `Result`, and a method of
/// the same name on `Sym` for use inside other rules.
#[macro_export]
macro_rules! op {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident ( $($x:ident $(: $xk:ident)?),* $(; $($p:ident : $pk:ident $(= $pd:expr)?),*)? ) $class:ident {
            $body:ident ( $($bt:tt)* );
            $(vjp |$g:ident, [$($vx:ident),*], $vy:ident| $({ $($pre:stmt;)* })? [$($ve:expr),* $(,)?];)?
            $(rule $rule:path;)?
            $(check $lo:literal .. $hi:literal;)?
            $(quirk $quirk:ident;)?
            $(complex $complex:ident;)?
            $(linear $linear:ident;)?
            $(batch $batch:ident;)?
            $(face $($face:ident)*;)?
        }
    )*) => {$(
        $(#[doc = $doc])*
        pub mod $name {
            #[allow(unused_imports)]
            use super::*;
            #[allow(unused_imports)]
            use $crate::graph::arg::{Arg, Param, ParamKind, Typed, kinds};
            use $crate::graph::op::{Body, Class, Complex, Face, Input, InputKind, Op, Quirk, Saves};

            const VJP: Option<$crate::graph::op::Vjp> = $crate::op!(@vjp
                [$($x),*] [$($($p: $pk),*)?] $(|$g, [$($vx),*], $vy| { $($($pre;)*)? } [$($ve),*])? $(rule $rule)?);

            /// The record.
            pub static OP: Op = Op {
                name: $crate::ops::plain(stringify!($name)),
                doc: concat!($($doc, "\n"),*),
                inputs: &[$(Input { name: stringify!($x), kind: $crate::op!(@kind $($xk)?) }),*],
                params: &[$($(Param {
                    name: $crate::ops::plain(stringify!($p)),
                    kind: ParamKind::$pk,
                    default: $crate::op!(@default $($pd)?),
                }),*)?],
                class: Class::$class,
                quirk: $crate::op!(@quirk $($quirk)?),
                body: $crate::op!(@record $body $($complex)? ( $($bt)* )),
                complex: $crate::op!(@complex $body $($complex)?),
                vjp: VJP,
                linear: $crate::op!(@linear $($linear)?),
                batch: $crate::op!(@batch $body $($batch)?),
                check: $crate::op!(@check $($lo, $hi)?),
                face: $crate::op!(@face $($($face)*)?),
                saves: Saves::new(),
            };
        }

        $crate::op!(@call $name [$($x $(: $xk)?),*] [$($($p),*)?]);
    )*
        /// The records of this shelf.
        pub static TABLE: &[&$crate::graph::Op] = &[$(&$name::OP),*];
    };

    (@kind) => { InputKind::One };
    (@kind $k:ident) => { InputKind::$k };
    (@default) => { None };
    (@default $d:expr) => { Some($d) };
    (@check) => { (-4.0, 4.0) };
    (@check $lo:literal, $hi:literal) => { ($lo, $hi) };
    (@quirk) => { Quirk::None };
    (@quirk $quirk:ident) => { Quirk::$quirk };
    (@linear) => { $crate::graph::Linear::No };
    (@linear $linear:ident) => { $crate::graph::Linear::$linear };
    (@batch map) => { Some($crate::ops::batch::align) };
    (@batch $body:ident) => { None };
    (@batch $body:ident $batch:ident) => { Some($crate::ops::batch::$batch) };
    (@face) => { Face { method: true, function: true, in_place: false } };
    (@face hidden) => { Face { method: false, function: false, in_place: false } };
    (@face hidden in_place) => { Face { method: false, function: false, in_place: true } };
    (@face method) => { Face { method: true, function: false, in_place: false } };
    (@face function) => { Face { method: false, function: true, in_place: false } };
    (@face in_place) => { Face { method: true, function: true, in_place: true } };

    (@complex view) => { Complex::Yes };
    (@complex $body:ident) => { Complex::No };
    (@complex $body:ident Yes) => { Complex::Yes };
    (@complex $body:ident Own) => { Complex::Own };
    (@complex $body:ident $other:ident) => { Complex::Other(&$other::OP) };

    (@record map ($($t:tt)*)) => { Body::Map($crate::map_body!(No: $($t)*)) };
    (@record map Yes ($($t:tt)*)) => { Body::Map($crate::map_body!(Yes: $($t)*)) };
    (@record map Own ($($t:tt)*)) => { Body::Map($crate::map_body!(Yes: $($t)*)) };
    (@record map $other:ident ($($t:tt)*)) => { Body::Map($crate::map_body!(No: $($t)*)) };
    (@record view $($complex:ident)? ($f:expr)) => { Body::View($f) };
    (@record kernel $($complex:ident)? ($meta:path, $run:path)) => { Body::Kernel($meta, $run) };
    (@record inline $($complex:ident)? ($f:path)) => { Body::Inline($f) };

    (@vjp [$($x:ident),*] [$($p:ident: $pk:ident),*]) => { None };
    (@vjp [$($x:ident),*] [$($p:ident: $pk:ident),*] rule $rule:path) => { Some($rule) };
    (@vjp [$($x:ident),*] [$($p:ident: $pk:ident),*] |$g:ident, [$($vx:ident),*], $vy:ident| { $($pre:stmt;)* } [$($ve:expr),*]) => {{
        #[allow(unused_variables, unused_mut, unused_assignments, redundant_semicolons, clippy::let_and_return)]
        fn pull(pull: &$crate::graph::Pull) -> $crate::graph::Grads {
            let $g = pull.grad();
            let mut k = 0;
            $( let $vx = &pull.ins[k]; k += 1; )*
            let $vy = &pull.outs[0];
            let mut k = 0;
            $( let $p = <kinds::$pk as Typed>::get(&pull.args[k]); k += 1; )*
            $($pre;)*
            let mut grads = $crate::graph::Grads::new();
            let mut k = 0;
            $(
                grads.push(if pull.needs.has(k) { Some($crate::graph::Sym::from($ve)) } else { None });
                k += 1;
            )*
            grads
        }
        Some(pull)
    }};

    (@call $name:ident [$x:ident: List] [$($p:ident),*]) => {
        pub fn $name(list: &[&$crate::graph::Tensor] $(, $p: impl Into<$crate::graph::Arg>)*) -> $crate::base::Result<$crate::graph::Tensor> {
            let feeds: Vec<$crate::graph::Feed> = list.iter().map(|t| $crate::graph::Feed::Tensor(t)).collect();
            $crate::graph::tensor::emit(&$name::OP, &feeds, &[$($p.into()),*]).map($crate::graph::Outs::one)
        }
    };
    (@call $name:ident [$x:ident $(: $xk:ident)? $(, $y:ident $(: $yk:ident)?)*] [$($p:ident),*]) => {
        #[allow(clippy::too_many_arguments)]
        pub fn $name<'a>(
            $x: impl Into<$crate::graph::Feed<'a>>,
            $($y: impl Into<$crate::graph::Feed<'a>>,)*
            $($p: impl Into<$crate::graph::Arg>,)*
        ) -> $crate::base::Result<$crate::graph::Tensor> {
            $crate::graph::tensor::emit(&$name::OP, &[$x.into() $(, $y.into())*], &[$($p.into()),*]).map($crate::graph::Outs::one)
        }
        impl $crate::graph::Sym {
            #[allow(clippy::too_many_arguments, clippy::should_implement_trait)]
            pub fn $name(&self $(, $y: &$crate::graph::Sym)* $(, $p: impl Into<$crate::graph::Arg>)*) -> $crate::graph::Sym {
                $crate::graph::Sym::apply(&$name::OP, &[self.feed() $(, $y.feed())*], &[$($p.into()),*])
            }
        }
    };
}

/// A record's name without the underscore that keeps it apart from Rust's own words.
pub const fn plain(name: &'static str) -> &'static str {
    let bytes = name.as_bytes();
    if bytes[bytes.len() - 1] == b'_' { name.split_at(bytes.len() - 1).0 } else { name }
}

/// Every record, in the order in which the reference lists them.
pub static ALL: &[&[&Op]] = &[
    arith::TABLE,
    math::TABLE,
    special::TABLE,
    complex::TABLE,
    parts::TABLE,
    bessel::TABLE,
    gamma::TABLE,
    normal::TABLE,
    compare::TABLE,
    activation::TABLE,
    reduce::TABLE,
    extreme::TABLE,
    running::TABLE,
    order::TABLE,
    view::TABLE,
    moves::TABLE,
    index::TABLE,
    merge::TABLE,
    linear::TABLE,
    norm::TABLE,
    attention::TABLE,
    recurrent::TABLE,
    dense::TABLE,
    fourier::TABLE,
    windows::TABLE,
    convolution::TABLE,
    loss::TABLE,
    step::TABLE,
];

pub fn all() -> impl Iterator<Item = &'static Op> {
    ALL.iter().flat_map(|table| table.iter().copied())
}

pub fn find(name: &str) -> Option<&'static Op> {
    all().find(|op| op.name == name)
}
