//! A list whose first two entries are inline: most operators have one or two operands. Leans on smallvec.

pub type Pair<T> = smallvec::SmallVec<[T; 2]>;
