//! Counter-based random numbers: Philox 4x32-10, the distributions made from it, and the generator.
//! Leans on the standard library alone; `curve` at the end is where log, sin and cos come from.
//!
//! A draw is named by (seed, offset): the seed is Philox's key, and the counter of block `b` of the
//! draw is `offset + b`. Four elements of 32 random bits, or two of 64, come from each block, so
//! element `i` depends on (seed, offset, i) and on nothing else: any split of a draw into chunks,
//! threads or devices gives the same bits. The fills are loops that the compiler vectorises, and
//! are inlined into their callers, which choose the instruction set.

use crate::backend::trace;
use std::collections::TryReserveError;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::SystemTime;

/// Four random words from a counter and a key, by ten rounds of multiplication and exclusive or.
///
/// Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3 (SC 2011).
///
/// ```
/// use schuss::backend::cpu::random::philox;
/// assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
#[inline(always)]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    let [mut j, mut k] = key;
    for _ in 0..10 {
        let p = u64::from(a) * 0xD251_1F53;
        let q = u64::from(c) * 0xCD9E_8D57;
        (a, b) = ((q >> 32) as u32 ^ b ^ j, q as u32);
        (c, d) = ((p >> 32) as u32 ^ d ^ k, p as u32);
        j = j.wrapping_add(0x9E37_79B9);
        k = k.wrapping_add(0xBB67_AE85);
    }
    [a, b, c, d]
}

/// What an element is made from, which says how many share a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32 bits, four elements a block: `uniform_f32`, `normal_f32`, `exponential_f32`, `bernoulli`.
    Single,
    /// 64 bits, two elements a block: the float64 draws, `integers` and `permutation`.
    Double,
}

/// How many blocks a draw of `n` elements uses, for [`Generator::take`].
pub const fn blocks(n: u64, width: Width) -> u64 {
    match width {
        Width::Single => n.div_ceil(4),
        Width::Double => n.div_ceil(2),
    }
}

/// Counters worked on together: one AVX-512 register of each word.
const LANES: usize = 16;
type Words = [u32; 4 * LANES];

#[inline(always)]
fn block(seed: u64, counter: u64, attempt: u32) -> [u32; 4] {
    philox([counter as u32, (counter >> 32) as u32, attempt, 0], [seed as u32, (seed >> 32) as u32])
}

/// Fills `out` with elements `first..` of a draw, a tile of `N` of them at a time.
///
/// `make` turns the words of 16 blocks, the first of which it is told, into their elements.
#[inline(always)]
fn fill<T: Copy, const N: usize>(seed: u64, offset: u64, first: u64, mut out: &mut [T], make: impl Fn(u64, &Words) -> [T; N]) {
    let per_block = (N / LANES) as u64;
    let mut counter = offset.wrapping_add(first / per_block);
    let mut skip = (first % per_block) as usize;
    while !out.is_empty() {
        let mut words = [0; 4 * LANES];
        for lane in 0..LANES {
            let four = block(seed, counter.wrapping_add(lane as u64), 0);
            words[4 * lane..4 * lane + 4].copy_from_slice(&four);
        }
        let tile = make(counter, &words);
        if skip == 0 && out.len() >= N {
            out[..N].copy_from_slice(&tile);
            out = &mut out[N..];
        } else {
            let kept = out.len().min(N - skip);
            out[..kept].copy_from_slice(&tile[skip..skip + kept]);
            out = &mut out[kept..];
            skip = 0;
        }
        counter = counter.wrapping_add(LANES as u64);
    }
}

/// One element from each word.
#[inline(always)]
fn each32<T: Copy + Default>(words: &Words, make: impl Fn(u32) -> T) -> [T; 4 * LANES] {
    let mut tile = [T::default(); 4 * LANES];
    for (element, &word) in tile.iter_mut().zip(words) {
        *element = make(word);
    }
    tile
}

/// One element from each pair of words, the first of which is the low half.
#[inline(always)]
fn each64<T: Copy + Default>(words: &Words, make: impl Fn(u64) -> T) -> [T; 2 * LANES] {
    let mut tile = [T::default(); 2 * LANES];
    for (i, element) in tile.iter_mut().enumerate() {
        *element = make(u64::from(words[2 * i]) | u64::from(words[2 * i + 1]) << 32);
    }
    tile
}

