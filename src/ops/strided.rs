//! Windows over a storage by sizes and strides, and numbers of one layout of memory as another shows them. Leans on view.

use super::view::{self, scalar, sizes};
use crate::base::{Error, Few, Layout, Result, shape};
use crate::graph::{Arg, Grads, Op, Pull, Sym};

pub(super) fn rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let (size, stride) = (args[0].ints(), args[1].ints());
    if size.len() != stride.len() {
        return Err(Error::runtime("as_strided", format!("{} sizes and {} strides do not match", size.len(), stride.len())));
    }
    if let Some(bad) = size.iter().find(|&&s| s < 0) {
        return Err(Error::runtime("as_strided", format!("the size {bad} is negative")));
    }
    if let Some(bad) = stride.iter().find(|&&s| s < 0) {
        return Err(Error::runtime("as_strided", format!("the stride {bad} is negative; use flip")));
    }
    let offset = args[2].int().unwrap_or(x.offset as i64);
    if offset < 0 {
        return Err(Error::runtime("as_strided", format!("the storage offset {offset} is negative")));
    }
    shape::count("as_strided", &sizes(&size))?;
    Ok(Layout::new(sizes(&size), stride.iter().map(|&s| s as isize).collect(), offset as usize))
}

/// Whether a view says where it lies in memory, whatever it is a view of.
pub fn is_absolute(op: &'static Op) -> bool {
    std::ptr::eq(op, &raw const view::as_strided::OP)
}

/// The parameters of `as_strided` and where its input starts and how it steps, if not row by row from the start of memory.
pub fn located(op: &'static Op, x: &Layout, args: &[Arg]) -> Option<Vec<Arg>> {
    if !is_absolute(op) || x.is_contiguous() && x.offset == 0 {
        return None;
    }
    let lies = std::iter::once(x.offset as i64).chain(x.strides.iter().map(|&s| s as i64)).collect();
    Some(args[..3].iter().cloned().chain([Arg::Ints(lies)]).collect())
}

pub(super) fn back(pull: &Pull) -> Grads {
    let shape = pull.ins[0].shape();
    let x = match pull.args.get(3).map(Arg::ints).as_deref() {
        Some([start, steps @ ..]) => Layout::new(shape, steps.iter().map(|&s| s as isize).collect(), *start as usize),
        _ => Layout::contiguous(shape),
    };
    let seen = crate::graph::sym::must(rule(&x, pull.args));
    [pull.needs.has(0).then(|| across(pull.grad(), &seen, &x, &x))].into_iter().collect()
}

/// Numbers of one layout as another of the same memory shows them, added where they meet; parted where elements of `own` do.
pub fn across(x: &Sym, from: &Layout, to: &Layout, own: &Layout) -> Sym {
    let ends: Vec<(isize, isize)> = [from, to].iter().filter(|l| l.numel() > 0).map(|l| l.span()).collect();
    let low = ends.iter().map(|e| e.0).min().unwrap_or(0);
    let room = [(ends.iter().map(|e| e.1).max().unwrap_or(low) - low).max(0) as usize];
    let steps = |l: &Layout| l.strides.iter().map(|&s| s as i64).collect::<Few<i64>>();
    let start = |l: &Layout| if l.numel() > 0 { (l.offset as isize - low) as i64 } else { 0 };
    let mut memory = x.unwindow(&room[..], &from.shape, steps(from), start(from));
    if own.overlaps_itself() {
        let one = scalar(x.dtype(), x.device()) + 1.0;
        let meet = one.expand(&own.shape).unwindow(&room[..], &own.shape, steps(own), start(own));
        memory = memory / meet.maximum(&Sym::from(1.0));
    }
    memory.window(&to.shape, steps(to), start(to))
}
