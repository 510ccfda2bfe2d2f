//! Formulas for every element, from the records that the processor's loops are made of: one, several whose values pass in
//! registers, or several side by side. Leans on paper, index and stream.

use super::adapter::Caps;
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::pool::Block;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, number, paper, sketch};
use crate::backend::launch::{MapBody, Operand};
use crate::base::{DType, Layout, Number, Result};
use smallvec::SmallVec;
use std::fmt::Write as _;
use std::sync::Arc;

/// Formulas of one kernel, and the operands that it is bound to beside its results.
pub const LINKS: usize = 24;
const BINDINGS: usize = 16;

/// One formula with its operands.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    pub body: &'static MapBody,
    pub compute: DType,
    pub params: &'a [Number],
    pub ins: &'a [Operand],
    pub outs: &'a [Operand],
}

/// Where an input comes from.
#[derive(Clone, Copy, PartialEq, Debug)]
enum From {
    /// A number among the parameters.
    Number,
    /// A binding of its own.
    Slot(usize),
    /// What the result of this number overwrites, element by element.
    Result(usize),
    /// A result of an earlier link.
    Local(usize, usize),
    /// What the kernel around it has computed.
    Given,
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

/// One formula of a chain: where its inputs come from, and in which of the chain's results its own are written.
struct Link {
    body: &'static MapBody,
    compute: DType,
    ins: SmallVec<[From; 3]>,
    outs: SmallVec<[Option<usize>; 3]>,
    /// The types that its results are stored as, whether or not they reach memory.
    stored: SmallVec<[DType; 3]>,
}

/// Formulas over the same elements, one after the other.
pub struct Chain<'a> {
    links: SmallVec<[Link; 1]>,
    outs: SmallVec<[(&'a Operand, To); 2]>,
    /// What has bindings of its own, and whether it shares memory with a result.
    slots: SmallVec<[(&'a Operand, bool); 4]>,
    given: Option<DType>,
    grid: Grid,
    /// Numbers of all links in the order of their names.
    numbers: SmallVec<[(Reg, Number); 4]>,
    n: usize,
}

/// Whether an operand's elements are another's, one by one.
fn is_same(a: &Operand, b: &Operand) -> bool {
    let alike = a.layout == b.layout || a.layout.offset == b.layout.offset && a.layout.is_contiguous() && b.layout.is_contiguous();
    Arc::ptr_eq(&a.storage, &b.storage) && a.dtype == b.dtype && alike
}

/// Layouts of as many elements under one shape, or None where they have none in common.
fn common<'a>(layouts: &[&'a Layout]) -> Option<SmallVec<[std::borrow::Cow<'a, Layout>; 4]>> {
    use std::borrow::Cow;
    if layouts.iter().all(|l| l.shape == layouts[0].shape) {
        return Some(layouts.iter().map(|&l| Cow::Borrowed(l)).collect());
    }
    let under = |shape: &[usize]| -> Option<SmallVec<[Cow<'a, Layout>; 4]>> {
        layouts.iter().map(|&l| if l.shape[..] == *shape { Some(Cow::Borrowed(l)) } else { l.reshape(shape).map(Cow::Owned) }).collect()
    };
    layouts.iter().find_map(|l| under(&l.shape))
}

/// Whether lists of formulas side by side can be one kernel: bindings for results and inputs, and a shape for each list.
pub fn fits(parts: &[Vec<Piece>], local: &dyn Fn(&Operand) -> bool, caps: &Caps) -> bool {
    let chains = parts.iter().map(|pieces| Chain::new(pieces, local, None, parts.len() == 1));
    let Ok(Some(chains)) = chains.collect::<Result<Option<Vec<_>>>>() else { return false };
    parts.iter().map(Vec::len).sum::<usize>() <= LINKS && chains.iter().map(Chain::bindings).sum::<usize>() <= most(caps)
}

/// Bindings that a kernel of formulas may have; one more is for parameters.
pub fn most(caps: &Caps) -> usize {
    BINDINGS.min(caps.bindings as usize - 1)
}

impl<'a> Chain<'a> {
    /// Puts formulas together. `local` says which results nobody reads from memory; `given` is what the kernel around it
    /// computes. None where the operands have no shape in common.
    pub fn new(pieces: &[Piece<'a>], local: &dyn Fn(&Operand) -> bool, given: Option<&Operand>, alone: bool) -> Result<Option<Chain<'a>>> {
        let mut outs: SmallVec<[(&'a Operand, To); 2]> = SmallVec::new();
        for out in pieces.iter().flat_map(|p| p.outs).filter(|o| !local(o)) {
            if !outs.iter().any(|(own, _)| is_same(own, out)) {
                outs.push((out, To::Words(out.dtype)));
            }
        }
        let alone = alone && outs.len() == 1;
        outs.iter_mut().for_each(|(out, to)| *to = way(out, alone));
        let mut slots: SmallVec<[(&'a Operand, bool); 4]> = SmallVec::new();
        let mut numbers: SmallVec<[(Reg, Number); 4]> = SmallVec::new();
        let mut links: SmallVec<[Link; 1]> = SmallVec::new();
        for (k, piece) in pieces.iter().enumerate() {
            let reg = Reg::of(piece.compute);
            let mut ins: SmallVec<[From; 3]> = SmallVec::new();
            for x in piece.ins {
                if !x.storage.is_away() {
                    numbers.push((reg, number(x)?));
                    ins.push(From::Number);
                    continue;
                }
                // The last that wrote it has it.
                let earlier = (0..k).rev().find_map(|j| pieces[j].outs.iter().position(|o| is_same(o, x)).map(|i| From::Local(j, i)));
                let found = earlier.or_else(|| given.filter(|g| is_same(g, x)).map(|_| From::Given));
                let found = found.or_else(|| outs.iter().position(|(o, _)| is_same(o, x)).map(From::Result));
                ins.push(found.unwrap_or_else(|| {
                    let known = slots.iter().position(|(own, _)| is_same(own, x) && own.layout.shape == x.layout.shape);
                    From::Slot(known.unwrap_or_else(|| {
                        let shared = outs.iter().any(|(o, _)| Arc::ptr_eq(&o.storage, &x.storage));
                        slots.push((x, shared));
                        slots.len() - 1
                    }))
                }));
            }
            numbers.extend(piece.params.iter().take(piece.body.params).map(|&v| (reg, v)));
            let places = piece.outs.iter().map(|o| outs.iter().position(|(own, _)| is_same(own, o))).collect();
            let stored = piece.outs.iter().map(|o| o.dtype).collect();
            links.push(Link { body: piece.body, compute: piece.compute, ins, outs: places, stored });
        }
        let first = &pieces[0].outs[0];
        let layouts: SmallVec<[&Layout; 6]> = outs.iter().map(|(o, _)| &o.layout).chain(slots.iter().map(|(o, _)| &o.layout)).collect();
        let n = first.numel();
        if layouts.iter().any(|l| l.numel() != n) {
            return Ok(None);
        }
        let grid = if layouts.is_empty() {
            Grid::new(&[&first.layout])?
        } else {
            let Some(shaped) = common(&layouts) else { return Ok(None) };
            Grid::new(&shaped.iter().map(|l| &**l).collect::<SmallVec<[&Layout; 6]>>())?
        };
        Ok(Some(Chain { links, outs, slots, given: given.map(|g| g.dtype), grid, numbers, n }))
    }

    /// How many buffers it is bound to.
    pub fn bindings(&self) -> usize {
        self.outs.len() + self.slots.len()
    }

    /// What of it a kernel's text depends on.
    pub fn key(&self, key: &mut Key) {
        for link in &self.links {
            key.extend([link.body.formula as usize as u64, link.compute as u64]);
            let code = |from: &From| match *from {
                From::Number => 1,
                From::Given => 2,
                From::Slot(k) => 0x100 + k as u64,
                From::Result(k) => 0x200 + k as u64,
                From::Local(j, i) => 0x400 + j as u64 * 16 + i as u64,
            };
            key.push(link.ins.iter().fold(link.ins.len() as u64, |key, from| key << 12 | code(from)));
            let mark = |k: usize| link.outs[k].map_or(0, |at| at as u64 + 1) << 8 | link.stored[k] as u64;
            key.push((0..link.outs.len()).fold(7, |key, k| key << 16 | mark(k)));
        }
        key.push(self.outs.iter().fold(self.links.len() as u64, |key, (_, to)| key << 8 | (to.code() + 1)));
        let slot = |key: u64, (o, shared): &(&Operand, bool)| (key << 5) | (o.dtype as u64 * 2 + u64::from(*shared));
        let halves = self.slots.chunks(12).map(|list| list.iter().fold(list.len() as u64, slot));
        key.extend(halves);
        key.push(self.given.map_or(0, |d| d as u64 + 1));
        key.push(self.grid.key());
    }

    /// The blocks behind its bindings, in their order.
    pub fn blocks(&self) -> Result<SmallVec<[&'a Block; 6]>> {
        self.outs.iter().map(|(o, _)| block(o)).chain(self.slots.iter().map(|(o, _)| block(o))).collect()
    }

    /// Whether its numbers are another's, in the same places.
    fn says_like(&self, other: &Chain) -> bool {
        let alike = |(a, b): (&Link, &Link)| std::ptr::eq(a.body, b.body) && a.ins == b.ins && a.compute == b.compute;
        let same = |((r, a), (s, b)): (&(Reg, Number), &(Reg, Number))| r == s && bits(*a) == bits(*b);
        self.links.len() == other.links.len()
            && self.links.iter().zip(&other.links).all(alike)
            && self.numbers.len() == other.numbers.len()
            && self.numbers.iter().zip(&other.numbers).all(same)
    }

    /// Adds its parameters' values.
    pub fn push(&self, words: &mut Vec<u32>, numbers: bool) {
        self.grid.push(words);
        if numbers {
            self.numbers.iter().for_each(|&(reg, v)| reg.push(v, words));
        }
    }

    /// Adds its bindings to a kernel, and the names of its parameters; `names` is where its numbers are found.
    pub fn declare(&self, shader: &mut Shader, prefix: &str, names: &mut Option<Vec<String>>) {
        self.grid.declare(shader, prefix);
        for (_, to) in &self.outs {
            shader.slot(to.dtype(), true, matches!(to, To::Parts(_)));
        }
        for (o, shared) in &self.slots {
            shader.slot(o.dtype, *shared, false);
        }
        if names.is_none() {
            let name = |(k, &(reg, _)): (usize, &(Reg, Number))| shader.value(&format!("{prefix}a{k}"), reg);
            *names = Some(self.numbers.iter().enumerate().map(name).collect());
        }
    }

    /// Lines that compute the results of element `e`, and those results; `first` is its first binding's number.
    fn lines(&self, e: &str, prefix: &str, first: usize, names: &[String]) -> (String, SmallVec<[String; 2]>) {
        let mut text = self.grid.code(e, prefix);
        let mut names = names.iter();
        let inputs = |wanted: &dyn Fn(&From) -> bool| self.links.iter().flat_map(|l| &l.ins).any(wanted);
        for k in 0..self.slots.len() {
            let at = self.outs.len() + k;
            let _ = writeln!(text, "let {prefix}s{k} = get{}({prefix}i{at});", first + at);
        }
        for j in (0..self.outs.len()).filter(|&j| inputs(&|from| *from == From::Result(j))) {
            let _ = writeln!(text, "let {prefix}q{j} = get{}({prefix}i{j});", first + j);
        }
        let mut given: SmallVec<[String; 2]> = self.outs.iter().map(|_| String::new()).collect();
        for (k, link) in self.links.iter().enumerate() {
            let xs: Vec<String> = (0..link.ins.len()).map(|i| format!("{prefix}x{k}_{i}")).collect();
            for (from, x) in link.ins.iter().zip(&xs) {
                let value = match *from {
                    From::Number => names.next().cloned().unwrap_or_default(),
                    From::Slot(s) => element::convert(&format!("{prefix}s{s}"), self.slots[s].0.dtype, link.compute),
                    From::Result(j) => element::convert(&format!("{prefix}q{j}"), self.outs[j].1.dtype(), link.compute),
                    From::Local(j, i) => element::convert(&format!("{prefix}r{j}_{i}"), self.links[j].stored[i], link.compute),
                    From::Given => element::convert("acc", self.given.unwrap_or(DType::F32), link.compute),
                };
                let _ = writeln!(text, "let {x} = {value};");
            }
            let params: Vec<String> = (0..link.body.params).filter_map(|_| names.next().cloned()).collect();
            let formula = (link.body.formula)();
            let own = format!("{prefix}v{k}_");
            let (lines, results) = paper::lines(&formula, link.compute, &xs, &params, &own).unwrap_or_default();
            text.push_str(&lines);
            for (j, (value, &dtype)) in results.iter().zip(&link.stored).enumerate() {
                // A narrow integer wraps before it is anything else.
                let plain = link.body.truth || link.compute.size() >= 4 || dtype == link.compute;
                let value = if plain { value.clone() } else { element::stored(value, link.compute) };
                let value = paper::result(&value, link.body.truth, link.compute, dtype);
                match link.outs.get(j).copied().flatten() {
                    // Memory rounds by itself what no later link reads.
                    Some(at) if !inputs(&|from| *from == From::Local(k, j)) => given[at] = value,
                    place => {
                        let _ = writeln!(text, "let {prefix}r{k}_{j} = {};", element::stored(&value, dtype));
                        if let Some(at) = place {
                            given[at] = format!("{prefix}r{k}_{j}");
                        }
                    }
                }
            }
        }
        (text, given)
    }

    /// The lines that compute and write element `e`.
    pub fn code(&self, e: &str, prefix: &str, first: usize, names: &[String]) -> String {
        let (text, given) = self.lines(e, prefix, first, names);
        let puts: String = given.iter().enumerate().map(|(j, v)| format!("put{}({prefix}i{j}, {v});\n", first + j)).collect();
        text + &puts
    }
}

/// A number that is told apart from all others, as parameters are.
fn bits(n: Number) -> (u8, u64, u64) {
    match n {
        Number::Bool(b) => (0, u64::from(b), 0),
        Number::Int(i) => (1, i as u64, 0),
        Number::Float(f) => (2, f.to_bits(), 0),
        Number::Complex(re, im) => (3, re.to_bits(), im.to_bits()),
    }
}

/// The type of the one result whose words are written whole, if that is how it is.
fn packed(chains: &[Chain]) -> Option<DType> {
    match chains {
        [Chain { outs, .. }] => match outs[..] {
            [(_, To::Packed(dtype))] => Some(dtype),
            _ => None,
        },
        _ => None,
    }
}

/// The text of chains side by side: each has the invocations behind those of the one before.
fn write(chains: &[Chain], caps: &Caps) -> Shader {
    let mut shader = Shader::new("map", caps);
    let mut names = None;
    let (mut first, mut parts) = (0, Vec::new());
    for (s, chain) in chains.iter().enumerate() {
        let prefix = if s == 0 { String::new() } else { format!("p{s}") };
        shader.word(&format!("{prefix}n"));
        let mut own = if s > 0 && chain.says_like(&chains[0]) { names.clone() } else { None };
        chain.declare(&mut shader, &prefix, &mut own);
        let list = own.clone().unwrap_or_default();
        if s == 0 {
            names = own;
        }
        parts.push((prefix, first, list));
        first += chain.outs.len() + chain.slots.len();
    }
    if let ([chain], Some(dtype)) = (chains, packed(chains)) {
        let (lanes, width, out) = (element::lanes(dtype), dtype.size() * 8, Reg::of(dtype).name());
        let (text, given) = chain.lines("e", "", 0, &parts[0].2);
        let _ = writeln!(shader.before, "fn one(e: u32) -> {out} {{\n{text}return {};\n}}", given[0]);
        let mut body = format!("let first = t * {lanes}u;\nif (first >= p.n) {{ return; }}\nvar word = 0u;\n");
        for lane in 0..lanes {
            let part = element::bits(&format!("one(first + {lane}u)"), dtype);
            let _ = writeln!(body, "if (first + {lane}u < p.n) {{ word |= {part} << {}u; }}", lane * width);
        }
        let _ = writeln!(body, "b0[p.o0 / {lanes}u + t] = word;");
        shader.body = body;
        return shader;
    }
    if let [chain] = chains {
        shader.body = format!("if (t >= p.n) {{ return; }}\n{}", chain.code("t", "", 0, &parts[0].2));
        return shader;
    }
    shader.body = "var e = t;\n".to_string();
    for (chain, (prefix, first, names)) in chains.iter().zip(&parts) {
        let code = chain.code("e", prefix, *first, names);
        let _ = writeln!(shader.body, "if (e < p.{prefix}n) {{\n{code}return;\n}}\ne = e - p.{prefix}n;");
    }
    shader
}

/// Refuses what the adapter has no types or no mathematics for.
fn check(gpu: &Gpu, piece: &Piece) -> Result<()> {
    for dtype in piece.ins.iter().chain(piece.outs).map(|o| o.dtype).chain([piece.compute]) {
        gpu.holds(dtype)?;
    }
    if lacks(piece) {
        return Err(gpu.missing(&format!("has no {} kernel", piece.compute), "use x.float()"));
    }
    Ok(())
}

/// Whether a formula asks for mathematics that its type has not on a GPU.
fn lacks(piece: &Piece) -> bool {
    matches!(piece.compute, DType::F64 | DType::C64 | DType::C128) && !paper::can(&(piece.body.formula)(), piece.compute)
}

/// Whether an adapter has what a formula needs.
pub fn can(piece: &Piece, caps: &Caps) -> bool {
    let mut dtypes = piece.ins.iter().chain(piece.outs).map(|o| o.dtype).chain([piece.compute]);
    !dtypes.any(|d| element::lacking(d, caps)) && !lacks(piece)
}

pub fn run(gpu: &Gpu, body: &'static MapBody, compute: DType, params: &[Number], ins: &[Operand], outs: &[Operand]) -> Result<()> {
    if outs[0].numel() == 0 {
        return Ok(());
    }
    let piece = Piece { body, compute, params, ins, outs };
    check(gpu, &piece)?;
    let chain = Chain::new(&[piece], &|_| false, None, true)?;
    chain.map_or(Ok(()), |chain| dispatch(gpu, &[chain]))
}

/// Lists of formulas side by side, each over elements of its own; results that are `local` never reach memory.
pub fn run_parts(gpu: &Gpu, parts: &[Vec<Piece>], local: &dyn Fn(&Operand) -> bool) -> Result<()> {
    let mut chains = Vec::with_capacity(parts.len());
    for pieces in parts {
        pieces.iter().try_for_each(|piece| check(gpu, piece))?;
        chains.extend(Chain::new(pieces, local, None, parts.len() == 1)?);
    }
    if chains.len() < parts.len() {
        return Err(crate::base::Error::bug("gpu", "formulas over elements that have no shape in common"));
    }
    dispatch(gpu, &chains)
}

/// The same formula over many lists of operands, as many as a kernel can be bound to at a time.
pub fn run_segments(gpu: &Gpu, body: &'static MapBody, compute: DType, params: &[Number], segments: &[&[Operand]]) -> Result<()> {
    let most = (most(&gpu.caps) / body.inputs.max(1)).max(1);
    let full: Vec<&[Operand]> = segments.iter().copied().filter(|list| list[0].numel() > 0).collect();
    for group in full.chunks(most) {
        let mut chains = Vec::with_capacity(group.len());
        for list in group {
            let piece = Piece { body, compute, params, ins: list, outs: &list[..body.outputs] };
            check(gpu, &piece)?;
            chains.extend(Chain::new(&[piece], &|_| false, None, group.len() == 1)?);
        }
        dispatch(gpu, &chains)?;
    }
    Ok(())
}

fn dispatch(gpu: &Gpu, chains: &[Chain]) -> Result<()> {
    let mut words = vec![0];
    let mut key: Key = Key::new();
    key.push(1);
    let mut blocks: SmallVec<[&Block; 8]> = SmallVec::new();
    for (s, chain) in chains.iter().enumerate() {
        let like = s > 0 && chain.says_like(&chains[0]);
        key.push(u64::from(like));
        chain.key(&mut key);
        words.push(chain.n as u32);
        chain.push(&mut words, !like);
        blocks.extend(chain.blocks()?);
    }
    let lanes = packed(chains).map_or(1, element::lanes);
    let threads = chains.iter().map(|c| c.n.div_ceil(lanes)).sum::<usize>() as u64;
    let work = chains.iter().map(|c| c.n * c.links.len()).sum::<usize>() as u64 * 16;
    gpu.dispatch(&Job { key, write: &|caps| write(chains, caps), blocks: &blocks, params: &words, threads, work })
}

/// The texts of a map in one type: dense, strided, over its own operand, beside a number, twice in a chain and twice side by
/// side. None where a GPU has no such kernel.
pub fn texts(body: &'static MapBody, compute: DType, caps: &Caps) -> Option<Vec<String>> {
    if !paper::can(&(body.formula)(), compute) {
        return None;
    }
    let result = if body.truth { DType::Bool } else { compute };
    let dense = Layout::contiguous([4, 6][..].into());
    let turned = Layout::contiguous([6, 4][..].into()).transpose(0, 1);
    let params = vec![Number::Float(0.5); body.params];
    let many = |dtype, layout: &Layout, count: usize| -> Vec<Operand> { (0..count).map(|_| sketch(dtype, layout)).collect() };
    let outs = many(result, &dense, body.outputs);
    let mut over = many(compute, &dense, body.inputs);
    if let (Some(first), true) = (over.first_mut(), result == compute) {
        *first = outs[0].clone();
    }
    let lists = [many(compute, &dense, body.inputs), many(compute, &turned, body.inputs), over];
    let piece = |ins| Piece { body, compute, params: &params, ins, outs: &outs };
    let mut texts = Vec::new();
    for ins in &lists {
        texts.push(write(&[Chain::new(&[piece(ins)], &|_| false, None, true).ok()??], caps).text(caps));
    }
    let next = many(result, &dense, body.outputs);
    let mut follow = many(compute, &turned, body.inputs);
    if let Some(first) = follow.first_mut() {
        *first = outs[0].clone();
    }
    let second = Piece { body, compute, params: &params, ins: &follow, outs: &next };
    let hidden = |o: &Operand| Arc::ptr_eq(&o.storage, &outs[0].storage);
    texts.push(write(&[Chain::new(&[piece(&lists[0]), second], &hidden, None, true).ok()??], caps).text(caps));
    let side = || Chain::new(&[piece(&lists[0])], &|_| false, None, false);
    texts.push(write(&[side().ok()??, side().ok()??], caps).text(caps));
    Some(texts)
}
