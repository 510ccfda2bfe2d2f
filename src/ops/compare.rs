//! Comparisons, logic, bits and questions. Leans on graph.

use super::complex::is_whole_real;

crate::op! {
    /// Where two tensors are equal.
    ///
    /// >>> schuss.tensor([1, 2]).eq(2)
    /// tensor([False,  True])
    eq(input: Tensor, other) Compare { map(number mask, |x, y;| x.equals(y)); complex Yes; face in_place; }
    /// Where two tensors differ.
    ///
    /// >>> schuss.tensor([1, 2]).ne(2)
    /// tensor([ True, False])
    ne(input: Tensor, other) Compare { map(number mask, |x, y;| !x.equals(y)); complex Yes; face in_place; }
    /// Where the first is less.
    ///
    /// >>> schuss.tensor([1, 2]).lt(2)
    /// tensor([ True, False])
    lt(input: Tensor, other) Compare { map(number mask, |x, y;| x.lt(y)); face in_place; }
    /// Where the first is less or equal.
    ///
    /// >>> schuss.tensor([1, 3]).le(2)
    /// tensor([ True, False])
    le(input: Tensor, other) Compare { map(number mask, |x, y;| x.le(y)); face in_place; }
    /// Where the first is greater.
    ///
    /// >>> schuss.tensor([1, 3]).gt(2)
    /// tensor([False,  True])
    gt(input: Tensor, other) Compare { map(number mask, |x, y;| y.lt(x)); face in_place; }
    /// Where the first is greater or equal.
    ///
    /// >>> schuss.tensor([1, 2]).ge(2)
    /// tensor([False,  True])
    ge(input: Tensor, other) Compare { map(number mask, |x, y;| y.le(x)); face in_place; }
    /// Where both are true (not zero).
    ///
    /// >>> schuss.tensor([True, False]).logical_and(schuss.tensor([True, True]))
    /// tensor([ True, False])
    logical_and(input: Tensor, other: Tensor) Logic { map(number mask, |x, y;| x.truth() & y.truth()); complex Yes; face in_place; }
    /// Where either is true (not zero).
    ///
    /// >>> schuss.tensor([True, False]).logical_or(schuss.tensor([False, False]))
    /// tensor([ True, False])
    logical_or(input: Tensor, other: Tensor) Logic { map(number mask, |x, y;| x.truth() | y.truth()); complex Yes; face in_place; }
    /// Where exactly one is true (not zero).
    ///
    /// >>> schuss.tensor([True, False]).logical_xor(schuss.tensor([True, True]))
    /// tensor([False,  True])
    logical_xor(input: Tensor, other: Tensor) Logic { map(number mask, |x, y;| x.truth() ^ y.truth()); complex Yes; face in_place; }
    /// Where it is false (zero).
    ///
    /// >>> schuss.tensor([True, False]).logical_not()
    /// tensor([False,  True])
    logical_not(input) Logic { map(number mask, |x;| !x.truth()); complex Yes; face in_place; }
    /// The bits that both have set.
    ///
    /// >>> schuss.tensor([6]).bitwise_and(3)
    /// tensor([2])
    bitwise_and(input, other) Integer { map(integer value, |x, y;| x & y); face in_place; }
    /// The bits that either has set.
    ///
    /// >>> schuss.tensor([6]).bitwise_or(3)
    /// tensor([7])
    bitwise_or(input, other) Integer { map(integer value, |x, y;| x | y); face in_place; }
    /// The bits that exactly one has set.
    ///
    /// >>> schuss.tensor([6]).bitwise_xor(3)
    /// tensor([5])
    bitwise_xor(input, other) Integer { map(integer value, |x, y;| x ^ y); face in_place; }
    /// Every bit turned; of truths, their opposite.
    ///
    /// >>> schuss.tensor([0, 1]).bitwise_not()
    /// tensor([-1, -2])
    bitwise_not(input) Integer { map(integer value, |x;| !x); face in_place; }
    /// The bits moved up by a count.
    ///
    /// >>> schuss.tensor([1, 3]).bitwise_left_shift(2)
    /// tensor([ 4, 12])
    bitwise_left_shift(input, other) Integer { map(integer value, |x, y;| x.shl(y)); check 0.0..6.0; quirk Shifts; face in_place; }
    /// The bits moved down by a count, the sign kept.
    ///
    /// >>> schuss.tensor([8, -8]).bitwise_right_shift(2)
    /// tensor([ 2, -2])
    bitwise_right_shift(input, other) Integer { map(integer value, |x, y;| x.shr(y)); check 0.0..6.0; quirk Shifts; face in_place; }
    /// Where an element is NaN.
    ///
    /// >>> schuss.tensor([1.0, float("nan")]).isnan()
    /// tensor([False,  True])
    isnan(input) Question { map(float mask, |x;| x.is_nan()); complex Yes; }
    /// Where an element is infinite.
    ///
    /// >>> schuss.tensor([1.0, float("inf")]).isinf()
    /// tensor([False,  True])
    isinf(input) Question { map(float mask, |x;| x.is_inf()); complex Yes; }
    /// Where an element is neither infinite nor NaN.
    ///
    /// >>> schuss.tensor([1.0, float("inf")]).isfinite()
    /// tensor([ True, False])
    isfinite(input) Question { map(float mask, |x;| !(x.is_inf() | x.is_nan())); complex Yes; }
    /// Where the sign bit is set, -0.0 included.
    ///
    /// >>> schuss.tensor([1.0, -0.0]).signbit()
    /// tensor([False,  True])
    signbit(input) Question { map(float mask, |x;| V::lit(1.0).copysign(x).lt(V::lit(0.0))); }
    /// Where the element is infinity.
    ///
    /// >>> schuss.isposinf(schuss.tensor([float("inf"), 1.0]))
    /// tensor([ True, False])
    isposinf(input) Question { map(float mask, |x;| x.equals(V::lit(f64::INFINITY))); }
    /// Where the element is minus infinity.
    ///
    /// >>> schuss.isneginf(schuss.tensor([float("-inf"), 1.0]))
    /// tensor([ True, False])
    isneginf(input) Question { map(float mask, |x;| x.equals(V::lit(f64::NEG_INFINITY))); }
    /// Where a number has no imaginary part: everywhere, for real dtypes.
    ///
    /// >>> schuss.isreal(schuss.tensor([1.0]))
    /// tensor([True])
    isreal(input) Question { map(float mask, |x;| x.is_nan() | !x.is_nan()); complex is_whole_real; }
}
