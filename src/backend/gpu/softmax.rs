//! Softmax, its logarithm, the derivative of both, and cross-entropy, row by row. Leans on rows.

use super::adapter::Caps;
use super::rows::{self, Rows, adding, each};
use super::sketch;
use super::stream::Gpu;
use crate::backend::launch::{Entropy, Operand};
use crate::base::{DType, Few, Layout, Result};

fn refuse_wide(gpu: &Gpu, dtype: DType) -> Result<()> {
    if dtype == DType::F64 { Err(gpu.missing("has no float64 kernel", "use x.float()")) } else { Ok(()) }
}

/// Lines that find a row's largest element and the sum of the exponentials of what is left of each. Where the largest is
/// infinite nothing is taken off, so that no infinity is taken from itself.
pub fn sums() -> String {
    format!(
        "var best = -infinity();\n{}let top = all_max(best);\nlet low = select(top, 0.0f, abs(top) == infinity());\n\
         var acc = 0.0f; var lost = 0.0f;\n{}let total = all_sum(acc);\n",
        each("best = larger(best, x0(k));"),
        each(&adding("exp_f32(x0(k) - low)")),
    )
}

/// The same, where an infinite score leaves no number in its row.
fn strict_sums() -> String {
    sums() + "let whole = select(total, no_number(), top == infinity());\n"
}

fn forward(log: bool) -> String {
    let value = if log { "x0(k) - low - fall" } else { "exp_f32(x0(k) - low) / whole" };
    let fall = if log { "let fall = log_f32(whole);\n" } else { "" };
    strict_sums() + fall + &each(&format!("put_y0(k, {value});"))
}

fn backward(log: bool) -> String {
    let (sum, value) = if log { ("x0(k)", "x0(k) - exp_f32(x1(k)) * total") } else { ("x0(k) * x1(k)", "x1(k) * (x0(k) - total)") };
    format!("var acc = 0.0f; var lost = 0.0f;\n{}let total = all_sum(acc);\n{}", each(&adding(sum)), each(&format!("put_y0(k, {value});")))
}

pub fn run(gpu: &Gpu, log: bool, input: &Operand, out: &Operand) -> Result<()> {
    refuse_wide(gpu, input.dtype)?;
    refuse_wide(gpu, out.dtype)?;
    let (code, text) = (u64::from(log), forward(log));
    let own = Rows { name: "softmax", code, folded: 1, outs: &[out], ins: &[input], words: &[], passes: 3, finds: false, text: &text };
    rows::run(gpu, &own)
}

pub fn back(gpu: &Gpu, log: bool, grad: &Operand, result: &Operand, out: &Operand) -> Result<()> {
    refuse_wide(gpu, out.dtype)?;
    let (code, text) = (2 + u64::from(log), backward(log));
    let ins = [grad, result];
    let own = Rows { name: "softmax_back", code, folded: 1, outs: &[out], ins: &ins, words: &[], passes: 2, finds: false, text: &text };
    rows::run(gpu, &own)
}

/// Whether a row counts: its class `c` is not the one that is left out.
const COUNTS: &str = "bitcast<i64>((u64(p.w1) << 32u) | u64(p.w0))";

fn losses() -> String {
    strict_sums()
        + &format!(
            "let fall = low + log_f32(whole);\nlet c = x1();\nvar loss = 0.0f;\nif (c != {COUNTS}) {{\n\
         if (c < i64(0) || c >= i64(p.count)) {{ note_fault(i32(c), p.count); }} else {{ loss = fall - x0(u32(c)); }}\n}}\n\
         if (first == 0u) {{ put_y0(loss); put_y1(fall); }}\n"
        )
}

/// The sum over rows, or their mean where `w2` says so.
fn total() -> String {
    format!(
        "var acc = 0.0f; var lost = 0.0f; var many = 0.0f;\n{}let sum = all_sum(acc); let n = all_sum(many);\n\
         if (first == 0u) {{ put_y0(select(sum, sum / n, p.w2 == 1u)); }}\n",
        each(&format!("if (x1(k) != {COUNTS}) {{ many += 1.0f; {} }}", adding("x0(k)")))
    )
}

/// The loss's cotangent as each row feels it.
fn factor() -> String {
    format!(
        "var many = 0.0f;\n{}let n = all_sum(many);\nif (first == 0u) {{ put_y0(select(x0(), x0() / n, p.w2 == 1u)); }}\n",
        each(&format!("if (x1(k) != {COUNTS}) {{ many += 1.0f; }}"))
    )
}

fn slopes() -> String {
    format!(
        "let c = x1(); let counts = c != {COUNTS}; let fall = x2(); let f = x3();\n{}",
        each("put_y0(k, select(0.0f, f * (exp_f32(x0(k) - fall) - select(0.0f, 1.0f, i64(k) == c)), counts));")
    )
}

/// The cross-entropy of rows of scores and their classes, or its slope in the scores.
pub fn entropy(gpu: &Gpu, what: &Entropy, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    refuse_wide(gpu, outs[0].dtype)?;
    let words = [what.ignored as u32, (what.ignored >> 32) as u32, u32::from(what.mean)];
    let one = |name, code, passes, finds, outs: &[&Operand], ins: &[&Operand], text: String| {
        rows::run(gpu, &Rows { name, code, folded: 1, outs, ins, words: &words, passes, finds, text: &text })
    };
    if !what.back {
        let [x, classes] = ins else { return Ok(()) };
        let each = gpu.scratch(&classes.layout.shape, DType::F32)?;
        one("entropy", 4, 2, true, &[&each, &outs[1]], &[x, classes], losses())?;
        return one("entropy_total", 5, 1, false, &[&outs[0]], &[&each, classes], total());
    }
    let [g, x, classes, falls] = ins else { return Ok(()) };
    let share = gpu.scratch(&[], DType::F32)?;
    let flat: Few<usize> = Few::new();
    let g = g.view(Layout::new(flat, Few::new(), g.layout.offset));
    one("entropy_share", 6, 1, false, &[&share], &[&g, classes], factor())?;
    let rows = share.view(Layout::new(classes.layout.shape.clone(), [0][..].into(), 0));
    one("entropy_back", 7, 1, false, &[&outs[0]], &[x, classes, falls, &rows], slopes())
}

/// The texts of all of these over one type.
pub fn texts(dtype: DType, caps: &Caps) -> Vec<String> {
    let full = Layout::contiguous([4, 70][..].into());
    let list = Layout::contiguous([4][..].into());
    let none = Layout::contiguous(Few::new());
    let (x, y, r, c, one) =
        (sketch(dtype, &full), sketch(dtype, &full), sketch(DType::F32, &list), sketch(DType::I64, &list), sketch(DType::F32, &none));
    let text = |finds, outs: &[&Operand], ins: &[&Operand], text: String| {
        let words = [0; 3];
        rows::texts(&Rows { name: "softmax", code: 0, folded: 1, outs, ins, words: &words, passes: 3, finds, text: &text }, caps)
    };
    let mut found = Vec::new();
    for log in [false, true] {
        found.extend(text(false, &[&y], &[&x], forward(log)));
        found.extend(text(false, &[&y], &[&x, &y], backward(log)));
    }
    found.extend(text(true, &[&r, &r], &[&x, &c], losses()));
    found.extend(text(false, &[&one], &[&r, &c], total()));
    found.extend(text(false, &[&one], &[&one, &c], factor()));
    found.extend(text(false, &[&y], &[&x, &c, &r, &r], slopes()));
    found
}
