//! What a backend is asked to do: one launch for each kernel family, in terms of buffers and layouts. Leans on storage and formula.

use super::Storage;
use crate::base::{DType, Device, Layout, Number, Result};
use crate::formula::Formula;
use std::sync::Arc;

/// One operand of a launch: bytes, where its elements lie, and their type.
#[derive(Clone)]
pub struct Operand {
    pub storage: Arc<Storage>,
    pub layout: Layout,
    pub dtype: DType,
}

impl Operand {
    /// The address of the first element.
    #[inline(always)]
    pub fn ptr(&self) -> *mut u8 {
        self.storage.ptr().wrapping_add(self.layout.offset * self.dtype.size())
    }
    #[inline]
    pub fn numel(&self) -> usize {
        self.layout.numel()
    }
    /// A fresh row-major operand; its bytes are not defined yet.
    pub fn new(backend: &dyn Backend, shape: &[usize], dtype: DType) -> Result<Operand> {
        let n = crate::base::shape::count("allocate", shape)?;
        let bytes = n.checked_mul(dtype.size()).filter(|&b| b <= isize::MAX as usize);
        let bytes = bytes.ok_or_else(|| {
            crate::base::Error::shape(
                "allocate",
                format!("the shape {} of {dtype} passes the size of memory", crate::base::shape::show(shape)),
            )
        })?;
        let storage = Arc::new(backend.alloc(bytes)?);
        if super::trace::on() {
            super::trace::born(&storage);
        }
        Ok(Operand { storage, layout: Layout::contiguous(shape.into()), dtype })
    }
    #[inline]
    pub fn device(&self) -> Device {
        self.storage.device()
    }
    /// Whether one element is all there is, however large the shape.
    pub fn is_constant(&self) -> bool {
        self.layout.numel() > 0 && self.layout.shape.iter().zip(self.layout.strides.iter()).all(|(&n, &s)| n == 1 || s == 0)
    }
    /// The same bytes under another layout.
    pub fn view(&self, layout: Layout) -> Operand {
        Operand { storage: self.storage.clone(), layout, dtype: self.dtype }
    }
}

/// A loop over contiguous inputs and outputs of one compute dtype: `(inputs, parameters, outputs, count)`.
pub type MapLoop = unsafe fn(&[*const u8], &[Number], &[*mut u8], usize);

/// The instruction sets a loop is compiled for.
pub const ISAS: usize = 3;

/// A rectangle of a map of two operands: where each begins, and the bytes to its next row. Elements of a row lie side by
/// side; of an operand that is spread one element serves the row.
pub struct Rectangle {
    pub from: [(*const u8, isize); 2],
    pub spread: Option<usize>,
    pub to: (*mut u8, isize),
    pub rows: usize,
    pub count: usize,
}

/// A loop over a rectangle.
pub type RectangleLoop = unsafe fn(&Rectangle, &[Number]);

/// The native loops of a map for one compute dtype, plain to widest; short formulas of two operands have some for rectangles
/// and, as the last says, for a result that lies over the first operand.
#[derive(Clone, Copy)]
pub struct MapLoops(pub [MapLoop; ISAS], pub Option<[RectangleLoop; ISAS]>, pub bool);

/// What a map computes: its formula for whoever reads formulas, its compiled loops for the processor.
pub struct MapBody {
    pub inputs: usize,
    pub params: usize,
    pub outputs: usize,
    /// Whether the result is a truth (one byte) instead of a value of the compute dtype.
    pub truth: bool,
    pub formula: fn() -> Formula,
    pub native: fn(DType) -> Option<MapLoops>,
}

/// The folds; `Mean` is a sum divided by the count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoldKind {
    Sum,
    Mean,
    Prod,
    Max,
    Min,
    Any,
    All,
    ArgMax,
    ArgMin,
    /// Sum of squared differences from the mean divided by (count - correction).
    Var,
    /// `log(sum(exp(x)))` without overflow.
    LogSumExp,
    /// The square root of the sum of squares.
    Euclid,
    /// The sum of what is no NaN.
    NanSum,
}

