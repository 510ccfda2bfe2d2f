//! The windows of images laid out as columns and summed back, and the largest element of each: what convolutions and
//! pooling are made of. Every invocation gathers for one element, so that nothing is added twice. Leans on stream.

use super::adapter::{Caps, TURNS};
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, copy};
use crate::backend::launch::{Geometry, Operand, Span};
use crate::base::{DType, Layout, Result};
use std::fmt::Write as _;

/// Names and values of the parameters of each axis.
pub fn axes(lists: &[(&str, Vec<u32>)], words: &mut Vec<u32>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, list) in lists {
        for (i, &v) in list.iter().enumerate() {
            names.push(format!("{name}{i}"));
            words.push(v);
        }
    }
    names
}

/// A row-major operand of whole words with the same elements; the second truth says whether it is another one.
fn widened(gpu: &Gpu, x: &Operand, read: bool) -> Result<(Operand, bool)> {
    if element::lanes(x.dtype) == 1 {
        return Ok((x.clone(), false));
    }
    let own = gpu.scratch(&x.layout.shape, if x.dtype.is_float() { DType::F32 } else { DType::I32 })?;
    if read {
        copy::copy(gpu, x, &own)?;
    }
    Ok((own, true))
}

/// `image` is (n, c, sizes...), `columns` (n, c, kernel..., places...); both row-major and of one dtype.
pub fn run(gpu: &Gpu, image: &Operand, columns: &Operand, geometry: &Geometry, back: bool) -> Result<()> {
    gpu.needs(image.dtype)?;
    let (from, to) = if back { (columns, image) } else { (image, columns) };
    if to.numel() == 0 {
        return Ok(());
    }
    if from.numel() == 0 {
        return copy::fill(gpu, to, 0i64.into());
    }
    let ((from, _), (into, other)) = (widened(gpu, from, true)?, widened(gpu, to, false)?);
    let d = geometry.kernel.len();
    let list = |items: &[usize]| items.iter().map(|&v| v as u32).collect::<Vec<_>>();
    let mut words = vec![0, into.numel() as u32, into.layout.offset as u32, from.layout.offset as u32];
    let names = axes(
        &[
            ("size", list(&image.layout.shape[2..])),
            ("place", list(&columns.layout.shape[2 + d..])),
            ("kernel", list(&geometry.kernel)),
            ("stride", list(&geometry.stride)),
            ("pad", geometry.padding.iter().map(|&p| p as u32).collect()),
            ("by", list(&geometry.dilation)),
        ],
        &mut words,
    );
    let mut key = Key::new();
    key.extend([13, d as u64, u64::from(back), into.dtype as u64]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("windows", caps);
        for word in ["n", "to", "begin"] {
            shader.word(word);
        }
        for name in &names {
            shader.word(name);
        }
        shader.slot(into.dtype, true, false);
        shader.slot(from.dtype, false, false);
        let zero = Reg::of(into.dtype).zero();
        let mut body = "if (t >= p.n) { return; }\nvar rest = t;\n".to_string();
        let product = |name: &str| (0..d).map(|i| format!("p.{name}{i}")).collect::<Vec<_>>().join(" * ");
        if back {
            for i in (0..d).rev() {
                let _ = writeln!(body, "let x{i} = i32(rest % p.size{i}) + i32(p.pad{i}); rest = rest / p.size{i};");
            }
            let _ = writeln!(
                body,
                "let base = p.begin + rest * ({} * {});\nvar acc = {zero};\nvar k = 0u;\nloop {{\nif (k >= {}) {{ break; }}\nvar left = k; var inside = true;",
                product("kernel"),
                product("place"),
                product("kernel")
            );
            for i in (0..d).rev() {
                let _ = writeln!(
                    body,
                    "let y{i} = x{i} - i32((left % p.kernel{i}) * p.by{i}); left = left / p.kernel{i};\n\
                     inside = inside && y{i} >= 0 && y{i} % i32(p.stride{i}) == 0 && y{i} / i32(p.stride{i}) < i32(p.place{i});"
                );
            }
            let mut at = "k".to_string();
            for i in 0..d {
                at = format!("({at} * p.place{i} + u32(y{i} / i32(p.stride{i})))");
            }
            let _ = writeln!(body, "if (inside) {{ acc = acc + get1(base + {at}); }}\nk = k + 1u;\n}}\nput0(p.to + t, acc);");
        } else {
            for i in (0..d).rev() {
                let _ = writeln!(body, "let q{i} = rest % p.place{i}; rest = rest / p.place{i};");
            }
            for i in (0..d).rev() {
                let _ = writeln!(
                    body,
                    "let x{i} = i32(q{i} * p.stride{i} + (rest % p.kernel{i}) * p.by{i}) - i32(p.pad{i}); rest = rest / p.kernel{i};"
                );
            }
            let inside: Vec<String> = (0..d).map(|i| format!("x{i} >= 0 && x{i} < i32(p.size{i})")).collect();
            let mut at = "rest".to_string();
            for i in 0..d {
                at = format!("({at} * p.size{i} + u32(x{i}))");
            }
            let _ = writeln!(body, "var v = {zero};\nif ({}) {{ v = get1(p.begin + {at}); }}\nput0(p.to + t, v);", inside.join(" && "));
        }
        shader.body = body;
        shader
    };
    let window: usize = geometry.kernel.iter().product();
    let work = into.numel() as u64 * if back { 8 * window as u64 } else { 16 };
    let blocks = [block(&into)?, block(&from)?];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: into.numel() as u64, work })?;
    if other { copy::copy(gpu, &into, to) } else { Ok(()) }
}

