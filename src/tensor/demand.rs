//! What Python's functions ask of elements before they go on, as a launch, so that a compiled step asks it anew each time.
//! Leans on backend's launches.

use crate::backend::cpu::convert::to_f64;
use crate::backend::{Launch, Operand, of};
use crate::base::{Error, ErrorKind, Result};
use crate::graph::Tensor;
use std::sync::{Mutex, PoisonError};

/// What is said where a demand fails. A launch carries numbers alone, so the words are kept here and named by their place;
/// they come from our own sources and are few.
static WORDS: Mutex<Vec<(ErrorKind, &str, &str)>> = Mutex::new(Vec::new());

fn place(kind: ErrorKind, op: &str, text: &str) -> (usize, &'static str) {
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = words.iter().position(|w| *w == (kind, op, text)) {
        return (at, words[at].1);
    }
    let op: &'static str = String::leak(op.to_string());
    words.push((kind, op, String::leak(text.to_string())));
    (words.len() - 1, op)
}

/// Asks that all elements be true: an error of that kind where one is not.
pub fn demand(holds: &Tensor, kind: ErrorKind, op: &str, text: &str) -> Result<()> {
    if holds.numel() == 0 {
        return Ok(());
    }
    let (at, op) = place(kind, op, text);
    let operand = holds.values().operand();
    of(&operand.storage).launch(&Launch::Demand { op, test: all, ins: std::slice::from_ref(&operand), numbers: &[at as i64] })
}

fn all(_: &'static str, ins: &[Operand], numbers: &[i64]) -> Result<()> {
    if !to_f64(&ins[0]).contains(&0.0) {
        return Ok(());
    }
    let (kind, op, text) = WORDS.lock().unwrap_or_else(PoisonError::into_inner)[numbers[0] as usize];
    Err(Error::new(kind, op, text))
}
