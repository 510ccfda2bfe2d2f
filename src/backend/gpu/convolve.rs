//! Convolutions of one to three axes and their gradients as matrix products whose columns are never laid out: a tile finds
//! each element of the windows where it lies in the image. Leans on contract's tiles.

use super::adapter::{Caps, TURNS};
use super::contract::{Tile, WORDS, sharing, threads};
use super::element::{self, Reg};
use super::kernel::Key;
use super::pool::Block;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, copy, fold};
use crate::backend::launch::{Convolution, FoldKind, Geometry, Operand};
use crate::base::{DType, Layout, Number, Result};
use std::fmt::Write as _;

/// Products that keep an adapter busy, and the least depth of each.
const BUSY: usize = 512;
const BUSY_IN_SOFTWARE: usize = 16;
const LEAST: usize = 256;

/// One product: which, over how many axes, in which types, and whether a bias is added.
#[derive(Clone, Copy)]
struct Form {
    what: Convolution,
    axes: usize,
    dtype: DType,
    out: DType,
    bias: bool,
    shared: usize,
}

/// Lines that take a number apart into one for each axis, the last one fastest: `{name}0`, `{name}1`...
fn apart(name: &str, from: &str, sizes: &str, axes: usize) -> String {
    let mut text = format!("var {name}_rest = {from};\n");
    for a in (1..axes).rev() {
        let _ = writeln!(text, "let {name}{a} = {name}_rest % p.{sizes}{a}; {name}_rest = {name}_rest / p.{sizes}{a};");
    }
    let _ = writeln!(text, "let {name}0 = {name}_rest;");
    text
}

/// Lines that put numbers of axes together, behind a first one.
fn together(first: &str, name: &str, sizes: &str, axes: usize) -> String {
    (0..axes).fold(first.to_string(), |text, a| format!("({text} * p.{sizes}{a} + u32({name}{a}))"))
}

/// The element of an image's channel that a window's place and offset meet, 0 outside.
fn seen(axes: usize) -> String {
    let mut text = format!(
        "fn seen(plane: u32, place: u32, inside: u32) -> f32 {{\n{}{}",
        apart("a", "place", "place", axes),
        apart("b", "inside", "kernel", axes)
    );
    for a in 0..axes {
        let _ = writeln!(
            text,
            "let at{a} = i32(a{a} * p.stride{a} + b{a} * p.by{a}) - i32(p.pad{a});\nif (at{a} < 0i || at{a} >= i32(p.size{a})) {{ return 0.0f; }}"
        );
    }
    text + &format!("return image_of({});\n}}\n", together("plane", "at", "size", axes))
}

/// The element of a result's channel to which an image's element has gone by one offset of the window, 0 where by none.
fn gone(axes: usize) -> String {
    let mut text = format!(
        "fn gone(plane: u32, spot: u32, inside: u32) -> f32 {{\n{}{}",
        apart("a", "spot", "size", axes),
        apart("b", "inside", "kernel", axes)
    );
    for a in 0..axes {
        let _ = writeln!(
            text,
            "let far{a} = i32(a{a}) + i32(p.pad{a}) - i32(b{a} * p.by{a});\n\
             if (far{a} < 0i || far{a} % i32(p.stride{a}) != 0i || far{a} / i32(p.stride{a}) >= i32(p.place{a})) {{ return 0.0f; }}\n\
             let at{a} = far{a} / i32(p.stride{a});"
        );
    }
    text + &format!("return image_of({});\n}}\n", together("plane", "at", "place", axes))
}

