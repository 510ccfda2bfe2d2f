//! The steps of a recurrent network's sequence, and what its way back is given, for every device alike. Leans on launch.

use super::launch::{Cell, Operand, Recurrence};
use crate::base::{Error, Result};

impl Recurrence {
    /// First rows of the steps and how many they are, in the order in which they are taken.
    pub fn steps(&self) -> Vec<(usize, usize)> {
        let mut first = 0;
        let mut list: Vec<(usize, usize)> = Vec::with_capacity(self.sizes.len());
        for &rows in &self.sizes {
            list.push((first, rows));
            first += rows;
        }
        if self.reverse {
            list.reverse();
        }
        list
    }

    /// What the way back is given, by name.
    pub fn way_back<'a>(&self, ins: &'a [Operand], outs: &'a [Operand]) -> Result<WayBack<'a>> {
        let (lstm, gru) = (self.cell == Cell::Lstm, self.cell == Cell::Gru);
        let mut rest = ins.iter();
        let mut next = || rest.next().ok_or_else(|| Error::bug("recurrence", "an operand is missing"));
        let (g, g_state) = (next()?, next()?);
        let g_cell = if lstm { next()? } else { g_state };
        let (weight, first) = (next()?, next()?);
        let first_cell = if lstm { next()? } else { first };
        let y = next()?;
        let gates = if lstm || gru { next()? } else { y };
        let cells = if lstm { next()? } else { y };
        let to = &outs[0];
        let (own, outs) = if gru { (&outs[1], &outs[2..]) } else { (to, &outs[1..]) };
        let (dw, dh) = (&outs[0], &outs[1]);
        let dc = if lstm { &outs[2] } else { dh };
        Ok(WayBack { g, g_state, g_cell, weight, first, first_cell, y, gates, cells, to, own, dw, dh, dc })
    }
}

/// Operands of a way back. Where a cell has no such matrix, another stands in that its loop does not touch.
pub struct WayBack<'a> {
    /// The results' gradient, the last state's and the last cell's.
    pub g: &'a Operand,
    pub g_state: &'a Operand,
    pub g_cell: &'a Operand,
    pub weight: &'a Operand,
    pub first: &'a Operand,
    pub first_cell: &'a Operand,
    pub y: &'a Operand,
    pub gates: &'a Operand,
    pub cells: &'a Operand,
    /// What is filled: the gradients of the input's part, of the state's own part, of the weight, the first state and the first cell.
    pub to: &'a Operand,
    pub own: &'a Operand,
    pub dw: &'a Operand,
    pub dh: &'a Operand,
    pub dc: &'a Operand,
}

/// Rows of a matrix.
pub fn rows(x: &Operand, first: usize, count: usize) -> Operand {
    x.view(x.layout.slice(0, first, count, 1))
}

pub fn turned(x: &Operand) -> Operand {
    x.view(x.layout.transpose(0, 1))
}