impl FoldKind {
    /// What users call it.
    pub fn name(self) -> &'static str {
        match self {
            FoldKind::Sum => "sum",
            FoldKind::Mean => "mean",
            FoldKind::Prod => "prod",
            FoldKind::Max => "amax",
            FoldKind::Min => "amin",
            FoldKind::Any => "any",
            FoldKind::All => "all",
            FoldKind::ArgMax => "argmax",
            FoldKind::ArgMin => "argmin",
            FoldKind::Var => "var",
            FoldKind::LogSumExp => "logsumexp",
            FoldKind::Euclid => "norm",
            FoldKind::NanSum => "nansum",
        }
    }
}

/// The families of orthogonal polynomials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    ChebyshevT,
    ChebyshevU,
    ChebyshevV,
    ChebyshevW,
    ShiftedT,
    ShiftedU,
    ShiftedV,
    ShiftedW,
    HermiteH,
    HermiteHe,
    Laguerre,
    Legendre,
}

impl Family {
    pub const ALL: [(&str, Family); 12] = [
        ("chebyshev_polynomial_t", Family::ChebyshevT),
        ("chebyshev_polynomial_u", Family::ChebyshevU),
        ("chebyshev_polynomial_v", Family::ChebyshevV),
        ("chebyshev_polynomial_w", Family::ChebyshevW),
        ("shifted_chebyshev_polynomial_t", Family::ShiftedT),
        ("shifted_chebyshev_polynomial_u", Family::ShiftedU),
        ("shifted_chebyshev_polynomial_v", Family::ShiftedV),
        ("shifted_chebyshev_polynomial_w", Family::ShiftedW),
        ("hermite_polynomial_h", Family::HermiteH),
        ("hermite_polynomial_he", Family::HermiteHe),
        ("laguerre_polynomial_l", Family::Laguerre),
        ("legendre_polynomial_p", Family::Legendre),
    ];
    /// Whether it is Chebyshev's at `2 x - 1`.
    pub fn shifted(self) -> bool {
        matches!(self, Family::ShiftedT | Family::ShiftedU | Family::ShiftedV | Family::ShiftedW)
    }
}

/// Functions with a loop in every element, computed in float64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    J0,
    J1,
    Y0,
    Y1,
    /// The modified Bessel function of the first kind of order 0 or 1, over `exp(|x|)` if scaled.
    Growing {
        order: u32,
        scaled: bool,
    },
    /// That of the second kind, times `exp(x)` if scaled.
    Falling {
        order: u32,
        scaled: bool,
    },
    Airy,
    AirySlope,
    /// In: x and the degree. The derivative of this order.
    Polynomial {
        family: Family,
        order: usize,
    },
    Igamma,
    Igammac,
    /// The slope of `Igamma` in its first operand.
    IgammaSlope,
    /// How a draw of the gamma distribution grows with its shape. In: the shape and the draw.
    GammaGain,
    /// Draws; the last operand is a key for each element, a whole number below 2^53.
    DrawGamma,
    DrawPoisson,
    DrawBinomial,
    DrawVonMises,
    Zeta,
    /// The greatest common divisor of integers.
    Gcd,
    NextAfter,
    Mantissa,
    Exponent,
}

/// What is asked of the elements of a row by their order; NaN is above all numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As many as the output holds, the smallest (or largest) first; equal ones keep their order.
    Sorted { descending: bool },
    /// The k-th smallest, counted from 0.
    Nth(usize),
    /// The lower of the middle ones; NaN is the answer of a row that has it, or is left out.
    Median { skip_nan: bool },
    /// The most frequent, the smallest of those, and its last place.
    Mode,
    /// The largest, or smallest, up to each element.
    Running { largest: bool },
}