/// `input` is (n, c, sizes...), the outputs (n, c, places...). A window's NaN is its largest element.
pub fn pool(gpu: &Gpu, input: &Operand, spans: &[Span], values: &Operand, places: &Operand) -> Result<()> {
    for x in [input, values, places] {
        gpu.needs(x.dtype)?;
    }
    let n = values.numel();
    if n == 0 {
        return Ok(());
    }
    let d = spans.len();
    // Where each window begins and how far it reaches, axis by axis.
    let table: Vec<i32> = spans.iter().flat_map(|s| s.starts.iter().chain(s.counts)).map(|&v| v as i32).collect();
    let spots = gpu.table(&table)?;
    let rank = input.layout.rank();
    let planes = Layout::new(input.layout.shape[..2].into(), input.layout.strides[..2].into(), input.layout.offset);
    let (outs, from) = (Grid::new(&[&values.layout, &places.layout])?, Grid::new(&[&planes])?);
    let mut words = vec![0, n as u32];
    let list = |items: &[usize]| items.iter().map(|&v| v as u32).collect::<Vec<_>>();
    let names = axes(
        &[
            ("size", list(&input.layout.shape[2..])),
            ("place", list(&values.layout.shape[2..])),
            ("step", spans.iter().map(|s| s.step as u32).collect()),
            ("by", (2..rank).map(|i| input.layout.strides[i] as u32).collect()),
        ],
        &mut words,
    );
    outs.push(&mut words);
    from.push(&mut words);
    let mut key = Key::new();
    key.extend([14, d as u64, input.dtype as u64, values.dtype as u64, places.dtype as u64, outs.key(), from.key()]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("pool", caps);
        shader.word("n");
        for name in &names {
            shader.word(name);
        }
        outs.declare(&mut shader, "");
        from.declare(&mut shader, "f");
        shader.slot(values.dtype, true, element::lanes(values.dtype) > 1);
        shader.slot(places.dtype, true, element::lanes(places.dtype) > 1);
        shader.slot(input.dtype, false, false);
        shader.slot(DType::I32, false, false);
        let reg = Reg::of(input.dtype);
        let nan = |v: &str| match reg {
            Reg::F32 => format!("is_nan({v})"),
            Reg::F64 => format!("is_nan_f64({v})"),
            _ => "false".into(),
        };
        let mut body = format!("if (t >= p.n) {{ return; }}\n{}var plane = t;\n", outs.code("t", ""));
        for i in (0..d).rev() {
            let _ = writeln!(body, "let m{i} = plane / p.place{i}; let q{i} = plane - m{i} * p.place{i}; plane = m{i};");
        }
        let mut base = "0u".to_string();
        for i in 0..d {
            let _ = writeln!(body, "let s{i} = get3({base} + q{i}); let c{i}n = u32(get3({base} + p.place{i} + q{i}));");
            base = format!("{base} + 2u * p.place{i}");
        }
        let _ = writeln!(body, "{}var best = get2(fi0); var spot = 0u; var any = false;", from.code("plane", "f"));
        let (mut flat, mut at) = ("0u".to_string(), "fi0".to_string());
        for i in 0..d {
            let _ = writeln!(
                body,
                "for (var a{i} = 0u; a{i} < c{i}n; a{i} = a{i} + 1u) {{\nlet x{i} = s{i} + i32(a{i}) * i32(p.step{i});\n\
                 if (x{i} < 0 || x{i} >= i32(p.size{i})) {{ continue; }}\n\
                 let flat{i} = {flat} * p.size{i} + u32(x{i}); let at{i} = {at} + u32(x{i}) * p.by{i};"
            );
            (flat, at) = (format!("flat{i}"), format!("at{i}"));
        }
        let lowest = if reg.is_float() { reg.literal(f64::NEG_INFINITY) } else { reg.zero() };
        let _ = writeln!(
            body,
            "let v = get2({at});\nif (!any || v > best || ({} && !{})) {{ best = v; spot = {flat}; any = true; }}\n{}\n\
             if (!any) {{ best = {lowest}; }}\nput0(i0, {}); put1(i1, {});",
            nan("v"),
            nan("best"),
            "}".repeat(d),
            element::change("best", reg, Reg::of(values.dtype)),
            element::change("i32(spot)", Reg::I32, Reg::of(places.dtype))
        );
        shader.body = body;
        shader
    };
    let blocks = [block(values)?, block(places)?, block(input)?, block(&spots)?];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: n as u64, work: n as u64 * 64 })
}

