//! The rank rule of the house, the walls around pyo3, wgpu, intrinsics and `unsafe`, and the form
//! of files, as tests. Leans on std alone: it reads the sources as text (docs/house.md says why).

#[path = "layers/rust.rs"]
mod rust;

use rust::{code_of, modules_of, paths_of, resolve};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

/// The rooms, lowest first: a file may name only its own room and those before it.
const ROOMS: [&str; 8] = ["base", "formula", "backend", "graph", "ops", "engine", "tensor", "python"];
const LONGEST: usize = 600;

/// A file of the repository: its path with forward slashes, and its text.
struct Source {
    path: String,
    text: String,
}

/// A line that breaks a rule.
#[derive(Debug)]
struct Breach {
    path: String,
    line: usize,
    text: String,
    rule: String,
}

fn rank(room: &str) -> Option<usize> {
    ROOMS.iter().position(|&name| name == room)
}

/// Macros are known at the crate's root; each belongs to the room whose file defines it.
fn macros_of(sources: &[Source]) -> HashMap<String, String> {
    let mut homes = HashMap::new();
    for source in sources {
        let Some(room) = modules_of(&source.path).into_iter().next() else {
            continue;
        };
        let code: String = code_of(&source.text).into_iter().collect();
        for after in code.split("macro_rules!").skip(1) {
            let name = after.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_');
            homes.insert(name.collect(), room.clone());
        }
    }
    homes
}

fn breaches_of_ranks(source: &Source, macros: &HashMap<String, String>) -> Vec<(usize, String)> {
    let file = modules_of(&source.path);
    let mut found = Vec::new();
    let code = code_of(&source.text);
    let in_room = |folder: &str| source.path.starts_with(folder);
    let exempt = file.is_empty() || in_room("src/bin/");
    for path in paths_of(&code) {
        let names: Vec<&str> = path.names.iter().map(String::as_str).collect();
        if names.contains(&"pyo3") && !in_room("src/python/") {
            found.push((path.start, "pyo3 appears only under src/python/".into()));
        }
        if names.contains(&"wgpu") && !in_room("src/backend/gpu/") {
            found.push((path.start, "wgpu appears only under src/backend/gpu/".into()));
        }
        if matches!(names[..], ["std" | "core", "arch", ..]) && !in_room("src/backend/cpu/") {
            let rule = "std::arch and core::arch appear only under src/backend/cpu/";
            found.push((path.start, rule.into()));
        }
        if names == ["unsafe"] && !["src/backend/", "src/python/", "src/base/memory/"].into_iter().any(in_room) {
            found.push((path.start, "unsafe is for src/backend/, src/python/ and src/base/memory/ alone".into()));
        }
        let Some(target) = resolve(&path, &file) else {
            continue;
        };
        for (own, other) in [("cpu", "gpu"), ("gpu", "cpu")] {
            let sees = target.len() > 1 && target[0] == "backend" && target[1] == other;
            if in_room(&format!("src/backend/{own}")) && sees {
                found.push((path.start, "backend/cpu and backend/gpu never see each other".into()));
            }
        }
        let Some(first) = target.first().filter(|_| !exempt) else {
            continue;
        };
        let room = macros.get(first).filter(|_| rank(first).is_none()).unwrap_or(first);
        let rule = match (rank(&file[0]), rank(room)) {
            (Some(own), Some(other)) if other <= own => continue,
            (Some(own), Some(other)) => format!("a room uses only lower ones: {} has rank {own}, {room} has rank {other}", file[0]),
            (Some(_), None) => {
                format!("`crate::{first}` hides a room: name it by the room it lives in")
            }
            (None, _) => format!("{} is no room: the rooms are {}", file[0], ROOMS.join(" < ")),
        };
        found.push((path.start, rule));
    }
    found.into_iter().map(|(start, rule)| (1 + code[..start].iter().filter(|&&c| c == '\n').count(), rule)).collect()
}

/// How a file begins and how long it may be.
fn breaches_of_form(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut lines = source.text.lines().enumerate();
    let (number, first) = if source.path.ends_with(".rs") {
        lines.next().unwrap_or((0, ""))
    } else {
        let comment = |line: &str| line.is_empty() || line.starts_with('#');
        lines.find(|(_, line)| !comment(line)).unwrap_or((0, ""))
    };
    let opens =
        if source.path.ends_with(".rs") { first.starts_with("//!") } else { first.starts_with("\"\"\"") || first.starts_with("r\"\"\"") };
    if !opens {
        let rule = "a file begins with what lives here and what it leans on (//! or a docstring)";
        found.push((number + 1, rule.into()));
    }
    let length = source.text.lines().count();
    // A test is a table before it is a function, and a table may be long.
    let table = source.path.starts_with("tests/");
    if length > LONGEST && !table && !first.contains("Generated") {
        let rule = format!("{length} lines, over {LONGEST}: is this still one room?");
        found.push((length, rule));
    }
    found
}

