//! Random draws with the processor's bits: uniform numbers, truths and dropout from Philox's words on the device, everything
//! else drawn on the host and brought over. Leans on stream.

use super::adapter::Caps;
use super::element::{self, Reg};
use super::kernel::Key;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, copy};
use crate::backend::launch::{Draw, Operand};
use crate::backend::{Launch, place};
use crate::base::{DType, Device, Layout, Result};

pub fn run(gpu: &Gpu, draw: Draw, seed: u64, offset: u64, out: &Operand) -> Result<()> {
    gpu.needs(out.dtype)?;
    let (how, a, b) = match draw {
        Draw::Uniform(a, b) if out.dtype == DType::F32 => (0, a as f32, b as f32),
        Draw::Bernoulli(p) => (1, 0.0, p as f32),
        _ => return by_host(gpu, draw, seed, offset, out),
    };
    if out.numel() == 0 {
        return Ok(());
    }
    let direct = out.dtype == DType::F32 && out.layout.is_contiguous();
    let own = if direct { out.clone() } else { gpu.scratch(&out.layout.shape, DType::F32)? };
    let n = own.numel();
    let p = if let Draw::Bernoulli(p) = draw { p } else { 0.0 };
    let last = b.next_down().max(a);
    let low = if how == 0 { a.to_bits() } else { bar(p) };
    let mut words = counted(n, (seed, offset));
    words.extend([own.layout.offset as u32, low, (b - a).to_bits(), last.to_bits()]);
    let mut key = Key::new();
    key.extend([10, how]);
    let write = |caps: &Caps| drawing(how, caps);
    let params: &[u32] = &words;
    gpu.dispatch(&Job { key, write: &write, blocks: &[block(&own)?], params, threads: n.div_ceil(4) as u64, work: n as u64 * 64 })?;
    if direct { Ok(()) } else { copy::copy(gpu, &own, out) }
}

/// 24 bits of each word decide; the bar is the smallest of them that is too high.
fn bar(p: f64) -> u32 {
    (p * f64::from(1u32 << 24)).ceil() as u32
}

/// What every draw is told first.
const COUNTED: [&str; 5] = ["n", "seed", "seed_1", "offset", "offset_1"];

fn counted(n: usize, (seed, offset): (u64, u64)) -> Vec<u32> {
    vec![0, n as u32, seed as u32, (seed >> 32) as u32, offset as u32, (offset >> 32) as u32]
}

/// A kernel whose invocations do something with the words `w` of four elements `e` each.
fn by_fours(shader: &mut Shader, lines: &str) {
    shader.body = format!(
        "if (t * 4u >= p.n) {{ return; }}\nlet counter = p.offset + t;\nlet carry = select(0u, 1u, counter < t);\n\
         let four = philox(vec4<u32>(counter, p.offset_1 + carry, 0u, 0u), vec2<u32>(p.seed, p.seed_1));\n\
         for (var k = 0u; k < 4u; k = k + 1u) {{\nlet e = t * 4u + k;\nif (e < p.n) {{\nlet w = four[k];\n{lines}\n}}\n}}\n"
    );
}

fn drawing(how: u64, caps: &Caps) -> Shader {
    let mut shader = Shader::new("draw", caps);
    COUNTED.into_iter().chain(["to", "low", "width", "last"]).for_each(|word| drop(shader.word(word)));
    shader.slot(DType::F32, true, false);
    by_fours(
        &mut shader,
        if how == 0 {
            "let v = bitcast<f32>(p.low) + hold(bitcast<f32>(p.width) * (f32(w >> 8u) * 5.9604644775390625e-8f));\n\
             put0(p.to + e, select(bitcast<f32>(p.last), v, v < bitcast<f32>(p.last)));"
        } else {
            "put0(p.to + e, select(0.0f, 1.0f, (w >> 8u) < p.low));"
        },
    );
    shader
}

fn dropping(dtype: DType, caps: &Caps) -> Shader {
    let mut shader = Shader::new("dropout", caps);
    COUNTED.into_iter().chain(["to", "begin", "bar", "scale"]).for_each(|word| drop(shader.word(word)));
    shader.slot(dtype, true, element::lanes(dtype) > 1);
    shader.slot(dtype, false, false);
    by_fours(&mut shader, "put0(p.to + e, get1(p.begin + e) * select(0.0f, bitcast<f32>(p.scale), (w >> 8u) < p.bar));");
    shader
}

/// Each element times a number where its draw is kept, else times 0; draws are those of `Bernoulli`.
pub fn dropped(gpu: &Gpu, (keep, scale): (f64, f64), place: (u64, u64), input: &Operand, out: &Operand) -> Result<()> {
    if Reg::of(out.dtype) != Reg::F32 {
        return Err(gpu.missing("has no kernel for this type", "use x.float()"));
    }
    let n = out.numel();
    // The factor is of the elements' type.
    let factor = match out.dtype {
        DType::F16 => half::f16::from_f64(scale).to_f32(),
        DType::BF16 => half::bf16::from_f64(scale).to_f32(),
        _ => scale as f32,
    };
    let mut words = counted(n, place);
    words.extend([out.layout.offset as u32, input.layout.offset as u32, bar(keep), factor.to_bits()]);
    let mut key = Key::new();
    key.extend([43, out.dtype as u64]);
    let write = |caps: &Caps| dropping(out.dtype, caps);
    let blocks = [block(out)?, block(input)?];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: n.div_ceil(4) as u64, work: n as u64 * 64 })
}

/// The texts of all of these.
pub fn texts(caps: &Caps) -> Vec<String> {
    let drops = [DType::F32, DType::F16, DType::BF16].map(|dtype| dropping(dtype, caps).text(caps));
    [0, 1].map(|how| drawing(how, caps).text(caps)).into_iter().chain(drops).collect()
}

/// Draws on the host, in order, and moves what was drawn.
fn by_host(gpu: &Gpu, draw: Draw, seed: u64, offset: u64, out: &Operand) -> Result<()> {
    let host = place::at(Device::Cpu)?;
    let drawn = Operand::new(host, &out.layout.shape, out.dtype)?;
    host.launch(&Launch::Random { draw, seed, offset, out: &drawn })?;
    let near = place::transfer(&drawn, Device::Gpu(gpu.index))?;
    copy::copy(gpu, &near.view(Layout::contiguous(out.layout.shape.clone())), out)
}