/// Decompositions of matrices, the last two axes of an operand, in float64 or complex128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dense {
    /// In: a. Out: the two triangles in one matrix, the row swaps (int32, from 1), the order of the rows (int64).
    Lu { pivot: bool },
    /// In: a, of which the lower triangle is read. Out: the lower factor, and 0 or the order that is not positive (int32).
    Cholesky,
    /// In: a symmetric or Hermitian a, of which the lower triangle is read. Out: a unit lower triangle with the diagonal's blocks, the
    /// exchanges (int32, from 1, negative for blocks of two), and 0 or the row without a pivot (int32).
    Ldl { hermitian: bool },
    /// In: what `Ldl` gives, the exchanges, and b. Out: x of a x = b.
    LdlSolve { hermitian: bool },
    /// In: a triangle and b. Out: x of a x = b.
    Triangular { upper: bool, unit: bool },
    /// In: a. Out: an orthogonal and an upper triangular factor, by Householder's reflections.
    Qr,
    /// In: a. Out: left vectors, falling singular values, right vectors as rows.
    Svd,
    /// In: a, of which one triangle is read. Out: rising eigenvalues, and vectors as columns.
    Eigen { upper: bool },
    /// In: any square a. Out: eigenvalues and vectors as columns, both complex.
    General,
    /// In: a. Out: its determinant.
    Det,
    /// In: a, which must not be singular. Out: its inverse.
    Inverse,
}

/// Fourier transforms of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fourier {
    /// Complex to complex, with `exp(-2 pi i j k / n)`, or its conjugate.
    Whole { inverse: bool },
    /// Real to the first half of the complex ones, of which the others are the conjugates.
    ToHalf,
    /// The converse, by the conjugate factors: as many real ones as the result has.
    FromHalf,
}

/// What is asked of a convolution's operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convolution {
    /// In: image, weight, and a bias or not. Out: the result.
    Forward,
    /// In: the result's cotangent, weight, and a bias or not. Out: the image's cotangent.
    Input,
    /// In: image and the result's cotangent. Out: the weight's cotangent, and the bias's or not.
    Weight,
}

/// The kinds of recurrent networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Gates in the order input, forget, new, output.
    Lstm,
    /// Gates in the order reset, update, new; the reset gate comes after the product.
    Gru,
    Tanh,
    Relu,
}

/// How a recurrent network goes over a sequence, and whether it goes back.
#[derive(Clone)]
pub struct Recurrence {
    pub cell: Cell,
    /// The rows of each step: the same, or fewer and fewer.
    pub sizes: Vec<usize>,
    /// Whether the last step is taken first.
    pub reverse: bool,
    pub back: bool,
}

/// How a cross-entropy of scores and classes goes, and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entropy {
    pub back: bool,
    /// Whether the losses are averaged over the rows that count, else summed.
    pub mean: bool,
    /// The class of rows that do not count.
    pub ignored: i64,
}

/// How attention goes, and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    pub back: bool,
    /// Whether a query may look at no later key.
    pub causal: bool,
    pub scale: f64,
}

/// How a normalisation goes: over rows, over channels, or over groups of each sample's channels; and back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Norm {
    pub channels: bool,
    /// How many groups a sample has; 0 where a channel goes over all samples.
    pub groups: usize,
    /// Whether means are taken off; rows alone may go without.
    pub centred: bool,
    pub back: bool,
    /// Whether there are a weight and a bias among the operands.
    pub weight: bool,
    pub bias: bool,
    pub eps: f64,
}

/// The positions that a pooling window takes along one axis: for each place of the result a start (which may lie before
/// the axis), a count, and the step between them.
pub struct Span<'a> {
    pub starts: &'a [i64],
    pub counts: &'a [i64],
    pub step: i64,
}

