//! What the gates of one step make of a product, and the way back through them. Leans on math.

use super::panels::Panelled;
use crate::backend::cpu::isa;
use crate::backend::cpu::math::{double, single};
use crate::backend::launch::Cell;

/// A step for some rows and units: the input's part of the gates, what the product gives them and its bias become the gates;
/// the cells and states after it are written, the cell is brought up to date. What a cell has not is not met.
pub(super) struct Taken<T> {
    pub x: *const T,
    pub own: *const T,
    pub bias: *const T,
    pub h: *const T,
    pub c: *mut T,
    pub gates: *mut T,
    pub cells: *mut T,
    pub y: *mut T,
    pub rows: usize,
    pub n: usize,
    pub first: usize,
    pub units: usize,
    /// Elements from one row, and from one gate, to the next of the product.
    pub pitch: usize,
    pub gap: usize,
}

/// The cotangents of one step's gates from those of its results. What the state's cotangent is left with, where anything is,
/// is what does not come back through the product.
pub(super) struct Left<T> {
    /// The cotangent of the states, and elements between its rows.
    pub g: *const T,
    pub pitch: usize,
    pub gates: *const T,
    pub before: *const T,
    pub after: *const T,
    pub dh: *mut T,
    /// Elements between its rows.
    pub leap: usize,
    pub dc: *mut T,
    pub to: *mut T,
    pub own: *mut T,
    pub rows: usize,
    pub n: usize,
}

pub(super) trait Kind: Panelled + 'static {
    fn step(cell: Cell) -> unsafe fn(&Taken<Self>);
    fn back(cell: Cell) -> unsafe fn(&Left<Self>);
}

impl<T> Taken<T> {
    fn units(&self) -> (usize, usize) {
        (self.first, self.first + self.units)
    }
}

impl<T> Left<T> {
    fn units(&self) -> (usize, usize) {
        (0, self.n)
    }
}

