//! Random draws with the processor's bits: Philox's words made into numbers on the device, the rest drawn on the host and
//! brought over. Leans on order and stream.

use super::adapter::Caps;
use super::element::{self, Reg};
use super::kernel::Key;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, copy, order};
use crate::backend::launch::{Draw, Operand, Order};
use crate::backend::{Launch, place};
use crate::base::{DType, Device, Layout, Result};
use std::fmt::Write as _;

/// What a kernel makes of the words of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Uniform,
    Uniform64,
    Truth,
    Normal,
    Normal64,
    Exponential,
    Exponential64,
    /// Integers of a range below 2^32 whose bounds fit 32 bits, and others.
    Integers,
    Integers64,
    /// All 64 bits of an element, as an int64 that is in the order of unsigned ones.
    Keys,
    /// The seed and the offset themselves.
    Place,
}

const KINDS: [Kind; 11] = [
    Kind::Uniform,
    Kind::Uniform64,
    Kind::Truth,
    Kind::Normal,
    Kind::Normal64,
    Kind::Exponential,
    Kind::Exponential64,
    Kind::Integers,
    Kind::Integers64,
    Kind::Keys,
    Kind::Place,
];

impl Kind {
    /// The type that is drawn, from which elements are converted.
    fn dtype(self) -> DType {
        match self {
            Kind::Uniform | Kind::Truth | Kind::Normal | Kind::Exponential => DType::F32,
            Kind::Uniform64 | Kind::Normal64 | Kind::Exponential64 => DType::F64,
            Kind::Integers | Kind::Place => DType::I32,
            Kind::Integers64 | Kind::Keys => DType::I64,
        }
    }
    /// Elements that come of one block.
    fn per(self) -> usize {
        if matches!(self.dtype(), DType::F64 | DType::I64) || self == Kind::Integers { 2 } else { 4 }
    }
    /// Parameters beyond those of every draw.
    fn words(self) -> &'static [&'static str] {
        match self {
            Kind::Uniform => &["low", "width", "bar", "last"],
            Kind::Uniform64 => &["low", "low_1", "width", "width_1", "last", "last_1"],
            Kind::Truth => &["bar"],
            Kind::Normal => &["mean", "spread"],
            Kind::Normal64 => &["mean", "mean_1", "spread", "spread_1"],
            Kind::Exponential => &["rate"],
            Kind::Exponential64 => &["rate", "rate_1"],
            Kind::Integers => &["low", "range", "unfair"],
            Kind::Integers64 => &["low", "low_1", "range", "range_1", "unfair", "unfair_1"],
            Kind::Keys | Kind::Place => &[],
        }
    }
}

/// How many elements come of one block of the generator's.
pub fn per_block(draw: Draw, dtype: DType) -> usize {
    match draw {
        Draw::Integers(..) | Draw::Permutation => 2,
        Draw::Uniform(..) | Draw::Normal(..) | Draw::Exponential(_) if dtype == DType::F64 => 2,
        _ => 4,
    }
}

fn halves(wide: u64) -> [u32; 2] {
    [wide as u32, (wide >> 32) as u32]
}

/// Numbers of which a driver that computes on the processor draws an order: each is compared with each.
const FEW_IN_SOFTWARE: usize = 1 << 9;

