//! Means of windows, and means spread back over them: every invocation gathers for one element, so that nothing is added
//! twice. Leans on windows and stream.

use super::adapter::Caps;
use super::block;
use super::element::{self, Reg};
use super::kernel::Key;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::windows::axes;
use crate::backend::launch::{Geometry, Operand};
use crate::base::{DType, Number, Result};
use std::fmt::Write as _;

/// What the text depends on.
#[derive(Clone, Copy)]
struct Form {
    d: usize,
    dtype: DType,
    back: bool,
    /// Whether one number divides all sums; else the positions of each window do, with those in the padding or without.
    given: bool,
    include: bool,
}

fn write(form: Form, names: &[String], caps: &Caps) -> Shader {
    let Form { d, dtype, back, given, include } = form;
    let reg = Reg::of(dtype);
    let mut shader = Shader::new("average", caps);
    for word in ["n", "to", "begin"] {
        shader.word(word);
    }
    let divisor = shader.value("divisor", reg);
    names.iter().for_each(|name| drop(shader.word(name)));
    shader.slot(dtype, true, element::lanes(dtype) > 1);
    shader.slot(dtype, false, false);
    let mut body = "if (t >= p.n) { return; }\nvar plane = t;\n".to_string();
    let own = if back { "size" } else { "place" };
    for i in (0..d).rev() {
        let _ = writeln!(body, "let q{i} = i32(plane % p.{own}{i}); plane = plane / p.{own}{i};");
    }
    // Where the elements that are gathered begin along each axis, and how many they are.
    for i in 0..d {
        let (size, place, stride, kernel, pad) = (
            format!("i32(p.size{i})"),
            format!("i32(p.place{i})"),
            format!("i32(p.stride{i})"),
            format!("i32(p.kernel{i})"),
            format!("i32(p.pad{i})"),
        );
        let _ = if back {
            writeln!(
                body,
                "let a{i} = max(q{i} + {pad} - {kernel} + {stride}, 0) / {stride}; let n{i} = u32(max(min((q{i} + {pad}) / {stride} + 1, {place}) - a{i}, 0));"
            )
        } else {
            writeln!(
                body,
                "let s{i} = q{i} * {stride} - {pad}; let a{i} = max(s{i}, 0); let n{i} = u32(max(min(s{i} + {kernel}, {size}) - a{i}, 0));"
            )
        };
    }
    let product = |of: &dyn Fn(usize) -> String| (0..d).map(of).collect::<Vec<_>>().join(" * ");
    // The positions of a window that begins at `s`.
    let share = |i: usize| {
        if include {
            format!("(min(s{i} + i32(p.kernel{i}), i32(p.size{i}) + i32(p.pad{i})) - s{i})")
        } else {
            format!("(min(s{i} + i32(p.kernel{i}), i32(p.size{i})) - max(s{i}, 0))")
        }
    };
    let by = if given { divisor } else { element::change(&format!("({})", product(&share)), Reg::I32, reg) };
    let _ = writeln!(
        body,
        "var sum = {};\nlet all = {};\nfor (var k = 0u; k < all; k = k + 1u) {{\nvar left = k;",
        reg.zero(),
        product(&|i| format!("n{i}"))
    );
    for i in (0..d).rev() {
        let _ = writeln!(body, "let x{i} = a{i} + i32(left % n{i}); left = left / n{i};");
    }
    let other = if back { "place" } else { "size" };
    let mut at = "plane".to_string();
    for i in 0..d {
        at = format!("({at} * p.{other}{i} + u32(x{i}))");
    }
    if back {
        for i in (0..d).filter(|_| !given) {
            let _ = writeln!(body, "let s{i} = x{i} * i32(p.stride{i}) - i32(p.pad{i});");
        }
        let _ = writeln!(body, "sum = sum + get1(p.begin + {at}) / {by};\n}}\nput0(p.to + t, sum);");
    } else {
        let _ = writeln!(body, "sum = sum + get1(p.begin + {at});\n}}\nput0(p.to + t, sum / {by});");
    }
    shader.body = body;
    shader
}

fn names_of(lists: &mut Vec<u32>, sizes: &[usize], places: &[usize], geometry: &Geometry) -> Vec<String> {
    let list = |items: &[usize]| items.iter().map(|&v| v as u32).collect::<Vec<_>>();
    let pad = geometry.padding.iter().map(|&p| p as u32).collect();
    axes(
        &[
            ("size", list(sizes)),
            ("place", list(places)),
            ("kernel", list(&geometry.kernel)),
            ("stride", list(&geometry.stride)),
            ("pad", pad),
        ],
        lists,
    )
}

/// `image` is (n, c, sizes...), `means` (n, c, places...); both row-major and of one float dtype.
pub fn run(gpu: &Gpu, image: &Operand, means: &Operand, geometry: &Geometry, divisor: (Option<f64>, bool), back: bool) -> Result<()> {
    gpu.needs(image.dtype)?;
    let (from, to) = if back { (means, image) } else { (image, means) };
    let n = to.numel();
    if n == 0 {
        return Ok(());
    }
    let (d, (given, include)) = (geometry.kernel.len(), divisor);
    let mut words = vec![0, n as u32, to.layout.offset as u32, from.layout.offset as u32];
    Reg::of(to.dtype).push(Number::Float(given.unwrap_or(1.0)), &mut words);
    let names = names_of(&mut words, &image.layout.shape[2..], &means.layout.shape[2..], geometry);
    let form = Form { d, dtype: to.dtype, back, given: given.is_some(), include };
    let mut key = Key::new();
    key.extend([42, d as u64, to.dtype as u64, u64::from(back) * 4 + u64::from(form.given) * 2 + u64::from(include)]);
    let write = |caps: &Caps| write(form, &names, caps);
    let window: usize = geometry.kernel.iter().product();
    let work = (n * window) as u64 * 8;
    gpu.dispatch(&Job { key, write: &write, blocks: &[block(to)?, block(from)?], params: &words, threads: n as u64, work })
}

/// The texts of all of these over one type.
pub fn texts(dtype: DType, caps: &Caps) -> Vec<String> {
    let mut texts = Vec::new();
    for d in 1..=3 {
        let geometry = Geometry { kernel: vec![2; d], stride: vec![1; d], padding: vec![0; d], dilation: vec![1; d] };
        let names = names_of(&mut Vec::new(), &vec![4; d], &vec![3; d], &geometry);
        for (back, given, include) in [(false, false, true), (false, true, false), (true, false, false), (true, true, true)] {
            texts.push(write(Form { d, dtype, back, given, include }, &names, caps).text(caps));
        }
    }
    texts
}
