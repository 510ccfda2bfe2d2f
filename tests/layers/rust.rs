//! Rust sources read as text: code without comments and strings, the paths in it, and where they
//! lead. Leans on std alone.

/// The text with comments, strings, character literals and `#![...]` blanked out, newlines kept.
pub fn code_of(text: &str) -> Vec<char> {
    let chars: Vec<char> = text.chars().collect();
    let mut out: Vec<char> = chars.iter().map(|&c| if c == '\n' { c } else { ' ' }).collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let mut i = 0;
    while i < chars.len() {
        let fresh = i == 0 || !word(chars[i - 1]);
        let raw = if fresh { raw_string(&chars[i..]) } else { None };
        if let Some(length) = raw {
            i += length;
        } else if at(i) == '/' && at(i + 1) == '/' {
            while i < chars.len() && chars[i] != '\n' {
                i += 1;
            }
        } else if at(i) == '/' && at(i + 1) == '*' {
            let mut depth = 0;
            loop {
                match (at(i), at(i + 1)) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 || i >= chars.len() {
                    break;
                }
            }
        } else if at(i) == '"' {
            i += 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if at(i) == '\'' && at(i + 1) == '\\' {
            i += 3;
            while i < chars.len() && chars[i] != '\'' {
                i += 1;
            }
            i += 1;
        } else if at(i) == '\'' && at(i + 2) == '\'' {
            i += 3;
        } else if at(i) == '#' && at(i + 1) == '!' && at(i + 2) == '[' {
            while i < chars.len() && chars[i] != ']' {
                i += 1;
            }
        } else {
            out[i] = chars[i];
            i += 1;
        }
    }
    out
}

/// The length of a raw string that begins here (`r"`, `r#"`, `br"`, ...), if one does.
fn raw_string(chars: &[char]) -> Option<usize> {
    let mut i = chars.iter().take(2).position(|&c| c == 'r')?;
    if i == 1 && !matches!(chars[0], 'b' | 'c') {
        return None;
    }
    i += 1;
    let hashes = chars[i..].iter().take_while(|&&c| c == '#').count();
    i += hashes;
    if chars.get(i) != Some(&'"') {
        return None;
    }
    i += 1;
    while i < chars.len() {
        let closing = chars[i + 1..].iter().take(hashes).filter(|&&c| c == '#').count();
        if chars[i] == '"' && closing == hashes {
            return Some(i + 1 + hashes);
        }
        i += 1;
    }
    Some(chars.len())
}

/// A path as written (`crate::base::Shape`, one for each leaf of a `use` tree) and where it starts.
pub struct Written {
    pub start: usize,
    pub names: Vec<String>,
    depth: usize,
}

/// Every path in the code, with the number of inline modules around it.
pub fn paths_of(code: &[char]) -> Vec<Written> {
    let mut found = Vec::new();
    let (mut i, mut braces) = (0, 0usize);
    let mut modules: Vec<usize> = Vec::new();
    let mut previous: Vec<String> = Vec::new();
    while i < code.len() {
        match code[i] {
            '{' => {
                braces += 1;
                if previous.len() == 2 && previous[0] == "mod" {
                    modules.push(braces);
                }
            }
            '}' => {
                if modules.last() == Some(&braces) {
                    modules.pop();
                }
                braces = braces.saturating_sub(1);
            }
            c if c.is_alphabetic() || c == '_' => {
                let before = found.len();
                i = read_path(code, i, &[], &mut found);
                for path in &mut found[before..] {
                    path.depth = modules.len();
                }
                if let Some(path) = found.get(before) {
                    previous.push(path.names.join("::"));
                    let extra = previous.len().saturating_sub(2);
                    previous.drain(..extra);
                }
                continue;
            }
            c if !c.is_whitespace() => previous.clear(),
            _ => {}
        }
        i += 1;
    }
    found
}

/// Read one path, or one `use` tree, and return the place after it.
fn read_path(code: &[char], start: usize, prefix: &[String], found: &mut Vec<Written>) -> usize {
    let blank = |mut i: usize| {
        while i < code.len() && code[i].is_whitespace() {
            i += 1;
        }
        i
    };
    let mut names = prefix.to_vec();
    let mut i = start;
    loop {
        let from = i;
        while i < code.len() && (code[i].is_alphanumeric() || code[i] == '_') {
            i += 1;
        }
        names.push(code[from..i].iter().collect());
        let next = blank(i);
        if code.get(next) != Some(&':') || code.get(next + 1) != Some(&':') {
            break;
        }
        let next = blank(next + 2);
        match code.get(next) {
            Some('{') => {
                i = next + 1;
                loop {
                    i = blank(i);
                    match code.get(i) {
                        Some(&c) if c.is_alphabetic() || c == '_' => {
                            i = read_path(code, i, &names, found);
                        }
                        Some('}') => return i + 1,
                        Some(_) => i += 1,
                        None => return i,
                    }
                }
            }
            Some(&c) if c.is_alphanumeric() || c == '_' => i = next,
            _ => break,
        }
    }
    found.push(Written { start, names, depth: 0 });
    i
}

/// The modules from the crate's root to this file: `src/ops/math.rs` is `["ops", "math"]`.
pub fn modules_of(path: &str) -> Vec<String> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut names: Vec<String> = inner.split('/').map(str::to_owned).collect();
    if names.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

/// The path from the crate's root, for what is written as `crate::...` or climbs out by `super::`.
pub fn resolve(path: &Written, file: &[String]) -> Option<Vec<String>> {
    let mut names = path.names.as_slice();
    while names.len() > 1 && names[0] == "self" {
        names = &names[1..];
    }
    if names[0] == "crate" {
        return Some(names[1..].to_vec());
    }
    let climbs = names.iter().take_while(|name| *name == "super").count();
    // Out of the inline modules first, which belong to the file, then out of the file.
    let above = climbs.checked_sub(path.depth).filter(|_| climbs > 0)?;
    let kept = file.len().checked_sub(above)?;
    Some([&file[..kept], &names[climbs..]].concat())
}