fn write(form: Form, caps: &Caps) -> Shader {
    let mut shader = Shader::new("convolve", caps);
    let own = ["groups", "ins", "outs", "window", "sized", "placed", "deep", "all", "io", "wo", "yo", "bo"];
    WORDS.into_iter().chain(own).for_each(|word| drop(shader.word(word)));
    for name in ["size", "place", "kernel", "stride", "pad", "by"] {
        (0..form.axes).for_each(|a| drop(shader.word(&format!("{name}{a}"))));
    }
    shader.slot(form.out, true, element::lanes(form.out) > 1);
    shader.slot(form.dtype, false, false);
    shader.slot(form.dtype, false, false);
    let _ = writeln!(
        shader.before,
        "fn image_of(at: u32) -> f32 {{ return get1(p.io + at); }}\nfn other_of(at: u32) -> f32 {{ return get2(p.wo + at); }}"
    );
    if form.bias {
        shader.slot(form.dtype, false, false);
    }
    // `ins` and `outs` are the channels of a group; a batch is an image's group, or a part of all places' group.
    let (left, right, out) = match form.what {
        Convolution::Forward => (
            "return other_of(((batch % p.groups) * p.outs + i) * p.k + d);",
            "return seen(batch * p.ins + d / p.window, j, d % p.window);",
            "(batch * p.outs + i) * p.placed + j",
        ),
        Convolution::Input => (
            "return other_of((((batch % p.groups) * p.outs + d / p.window) * p.ins + i) * p.window + d % p.window);",
            "return gone(batch * p.outs + d / p.window, j, d % p.window);",
            "(batch * p.ins + i) * p.sized + j",
        ),
        Convolution::Weight => (
            "let e = (batch / p.groups) * p.deep + d; if (e >= p.all) { return 0.0f; }\n\
             return other_of(((e / p.placed * p.groups + batch % p.groups) * p.outs + i) * p.placed + e % p.placed);",
            "let e = (batch / p.groups) * p.deep + d; if (e >= p.all) { return 0.0f; }\n\
             return seen((e / p.placed * p.groups + batch % p.groups) * p.ins + j / p.window, e % p.placed, j % p.window);",
            "(batch * p.outs + i) * p.n + j",
        ),
    };
    let find = if form.what == Convolution::Input { gone(form.axes) } else { seen(form.axes) };
    let _ = writeln!(
        shader.before,
        "{find}fn left_of(batch: u32, i: u32, d: u32) -> f32 {{ {left} }}\nfn right_of(batch: u32, j: u32, d: u32) -> f32 {{ {right} }}"
    );
    let mut end = "put0(p.yo + AT, V);".replace("AT", out);
    if form.bias {
        let channels = if form.what == Convolution::Input { "p.ins" } else { "p.outs" };
        end = end.replace('V', &format!("V + get3(p.bo + (batch % p.groups) * {channels} + i)"));
    }
    let call = |right: bool, own: &str, d: &str| format!("{}(batch, {own}, {d})", if right { "right_of" } else { "left_of" });
    let tile = Tile {
        acc: Reg::F32,
        shared: form.shared,
        turned: (false, form.what == Convolution::Weight),
        before: String::new(),
        turn: String::new(),
        near: &|right, k| {
            let own = if right { format!("min(q0 + {k}u, p.n - 1u)") } else { format!("min(r0 + {k}u, p.m - 1u)") };
            call(right, &own, "k")
        },
        at: &call,
        begin: &|_, _| None,
        end: &|row, column, value| format!("{{ let i = {row}; let j = {column}; {} }}", end.replace('V', value)),
    };
    tile.write(&mut shader);
    shader
}

