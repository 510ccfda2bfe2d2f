//! One formula for every element, from the record that the processor's loops are made of. Leans on paper, index and stream.

use super::adapter::Caps;
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::pool::Block;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, number, paper};
use crate::backend::launch::{MapBody, Operand};
use crate::base::{DType, Layout, Number, Result};
use std::fmt::Write as _;
use std::sync::Arc;

/// Where an input comes from.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum From {
    /// A number among the parameters.
    Number,
    /// A binding of its own; whether it shares memory with a result.
    Slot(DType, bool),
    /// What the result of this number overwrites, element by element.
    Result(usize),
}

/// How a result is written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum To {
    /// Every element is a word, or two.
    Words(DType),
    /// Each invocation writes all elements of a word.
    Packed(DType),
    /// Each element's part of its word by itself.
    Parts(DType),
}

impl To {
    pub fn dtype(self) -> DType {
        match self {
            To::Words(d) | To::Packed(d) | To::Parts(d) => d,
        }
    }
    fn code(self) -> u64 {
        let way = match self {
            To::Words(_) => 0,
            To::Packed(_) => 1,
            To::Parts(_) => 2,
        };
        self.dtype() as u64 * 4 + way
    }
}

/// How the elements of an operand are written by a kernel that visits them in order.
pub fn way(out: &Operand, alone: bool) -> To {
    let lanes = element::lanes(out.dtype);
    if lanes == 1 {
        return To::Words(out.dtype);
    }
    let (n, offset) = (out.numel(), out.layout.offset);
    let whole = n.is_multiple_of(lanes) || (offset + n) * out.dtype.size() == out.storage.len();
    let packed = alone && out.layout.is_contiguous() && offset.is_multiple_of(lanes) && whole;
    if packed { To::Packed(out.dtype) } else { To::Parts(out.dtype) }
}

/// What a map's text depends on.
pub struct Plan<'a> {
    pub body: &'a MapBody,
    pub compute: DType,
    pub ins: Vec<From>,
    pub outs: Vec<To>,
    /// The results, and then the inputs that have bindings.
    pub grid: Grid,
}

/// The text of a map.
pub fn write(plan: &Plan, caps: &Caps) -> Shader {
    let mut shader = Shader::new("map", caps);
    let reg = Reg::of(plan.compute);
    shader.word("n");
    plan.grid.declare(&mut shader, "");
    for to in &plan.outs {
        shader.slot(to.dtype(), true, matches!(to, To::Parts(_)));
    }
    let (mut reads, mut slots) = (String::new(), plan.outs.len());
    for (k, from) in plan.ins.iter().enumerate() {
        let value = match *from {
            From::Number => shader.value(&format!("x{k}"), reg),
            From::Slot(dtype, shared) => {
                shader.slot(dtype, shared, false);
                slots += 1;
                element::convert(&format!("get{0}(i{0})", slots - 1), dtype, plan.compute)
            }
            From::Result(j) => element::convert(&format!("get{j}(i{j})"), plan.outs[j].dtype(), plan.compute),
        };
        let _ = writeln!(reads, "let x{k} = {value};");
    }
    let params: Vec<String> = (0..plan.body.params).map(|k| shader.value(&format!("a{k}"), reg)).collect();
    let formula = (plan.body.formula)();
    let (text, results) = paper::lines(&formula, plan.compute, &params).unwrap_or_default();
    let truth = plan.body.truth;
    let given = |j: usize| {
        // A narrow integer wraps before it is anything else.
        let value = if truth || plan.compute.size() >= 4 || plan.outs[j].dtype() == plan.compute {
            results[j].clone()
        } else {
            narrowed(&results[j], plan.compute)
        };
        paper::result(&value, truth, plan.compute, plan.outs[j].dtype())
    };
    match plan.outs[..] {
        [To::Packed(dtype)] => {
            let (lanes, width, out) = (element::lanes(dtype), dtype.size() * 8, Reg::of(dtype).name());
            let _ = writeln!(shader.before, "fn one(e: u32) -> {out} {{\n{}{reads}{text}return {};\n}}", plan.grid.code("e", ""), given(0));
            let mut body = format!("let first = t * {lanes}u;\nif (first >= p.n) {{ return; }}\nvar word = 0u;\n");
            for lane in 0..lanes {
                let part = element::bits(&format!("one(first + {lane}u)"), dtype);
                let _ = writeln!(body, "if (first + {lane}u < p.n) {{ word |= {part} << {}u; }}", lane * width);
            }
            let _ = writeln!(body, "b0[p.o0 / {lanes}u + t] = word;");
            shader.body = body;
        }
        _ => {
            let puts: String = (0..plan.outs.len()).map(|j| format!("put{j}(i{j}, {});\n", given(j))).collect();
            shader.body = format!("if (t >= p.n) {{ return; }}\n{}{reads}{text}{puts}", plan.grid.code("t", ""));
        }
    }
    shader
}