/// Uniform on [lo, hi) from 24 bits: `hi` itself never comes. `hi - lo` must be finite.
#[inline(always)]
pub fn uniform_f32(seed: u64, offset: u64, first: u64, out: &mut [f32], lo: f32, hi: f32) {
    // The product may round up to hi; lo == hi is a constant.
    let (width, last) = (hi - lo, hi.next_down().max(lo));
    fill(seed, offset, first, out, |_, words| {
        each32(words, |word| {
            let value = lo + width * unit32(word);
            if value < last { value } else { last }
        })
    });
}

/// Uniform on [lo, hi) from 53 bits: `hi` itself never comes. `hi - lo` must be finite.
#[inline(always)]
pub fn uniform_f64(seed: u64, offset: u64, first: u64, out: &mut [f64], lo: f64, hi: f64) {
    let (width, last) = (hi - lo, hi.next_down().max(lo));
    fill(seed, offset, first, out, |_, words| {
        each64(words, |bits| {
            let value = lo + width * ((bits >> 11) as f64 * 2f64.powi(-53));
            if value < last { value } else { last }
        })
    });
}

/// Normal, from pairs of elements of one block, as far out as 6.7 standard deviations.
///
/// Box, Muller: A Note on the Generation of Random Normal Deviates (1958).
#[inline(always)]
pub fn normal_f32(seed: u64, offset: u64, first: u64, out: &mut [f32], mean: f32, std: f32) {
    fill(seed, offset, first, out, |_, words| {
        let mut tile = [0.0; 4 * LANES];
        for i in 0..2 * LANES {
            let radius = std * (-2.0 * curve::log32(above_zero32(words[2 * i]))).sqrt();
            let (x, y) = direction32(words[2 * i + 1]);
            tile[2 * i] = mean + radius * x;
            tile[2 * i + 1] = mean + radius * y;
        }
        tile
    });
}

/// Normal, from pairs of elements of one block, as far out as 9.5 standard deviations.
#[inline(always)]
pub fn normal_f64(seed: u64, offset: u64, first: u64, out: &mut [f64], mean: f64, std: f64) {
    fill(seed, offset, first, out, |_, words| {
        let bits = each64(words, |bits| bits);
        let mut tile = [0.0; 2 * LANES];
        for i in 0..LANES {
            let radius = std * (-2.0 * curve::log64(above_zero64(bits[2 * i]))).sqrt();
            let (x, y) = direction64(bits[2 * i + 1]);
            tile[2 * i] = mean + radius * x;
            tile[2 * i + 1] = mean + radius * y;
        }
        tile
    });
}

/// Exponential with rate `lambda`, by inversion; never zero.
#[inline(always)]
pub fn exponential_f32(seed: u64, offset: u64, first: u64, out: &mut [f32], lambda: f32) {
    fill(seed, offset, first, out, |_, words| {
        // Where u rounds to 1 its logarithm is about 2^-26, not 0.
        each32(words, |word| (-curve::log32(above_zero32(word))).max(2f32.powi(-26)) / lambda)
    });
}

/// Exponential with rate `lambda`, by inversion; never zero.
#[inline(always)]
pub fn exponential_f64(seed: u64, offset: u64, first: u64, out: &mut [f64], lambda: f64) {
    fill(seed, offset, first, out, |_, words| each64(words, |bits| (-curve::log64(above_zero64(bits))).max(2f64.powi(-55)) / lambda));
}

/// True with probability `p`: exactly where [`uniform_f32`] on [0, 1) is below `p`.
#[inline(always)]
pub fn bernoulli(seed: u64, offset: u64, first: u64, out: &mut [bool], p: f64) {
    let bar = bar(p);
    fill(seed, offset, first, out, |_, words| each32(words, |word| word >> 8 < bar));
}

/// The same as numbers: `hit` where [`bernoulli`] is true, 0 elsewhere.
#[inline(always)]
pub fn bernoulli_f32(seed: u64, offset: u64, first: u64, out: &mut [f32], p: f64, hit: f32) {
    let bar = bar(p);
    fill(seed, offset, first, out, |_, words| each32(words, |word| if word >> 8 < bar { hit } else { 0.0 }));
}