/// For each position along an axis the first window that may contain it, then for each one past the last.
fn windows_of(span: &Span, size: usize) -> Vec<i32> {
    let (mut first, mut end) = (vec![0; size], vec![0; size]);
    for (q, (&start, &count)) in span.starts.iter().zip(span.counts).enumerate() {
        for k in 0..count {
            if let Some(x) = usize::try_from(start + k * span.step).ok().filter(|&x| x < size) {
                if end[x] == 0 {
                    first[x] = q as i32;
                }
                end[x] = q as i32 + 1;
            }
        }
    }
    first.append(&mut end);
    first
}

/// Whether no element is in two windows along an axis, and none of these is empty.
fn apart(span: &Span, size: usize) -> bool {
    let mut end = 0;
    span.starts.iter().zip(span.counts).all(|(&start, &count)| {
        let mut inside = (0..count).map(|k| start + k * span.step).filter_map(|x| usize::try_from(x).ok()).filter(|&x| x < size);
        let Some(first) = inside.next() else { return false };
        let free = first >= end;
        end = inside.next_back().unwrap_or(first) + 1;
        free
    })
}

/// Values put at their places in zeros, where each has a place of its own.
fn put(gpu: &Gpu, values: &Operand, places: &Operand, out: &Operand) -> Result<()> {
    copy::fill(gpu, out, 0i64.into())?;
    let n = values.numel();
    let plane = |x: &Operand| x.layout.shape[2..].iter().product::<usize>() as u32;
    let offsets = [out, values, places].map(|x| x.layout.offset as u32);
    let mut words = vec![0, n as u32, plane(values), plane(out)];
    words.extend(offsets);
    let (dtype, from, index) = (out.dtype, values.dtype, places.dtype);
    let mut key = Key::new();
    key.extend([50, dtype as u64, from as u64, index as u64]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("unpool_apart", caps);
        for word in ["n", "windows", "plane", "to", "begin", "places"] {
            shader.word(word);
        }
        shader.slot(dtype, true, element::lanes(dtype) > 1);
        shader.slot(from, false, false);
        shader.slot(index, false, false);
        let place = element::change("get2(p.places + t)", Reg::of(index), Reg::I32);
        let value = element::change("get1(p.begin + t)", Reg::of(from), Reg::of(dtype));
        shader.body = format!("if (t >= p.n) {{ return; }}\nput0(p.to + (t / p.windows) * p.plane + u32({place}), {value});\n");
        shader
    };
    let blocks = [block(out)?, block(values)?, block(places)?];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: n as u64, work: n as u64 * 8 })
}