pub fn run(gpu: &Gpu, draw: Draw, seed: u64, offset: u64, out: &Operand) -> Result<()> {
    let wide = out.dtype == DType::F64;
    let caps = &gpu.caps;
    if element::lacking(out.dtype, caps) {
        return by_host(gpu, draw, seed, offset, out);
    }
    let f = |v: f64| (v as f32).to_bits();
    let (kind, words) = match draw {
        Draw::Uniform(a, b) if wide => {
            let last = b.next_down().max(a);
            (Kind::Uniform64, [a, b - a, last].iter().flat_map(|v| halves(v.to_bits())).collect())
        }
        Draw::Uniform(a, b) => {
            let (a, b) = (a as f32, b as f32);
            let (bar, last) = ends(a, b, out.dtype);
            (Kind::Uniform, [a, b - a, bar, last].map(f32::to_bits).to_vec())
        }
        Draw::Bernoulli(p) => (Kind::Truth, vec![bar(p)]),
        Draw::Normal(mean, spread) if wide => (Kind::Normal64, [mean, spread].iter().flat_map(|v| halves(v.to_bits())).collect()),
        Draw::Normal(mean, spread) => (Kind::Normal, vec![f(mean), f(spread)]),
        Draw::Exponential(rate) if wide => (Kind::Exponential64, halves(rate.to_bits()).to_vec()),
        Draw::Exponential(rate) => (Kind::Exponential, vec![f(rate)]),
        Draw::Integers(low, high) => {
            let range = high.wrapping_sub(low) as u64;
            let narrow = i32::try_from(low).is_ok() && i32::try_from(high - 1).is_ok() && range <= u64::from(u32::MAX);
            if !narrow && !caps.int64 {
                return by_host(gpu, draw, seed, offset, out);
            }
            let unfair = range.wrapping_neg() % range;
            if narrow {
                (Kind::Integers, vec![low as u32, range as u32, unfair as u32])
            } else {
                (Kind::Integers64, [low as u64, range, unfair].iter().flat_map(|&v| halves(v)).collect())
            }
        }
        Draw::Permutation if caps.int64 && out.numel() > 0 && (!caps.software || out.numel() <= FEW_IN_SOFTWARE) => {
            return permutation(gpu, (seed, offset), out);
        }
        Draw::Place => (Kind::Place, Vec::new()),
        _ => return by_host(gpu, draw, seed, offset, out),
    };
    drawn(gpu, kind, (seed, offset), &words, out)
}

fn drawn(gpu: &Gpu, kind: Kind, begin: (u64, u64), words: &[u32], out: &Operand) -> Result<()> {
    if out.numel() == 0 {
        return Ok(());
    }
    let direct = out.layout.is_contiguous();
    let own = if direct { out.clone() } else { gpu.scratch(&out.layout.shape, out.dtype)? };
    let n = own.numel();
    let mut params = counted(n, begin);
    params.push(own.layout.offset as u32);
    params.extend(words);
    let mut key = Key::new();
    key.extend([10, kind as u64, own.dtype as u64]);
    let write = |caps: &Caps| drawing(kind, own.dtype, caps);
    let blocks = [block(&own)?];
    let threads = n.div_ceil(kind.per()) as u64;
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &params, threads, work: n as u64 * 64 })?;
    if direct { Ok(()) } else { copy::copy(gpu, &own, out) }
}

/// The numbers 0..n in the order of random keys.
fn permutation(gpu: &Gpu, begin: (u64, u64), out: &Operand) -> Result<()> {
    let shape = [out.numel()];
    let (keys, sorted) = (gpu.scratch(&shape, DType::I64)?, gpu.scratch(&shape, DType::I64)?);
    drawn(gpu, Kind::Keys, begin, &[], &keys)?;
    order::run(gpu, Order::Sorted { descending: false }, &keys, &sorted, out)
}

/// 24 bits of each word decide; the bar is the smallest of them that is too high.
fn bar(p: f64) -> u32 {
    (p * f64::from(1u32 << 24)).ceil() as u32
}

/// From which number on a draw below `high` would round to it, and what it is then: the largest number below.
fn ends(low: f32, high: f32, dtype: DType) -> (f32, f32) {
    let last = high.next_down().max(low);
    let rounded = |v: f32| match dtype {
        DType::F16 => half::f16::from_f32(v).to_f32(),
        DType::BF16 => half::bf16::from_f32(v).to_f32(),
        _ => v,
    };
    if low >= high || rounded(last) < high {
        return (last, last);
    }
    let (mut below, mut shrink) = (high, f32::EPSILON);
    while rounded(below) >= high {
        below = high - high.abs().max(f32::MIN_POSITIVE) * shrink;
        shrink *= 2.0;
    }
    // The bits of floats, folded so that they rise with them.
    let fold = |v: f32| i64::from(v.to_bits() as i32 ^ (v.to_bits() as i32 >> 31 & i32::MAX));
    let number = |i: i64| f32::from_bits((i as i32 ^ (i as i32 >> 31 & i32::MAX)) as u32);
    let (mut under, mut over) = (fold(below), fold(last));
    while over - under > 1 {
        let middle = (under + over) / 2;
        if rounded(number(middle)) < high { under = middle } else { over = middle }
    }
    (number(over), below)
}

/// What every draw is told first.
const COUNTED: [&str; 5] = ["n", "seed", "seed_1", "offset", "offset_1"];

fn counted(n: usize, (seed, offset): (u64, u64)) -> Vec<u32> {
    vec![0, n as u32, seed as u32, (seed >> 32) as u32, offset as u32, (offset >> 32) as u32]
}