/// Integers in [lo, hi), all equally likely; the caller has seen that `lo < hi`.
///
/// A draw that would favour some values is made again from the same block with its attempt counted
/// in the counter's third word. Lemire: Fast Random Integer Generation in an Interval (2019).
#[inline(always)]
pub fn integers(seed: u64, offset: u64, first: u64, out: &mut [i64], lo: i64, hi: i64) {
    debug_assert!(lo < hi, "integers: [{lo}, {hi}) is empty");
    let range = hi.wrapping_sub(lo) as u64;
    fill(seed, offset, first, out, |counter, words| {
        let mut tile = each64(words, |bits| bits as i64);
        for (i, element) in tile.iter_mut().enumerate() {
            let mut product = u128::from(*element as u64) * u128::from(range);
            if (product as u64) < range {
                let counter = counter.wrapping_add(i as u64 / 2);
                product = settle(seed, counter, i % 2, range, product);
            }
            *element = lo.wrapping_add((product >> 64) as i64);
        }
        tile
    });
}

/// The last step of Lemire's method, reached about once in 2^64 / range elements.
#[cold]
fn settle(seed: u64, counter: u64, half: usize, range: u64, mut product: u128) -> u128 {
    let unfair = range.wrapping_neg() % range;
    let mut attempt = 0u32;
    while (product as u64) < unfair {
        attempt = attempt.wrapping_add(1);
        let four = block(seed, counter, attempt);
        let bits = u64::from(four[2 * half]) | u64::from(four[2 * half + 1]) << 32;
        product = u128::from(bits) * u128::from(range);
    }
    product
}

/// The numbers 0..n in random order: sorted by 64-bit random keys, equal keys by number.
///
/// # Errors
/// When there is no memory for the keys.
pub fn permutation(seed: u64, offset: u64, n: usize) -> Result<Vec<i64>, TryReserveError> {
    let mut order = Vec::new();
    order.try_reserve_exact(n)?;
    // The key above the number in one integer: it sorts without a branch on the comparison.
    let mut keyed = Vec::new();
    keyed.try_reserve_exact(n)?;
    keyed.resize(n, 0u128);
    fill(seed, offset, 0, &mut keyed, |_, words| each64(words, |key| u128::from(key) << 64));
    for (number, key) in keyed.iter_mut().enumerate() {
        *key |= number as u128;
    }
    by_first_bits(&mut keyed)?;
    order.extend(keyed.iter().map(|&key| key as i64));
    Ok(order)
}

/// Sorts keys that are spread evenly: dealt out by their first bits into lists of one or two, or of more where there are
/// very many, which a pass of neighbour by neighbour then brings in order.
fn by_first_bits(keyed: &mut Vec<u128>) -> Result<(), TryReserveError> {
    let bits = keyed.len().max(1).ilog2().min(16);
    if bits < 4 {
        keyed.sort_unstable();
        return Ok(());
    }
    let list = |key: u128| (key >> (128 - bits)) as usize;
    let mut ends = vec![0usize; (1 << bits) + 1];
    keyed.iter().for_each(|&key| ends[list(key) + 1] += 1);
    for i in 1..ends.len() {
        ends[i] += ends[i - 1];
    }
    let mut dealt = Vec::new();
    dealt.try_reserve_exact(keyed.len())?;
    dealt.resize(keyed.len(), 0u128);
    for &key in keyed.iter() {
        let end = &mut ends[list(key)];
        dealt[*end] = key;
        *end += 1;
    }
    if keyed.len() >> bits < 4 {
        for k in 1..dealt.len() {
            let key = dealt[k];
            let mut at = k;
            while at > 0 && dealt[at - 1] > key {
                dealt[at] = dealt[at - 1];
                at -= 1;
            }
            dealt[at] = key;
        }
    } else {
        let mut start = 0;
        for &end in &ends[..1 << bits] {
            dealt[start..end].sort_unstable();
            start = end;
        }
    }
    *keyed = dealt;
    Ok(())
}

/// [0, 1) in steps of 2^-24, which float32 holds exactly.
#[inline(always)]
fn unit32(word: u32) -> f32 {
    (word >> 8) as f32 * 2f32.powi(-24)
}

/// (0, 1], finer the nearer to zero: all 32 bits count in the tails.
#[inline(always)]
fn above_zero32(word: u32) -> f32 {
    word as f32 * 2f32.powi(-32) + 2f32.powi(-33)
}

#[inline(always)]
fn above_zero64(bits: u64) -> f64 {
    bits as f64 * 2f64.powi(-64) + 2f64.powi(-65)
}

