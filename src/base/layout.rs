//! Where the elements of a tensor lie: shape, strides and offset, and every view as arithmetic on them. Leans on shape and few.

use super::shape::{self, Shape};
use super::{Error, Few, Result};

/// Shape, strides (in elements; zero and negative ones allowed) and the position of the first element.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    pub shape: Shape,
    pub strides: Few<isize>,
    pub offset: usize,
    numel: usize,
    dense: bool,
}

impl Layout {
    /// Row-major, from the start of a storage.
    #[inline]
    pub fn contiguous(shape: Shape) -> Layout {
        let mut strides = Few::filled(1isize, shape.len());
        let mut step = 1usize;
        for i in (0..shape.len()).rev() {
            strides[i] = step as isize;
            step *= shape[i].max(1);
        }
        let numel = if shape.contains(&0) { 0 } else { step };
        Layout { shape, strides, offset: 0, numel, dense: true }
    }

    /// The same row-major layout from the start of a storage of its own.
    #[inline(always)]
    pub fn like(other: &Layout) -> Layout {
        debug_assert!(other.dense);
        // One element of a larger tensor keeps no strides of that one.
        let strides = if other.numel == 1 { Few::filled(1, other.shape.len()) } else { other.strides.clone() };
        Layout { shape: other.shape.clone(), strides, offset: 0, numel: other.numel, dense: true }
    }

    pub fn new(shape: Shape, strides: Few<isize>, offset: usize) -> Layout {
        let numel = shape.iter().product();
        let dense = row_major(&shape, &strides);
        Layout { shape, strides, offset, numel, dense }
    }

