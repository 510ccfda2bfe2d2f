//! How each element type lies in a shader's memory, and what it is in a register: the words of WGSL for both.
//! Leans on base's dtypes.

use super::adapter::Caps;
use crate::base::{DType, Number};

/// A value's type in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reg {
    I32,
    I64,
    F32,
    F64,
    C64,
    C128,
}

impl Reg {
    /// The register that an element is read into, and that arithmetic on its type is done in.
    pub fn of(dtype: DType) -> Reg {
        match dtype {
            DType::Bool | DType::U8 | DType::I8 | DType::I16 | DType::I32 => Reg::I32,
            DType::I64 => Reg::I64,
            DType::F16 | DType::BF16 | DType::F32 => Reg::F32,
            DType::F64 => Reg::F64,
            DType::C64 => Reg::C64,
            DType::C128 => Reg::C128,
        }
    }
    pub fn name(self) -> &'static str {
        match self {
            Reg::I32 => "i32",
            Reg::I64 => "i64",
            Reg::F32 => "f32",
            Reg::F64 => "f64",
            Reg::C64 => "vec2<f32>",
            Reg::C128 => "vec2<f64>",
        }
    }
    /// What functions over this type are told apart by.
    pub fn tag(self) -> &'static str {
        match self {
            Reg::C64 => "c64",
            Reg::C128 => "c128",
            real => real.name(),
        }
    }
    /// Whether it takes a sign: floats, and pairs of them.
    pub fn is_float(self) -> bool {
        !matches!(self, Reg::I32 | Reg::I64)
    }
    /// The type of either part, of a complex number.
    pub fn part(self) -> Option<Reg> {
        match self {
            Reg::C64 => Some(Reg::F32),
            Reg::C128 => Some(Reg::F64),
            _ => None,
        }
    }
    /// Words that one parameter of this type takes.
    pub fn words(self) -> usize {
        match self {
            Reg::I32 | Reg::F32 => 1,
            Reg::I64 | Reg::F64 | Reg::C64 => 2,
            Reg::C128 => 4,
        }
    }
    /// A number as parameters carry it.
    pub fn push(self, n: Number, params: &mut Vec<u32>) {
        if let Some(part) = self.part() {
            let (re, im) = n.pair();
            return [re, im].into_iter().for_each(|v| part.push(Number::Float(v), params));
        }
        let wide = match self {
            Reg::I32 => return params.push(n.as_i64() as u32),
            Reg::F32 => return params.push((n.as_f64() as f32).to_bits()),
            Reg::I64 => n.as_i64() as u64,
            _ => n.as_f64().to_bits(),
        };
        params.extend([wide as u32, (wide >> 32) as u32]);
    }
    /// A parameter as a value: two words are put together again.
    pub fn param(self, name: &str) -> String {
        match self {
            Reg::I32 => format!("i32(p.{name})"),
            Reg::F32 => format!("bitcast<f32>(p.{name})"),
            Reg::I64 => format!("bitcast<i64>((u64(p.{name}_1) << 32u) | u64(p.{name}))"),
            Reg::F64 => format!("bitcast<f64>((u64(p.{name}_1) << 32u) | u64(p.{name}))"),
            Reg::C64 => format!("vec2<f32>(bitcast<f32>(p.{name}), bitcast<f32>(p.{name}_1))"),
            Reg::C128 => format!("vec2<f64>({}, bitcast<f64>((u64(p.{name}_3) << 32u) | u64(p.{name}_2)))", Reg::F64.param(name)),
        }
    }
    /// A constant.
    pub fn literal(self, value: f64) -> String {
        match self {
            Reg::I32 if value as i64 as i32 == i32::MIN => "(-2147483647i - 1i)".into(),
            Reg::I32 => format!("({}i)", value as i64 as i32),
            Reg::I64 => format!("i64({}i)", value as i64 as i32),
            Reg::F32 if (value as f32).is_nan() => "no_number()".into(),
            Reg::F32 if (value as f32).is_infinite() => if value > 0.0 { "infinity()" } else { "(-infinity())" }.into(),
            Reg::F32 => format!("({:?}f)", value as f32),
            Reg::F64 if !value.is_finite() => format!("f64({})", Reg::F32.literal(value)),
            Reg::F64 => format!("({value:?}lf)"),
            Reg::C64 => format!("vec2<f32>({}, 0.0f)", Reg::F32.literal(value)),
            Reg::C128 => format!("vec2<f64>({}, 0.0lf)", Reg::F64.literal(value)),
        }
    }
    /// The value for which nothing is added.
    pub fn zero(self) -> String {
        self.literal(0.0)
    }
}

/// A value converted as the processor converts it; to a truth it becomes 0 or 1.
pub fn convert(value: &str, from: DType, to: DType) -> String {
    if to == DType::Bool && from != DType::Bool {
        let reg = Reg::of(from);
        let zero = format!("{value} == {}", reg.zero());
        return if reg.part().is_some() { format!("select(1i, 0i, all({zero}))") } else { format!("select(1i, 0i, {zero})") };
    }
    change(value, Reg::of(from), Reg::of(to))
}