pub enum Launch<'a> {
    /// One formula for every element; inputs are already broadcast to the output's shape.
    Map {
        body: &'static MapBody,
        compute: DType,
        params: &'a [Number],
        ins: &'a [Operand],
        outs: &'a [Operand],
    },
    /// Elements from one layout to another, converted where the types differ.
    Copy {
        src: &'a Operand,
        dst: &'a Operand,
    },
    Fill {
        dst: &'a Operand,
        value: Number,
    },
    /// The input's axes are permuted so that the folded ones come last; `folded` says how many. `correction` is Var's.
    Fold {
        kind: FoldKind,
        input: &'a Operand,
        folded: usize,
        correction: f64,
        out: &'a Operand,
    },
    /// Matrix product `out[m, n] = a[m, k] @ b[k, n]`, all of one float or integer type, under one batch axis or none.
    Contract {
        a: &'a Operand,
        b: &'a Operand,
        out: &'a Operand,
    },
    /// Softmax or log-softmax along the last axis.
    Softmax {
        log: bool,
        input: &'a Operand,
        out: &'a Operand,
    },
    /// The cotangent of a softmax's (or log-softmax's) input, from that of its result and the result.
    SoftmaxBack {
        log: bool,
        grad: &'a Operand,
        result: &'a Operand,
        out: &'a Operand,
    },
    /// `out[i...] = source[index 0][index 1]...`: for each index operand the axis of the source that it addresses.
    /// Axes of the source that no index addresses are matched with the trailing axes of `out`.
    Gather {
        source: &'a Operand,
        picks: &'a [Pick],
        out: &'a Operand,
    },
    /// The converse: `target[index...] = values` or `+= values`; the target is written in place.
    Scatter {
        target: &'a Operand,
        picks: &'a [Pick],
        values: &'a Operand,
        add: bool,
    },
    /// Running sum (or product) along the last axis.
    Scan {
        kind: FoldKind,
        input: &'a Operand,
        out: &'a Operand,
    },
    Special {
        function: Special,
        ins: &'a [Operand],
        out: &'a Operand,
    },
    Dense {
        what: Dense,
        ins: &'a [Operand],
        outs: &'a [Operand],
    },
    /// The Fourier transform of each row (the last axis), times a number.
    Fourier {
        kind: Fourier,
        scale: f64,
        input: &'a Operand,
        out: &'a Operand,
    },
    /// Elements of each row (the last axis) by their order, and the places where they stand.
    Order {
        order: Order,
        input: &'a Operand,
        values: &'a Operand,
        places: &'a Operand,
    },
    /// Where each value belongs among the sorted elements of its row: before equal ones, or behind them.
    Search {
        sorted: &'a Operand,
        values: &'a Operand,
        right: bool,
        out: &'a Operand,
    },
    /// As Scatter with one index, by product or extreme instead of sum.
    Merge {
        kind: FoldKind,
        target: &'a Operand,
        pick: &'a Pick,
        values: &'a Operand,
    },
    /// The windows of an image (n, c, sizes...) as (n, c, kernel..., places...), zero outside; or their sums back.
    Windows {
        image: &'a Operand,
        columns: &'a Operand,
        geometry: &'a Geometry,
        back: bool,
    },
    /// A convolution of one to three axes or a gradient of it: images (n, c, sizes...), weights (out, c / groups, kernel...),
    /// results (n, out, places...), all row-major and of one float dtype.
    Convolve {
        what: Convolution,
        ins: &'a [Operand],
        outs: &'a [Operand],
        geometry: &'a Geometry,
        groups: usize,
    },
    /// The largest element of each window of (n, c, sizes...), and its place in the flattened sizes.
    Pool {
        input: &'a Operand,
        spans: &'a [Span<'a>],
        values: &'a Operand,
        places: &'a Operand,
    },
    /// Zeros (n, c, sizes...), to which each value of (n, c, places...) is added at its place in the flattened sizes, which
    /// lies in its window.
    Unpool {
        values: &'a Operand,
        places: &'a Operand,
        spans: &'a [Span<'a>],
        out: &'a Operand,
    },
    /// The mean of every window of (n, c, sizes...): its sum divided by the number given, or by how many positions it has, with
    /// those in the padding or without; or means spread back over their windows.
    Average {
        image: &'a Operand,
        means: &'a Operand,
        geometry: &'a Geometry,
        divisor: (Option<f64>, bool),
        back: bool,
    },
    /// Rows or channels brought to mean 0 and variance 1, or the cotangents of that; all are row-major.
    Norm {
        what: Norm,
        ins: &'a [Operand],
        outs: &'a [Operand],
    },
    /// The cross-entropy of rows of scores and their classes, or its slope in the scores; all are row-major.
    Entropy {
        what: Entropy,
        ins: &'a [Operand],
        outs: &'a [Operand],
    },
    /// Values weighted by the softmax of scores, products of queries and keys; or the cotangents of that.
    Attention {
        what: Attention,
        ins: &'a [Operand],
        outs: &'a [Operand],
    },
    /// A recurrent network over all steps of a sequence, or the cotangents of its operands; all are row-major matrices.
    Recur {
        what: &'a Recurrence,
        ins: &'a [Operand],
        outs: &'a [Operand],
    },
    Random {
        draw: Draw,
        seed: u64,
        offset: u64,
        out: &'a Operand,
    },
    /// Each element times a number where the draw of `Bernoulli(keep)` is 1, else times 0; both row-major and of one dtype.
    /// A `place`, as `Draw::Place` writes it, says the seed, and from where the offset counts.
    Drop {
        keep: f64,
        scale: f64,
        seed: u64,
        offset: u64,
        place: Option<&'a Operand>,
        input: &'a Operand,
        out: &'a Operand,
    },
    /// Asks something of values: an error where it does not hold.
    Demand {
        op: &'static str,
        test: super::task::Test,
        ins: &'a [Operand],
        numbers: &'a [i64],
    },
    /// One map over many lists of operands, in one pass: of each list the map reads all, and writes the first ones in place.
    Segments {
        body: &'static MapBody,
        compute: DType,
        params: &'a [Number],
        segments: &'a [Vec<Operand>],
    },
}