macro_rules! cells {
    ($t:ty, $math:ident, $module:ident) => {
        mod $module {
            use super::*;

            /// Units that are done together: a whole number of vectors of every instruction set. What is computed of them is
            /// read first and written last, so that nobody need ask whether matrices overlap.
            const SIDE: usize = 64 / size_of::<$t>();
            type Side = [$t; SIDE];

            /// # Safety
            /// There must be `k` elements from the i-th on.
            #[inline(always)]
            unsafe fn get(from: *const $t, i: usize, k: usize) -> Side {
                // SAFETY: the caller's promise.
                unsafe {
                    if k == SIDE {
                        return from.add(i).cast::<Side>().read_unaligned();
                    }
                    let mut list = [0.0; SIDE];
                    std::ptr::copy_nonoverlapping(from.add(i), list.as_mut_ptr(), k);
                    list
                }
            }

            /// # Safety
            /// As above; nobody else may meet them.
            #[inline(always)]
            unsafe fn put(list: Side, to: *mut $t, i: usize, k: usize) {
                // SAFETY: the caller's promise.
                unsafe {
                    if k == SIDE {
                        return to.add(i).cast::<Side>().write_unaligned(list);
                    }
                    std::ptr::copy_nonoverlapping(list.as_ptr(), to.add(i), k);
                }
            }

            /// Goes over the units from `first` to `end` of every row, the last ones of a row fewer. No closure: it would be
            /// compiled for the plain instruction set where it is not inlined.
            macro_rules! rows {
                ($name:ident $args:ident $inner:ident $of:expr) => {
                    #[inline(always)]
                    unsafe fn $inner<const FMA: bool>(s: &$args<$t>) {
                        let (first, end) = s.units();
                        for r in 0..s.rows {
                            let mut j = first;
                            // SAFETY: the caller promises matrices of so many rows and columns.
                            unsafe {
                                while j + SIDE <= end {
                                    $of(s, r, j, SIDE);
                                    j += SIDE;
                                }
                                if j < end {
                                    $of(s, r, j, end - j);
                                }
                            }
                        }
                    }
                    crate::per_isa!(static $name: unsafe fn(s: &$args<$t>) = $inner);
                };
            }

            /// What a gate is made of: the parts of input and state, and the bias.
            #[inline(always)]
            unsafe fn sums(s: &Taken<$t>, gate: usize, x: usize, r: usize, j: usize, k: usize) -> (Side, Side) {
                // SAFETY: the caller's promise.
                unsafe {
                    let mut own = get(s.own, r * s.pitch + gate * s.gap + j - s.first, k);
                    let bias = get(s.bias, gate * s.n + j, k);
                    for l in 0..SIDE {
                        own[l] += bias[l];
                    }
                    (get(s.x, x + gate * s.n, k), own)
                }
            }

            #[inline(always)]
            fn opened<const FMA: bool>((mut x, own): (Side, Side)) -> Side {
                for l in 0..SIDE {
                    x[l] = $math::sigmoid::<FMA>(x[l] + own[l]);
                }
                x
            }

            #[inline(always)]
            fn bent<const FMA: bool>((mut x, own): (Side, Side)) -> Side {
                for l in 0..SIDE {
                    x[l] = $math::tanh::<FMA>(x[l] + own[l]);
                }
                x
            }

            #[inline(always)]
            unsafe fn long<const FMA: bool>(s: &Taken<$t>, r: usize, j: usize, k: usize) {
                let (n, w, at) = (s.n, r * 4 * s.n + j, r * s.n + j);
                // SAFETY: the caller's promise.
                unsafe {
                    let (i, f) = (opened::<FMA>(sums(s, 0, w, r, j, k)), opened::<FMA>(sums(s, 1, w, r, j, k)));
                    let (g, o) = (bent::<FMA>(sums(s, 2, w, r, j, k)), opened::<FMA>(sums(s, 3, w, r, j, k)));
                    let (mut c, mut y) = (get(s.c, at, k), [0.0; SIDE]);
                    for l in 0..SIDE {
                        c[l] = f[l] * c[l] + i[l] * g[l];
                        y[l] = o[l] * $math::tanh::<FMA>(c[l]);
                    }
                    put(i, s.gates, w, k);
                    put(f, s.gates, w + n, k);
                    put(g, s.gates, w + 2 * n, k);
                    put(o, s.gates, w + 3 * n, k);
                    put(c, s.c, at, k);
                    put(c, s.cells, at, k);
                    put(y, s.y, at, k);
                }
            }

            #[inline(always)]
            unsafe fn gated<const FMA: bool>(s: &Taken<$t>, r: usize, j: usize, k: usize) {
                let (n, v, w, at) = (s.n, r * 3 * s.n + j, r * 4 * s.n + j, r * s.n + j);
                // SAFETY: as above.
                unsafe {
                    let (reset, update) = (opened::<FMA>(sums(s, 0, v, r, j, k)), opened::<FMA>(sums(s, 1, v, r, j, k)));
                    let ((x, kept), h) = (sums(s, 2, v, r, j, k), get(s.h, at, k));
                    let (mut new, mut y) = ([0.0; SIDE], [0.0; SIDE]);
                    for l in 0..SIDE {
                        new[l] = $math::tanh::<FMA>(x[l] + reset[l] * kept[l]);
                        y[l] = new[l] + update[l] * (h[l] - new[l]);
                    }
                    put(reset, s.gates, w, k);
                    put(update, s.gates, w + n, k);
                    put(new, s.gates, w + 2 * n, k);
                    put(kept, s.gates, w + 3 * n, k);
                    put(y, s.y, at, k);
                }
            }

            #[inline(always)]
            fn cut<const FMA: bool>((mut x, own): (Side, Side)) -> Side {
                for l in 0..SIDE {
                    let sum = x[l] + own[l];
                    // The comparison lets NaN through.
                    x[l] = if sum < 0.0 { 0.0 } else { sum };
                }
                x
            }

            #[inline(always)]
            unsafe fn plain<const FMA: bool, const BENT: bool>(s: &Taken<$t>, r: usize, j: usize, k: usize) {
                let at = r * s.n + j;
                // SAFETY: as above.
                unsafe {
                    let sums = sums(s, 0, at, r, j, k);
                    put(if BENT { bent::<FMA>(sums) } else { cut::<FMA>(sums) }, s.y, at, k);
                }
            }

            #[inline(always)]
            unsafe fn long_back<const FMA: bool>(s: &Left<$t>, r: usize, j: usize, k: usize) {
                let (n, w, at) = (s.n, r * 4 * s.n + j, r * s.n + j);
                // SAFETY: as above; the product's sides may be one matrix with the gates' cotangents.
                unsafe {
                    let (mut i, mut f, mut new, mut o) =
                        (get(s.gates, w, k), get(s.gates, w + n, k), get(s.gates, w + 2 * n, k), get(s.gates, w + 3 * n, k));
                    let (before, after) = (get(s.before, at, k), get(s.after, at, k));
                    let (g, dh, mut dc) = (get(s.g, r * s.pitch + j, k), get(s.dh, r * s.leap + j, k), get(s.dc, at, k));
                    for l in 0..SIDE {
                        let bent = $math::tanh::<FMA>(after[l]);
                        let d = dh[l] + g[l];
                        let dcell = dc[l] + d * o[l] * (1.0 - bent * bent);
                        dc[l] = dcell * f[l];
                        o[l] = d * bent * o[l] * (1.0 - o[l]);
                        f[l] = dcell * before[l] * f[l] * (1.0 - f[l]);
                        (i[l], new[l]) = (dcell * new[l] * i[l] * (1.0 - i[l]), dcell * i[l] * (1.0 - new[l] * new[l]));
                    }
                    put(i, s.to, w, k);
                    put(f, s.to, w + n, k);
                    put(new, s.to, w + 2 * n, k);
                    put(o, s.to, w + 3 * n, k);
                    put(dc, s.dc, at, k);
                }
            }

            #[inline(always)]
            unsafe fn gated_back<const FMA: bool>(s: &Left<$t>, r: usize, j: usize, k: usize) {
                let (n, v, w, at, dh_at) = (s.n, r * 3 * s.n + j, r * 4 * s.n + j, r * s.n + j, r * s.leap + j);
                // SAFETY: as above.
                unsafe {
                    let (mut reset, mut update) = (get(s.gates, w, k), get(s.gates, w + n, k));
                    let (mut new, mut kept) = (get(s.gates, w + 2 * n, k), get(s.gates, w + 3 * n, k));
                    let (g, mut dh, before) = (get(s.g, r * s.pitch + j, k), get(s.dh, dh_at, k), get(s.before, at, k));
                    for l in 0..SIDE {
                        let (d, r, z) = (dh[l] + g[l], reset[l], update[l]);
                        let inner = d * (1.0 - z) * (1.0 - new[l] * new[l]);
                        update[l] = d * (before[l] - new[l]) * z * (1.0 - z);
                        reset[l] = inner * kept[l] * r * (1.0 - r);
                        (new[l], kept[l], dh[l]) = (inner, inner * r, d * z);
                    }
                    for (to, new) in [(s.to, new), (s.own, kept)] {
                        put(reset, to, v, k);
                        put(update, to, v + n, k);
                        put(new, to, v + 2 * n, k);
                    }
                    put(dh, s.dh, dh_at, k);
                }
            }

            #[inline(always)]
            unsafe fn plain_back<const FMA: bool, const BENT: bool>(s: &Left<$t>, r: usize, j: usize, k: usize) {
                let at = r * s.n + j;
                // SAFETY: as above.
                unsafe {
                    let (g, dh, mut y) = (get(s.g, r * s.pitch + j, k), get(s.dh, r * s.leap + j, k), get(s.after, at, k));
                    for l in 0..SIDE {
                        let d = dh[l] + g[l];
                        y[l] = if BENT { d * (1.0 - y[l] * y[l]) } else if y[l] > 0.0 { d } else { 0.0 };
                    }
                    put(y, s.to, at, k);
                }
            }

            rows!(lstm Taken lstm_of long::<FMA>);
            rows!(gru Taken gru_of gated::<FMA>);
            rows!(tanh Taken tanh_of plain::<FMA, true>);
            rows!(relu Taken relu_of plain::<FMA, false>);
            rows!(lstm_back Left lstm_back_of long_back::<FMA>);
            rows!(gru_back Left gru_back_of gated_back::<FMA>);
            rows!(tanh_back Left tanh_back_of plain_back::<FMA, true>);
            rows!(relu_back Left relu_back_of plain_back::<FMA, false>);

            impl Kind for $t {
                fn step(cell: Cell) -> unsafe fn(&Taken<$t>) {
                    match cell {
                        Cell::Lstm => lstm[isa::level()],
                        Cell::Gru => gru[isa::level()],
                        Cell::Tanh => tanh[isa::level()],
                        Cell::Relu => relu[isa::level()],
                    }
                }
                fn back(cell: Cell) -> unsafe fn(&Left<$t>) {
                    match cell {
                        Cell::Lstm => lstm_back[isa::level()],
                        Cell::Gru => gru_back[isa::level()],
                        Cell::Tanh => tanh_back[isa::level()],
                        Cell::Relu => relu_back[isa::level()],
                    }
                }
            }
        }
    };
}
cells!(f32, single, of_single);
cells!(f64, double, of_double);
