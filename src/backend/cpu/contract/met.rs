//! Products whose rows and columns others meet as soon as they are made, while the caches hold them.
//! Leans on the products themselves.

use super::{DOTS, Lane, SPELL, WHOLE, Way, product, sizes, way};
use crate::backend::launch::Operand;
use crate::base::DType;
use std::ops::Range;

/// What meets the rows and columns of a product as soon as they are made, while the caches hold them.
#[derive(Clone, Copy)]
pub(in crate::backend::cpu) struct After<'a> {
    meet: Meet<'a>,
    /// Whether nobody else reads the product, which then need not reach memory.
    pub(super) hidden: bool,
    /// The first row and column of this part of it; items of a batch stand below each other.
    at: (usize, usize),
}

pub(in crate::backend::cpu) type Meet<'a> = &'a (dyn Fn(Made) + Sync);

/// Rows and columns of a product: they begin at `from`, and rows lie `pitch` bytes apart.
pub(in crate::backend::cpu) struct Made {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    pub from: *mut u8,
    pub pitch: usize,
}

impl After<'_> {
    /// The same for a part that begins at another row and column.
    pub(super) fn further(self, row: usize, column: usize) -> Self {
        After { at: (self.at.0 + row, self.at.1 + column), ..self }
    }
    /// Tells of a part that is made.
    pub(super) fn tell<T>(&self, rows: Range<usize>, columns: Range<usize>, from: *mut T, step: usize) {
        let over = |range: Range<usize>, by: usize| range.start + by..range.end + by;
        let (rows, columns) = (over(rows, self.at.0), over(columns, self.at.1));
        (self.meet)(Made { rows, columns, from: from.cast(), pitch: step * size_of::<T>() });
    }
}

/// Whether others may meet the product of such a task as it is made: rows of real numbers, one after the other.
pub(in crate::backend::cpu) fn can_tell(out: &Operand) -> bool {
    let (shape, rank) = (&out.layout.shape, out.layout.rank());
    matches!(out.dtype, DType::F32 | DType::F64) && out.layout.is_contiguous() && shape[rank - 2].min(shape[rank - 1]) > 1
}

/// Whether a product that others meet as it is made need not reach memory.
pub(in crate::backend::cpu) fn can_hide(a: &Operand, b: &Operand, out: &Operand) -> bool {
    let (_, m, k, n) = sizes(a, b, out);
    let own = if out.dtype == DType::F64 { f64::own().is_some() } else { f32::own().is_some() };
    own && way(m, n, k) == Way::Pieces && m * n > DOTS && m * n * k <= SPELL && k * out.dtype.size() <= WHOLE
}

/// As `run`, of float32 or float64; others meet its parts as they are made. What is hidden has no memory of its own.
pub(in crate::backend::cpu) fn run_for(a: &Operand, b: &Operand, out: &Operand, hidden: bool, meet: Meet) {
    let after = Some(After { meet, hidden, at: (0, 0) });
    if out.dtype == DType::F64 { product::<f64>(a, b, out, after) } else { product::<f32>(a, b, out, after) }
}