    #[inline]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }
    #[inline]
    pub fn numel(&self) -> usize {
        self.numel
    }
    /// Whether it has no axes, or no elements.
    #[inline(always)]
    pub fn is_odd(&self) -> bool {
        self.numel == 0 || self.shape.is_empty()
    }
    /// Whether the elements lie one after the other in row-major order.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.dense
    }

    /// Whether every axis steps wider than those behind it, but for axes that do not step.
    #[inline]
    pub fn falls(&self) -> bool {
        let mut last = 0;
        self.dense
            || self.shape.iter().zip(self.strides.iter()).rev().filter(|&(&n, &s)| n != 1 && s != 0).all(|(_, &s)| {
                let before = std::mem::replace(&mut last, s.unsigned_abs());
                last > before
            })
    }

    /// Whether the elements lie one after the other, whatever the order of the axes.
    pub fn fills(&self) -> bool {
        let mut step = 1;
        while let Some(i) = (0..self.rank()).find(|&i| self.shape[i] > 1 && self.strides[i] == step as isize) {
            step *= self.shape[i];
        }
        step == self.numel
    }
    /// The same from the start of a storage of its own.
    pub fn from_start(&self) -> Layout {
        Layout { offset: 0, ..self.clone() }
    }

    /// Whether all positions are of one element.
    #[inline]
    pub fn is_one_element(&self) -> bool {
        self.strides.iter().zip(self.shape.iter()).all(|(&s, &d)| s == 0 || d == 1)
    }

    /// Whether both are row-major and of one shape, wherever they begin.
    #[inline(always)]
    pub fn is_like(&self, other: &Layout) -> bool {
        self.dense && other.dense && self.shape == other.shape
    }
    /// Whether both are row-major and this one's shape is the end of the other's.
    #[inline(always)]
    pub fn is_row_of(&self, other: &Layout) -> bool {
        self.dense && other.dense && other.shape.ends_with(&self.shape)
    }
    /// Whether another layout has the same shape and strides, wherever it begins.
    #[inline]
    pub fn lies_like(&self, other: &Layout) -> bool {
        self.shape == other.shape && (self.dense && other.dense || self.strides == other.strides)
    }

    /// The lowest and one past the highest element position touched.
    pub fn span(&self) -> (isize, isize) {
        if self.numel == 0 {
            return (self.offset as isize, self.offset as isize);
        }
        // Strides come from users too, so the reach is summed where it cannot overflow.
        let (mut low, mut high) = (self.offset as i128, self.offset as i128);
        for (&n, &s) in self.shape.iter().zip(self.strides.iter()) {
            let reach = (n as i128 - 1) * s as i128;
            if reach < 0 { low += reach } else { high += reach }
        }
        let fit = |v: i128| v.clamp(isize::MIN as i128, isize::MAX as i128) as isize;
        (fit(low), fit(high + 1))
    }

    /// Whether two indices may reach the same element (a broadcast axis, or an overlapping window).
    pub fn overlaps_itself(&self) -> bool {
        if self.dense || self.numel <= 1 {
            return false;
        }
        let mut axes: Vec<(usize, usize)> =
            (0..self.rank()).filter(|&i| self.shape[i] > 1).map(|i| (self.strides[i].unsigned_abs(), self.shape[i])).collect();
        axes.sort_unstable();
        let mut reach = 0usize;
        for (stride, n) in axes {
            if stride <= reach {
                return true;
            }
            reach = reach.saturating_add(stride.saturating_mul(n - 1));
        }
        false
    }

    pub fn permute(&self, order: &[usize]) -> Layout {
        Layout::new(order.iter().map(|&i| self.shape[i]).collect(), order.iter().map(|&i| self.strides[i]).collect(), self.offset)
    }

    /// What was permuted by an order, put back.
    pub fn restored(&self, order: &[usize]) -> Layout {
        self.permute(&inverse(order))
    }

    pub fn transpose(&self, a: usize, b: usize) -> Layout {
        let (mut shape, mut strides) = (self.shape.clone(), self.strides.clone());
        if !shape.is_empty() {
            shape.swap(a, b);
            strides.swap(a, b);
        }
        let dense = row_major(&shape, &strides);
        Layout { shape, strides, offset: self.offset, numel: self.numel, dense }
    }

    /// The same elements seen under a larger shape; new and repeated axes get stride 0.
    pub fn broadcast_to(&self, op: &str, shape: &[usize]) -> Result<Layout> {
        let lead = shape.len().wrapping_sub(self.rank());
        let fits = shape.len() >= self.rank() && self.shape.iter().enumerate().all(|(i, &n)| n == shape[lead + i] || n == 1);
        if !fits {
            return Err(Error::shape(
                op,
                format!(
                    "the shape {} cannot be expanded to {} (axes match from the end; only sizes of 1 grow)",
                    shape::show(&self.shape),
                    shape::show(shape)
                ),
            ));
        }
        let strides =
            (0..shape.len()).map(|i| if i < lead || self.shape[i - lead] != shape[i] { 0 } else { self.strides[i - lead] }).collect();
        Ok(Layout::new(Shape::from(shape), strides, self.offset))
    }

    /// A view of another shape over the same elements, or None where only a copy can give it.
    pub fn reshape(&self, shape: &[usize]) -> Option<Layout> {
        if self.dense {
            let mut flat = Layout::contiguous(Shape::from(shape));
            flat.offset = self.offset;
            return Some(flat);
        }
        // Old axes are taken from the last backwards in runs that lie evenly in memory; each run must be
        // used up exactly by a run of new axes.
        let mut strides = Few::filled(0isize, shape.len());
        let (mut next, mut i) = (shape.len(), self.rank());
        while i > 0 {
            i -= 1;
            let (step, mut run) = (self.strides[i], self.shape[i]);
            while i > 0 && (self.shape[i - 1] == 1 || self.strides[i - 1] == step * run as isize) {
                i -= 1;
                run *= self.shape[i];
            }
            let mut used = 1usize;
            while next > 0 && (used < run || shape[next - 1] == 1) {
                next -= 1;
                strides[next] = step * used as isize;
                used *= shape[next];
            }
            if used != run {
                return None;
            }
        }
        (next == 0).then(|| Layout::new(Shape::from(shape), strides, self.offset))
    }

    /// One axis cut to `size` elements from `start` on, `step` apart.
    pub fn slice(&self, axis: usize, start: usize, size: usize, step: isize) -> Layout {
        let (mut shape, mut strides) = (self.shape.clone(), self.strides.clone());
        let offset = if size == 0 { self.offset } else { (self.offset as isize + start as isize * strides[axis]) as usize };
        shape[axis] = size;
        strides[axis] *= step;
        Layout::new(shape, strides, offset)
    }

    pub fn drop_axis(&self, axis: usize) -> Layout {
        let (mut shape, mut strides) = (self.shape.clone(), self.strides.clone());
        shape.remove(axis);
        strides.remove(axis);
        Layout::new(shape, strides, self.offset)
    }

    pub fn insert_axis(&self, axis: usize) -> Layout {
        let (mut shape, mut strides) = (self.shape.clone(), self.strides.clone());
        let step = if axis < shape.len() { shape[axis].max(1) as isize * strides[axis] } else { 1 };
        shape.insert(axis, 1);
        strides.insert(axis, step);
        Layout::new(shape, strides, self.offset)
    }

    /// Whether every axis of `other` steps over the same elements in the same order.
    pub fn same_elements(&self, other: &Layout) -> bool {
        self.offset == other.offset
            && self.shape == other.shape
            && (0..self.rank()).all(|i| self.shape[i] <= 1 || self.strides[i] == other.strides[i])
    }
}