/// How many of the 2^24 values of [`unit32`] are below `p`.
#[inline(always)]
fn bar(p: f64) -> u32 {
    (p * 2f64.powi(24)).ceil() as u32
}

/// A point on the unit circle: two bits choose the quarter, the others an angle within 45 degrees
/// of its axis, so sine and cosine need no range reduction.
#[inline(always)]
fn direction32(word: u32) -> (f32, f32) {
    let angle = (word << 2) as i32 as f32 * (std::f32::consts::FRAC_PI_2 * 2f32.powi(-32));
    let (sin, cos) = (curve::sin32(angle), curve::cos32(angle));
    let quarter = word >> 30;
    let (x, y) = if quarter & 1 == 0 { (cos, sin) } else { (sin, cos) };
    let left = (quarter ^ quarter >> 1) & 1 != 0;
    (if left { -x } else { x }, if quarter > 1 { -y } else { y })
}

#[inline(always)]
fn direction64(bits: u64) -> (f64, f64) {
    let angle = (bits << 2) as i64 as f64 * (std::f64::consts::FRAC_PI_2 * 2f64.powi(-64));
    let (sin, cos) = (curve::sin64(angle), curve::cos64(angle));
    let quarter = bits >> 62;
    let (x, y) = if quarter & 1 == 0 { (cos, sin) } else { (sin, cos) };
    let left = (quarter ^ quarter >> 1) & 1 != 0;
    (if left { -x } else { x }, if quarter > 1 { -y } else { y })
}

/// The stream that draws are taken from: a seed, and how many blocks have been used.
///
/// ```
/// use schuss::backend::cpu::random::{Generator, Width, blocks, uniform_f32};
/// let mut generator = Generator::new(7);
/// let offset = generator.take(blocks(3, Width::Single));
/// let mut out = [0.0; 3];
/// uniform_f32(generator.initial_seed(), offset, 0, &mut out, 0.0, 1.0);
/// assert_eq!(generator.state(), [7, 1]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    seed: u64,
    offset: u64,
}

impl Generator {
    pub const fn new(seed: u64) -> Self {
        Generator { seed, offset: 0 }
    }

    /// Starts the stream of `seed` from its beginning.
    pub fn manual_seed(&mut self, seed: u64) {
        trace::restarted();
        *self = Generator::new(seed);
    }

    /// Starts a stream that no other run has: the seed, which is returned, is the system's entropy.
    pub fn seed(&mut self) -> u64 {
        let mut hasher = RandomState::new().build_hasher();
        if let Ok(since) = SystemTime::UNIX_EPOCH.elapsed() {
            hasher.write_u128(since.as_nanos());
        }
        hasher.write_u32(std::process::id());
        self.manual_seed(hasher.finish());
        self.seed
    }

    pub const fn initial_seed(&self) -> u64 {
        self.seed
    }

    /// Seed and offset: all there is.
    pub const fn state(&self) -> [u64; 2] {
        [self.seed, self.offset]
    }

    pub fn set_state(&mut self, [seed, offset]: [u64; 2]) {
        trace::restarted();
        *self = Generator { seed, offset };
    }

    /// Sets these blocks aside for one draw, and says the offset of the first.
    pub const fn take(&mut self, blocks: u64) -> u64 {
        let offset = self.offset;
        self.offset = offset.wrapping_add(blocks);
        offset
    }

    /// Takes back blocks that came to no use, unless others were set aside since.
    pub const fn put_back(&mut self, offset: u64, blocks: u64) {
        if self.offset == offset.wrapping_add(blocks) {
            self.offset = offset;
        }
    }
}

/// The curves behind the distributions, at the precision of their argument.
mod curve {
    #[inline(always)]
    pub fn log32(x: f32) -> f32 {
        x.ln()
    }

    #[inline(always)]
    pub fn sin32(x: f32) -> f32 {
        x.sin()
    }

    #[inline(always)]
    pub fn cos32(x: f32) -> f32 {
        x.cos()
    }

    #[inline(always)]
    pub fn log64(x: f64) -> f64 {
        x.ln()
    }

    #[inline(always)]
    pub fn sin64(x: f64) -> f64 {
        x.sin()
    }

    #[inline(always)]
    pub fn cos64(x: f64) -> f64 {
        x.cos()
    }
}