/// A kernel whose invocations have the words of one block, `four`; `redraw` gives those of a later attempt. `begin` names
/// the seed and the offset, low halves first.
fn by_blocks(shader: &mut Shader, per: usize, begin: [&str; 4], lines: &str) {
    let [seed, seed_1, offset, offset_1] = begin;
    let _ = writeln!(
        shader.before,
        "fn words_of(low: u32, high: u32, attempt: u32, key: vec2<u32>) -> vec4<u32> {{ return philox(vec4<u32>(low, high, attempt, 0u), key); }}"
    );
    shader.body = format!(
        "if (t * {per}u >= p.n) {{ return; }}\nlet key = vec2<u32>({seed}, {seed_1});\nlet low = {offset} + t;\n\
         let high = {offset_1} + select(0u, 1u, low < t);\nlet four = words_of(low, high, 0u, key);\n{lines}"
    );
}

const PLAIN: [&str; 4] = ["p.seed", "p.seed_1", "p.offset", "p.offset_1"];

fn drawing(kind: Kind, dtype: DType, caps: &Caps) -> Shader {
    let mut shader = Shader::new("draw", caps);
    COUNTED.into_iter().chain(["to"]).chain(kind.words().iter().copied()).for_each(|word| drop(shader.word(word)));
    shader.slot(dtype, true, element::lanes(dtype) > 1);
    let value = |v: &str| element::convert(v, kind.dtype(), dtype);
    let put = |e: &str, v: &str| format!("if ({e} < p.n) {{ put0(p.to + {e}, {}); }}\n", value(v));
    let each = |words: &[&str], lines: &str, v: &str| {
        let per = words.len();
        let one = |(k, w): (usize, &&str)| format!("{{\nlet e = t * {per}u + {k}u;\nlet w = four.{w};\n{lines}{}}}\n", put("e", v));
        words.iter().enumerate().map(one).collect::<String>()
    };
    let one = |lines: &str, v: &str| each(&["x", "y", "z", "w"], lines, v);
    let two = |lines: &str, v: &str| each(&["xy", "zw"], lines, v);
    let wide = |name: &str| Reg::F64.param(name);
    let lines = match kind {
        Kind::Uniform => one(
            "let v = bitcast<f32>(p.low) + hold(bitcast<f32>(p.width) * (f32(w >> 8u) * 5.9604644775390625e-8f));\n",
            "select(bitcast<f32>(p.last), v, v < bitcast<f32>(p.bar))",
        ),
        // 53 bits are two numbers that float64 holds.
        Kind::Uniform64 => two(
            &format!(
                "let u = (f64(w.y) * 2097152.0lf + f64(w.x >> 11u)) * 1.1102230246251565e-16lf;\nlet v = {} + bitcast<f64>(bitcast<u64>({} * u) ^ u64(p.zero));\n",
                wide("low"),
                wide("width")
            ),
            &format!("select({0}, v, v < {0})", wide("last")),
        ),
        Kind::Truth => one("", "select(0.0f, 1.0f, (w >> 8u) < p.bar)"),
        Kind::Exponential => one(
            "let l = -log_f32(above_zero(w));\n",
            "(select(1.4901161193847656e-8f, l, l > 1.4901161193847656e-8f) / bitcast<f32>(p.rate))",
        ),
        Kind::Normal => {
            let pair = "let radius = bitcast<f32>(p.spread) * sqrt(-2.0f * log_f32(above_zero(four.FIRST)));\n\
                        let word = four.SECOND;\nlet angle = f32(bitcast<i32>(word << 2u)) * 3.6572957e-10f;\n\
                        let s = sine_near(angle, 0.0f); let c = cosine_near(angle, 0.0f);\nlet quarter = word >> 30u; let odd = (quarter & 1u) == 1u;\n\
                        let x = select(c, s, odd); let y = select(s, c, odd);\nlet left = ((quarter ^ (quarter >> 1u)) & 1u) == 1u;\n\
                        let across = bitcast<f32>(p.mean) + hold(radius * select(x, -x, left));\n\
                        let along = bitcast<f32>(p.mean) + hold(radius * select(y, -y, quarter > 1u));\n\n";
            let two = |(k, first, second): (u32, &str, &str)| {
                let pair = pair.replace("FIRST", first).replace("SECOND", second);
                format!("{{\nlet e = t * 4u + {k}u;\n{pair}{}{}}}\n", put("e", "across"), put("(e + 1u)", "along"))
            };
            [(0, "x", "y"), (2, "z", "w")].map(two).concat()
        }
        Kind::Exponential64 => two(
            "let l = -log_near_f64(above_zero64(w));\n",
            &format!("(select(2.7755575615628914e-17lf, l, l > 2.7755575615628914e-17lf) / {})", wide("rate")),
        ),
        Kind::Normal64 => format!(
            "let radius = {} * sqrt(-2.0lf * log_near_f64(above_zero64(four.xy)));\n\
             let quarter = four.w >> 30u; let odd = (quarter & 1u) == 1u;\nlet turn = (four.w << 2u) | (four.z >> 30u);\n\
             let angle = (f64(bitcast<i32>(turn)) * 4294967296.0lf + f64(four.z << 2u)) * 8.515303950216386e-20lf;\n\
             let s = sine_near_f64(angle); let c = cosine_near_f64(angle);\nlet left = ((quarter ^ (quarter >> 1u)) & 1u) == 1u;\n\
             let x = select(c, s, odd); let y = select(s, c, odd);\nlet e = t * 2u;\nlet mean = {};\n{}{}",
            wide("spread"),
            wide("mean"),
            put("e", "(mean + radius * select(x, -x, left))"),
            put("(e + 1u)", "(mean + radius * select(y, -y, quarter > 1u))"),
        ),
        // A later attempt's words of this element stand where the first one's did.
        Kind::Integers => two(&lemire("p.range", "product.y == 0u && product.z < p.unfair"), "bitcast<i32>(product.x + p.low)")
            .replacen("again.zw", "again.xy", 1),
        Kind::Integers64 => {
            let below = "product.z < p.unfair_1 || (product.z == p.unfair_1 && product.w < p.unfair)";
            let lines = lemire("vec2<u32>(p.range, p.range_1)", below) + SUM;
            two(&lines, "bitcast<i64>((u64(sum.x) << 32u) | u64(sum.y))").replacen("again.zw", "again.xy", 1)
        }
        Kind::Keys => two("", "bitcast<i64>((u64(w.y ^ 0x80000000u) << 32u) | u64(w.x))"),
        Kind::Place => {
            let words = ["seed", "seed_1", "offset", "offset_1"];
            words.iter().enumerate().map(|(k, word)| put(&format!("{k}u"), &format!("i32(p.{word})"))).collect()
        }
    };
    match kind {
        Kind::Integers => shader.before.push_str(SHORT_PRODUCT),
        Kind::Integers64 => shader.before.push_str(PRODUCT),
        Kind::Normal | Kind::Exponential => shader.before.push_str(ABOVE),
        Kind::Normal64 | Kind::Exponential64 => shader.before.push_str(ABOVE64),
        _ => {}
    }
    by_blocks(&mut shader, kind.per(), PLAIN, &lines);
    shader
}

