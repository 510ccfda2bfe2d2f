//! A weight laid out once for the products of all steps: in panels, whose columns are the gates of some units side by side.
//! Leans on conv's tile, on block, and on contract where too few rows meet it.

use crate::backend::cpu::contract::{self, Lane};
use crate::backend::cpu::conv::tile::{self, From, Left};
use crate::backend::cpu::lanes::{Float, Lanes};
use crate::backend::cpu::{block, isa};
use crate::backend::launch::Operand;
use crate::base::Result;
use crate::base::dtype::Element;

/// Products that are summed at a time.
const DEPTH: usize = 512;
/// Rows of all steps from which it pays to lay a weight out.
const LEAST: usize = 8;

/// A float whose products are made of panels.
pub(super) trait Panelled: Lane + Element {
    /// Lanes of a vector, and vectors of units in a block as in a panel, of each instruction set.
    const LANES: [usize; 3];
    const VECTORS: [usize; 3];
    /// # Safety
    /// As `Piece` says.
    fn multiply() -> unsafe fn(&Piece<Self>);
}

/// `to = left @ panels`, or added to what stands there: `rows` rows of `k` elements and as many of `vectors` vectors.
pub(super) struct Piece<T> {
    panels: *const T,
    offsets: *const u32,
    vectors: usize,
    k: usize,
    left: *const T,
    leap: usize,
    rows: usize,
    to: *mut T,
    pitch: usize,
    add: bool,
}

#[inline(always)]
unsafe fn multiply_of<L: Lanes>(piece: &Piece<L::E>) {
    let mut panel = piece.panels;
    for start in (0..piece.k).step_by(DEPTH) {
        let deep = DEPTH.min(piece.k - start);
        let from = if start > 0 || piece.add { From::There } else { From::Zero };
        let wide = tile::panel_vectors::<L>();
        for first in (0..piece.vectors).step_by(wide) {
            let v = wide.min(piece.vectors - first);
            // SAFETY: the caller promises the piece's matrices, and panels and offsets as `Weights` lays them out.
            unsafe {
                let left = Left::new(piece.left.add(start), piece.leap, 1);
                let to = piece.to.add(first * L::N);
                tile::rows::<L>(v, deep, left, panel, piece.offsets.add((v - 1) * DEPTH), to, piece.pitch, piece.rows, from);
                panel = panel.add(deep * v * L::N);
            }
        }
    }
}

macro_rules! panelled {
    ($t:ty, $name:ident) => {
        per_lanes!(static $name: unsafe fn(piece: &Piece<$t>) = multiply_of::<$t>);
        impl Panelled for $t {
            const LANES: [usize; 3] =
                [<<$t as Float>::Plain as Lanes>::N, <<$t as Float>::V3 as Lanes>::N, <<$t as Float>::V4 as Lanes>::N];
            const VECTORS: [usize; 3] = [
                tile::panel_vectors::<<$t as Float>::Plain>(),
                tile::panel_vectors::<<$t as Float>::V3>(),
                tile::panel_vectors::<<$t as Float>::V4>(),
            ];
            fn multiply() -> unsafe fn(&Piece<$t>) {
                $name[isa::level()]
            }
        }
    };
}
panelled!(f32, multiply_f32);
panelled!(f64, multiply_f64);

/// Some units, the elements between the columns of two of their gates in a product, and where their panels begin.
#[derive(Clone, Copy)]
pub(super) struct Block {
    pub first: usize,
    pub units: usize,
    pub gap: usize,
    at: usize,
}

/// A weight of `k` rows, and of `gates` times `n` columns.
pub(super) struct Weights {
    plain: Operand,
    steps: (isize, isize),
    k: usize,
    gates: usize,
    pub blocks: Vec<Block>,
    /// The panels, and how far each of their rows lies from the first.
    panels: Option<(Operand, Vec<u32>)>,
}

impl Weights {
    /// Of a weight that as many rows will meet; `steps` are those to the next row and column.
    pub fn new<T: Panelled>(plain: &Operand, steps: (usize, usize), k: usize, gates: usize, n: usize, rows: usize) -> Result<Weights> {
        let steps = (steps.0 as isize, steps.1 as isize);
        let mut made = Weights { plain: plain.clone(), steps, k, gates, blocks: Vec::new(), panels: None };
        if rows < LEAST {
            made.blocks.push(Block { first: 0, units: n, gap: n, at: 0 });
            return Ok(made);
        }
        let (lanes, wide) = (T::LANES[isa::level()], T::VECTORS[isa::level()]);
        let mut at = 0;
        for first in (0..n).step_by(wide * lanes) {
            let units = (wide * lanes).min(n - first);
            let gap = units.next_multiple_of(lanes);
            made.blocks.push(Block { first, units, gap, at });
            at += gates * gap * k;
        }
        let room = super::scratch([1, at], plain.dtype)?;
        let (from, to) = (plain.ptr().cast::<T>(), room.ptr().cast::<T>());
        let place = block::mover(size_of::<T>());
        // SAFETY: the weight has so many rows and columns, and the room a place for each, and for what fills vectors up.
        unsafe {
            if !n.is_multiple_of(lanes) {
                to.write_bytes(0, at);
            }
            for block in &made.blocks {
                let (beside, mut panel) = (block.gap / lanes, to.add(block.at));
                for start in (0..k).step_by(DEPTH) {
                    let deep = DEPTH.min(k - start);
                    for first in (0..gates * beside).step_by(wide) {
                        let v = wide.min(gates * beside - first);
                        for (i, vector) in (first..first + v).enumerate() {
                            let unit = vector % beside * lanes;
                            let column = (vector / beside * n + block.first + unit) as isize;
                            let from = from.offset(start as isize * steps.0 + column * steps.1);
                            let along = lanes.min(block.units - unit);
                            place(from.cast(), steps, panel.add(i * lanes).cast(), ((v * lanes) as isize, 1), deep, along);
                        }
                        panel = panel.add(deep * v * lanes);
                    }
                }
            }
        }
        let offsets = (1..=wide).flat_map(|v| (0..DEPTH).map(move |p| (p * v * lanes) as u32)).collect();
        made.panels = Some((room, offsets));
        Ok(made)
    }

    /// Elements of a row of a block's product.
    pub fn pitch(&self, block: &Block) -> usize {
        self.gates * block.gap
    }

    /// A block's columns of `left @ weight`, or added to what stands there. A row's bits do not depend on those beside it.
    ///
    /// # Safety
    /// Left must hold so many rows of `k` elements, and `to` as many of the block's width, `pitch` apart.
    pub unsafe fn product<T: Panelled>(
        &self,
        block: &Block,
        (left, leap): (*const T, usize),
        rows: usize,
        (to, pitch): (*mut T, usize),
        add: bool,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let Some((room, offsets)) = &self.panels else {
                let (from, steps) = (self.plain.ptr().cast::<T>(), (leap as isize, 1));
                let sizes = (rows, self.pitch(block), self.k);
                return contract::alone(sizes, left, steps, from, self.steps, to, (pitch as isize, 1), add);
            };
            let vectors = self.pitch(block) / T::LANES[isa::level()];
            let panels = room.ptr().cast::<T>().add(block.at);
            T::multiply()(&Piece { panels, offsets: offsets.as_ptr(), vectors, k: self.k, left, leap, rows, to, pitch, add });
        }
    }
}