/// A value moved from one kind of register to another; of a complex number a real one keeps the real part.
pub fn change(value: &str, from: Reg, to: Reg) -> String {
    match (from.part(), to.part()) {
        (Some(_), Some(_)) if from != to => return format!("{}({value})", to.name()),
        (Some(part), None) => return change(&format!("({value}).x"), part, to),
        (None, Some(part)) => return format!("{}({}, {})", to.name(), change(value, from, part), part.zero()),
        _ => {}
    }
    match (from, to) {
        (a, b) if a == b => value.to_string(),
        (Reg::F32, Reg::I32) => format!("float_to_int({value})"),
        (Reg::F32, Reg::I64) => format!("float_to_long({value})"),
        (Reg::F64, Reg::I32) => format!("double_to_int({value})"),
        (Reg::F64, Reg::I64) => format!("double_to_long({value})"),
        (_, to) => format!("{}({value})", to.name()),
    }
}

/// A value as memory of its type would give it back.
pub fn stored(value: &str, dtype: DType) -> String {
    match dtype {
        DType::F16 => format!("float_of_half(half_of({value}))"),
        DType::BF16 => format!("bitcast<f32>(brain_of({value}) << 16u)"),
        DType::I8 => format!("((({value}) << 24u) >> 24u)"),
        DType::I16 => format!("((({value}) << 16u) >> 16u)"),
        DType::U8 | DType::Bool => format!("(({value}) & 255i)"),
        _ => value.to_string(),
    }
}

/// The type of a binding's words.
pub fn memory(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "f32",
        DType::I32 => "i32",
        DType::I64 => "i64",
        DType::F64 => "f64",
        DType::C64 => "vec2<f32>",
        DType::C128 => "vec2<f64>",
        _ => "u32",
    }
}

/// Elements that share a word of memory.
pub fn lanes(dtype: DType) -> usize {
    (4 / dtype.size()).max(1)
}

/// Reads element `i` of binding `k`.
pub fn getter(k: usize, dtype: DType, atomic: bool) -> String {
    let (reg, size) = (Reg::of(dtype), dtype.size());
    let head = format!("fn get{k}(i: u32) -> {} {{ ", reg.name());
    if size >= 4 {
        return format!("{head}return b{k}[i]; }}\n");
    }
    let (shift, mask, bits) = if size == 1 { (2, 3, 8) } else { (1, 1, 16) };
    let word = if atomic { format!("atomicLoad(&b{k}[i >> {shift}u])") } else { format!("b{k}[i >> {shift}u]") };
    let part = format!("let w = ({word} >> ((i & {mask}u) * {bits}u)) & {}u; ", (1u32 << bits) - 1);
    let value = match dtype {
        DType::Bool => "select(0i, 1i, w != 0u)",
        DType::U8 => "i32(w)",
        DType::I8 => "(bitcast<i32>(w << 24u) >> 24u)",
        DType::I16 => "(bitcast<i32>(w << 16u) >> 16u)",
        DType::F16 => "float_of_half(w)",
        _ => "bitcast<f32>(w << 16u)",
    };
    format!("{head}{part}return {value}; }}\n")
}

/// The bits of an element of a type that shares its word with others.
pub fn bits(value: &str, dtype: DType) -> String {
    match dtype {
        DType::Bool => format!("select(1u, 0u, {value} == 0i)"),
        DType::U8 | DType::I8 => format!("(bitcast<u32>({value}) & 255u)"),
        DType::I16 => format!("(bitcast<u32>({value}) & 65535u)"),
        DType::F16 => format!("half_of({value})"),
        _ => format!("brain_of({value})"),
    }
}

/// Writes element `i` of binding `k`. Of a word that others share only its own part is touched.
pub fn putter(k: usize, dtype: DType) -> String {
    let (reg, size) = (Reg::of(dtype), dtype.size());
    let head = format!("fn put{k}(i: u32, v: {}) {{ ", reg.name());
    if size >= 4 {
        return format!("{head}b{k}[i] = v; }}\n");
    }
    let (shift, mask, width) = if size == 1 { (2, 3, 8) } else { (1, 1, 16) };
    let full = (1u32 << width) - 1;
    format!(
        "{head}let at = (i & {mask}u) * {width}u; let w = {}; atomicAnd(&b{k}[i >> {shift}u], ~({full}u << at)); atomicOr(&b{k}[i >> {shift}u], w << at); }}\n",
        bits("v", dtype)
    )
}

/// What an adapter cannot do with a type, if anything.
pub fn lacking(dtype: DType, caps: &Caps) -> bool {
    matches!(dtype, DType::I64) && !caps.int64 || matches!(dtype, DType::F64 | DType::C128) && !caps.float64
}