/// (0, 1], finer the nearer to zero.
const ABOVE: &str = "fn above_zero(w: u32) -> f32 { return f32(w) * 2.3283064365386963e-10f + 1.1641532182693481e-10f; }\n";

/// The same of both words of an element, of which the second is the higher one; their sum is rounded once.
const ABOVE64: &str = "fn above_zero64(w: vec2<u32>) -> f64 { return (f64(w.y) * 4294967296.0lf + f64(w.x)) * \
                       5.421010862427522e-20lf + 2.710505431213761e-20lf; }\n";

/// The product of a number of 64 bits, its low half first, and one of 32, in three words, the highest first.
const SHORT_PRODUCT: &str = "fn product_of(a: vec2<u32>, b: u32) -> vec3<u32> {
    let low = product_wide(a.x, b);
    let high = product_wide(a.y, b);
    let middle = high.y + low.x;
    return vec3<u32>(high.x + select(0u, 1u, middle < low.x), middle, low.y);
}
";

/// The product of two numbers of 64 bits, each its low half first, in four words, the highest first.
const PRODUCT: &str =
    "fn with_carry(a: vec2<u32>, b: u32) -> vec2<u32> { let s = a.y + b; return vec2<u32>(a.x + select(0u, 1u, s < b), s); }
fn product_of(a: vec2<u32>, b: vec2<u32>) -> vec4<u32> {
    let low = product_wide(a.x, b.x);
    let one = with_carry(product_wide(a.x, b.y), low.x);
    let two = with_carry(product_wide(a.y, b.x), one.y);
    let top = with_carry(with_carry(product_wide(a.y, b.y), one.x), two.x);
    return vec4<u32>(top, two.y, low.y);
}
";

