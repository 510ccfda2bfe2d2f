//! Rows, or channels, brought to mean 0 and variance 1, and the way back. Leans on rows.

use super::adapter::Caps;
use super::rows::{self, Rows, adding, each};
use super::sketch;
use super::stream::Gpu;
use crate::backend::launch::{Norm, Operand};
use crate::base::{DType, Few, Layout, Result};

/// An operand of three axes with the channels first.
fn turned(x: &Operand) -> Operand {
    x.view(x.layout.permute(&[1, 0, 2]))
}

/// A list under the rows' shape: one for each column of every row.
fn across(x: &Operand, rows: usize) -> Operand {
    let shape: Few<usize> = [rows, x.numel()][..].into();
    x.view(Layout::new(shape, [0, 1][..].into(), x.layout.offset))
}

const SUM: &str = "var acc = 0.0f; var lost = 0.0f;\n";

/// `x0`, then weight and bias as they are there; `w0` is the epsilon.
fn forward(what: &Norm) -> String {
    let at = if what.channels { "" } else { "k" };
    let weight = if what.weight { format!(" * x1({at})") } else { String::new() };
    let bias = if what.bias { format!(" + x{}({at})", 1 + usize::from(what.weight)) } else { String::new() };
    let var = if what.channels { " put_y3(spread);" } else { "" };
    format!(
        "let n = f32(p.count);\n{SUM}{}let mean = all_sum(acc) / n;\nacc = 0.0f; lost = 0.0f;\n{}let spread = all_sum(acc) / n;\n\
         let scale = 1.0f / sqrt(spread + bitcast<f32>(p.w0));\nif (first == 0u) {{ put_y1(mean); put_y2(scale);{var} }}\n{}",
        each(&adding("x0(k)")),
        each(&format!("let d = x0(k) - mean; {}", adding("d * d"))),
        each(&format!("put_y0(k, (x0(k) - mean) * scale{weight}{bias});")),
    )
}

/// Cotangent, input, mean, scale, and weight: the input's cotangent; for channels the slopes of weight and bias too.
fn backward(what: &Norm, slopes: bool) -> String {
    let weight = if what.weight { if what.channels { "x4()" } else { "x4(k)" } } else { "1.0f" };
    let slopes = if slopes { "if (first == 0u) { put_y1(dots); put_y2(total); }\n" } else { "" };
    let (inner, outer) = if what.channels { ("1.0f", weight) } else { (weight, "1.0f") };
    format!(
        "let n = f32(p.count); let mean = x2(); let scale = x3();\n{SUM}{}let total = all_sum(acc);\nacc = 0.0f; lost = 0.0f;\n{}\
         let dots = all_sum(acc);\n{slopes}let factor = {outer};\n{}",
        each(&adding(&format!("x0(k) * {inner}"))),
        each(&adding(&format!("x0(k) * {inner} * ((x1(k) - mean) * scale)"))),
        each(&format!("put_y0(k, (x0(k) * {inner} - total / n - (x1(k) - mean) * scale * (dots / n)) * scale * factor);")),
    )
}

/// The slopes of weight and bias, column by column.
fn columns() -> String {
    format!(
        "{SUM}{}let dots = all_sum(acc);\nacc = 0.0f; lost = 0.0f;\n{}let total = all_sum(acc);\n\
         if (first == 0u) {{ put_y0(dots); put_y1(total); }}\n",
        each(&adding("x0(k) * ((x1(k) - x2(k)) * x3(k))")),
        each(&adding("x0(k)")),
    )
}

pub fn run(gpu: &Gpu, what: &Norm, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    if outs[0].dtype == DType::F64 {
        return Err(gpu.missing("has no float64 kernel", "use x.float()"));
    }
    let form = u64::from(what.channels) | u64::from(what.weight) << 1 | u64::from(what.bias) << 2;
    let one = |name, code, folded, outs: &[&Operand], ins: &[&Operand], text: String| {
        let words = [(what.eps as f32).to_bits()];
        rows::run(gpu, &Rows { name, code: 64 + code * 8 + form, folded, outs, ins, words: &words, passes: 3, finds: false, text: &text })
    };
    if what.channels {
        // Images (n, c, places) become rows of their channels.
        let own: Vec<Operand> = ins.iter().map(|x| if x.layout.rank() == 3 { turned(x) } else { x.clone() }).collect();
        let to: Vec<Operand> = outs.iter().map(|x| if x.layout.rank() == 3 { turned(x) } else { x.clone() }).collect();
        let (own, to): (Vec<&Operand>, Vec<&Operand>) = (own.iter().collect(), to.iter().collect());
        let text = if what.back { backward(what, to.len() > 1) } else { forward(what) };
        let code = if what.back { 1 + u64::from(to.len() > 1) } else { 0 };
        return one("norm", code, 2, &to, &own, text);
    }
    let (x, lists) = if what.back { (&ins[1], &ins[4..]) } else { (&ins[0], &ins[1..]) };
    let count = x.layout.shape[0];
    let spread: Vec<Operand> = lists.iter().map(|w| across(w, count)).collect();
    if !what.back {
        let own: Vec<&Operand> = std::iter::once(x).chain(&spread).collect();
        return one("norm", 0, 1, &outs.iter().collect::<Vec<_>>(), &own, forward(what));
    }
    let own: Vec<&Operand> = ins[..4].iter().chain(&spread).collect();
    one("norm_back", 1, 1, &[&outs[0]], &own, backward(what, false))?;
    if outs.len() < 2 {
        return Ok(());
    }
    let down = |x: &Operand| x.view(x.layout.transpose(0, 1));
    let size = x.layout.shape[1];
    let (g, x, mean, scale) = (down(&ins[0]), down(x), across(&ins[2], size), across(&ins[3], size));
    one("norm_slopes", 3, 1, &[&outs[1], &outs[2]], &[&g, &x, &mean, &scale], columns())
}

/// The texts of all of these over one type.
pub fn texts(dtype: DType, caps: &Caps) -> Vec<String> {
    let (full, image) = (Layout::contiguous([4, 70][..].into()), Layout::contiguous([2, 4, 35][..].into()));
    let (x, z, r) = (sketch(dtype, &full), turned(&sketch(dtype, &image)), sketch(DType::F32, &Layout::contiguous([4][..].into())));
    let w = across(&sketch(dtype, &Layout::contiguous([70][..].into())), 4);
    let text = |folded, outs: &[&Operand], ins: &[&Operand], text: String| {
        rows::texts(&Rows { name: "norm", code: 0, folded, outs, ins, words: &[0], passes: 3, finds: false, text: &text }, caps)
    };
    let form = |channels, back| Norm { channels, groups: 0, centred: true, back, weight: true, bias: true, eps: 1e-5 };
    let mut found = text(1, &[&x, &r, &r], &[&x, &w, &w], forward(&form(false, false)));
    found.extend(text(2, &[&z, &r, &r, &r], &[&z, &r, &r], forward(&form(true, false))));
    found.extend(text(1, &[&x], &[&x, &x, &r, &r, &w], backward(&form(false, true), false)));
    found.extend(text(2, &[&z, &r, &r], &[&z, &z, &r, &r, &r], backward(&form(true, true), true)));
    found.extend(text(1, &[&r, &r], &[&x, &x, &x, &x], columns()));
    found
}