/// How windows lie on an image, one number for each of its axes.
#[derive(Clone)]
pub struct Geometry {
    pub kernel: Vec<usize>,
    pub stride: Vec<usize>,
    pub padding: Vec<isize>,
    pub dilation: Vec<usize>,
}

/// One index of a gather or scatter: an int64 operand of the output's shape and the stride it steps by.
pub struct Pick {
    /// Who asks, for the message of an index out of range.
    pub op: &'static str,
    pub index: Operand,
    pub size: usize,
    pub stride: isize,
    /// Whether negative indices count from the end.
    pub wraps: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Draw {
    Uniform(f64, f64),
    Normal(f64, f64),
    Integers(i64, i64),
    Bernoulli(f64),
    Exponential(f64),
    Permutation,
    /// No draw: the seed and the offset themselves, in four int32, the low half of each first.
    Place,
}

/// A place where launches run.
pub trait Backend: Sync {
    fn device(&self) -> Device;
    fn alloc(&self, bytes: usize) -> Result<Storage>;
    fn launch(&self, launch: &Launch) -> Result<()>;
    /// How tasks of a program are put together.
    fn weaver(&self) -> &dyn super::program::lay::Weaver {
        &super::cpu::chain::Tiles
    }
    /// Makes a program's tasks ready to be run on a device.
    fn away(&self, _turns: Vec<super::program::Turn>) -> Result<Box<dyn super::program::Away>> {
        Err(crate::base::Error::bug("compile", "this device runs no programs"))
    }
    /// Row-major elements of the host's into as many of this device's.
    fn upload(&self, host: &Operand, own: &Operand) -> Result<()>;
    /// Row-major elements of this device's, once they have been computed, into as many of the host's.
    fn download(&self, own: &Operand, host: &Operand) -> Result<()>;
}
