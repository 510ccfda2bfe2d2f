//! A kernel's text put together: bindings, parameters, the functions it names, its body. Leans on element and formula.

use super::adapter::Caps;
use super::element::{self, Reg};
use crate::base::DType;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// One bound buffer.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    pub dtype: DType,
    pub writable: bool,
    /// Elements share words that several invocations write.
    pub atomic: bool,
}

/// A kernel on paper. Its parameters are words, named in the order in which they are handed over; the first is always 0.
#[derive(Clone, Debug)]
pub struct Shader {
    pub name: String,
    pub group: u32,
    /// Whether invocations ask where they stand in their subgroup.
    pub subgroups: bool,
    pub slots: Vec<Slot>,
    pub params: Vec<String>,
    /// Functions and variables before the entry point.
    pub before: String,
    /// The body of the entry point, in which `t` is the invocation's number.
    pub body: String,
}

const SUBGROUPS: &str = ", @builtin(subgroup_invocation_id) subgroup_lane: u32, @builtin(subgroup_id) subgroup_number: u32, \
                         @builtin(num_subgroups) subgroup_count: u32";

/// The product of two words where an adapter has wider ones.
const PRODUCT_WIDE: &str =
    "fn product_wide(a: u32, b: u32) -> vec2<u32> { let q = u64(a) * u64(b); return vec2<u32>(u32(q >> 32u), u32(q)); }\n";

impl Shader {
    pub fn new(name: &str, caps: &Caps) -> Shader {
        let params = vec!["zero".to_string()];
        Shader {
            name: name.into(),
            group: caps.group,
            subgroups: false,
            slots: Vec::new(),
            params,
            before: String::new(),
            body: String::new(),
        }
    }

    /// Adds a binding, and says its number.
    pub fn slot(&mut self, dtype: DType, writable: bool, atomic: bool) -> usize {
        self.slots.push(Slot { dtype, writable, atomic });
        self.slots.len() - 1
    }

    /// Adds a word to the parameters, and says how it is read.
    pub fn word(&mut self, name: &str) -> String {
        self.params.push(name.into());
        format!("p.{name}")
    }

    /// Adds a value to the parameters, and says how it is read.
    pub fn value(&mut self, name: &str, reg: Reg) -> String {
        self.params.push(name.into());
        self.params.extend((1..reg.words()).map(|k| format!("{name}_{k}")));
        reg.param(name)
    }

    pub fn is_immediate(&self, caps: &Caps) -> bool {
        self.params.len() * 4 <= caps.immediates as usize
    }

    /// The whole text.
    pub fn text(&self, caps: &Caps) -> String {
        let mut own = String::new();
        own.push_str(&self.before);
        let _ = writeln!(
            own,
            "@compute @workgroup_size({0})\nfn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, \
             @builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) place: vec3<u32>{2}) {{\n\
             let t = id.y * groups.x * {0}u + id.x;\n{1}}}",
            self.group,
            self.body,
            if self.subgroups { SUBGROUPS } else { "" },
        );
        let mut access = String::new();
        for (k, slot) in self.slots.iter().enumerate() {
            if own.contains(&format!("get{k}(")) {
                access.push_str(&element::getter(k, slot.dtype, slot.atomic));
            }
            if own.contains(&format!("put{k}(")) {
                access.push_str(&element::putter(k, slot.dtype));
            }
        }
        own.insert_str(0, &access);
        let mut text = format!("struct Params {{ {}: u32 }}\n", self.params.join(": u32, "));
        for (k, slot) in self.slots.iter().enumerate() {
            let word = element::memory(slot.dtype);
            let word = if slot.atomic { format!("atomic<{word}>") } else { word.to_string() };
            let access = if slot.writable { "read_write" } else { "read" };
            let _ = writeln!(text, "@group(0) @binding({k}) var<storage, {access}> b{k}: array<{word}>;");
        }
        if self.is_immediate(caps) {
            text.push_str("var<immediate> p: Params;\n");
        } else {
            let _ = writeln!(text, "@group(0) @binding({}) var<storage, read> p: Params;", self.slots.len());
        }
        let wanted = named(&own);
        for (name, function) in prelude() {
            if wanted.contains(&name.as_str()) {
                text.push_str(if caps.int64 && name == "product_wide" { PRODUCT_WIDE } else { function });
            }
        }
        text + &own
    }
}

/// The functions of the prelude, and of the integers of both widths, by name.
fn prelude() -> &'static Vec<(String, String)> {
    static FUNCTIONS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let whole = |name: &str| include_str!("integers.wgsl").replace("INT", name);
        let complex = |part: &str, tag: &str, mark: &str, nan: &str| {
            let text = include_str!("complex.wgsl").replace("REAL", part).replace("TAG", tag).replace("IS_NAN", nan);
            text.replace(".0~", &format!(".0{mark}")).replace(".5~", &format!(".5{mark}"))
        };
        let texts = [
            include_str!("prelude.wgsl").to_string(),
            whole("i32"),
            whole("i64"),
            include_str!("doubles.wgsl").to_string(),
            complex("f32", "c64", "f", "is_nan"),
            complex("f64", "c128", "lf", "is_nan_f64"),
        ];
        let mut list = Vec::new();
        for text in texts {
            for part in text.split("\nfn ").skip(1) {
                let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let end = part
                    .find("\n}")
                    .filter(|_| !part.lines().next().is_some_and(|l| l.ends_with('}')))
                    .map_or_else(|| part.find('\n').unwrap_or(part.len()), |at| at + 2);
                list.push((name, format!("fn {}\n", &part[..end])));
            }
        }
        list
    })
}

/// The prelude's functions that a text names, directly or through others.
fn named(text: &str) -> Vec<&'static str> {
    let calls = |text: &str, name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let before = text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
            !before && text[at + name.len()..].starts_with('(')
        })
    };
    let all = prelude();
    let mut found: Vec<usize> = (0..all.len()).filter(|&i| calls(text, &all[i].0)).collect();
    let mut next = 0;
    while next < found.len() {
        let own = &all[found[next]];
        for (i, other) in all.iter().enumerate() {
            if !found.contains(&i) && other.0 != own.0 && calls(&own.1, &other.0) {
                found.push(i);
            }
        }
        next += 1;
    }
    found.into_iter().map(|i| all[i].0.as_str()).collect()
}
