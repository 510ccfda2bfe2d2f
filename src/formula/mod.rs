//! Rank 1, arithmetic on paper: the words of a map's formula and their readers. Leans on base; knows no memory and no device.

pub mod normal;
pub mod paper;
pub mod value;

pub use paper::{Formula, Paper};
pub use value::{Float, Integer, Value};