fn breaches(sources: &[Source]) -> Vec<Breach> {
    let macros = macros_of(sources);
    let mut all = Vec::new();
    for source in sources {
        let mut found = breaches_of_form(source);
        if source.path.starts_with("src/") {
            found.extend(breaches_of_ranks(source, &macros));
        }
        found.sort();
        found.dedup();
        all.extend(found.into_iter().map(|(line, rule)| Breach {
            path: source.path.clone(),
            line,
            text: source.text.lines().nth(line - 1).unwrap_or("").trim().to_owned(),
            rule,
        }));
    }
    all
}

fn read(root: &Path, place: &str, into: &mut Vec<Source>) {
    let path = root.join(place);
    if path.is_dir() {
        let entries = std::fs::read_dir(&path).expect("a folder of the repository can be read");
        let names = entries.map(|entry| entry.expect("its entries too").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        for name in names.iter().filter(|name| !name.starts_with(['.', '_']) || *name == "__init__.py") {
            read(root, &format!("{place}/{name}"), into);
        }
    } else if (place.ends_with(".rs") || place.ends_with(".py")) && path.exists() {
        let text = std::fs::read_to_string(&path).expect("sources are text");
        into.push(Source { path: place.to_owned(), text });
    }
}

#[test]
fn the_house_keeps_its_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for place in ["src", "python", "tests", "benches", "examples", "docs", "x.py"] {
        read(root, place, &mut sources);
    }
    for room in ROOMS {
        let folder = format!("src/{room}/");
        let seen = sources.iter().any(|source| source.path.starts_with(&folder));
        assert!(seen, "no file was read under {folder}");
    }
    let found = breaches(&sources);
    let report = found.iter().fold(String::new(), |mut report, b| {
        let _ = writeln!(report, "{}:{}: {}\n    rule: {}", b.path, b.line, b.text, b.rule);
        report
    });
    assert!(found.is_empty(), "{} lines break the rules of the house\n{report}", found.len());
}

fn check(path: &str, text: &str) -> Vec<Breach> {
    let text = format!("//! A room. Leans on nothing.\n{text}");
    let defined = "//! Loops. Leans on nothing.\nmacro_rules! loops { () => {} }\n";
    let shelf = Source { path: "src/backend/cpu/isa.rs".into(), text: defined.into() };
    breaches(&[Source { path: path.into(), text }, shelf])
}

#[test]
fn what_breaks_a_rule_is_found() {
    #[rustfmt::skip] // a table is read by its columns
    let cases = [
        ("src/base/shape.rs", "use crate::graph::Node;", 2, "base has rank 0, graph has rank 3"),
        ("src/ops/math.rs", "use crate::{\n  base::Shape,\n  engine,\n};", 4, "engine has rank 5"),
        ("src/ops/math.rs", "use crate::{graph::{op, node}, python};", 2, "python has rank 7"),
        ("src/graph/node.rs", "fn f() { crate::tensor::add() }", 2, "tensor has rank 6"),
        ("src/graph/node.rs", "fn f() { crate ::\n tensor :: add() }", 2, "tensor has rank 6"),
        ("src/graph/mod.rs", "use super::ops::math;", 2, "ops has rank 4"),
        ("src/graph/node.rs", "use super::super::ops;", 2, "ops has rank 4"),
        ("src/graph/node.rs", "mod t {\n use super::super::super::ops;\n}", 3, "ops has rank 4"),
        ("src/formula/mod.rs", "crate::loops!();", 2, "backend has rank 2"),
        ("src/formula/mod.rs", "macro_rules! m { () => { $crate::ops::f } }", 2, "ops has rank 4"),
        ("src/base/mod.rs", "use crate::Tensor;", 2, "`crate::Tensor` hides a room"),
        ("src/shed/mod.rs", "use crate::base;", 2, "shed is no room"),
        ("src/engine/eager.rs", "use pyo3::prelude::*;", 2, "pyo3 appears only"),
        ("src/lib.rs", "#[pyo3::pymodule]\nmod m {}", 2, "pyo3 appears only"),
        ("src/backend/cpu/mod.rs", "use wgpu::Device;", 2, "wgpu appears only"),
        ("src/backend/naive.rs", "use std::arch::x86_64::*;", 2, "std::arch and core::arch"),
        ("src/tensor/mod.rs", "use core::{arch::asm, mem};", 2, "std::arch and core::arch"),
        ("src/engine/eager.rs", "fn f() {\n    unsafe { g() }\n}", 3, "unsafe is for"),
        ("src/graph/node.rs", "/* a /* b */ c */ unsafe fn f() {}", 2, "unsafe is for"),
        ("src/graph/node.rs", "let c = '\"'; unsafe { }; let d = '\"';", 2, "unsafe is for"),
        ("src/backend/cpu/map.rs", "use crate::backend::gpu::Pool;", 2, "never see each other"),
        ("src/backend/cpu/map.rs", "use super::super::gpu::Pool;", 2, "never see each other"),
        ("src/backend/gpu/mod.rs", "use super::cpu;", 2, "never see each other"),
    ];
    for (path, text, line, rule) in cases {
        let found = check(path, text);
        assert_eq!(found.len(), 1, "{path}: {text:?} gave {found:?}");
        assert_eq!(found[0].line, line, "{path}: {text:?}");
        assert!(found[0].rule.contains(rule), "{path}: {text:?} gave {found:?}");
    }
}