/// A value wrapped to a narrow integer's range.
fn narrowed(value: &str, dtype: DType) -> String {
    match dtype {
        DType::U8 | DType::Bool => format!("({value} & 255i)"),
        DType::I8 => format!("(({value} << 24u) >> 24u)"),
        DType::I16 => format!("(({value} << 16u) >> 16u)"),
        _ => value.to_string(),
    }
}

pub fn run(gpu: &Gpu, body: &MapBody, compute: DType, params: &[Number], ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let n = outs[0].numel();
    if n == 0 {
        return Ok(());
    }
    for dtype in ins.iter().chain(outs).map(|o| o.dtype).chain([compute]) {
        gpu.needs(dtype)?;
    }
    if compute == DType::F64 && !paper::can(&(body.formula)(), compute) {
        return Err(gpu.missing("has no float64 kernel", "use x.float()"));
    }
    let mut plan = Plan {
        body,
        compute,
        ins: Vec::new(),
        outs: outs.iter().map(|o| way(o, outs.len() == 1)).collect(),
        grid: Grid::new(&[&outs[0].layout])?,
    };
    let mut layouts: Vec<&Layout> = outs.iter().map(|o| &o.layout).collect();
    let mut blocks: Vec<&Block> = outs.iter().map(|o| block(o)).collect::<Result<_>>()?;
    let mut numbers = Vec::new();
    for x in ins {
        if !x.storage.is_away() {
            plan.ins.push(From::Number);
            numbers.push(number(x)?);
            continue;
        }
        let over = outs.iter().position(|o| Arc::ptr_eq(&o.storage, &x.storage) && o.dtype == x.dtype && o.layout == x.layout);
        // The words of a packed result are not yet written when they are read, by the same invocation.
        if let Some(j) = over {
            plan.ins.push(From::Result(j));
            continue;
        }
        let shared = outs.iter().any(|o| Arc::ptr_eq(&o.storage, &x.storage));
        plan.ins.push(From::Slot(x.dtype, shared));
        layouts.push(&x.layout);
        blocks.push(block(x)?);
    }
    plan.grid = Grid::new(&layouts)?;
    let mut words = vec![0, n as u32];
    plan.grid.push(&mut words);
    let reg = Reg::of(compute);
    numbers.iter().for_each(|&v| reg.push(v, &mut words));
    params.iter().take(body.params).for_each(|&v| reg.push(v, &mut words));
    let mut key: Key = Key::new();
    key.extend([1, body.formula as usize as u64, compute as u64, plan.grid.key()]);
    let code = |from: &From| match *from {
        From::Number => 1,
        From::Slot(dtype, shared) => 8 + dtype as u64 * 2 + u64::from(shared),
        From::Result(j) => 64 + j as u64,
    };
    key.push(plan.ins.iter().fold(plan.ins.len() as u64, |key, from| key << 8 | code(from)));
    key.push(plan.outs.iter().fold(0, |key, to| (key << 8) | (to.code() + 1)));
    let lanes = if let [To::Packed(dtype)] = plan.outs[..] { element::lanes(dtype) } else { 1 };
    gpu.dispatch(&Job {
        key,
        write: &|caps| write(&plan, caps),
        blocks: &blocks,
        params: &words,
        threads: n.div_ceil(lanes) as u64,
        work: n as u64 * 16,
    })
}

/// The texts of a map in one type: dense, strided, over its own operand, and beside a number. None where a GPU has no
/// such kernel.
pub fn texts(body: &MapBody, compute: DType, caps: &Caps) -> Option<Vec<String>> {
    if !paper::can(&(body.formula)(), compute) {
        return None;
    }
    let result = if body.truth { DType::Bool } else { compute };
    let dense = Layout::contiguous([4, 6][..].into());
    let turned = Layout::contiguous([6, 4][..].into()).transpose(0, 1);
    let forms = [
        (&dense, From::Slot(compute, false), element::lanes(result) > 1 && body.outputs == 1),
        (&turned, From::Slot(compute, true), false),
        (&dense, From::Result(0), false),
        (&turned, From::Number, false),
    ];
    let text = |(layout, from, packed): (&Layout, From, bool)| {
        let ins: Vec<From> = (0..body.inputs).map(|k| if k == 0 || from != From::Result(0) { from } else { From::Number }).collect();
        let to = match element::lanes(result) {
            1 => To::Words(result),
            _ if packed => To::Packed(result),
            _ => To::Parts(result),
        };
        let bound = ins.iter().filter(|f| matches!(f, From::Slot(..))).count();
        let layouts: Vec<&Layout> = (0..body.outputs).map(|_| &dense).chain((0..bound).map(|_| layout)).collect();
        let grid = Grid::new(&layouts).ok()?;
        Some(write(&Plan { body, compute, ins, outs: vec![to; body.outputs], grid }, caps).text(caps))
    };
    forms.into_iter().map(text).collect()
}