/// Zeros, to which each value is added at its place: every invocation gathers for one element, from the windows that contain
/// it, in their order.
pub fn unpool(gpu: &Gpu, values: &Operand, places: &Operand, spans: &[Span], out: &Operand) -> Result<()> {
    for x in [values, places, out] {
        gpu.needs(x.dtype)?;
    }
    if values.numel() == 0 || out.numel() == 0 {
        return copy::fill(gpu, out, 0i64.into());
    }
    let sizes = &out.layout.shape[2..];
    if spans.iter().zip(sizes).all(|(span, &size)| apart(span, size)) {
        return put(gpu, values, places, out);
    }
    let lists: Vec<Vec<i32>> = spans.iter().zip(sizes).map(|(span, &size)| windows_of(span, size)).collect();
    let most = |list: &Vec<i32>| (0..list.len() / 2).map(|x| list[list.len() / 2 + x] - list[x]).max().unwrap_or(0) as usize;
    let around: usize = lists.iter().map(most).product();
    if around > TURNS {
        return Err(gpu.missing("has no kernel for windows that overlap so much", "use a larger stride"));
    }
    let table = gpu.table(&lists.concat())?;
    let (d, n) = (spans.len(), out.numel());
    let mut words = vec![0, n as u32, out.layout.offset as u32, values.layout.offset as u32, places.layout.offset as u32];
    words.push(table.layout.offset as u32);
    let list = |items: &[usize]| items.iter().map(|&v| v as u32).collect::<Vec<_>>();
    let names = axes(&[("size", list(sizes)), ("place", list(&values.layout.shape[2..]))], &mut words);
    let mut key = Key::new();
    key.extend([31, d as u64, out.dtype as u64, values.dtype as u64, places.dtype as u64]);
    let (dtype, from, index) = (out.dtype, values.dtype, places.dtype);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("unpool", caps);
        for word in ["n", "to", "begin", "places", "table"] {
            shader.word(word);
        }
        names.iter().for_each(|name| drop(shader.word(name)));
        shader.slot(dtype, true, element::lanes(dtype) > 1);
        shader.slot(from, false, false);
        shader.slot(index, false, false);
        shader.slot(DType::I32, false, false);
        let mut body = "if (t >= p.n) { return; }\nvar plane = t;\n".to_string();
        for i in (0..d).rev() {
            let _ = writeln!(body, "let r{i} = plane / p.size{i}; let x{i} = plane - r{i} * p.size{i}; plane = r{i};");
        }
        let (mut own, mut base) = ("0u".to_string(), "p.table".to_string());
        for i in 0..d {
            let _ = writeln!(body, "let a{i} = u32(get3({base} + x{i})); let e{i} = u32(get3({base} + p.size{i} + x{i}));");
            (own, base) = (format!("({own} * p.size{i} + x{i})"), format!("{base} + 2u * p.size{i}"));
        }
        let reg = Reg::of(dtype);
        let _ = writeln!(body, "let own = {own};\nvar sum = {};", reg.zero());
        let mut at = "plane".to_string();
        for i in 0..d {
            let _ = writeln!(body, "for (var q{i} = a{i}; q{i} < e{i}; q{i} = q{i} + 1u) {{\nlet at{i} = {at} * p.place{i} + q{i};");
            at = format!("at{i}");
        }
        let place = element::change("get2(p.places + at)", Reg::of(index), Reg::I32);
        let value = element::change("get1(p.begin + at)", Reg::of(from), reg);
        let _ =
            writeln!(body, "let at = {at};\nif (u32({place}) == own) {{ sum = sum + {value}; }}\n{}\nput0(p.to + t, sum);", "}".repeat(d));
        shader.body = body;
        shader
    };
    let blocks = [block(out)?, block(values)?, block(places)?, block(&table)?];
    let work = n as u64 * (16 + 8 * around as u64);
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: n as u64, work })
}