#[test]
fn what_keeps_the_rules_passes() {
    #[rustfmt::skip] // a table is read by its columns
    let cases = [
        ("src/base/shape.rs", "use super::error::Error;\nuse crate::base::dtype;"),
        ("src/ops/math.rs", "use crate::{base::{self, Shape}, formula, graph::*, backend};"),
        ("src/ops/math.rs", "mod tests {\n use super::super::arith;\n use super::*;\n}"),
        ("src/ops/math.rs", "crate::loops!();\nuse crate::loops;"),
        ("src/lib.rs", "pub mod base;\npub use crate::tensor::Tensor;"),
        ("src/bin/gen.rs", "use schuss::ops;\nuse crate::anything;"),
        ("src/python/mod.rs", "use pyo3::prelude::*;\nunsafe fn f() {}\nuse crate::tensor;"),
        ("src/backend/gpu/mod.rs", "use wgpu::Device;\nuse super::Launch;"),
        ("src/backend/cpu/isa.rs", "use std::arch::x86_64::*;\nfn f() { unsafe {} }"),
        ("src/base/mod.rs", "#![deny(unsafe_op_in_unsafe_fn)]\n// unsafe, crate::graph\n"),
        ("src/base/mod.rs", "let s = \"unsafe \\\" crate::graph\"; /* use crate::ops; */"),
        ("src/base/mod.rs", "let s = r#\"unsafe \" crate::ops\"#; let r = br\"wgpu\";"),
        ("src/base/mod.rs", "fn f<'a>(x: &'a str) -> &'a str { let q = '\\''; x }"),
        ("src/base/mod.rs", "#[cfg(feature = \"pyo3\")]\nfn unsafe_looking() {}"),
    ];
    for (path, text) in cases {
        let found = check(path, text);
        assert!(found.is_empty(), "{path}: {text:?} gave {found:?}");
    }
}

#[test]
fn the_form_of_a_file_is_checked() {
    let long = format!("//! Long. Leans on nothing.\n{}", "\n".repeat(LONGEST));
    let generated = long.replace("Long.", "Generated from the records.");
    #[rustfmt::skip] // a table is read by its columns
    let cases = [
        ("src/base/a.rs", "use std::fmt;\n", Some("begins with")),
        ("src/base/a.rs", "\n//! Late. Leans on nothing.\n", Some("begins with")),
        ("src/base/a.rs", "", Some("begins with")),
        ("src/base/a.rs", long.as_str(), Some("601 lines")),
        ("src/base/a.rs", generated.as_str(), None),
        ("tests/test_a.py", "import os\n", Some("begins with")),
        ("python/schuss/__init__.py", "", Some("begins with")),
        ("x.py", "#!/usr/bin/env python3\n\"\"\"A door. Leans on nothing.\"\"\"\n", None),
        ("docs/a.py", "r\"\"\"A page. Leans on nothing.\"\"\"\n", None),
    ];
    for (path, text, rule) in cases {
        let found = breaches(&[Source { path: path.into(), text: text.into() }]);
        match rule {
            None => assert!(found.is_empty(), "{path}: {found:?}"),
            Some(rule) => {
                assert_eq!(found.len(), 1, "{path}: {found:?}");
                assert!(found[0].rule.contains(rule), "{path}: {found:?}");
            }
        }
    }
}