/// All operands are row-major and of one float dtype that is computed in float32.
pub fn run(gpu: &Gpu, what: Convolution, ins: &[Operand], outs: &[Operand], geometry: &Geometry, groups: usize) -> Result<()> {
    let dtype = ins[0].dtype;
    if dtype == DType::F64 {
        return Err(gpu.missing("has no float64 kernel", "use x.float()"));
    }
    let out = &outs[0];
    // Which operands are the image, the result (or its cotangent) and the weight.
    let (image, result, weight) = match what {
        Convolution::Forward => (&ins[0], out, &ins[1]),
        Convolution::Input => (out, &ins[0], &ins[1]),
        Convolution::Weight => (&ins[0], &ins[1], out),
    };
    let axes = geometry.kernel.len();
    let count = |list: &[usize]| list.iter().product::<usize>();
    let (sizes, places) = (&image.layout.shape[2..], &result.layout.shape[2..]);
    let (images, window) = (image.layout.shape[0], count(&geometry.kernel));
    let (own, given) = (image.layout.shape[1] / groups, result.layout.shape[1] / groups);
    let (sized, placed) = (count(sizes), count(places));
    let all = images * placed;
    let (m, n, depth) = match what {
        Convolution::Forward => (given, placed, own * window),
        Convolution::Input => (own, sized, given * window),
        Convolution::Weight => (given, own * window, all),
    };
    if let (Convolution::Weight, Some(bias)) = (what, outs.get(1)) {
        let flat = ins[1].view(Layout::contiguous([images, given * groups, placed][..].into()));
        let turned = flat.view(flat.layout.permute(&[1, 0, 2]));
        fold::run(gpu, FoldKind::Sum, &turned, 2, 0.0, bias)?;
    }
    if out.numel() == 0 {
        return Ok(());
    }
    if depth == 0 {
        return copy::fill(gpu, out, Number::Int(0));
    }
    let shared = sharing(&gpu.caps, m * n, depth);
    let form = Form { what, axes, dtype, out: out.dtype, bias: what != Convolution::Weight && ins.len() > 2, shared };
    let (tall, wide) = if shared > 0 { (16 * shared, 16 * shared) } else { (4, 8) };
    let across = n.div_ceil(wide);
    let tiles = m.div_ceil(tall) * across;
    // The sums of a weight's slopes are long: they are cut into parts, which are summed in their order.
    let busy = if gpu.caps.software { BUSY_IN_SOFTWARE } else { BUSY };
    let parts = match what {
        Convolution::Weight => (busy / (tiles * groups)).min(depth / LEAST).max(1).max(depth.div_ceil(TURNS / 2)),
        _ if depth > TURNS => return Err(gpu.missing("has no kernel for so many channels", "split them")),
        _ => 1,
    };
    let deep = depth.div_ceil(parts);
    let batches = groups * if what == Convolution::Weight { parts } else { images };
    let to = if parts > 1 { gpu.scratch(&[parts, out.numel()], DType::F32)? } else { out.clone() };
    let form = Form { out: to.dtype, ..form };
    let (source, other) = match what {
        Convolution::Input => (result, weight),
        Convolution::Forward => (image, weight),
        Convolution::Weight => (image, result),
    };
    let mut words: Vec<usize> = vec![0, m, n, deep, across, tiles, batches, groups, own, given, window, sized, placed, deep, all];
    words.extend([source, other, &to].map(|x| x.layout.offset));
    words.push(ins.get(2).map_or(0, |b| b.layout.offset));
    let mut words: Vec<u32> = words.into_iter().map(|w| w as u32).collect();
    for list in [sizes, places, &geometry.kernel, &geometry.stride] {
        words.extend(list.iter().map(|&v| v as u32));
    }
    words.extend(geometry.padding.iter().map(|&v| v as u32));
    words.extend(geometry.dilation.iter().map(|&v| v as u32));
    let mut key = Key::new();
    let flags = what as u64 | (axes as u64) << 4 | u64::from(form.bias) << 8 | (shared as u64) << 12;
    key.extend([30, dtype as u64, to.dtype as u64, flags]);
    let mut blocks: Vec<&Block> = vec![block(&to)?, block(source)?, block(other)?];
    if form.bias {
        blocks.push(block(&ins[2])?);
    }
    let work = (2 * m * n * deep) as u64 * batches as u64;
    gpu.dispatch(&Job {
        key,
        write: &|caps| write(form, caps),
        blocks: &blocks,
        params: &words,
        threads: threads(shared, tiles * batches),
        work,
    })?;
    if parts == 1 {
        return Ok(());
    }
    fold::run(gpu, FoldKind::Sum, &to.view(to.layout.transpose(0, 1)), 1, 0.0, out)
}

/// The texts of all products in one type.
pub fn texts(dtype: DType, caps: &Caps) -> Vec<String> {
    let kinds = [(Convolution::Forward, true), (Convolution::Input, true), (Convolution::Weight, false)];
    let forms = kinds.into_iter().flat_map(|(what, bias)| {
        (1..=3).flat_map(move |axes| [0, 4, 8].map(move |shared| Form { what, axes, dtype, out: dtype, bias, shared }))
    });
    forms.map(|form| write(form, caps).text(caps)).collect()
}
