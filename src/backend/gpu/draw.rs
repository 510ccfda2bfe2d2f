//! Random draws with the processor's bits: uniform numbers and truths from Philox's words on the device, everything else
//! drawn on the host and brought over. Leans on stream.

use super::adapter::Caps;
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
    // 24 bits of each word decide; the bar is the smallest of them that is too high.
    let p = if let Draw::Bernoulli(p) = draw { p } else { 0.0 };
    let bar = (p * f64::from(1u32 << 24)).ceil() as u32;
    let last = b.next_down().max(a);
    let words = [
        0,
        n as u32,
        own.layout.offset as u32,
        seed as u32,
        (seed >> 32) as u32,
        offset as u32,
        (offset >> 32) as u32,
        if how == 0 { a.to_bits() } else { bar },
        (b - a).to_bits(),
        last.to_bits(),
    ];
    let mut key = Key::new();
    key.extend([10, how]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("draw", caps);
        for word in ["n", "to", "seed", "seed_1", "offset", "offset_1", "low", "width", "last"] {
            shader.word(word);
        }
        shader.slot(DType::F32, true, false);
        let value = if how == 0 {
            "let v = bitcast<f32>(p.low) + hold(bitcast<f32>(p.width) * (f32(w >> 8u) * 5.9604644775390625e-8f));\n\
             put0(p.to + e, select(bitcast<f32>(p.last), v, v < bitcast<f32>(p.last)));"
        } else {
            "put0(p.to + e, select(0.0f, 1.0f, (w >> 8u) < p.low));"
        };
        shader.body = format!(
            "if (t * 4u >= p.n) {{ return; }}\nlet counter = p.offset + t;\nlet carry = select(0u, 1u, counter < t);\n\
             let four = philox(vec4<u32>(counter, p.offset_1 + carry, 0u, 0u), vec2<u32>(p.seed, p.seed_1));\n\
             for (var k = 0u; k < 4u; k = k + 1u) {{\nlet e = t * 4u + k;\nif (e < p.n) {{\nlet w = four[k];\n{value}\n}}\n}}\n"
        );
        shader
    };
    let params: &[u32] = &words;
    gpu.dispatch(&Job { key, write: &write, blocks: &[block(&own)?], params, threads: n.div_ceil(4) as u64, work: n as u64 * 64 })?;
    if direct { Ok(()) } else { copy::copy(gpu, &own, out) }
}

/// Draws on the host, in order, and moves what was drawn.
fn by_host(gpu: &Gpu, draw: Draw, seed: u64, offset: u64, out: &Operand) -> Result<()> {
    let host = place::at(Device::Cpu)?;
    let drawn = Operand::new(host, &out.layout.shape, out.dtype)?;
    host.launch(&Launch::Random { draw, seed, offset, out: &drawn })?;
    let near = place::transfer(&drawn, Device::Gpu(gpu.index))?;
    copy::copy(gpu, &near.view(Layout::contiguous(out.layout.shape.clone())), out)
}