/// The order that undoes an order.
pub fn inverse(order: &[usize]) -> Few<usize> {
    let mut place: Few<usize> = Few::filled(0, order.len());
    order.iter().enumerate().for_each(|(i, &axis)| place[axis] = i);
    place
}

/// The axes in the order in which most steps over these layouts of one shape go through memory, widest first; None where that
/// is row-major order. Of two axes the first layout that has no 0 among their steps says which is wider, as in PyTorch.
pub fn memory_order(layouts: &[&Layout]) -> Option<Few<usize>> {
    let rank = layouts.first()?.rank();
    if rank < 2 || layouts.iter().all(|l| l.falls()) {
        return None;
    }
    let is_wider = |a: usize, b: usize| {
        for l in layouts {
            let (x, y) = (l.strides[a].unsigned_abs(), l.strides[b].unsigned_abs());
            if x != 0 && y != 0 && (x != y || l.shape[a] > l.shape[b]) {
                return Some(x >= y);
            }
        }
        None
    };
    let mut order: Few<usize> = (0..rank).collect();
    for i in (0..rank - 1).rev() {
        let mut at = i;
        for next in i + 1..rank {
            match is_wider(order[next], order[at]) {
                Some(true) => {
                    order[..].swap(at, next);
                    at = next;
                }
                Some(false) => break,
                None => {}
            }
        }
    }
    (0..rank).any(|i| order[i] != i).then_some(order)
}

fn row_major(shape: &[usize], strides: &[isize]) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let mut step = 1usize;
    for (&n, &s) in shape.iter().zip(strides).rev() {
        if n != 1 {
            if s != step as isize {
                return false;
            }
            step *= n;
        }
    }
    true
}

/// A loop over several layouts of one shape with their axes merged as far as all of them allow.
pub struct Walk {
    pub shape: Shape,
    pub strides: Vec<Few<isize>>,
}

impl Walk {
    /// Merges neighbouring axes; strides are in elements, one list for each layout.
    pub fn new(layouts: &[&Layout]) -> Walk {
        let rank = layouts[0].rank();
        let mut shape = Shape::new();
        let mut strides: Vec<Few<isize>> = layouts.iter().map(|_| Few::new()).collect();
        for i in 0..rank {
            let n = layouts[0].shape[i];
            if n == 1 {
                continue;
            }
            let last = shape.len().wrapping_sub(1);
            let joins = !shape.is_empty() && layouts.iter().zip(&strides).all(|(l, s)| s[last] == l.strides[i] * n as isize);
            if joins {
                shape[last] *= n;
                for (l, s) in layouts.iter().zip(&mut strides) {
                    s[last] = l.strides[i];
                }
            } else {
                shape.push(n);
                for (l, s) in layouts.iter().zip(&mut strides) {
                    s.push(l.strides[i]);
                }
            }
        }
        if shape.is_empty() {
            shape.push(1);
            strides.iter_mut().for_each(|s| s.push(0));
        }
        Walk { shape, strides }
    }

    /// Calls `row` for every run along the last axis, with the element offset of each layout's run.
    pub fn rows<F: FnMut(&[isize]) -> bool>(&self, mut row: F) {
        let outer = self.shape.len() - 1;
        if self.shape.contains(&0) {
            return;
        }
        let mut at = vec![0isize; self.strides.len()];
        let mut index: Few<usize> = Few::filled(0, outer);
        loop {
            if !row(&at) {
                return;
            }
            let mut axis = outer;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    at.iter_mut().zip(&self.strides).for_each(|(a, s)| *a += s[axis]);
                    break;
                }
                let back = (index[axis] - 1) as isize;
                at.iter_mut().zip(&self.strides).for_each(|(a, s)| *a -= back * s[axis]);
                index[axis] = 0;
            }
        }
    }
}