/// Draws that would favour some numbers are made again from the same block (Lemire 2019).
fn lemire(range: &str, unfair: &str) -> String {
    format!(
        "let range = {range};\nvar product = product_of(w, range);\nvar attempt = 0u;\n\
         loop {{\nif (!({unfair})) {{ break; }}\nattempt = attempt + 1u;\n\
         let again = words_of(low, high, attempt, key);\nproduct = product_of(again.zw, range);\n}}\n"
    )
}

const SUM: &str = "let lowest = product.y + p.low;
let sum = vec2<u32>(product.x + p.low_1 + select(0u, 1u, lowest < p.low), lowest);
";

fn dropping(dtype: DType, placed: bool, caps: &Caps) -> Shader {
    let mut shader = Shader::new("dropout", caps);
    COUNTED.into_iter().chain(["to", "begin", "bar", "scale"]).for_each(|word| drop(shader.word(word)));
    shader.slot(dtype, true, element::lanes(dtype) > 1);
    shader.slot(dtype, false, false);
    let lines = "for (var k = 0u; k < 4u; k = k + 1u) {\nlet e = t * 4u + k;\nlet w = four[k];\nif (e < p.n) {\n\
                 put0(p.to + e, get1(p.begin + e) * select(0.0f, bitcast<f32>(p.scale), (w >> 8u) < p.bar));\n}\n}\n";
    if placed {
        shader.word("place");
        shader.slot(DType::I32, false, false);
        let word = |k: usize| format!("bitcast<u32>(get2(p.place + {k}u))");
        let _ = writeln!(
            shader.before,
            "fn begin_low() -> u32 {{ return {} + p.offset; }}\n\
             fn begin_high() -> u32 {{ return {} + p.offset_1 + select(0u, 1u, begin_low() < p.offset); }}",
            word(2),
            word(3)
        );
        by_blocks(&mut shader, 4, [&word(0), &word(1), "begin_low()", "begin_high()"], lines);
    } else {
        by_blocks(&mut shader, 4, PLAIN, lines);
    }
    shader
}

/// Each element times a number where its draw is kept, else times 0; draws are those of `Bernoulli`.
pub fn dropped(
    gpu: &Gpu,
    (keep, scale): (f64, f64),
    begin: (u64, u64),
    place: Option<&Operand>,
    input: &Operand,
    out: &Operand,
) -> Result<()> {
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
    let mut words = counted(n, begin);
    words.extend([out.layout.offset as u32, input.layout.offset as u32, bar(keep), factor.to_bits()]);
    words.extend(place.map(|place| place.layout.offset as u32));
    let mut key = Key::new();
    key.extend([43, out.dtype as u64, u64::from(place.is_some())]);
    let write = |caps: &Caps| dropping(out.dtype, place.is_some(), caps);
    let mut blocks = vec![block(out)?, block(input)?];
    if let Some(place) = place {
        blocks.push(block(place)?);
    }
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: n.div_ceil(4) as u64, work: n as u64 * 64 })
}

/// The texts of all of these.
pub fn texts(caps: &Caps) -> Vec<String> {
    let mut texts = Vec::new();
    for kind in KINDS {
        let floats = [kind.dtype(), DType::F16];
        let others = [DType::I64, DType::U8, DType::Bool, DType::F32];
        let dtypes = match kind {
            Kind::Uniform | Kind::Normal | Kind::Exponential => &floats[..],
            Kind::Truth | Kind::Integers | Kind::Integers64 => &others[..],
            _ => &floats[..1],
        };
        texts.extend(dtypes.iter().map(|&dtype| drawing(kind, dtype, caps).text(caps)));
    }
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        texts.extend([false, true].map(|placed| dropping(dtype, placed, caps).text(caps)));
    }
    texts
}

/// Draws on the host, in order, and moves what was drawn.
pub fn by_host(gpu: &Gpu, draw: Draw, seed: u64, offset: u64, out: &Operand) -> Result<()> {
    let host = place::at(Device::Cpu)?;
    let drawn = Operand::new(host, &out.layout.shape, out.dtype)?;
    host.launch(&Launch::Random { draw, seed, offset, out: &drawn })?;
    let near = place::transfer(&drawn, Device::Gpu(gpu.index))?;
    let near = near.view(Layout::contiguous(out.layout.shape.clone()));
    gpu.family(&Launch::Copy { src: &near, dst: out })
}
