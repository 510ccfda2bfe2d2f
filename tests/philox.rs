//! Philox against its published answers, and every distribution against its definition.
//! Leans on the random numbers of the CPU backend alone.

use schuss::backend::cpu::random::*;

/// The answers published with Random123, the authors' own library (kat_vectors, philox4x32 10).
#[test]
fn philox_gives_the_published_answers() {
    let ones = u32::MAX;
    assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    assert_eq!(philox([ones; 4], [ones; 2]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
    assert_eq!(
        philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
        [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
    );
}

/// An offset whose second block needs the counter's upper word.
const SEED: u64 = 0x1234_5678_9abc_def0;
const OFFSET: u64 = (1 << 32) - 1;

fn close(values: &[f64], expected: &[f64], tolerance: f64) {
    for (value, expected) in values.iter().zip(expected) {
        let error = (value - expected).abs();
        assert!(error <= tolerance * expected.abs(), "{value} is not {expected}");
    }
}

/// Worked out with Python's integers and `math`, from the published rounds and the formula of each
/// distribution: these values are a promise to whoever has stored a seed.
#[test]
fn a_stream_keeps_its_values() {
    let words = [10185228f32, 9690692., 566779., 11610370., 11225094., 7242037., 12307027.];
    let mut single = [0f32; 7];
    uniform_f32(SEED, OFFSET, 0, &mut single, 0.0, 1.0);
    assert_eq!(single, words.map(|word| word / 16_777_216.0));

    let bits = [5202650707750209f64, 6233270459110591., 3888039442344192., 8566355726399818.];
    let mut double = [0f64; 4];
    uniform_f64(SEED, OFFSET, 0, &mut double, 0.0, 1.0);
    assert_eq!(double, bits.map(|bits| bits / 9_007_199_254_740_992.0));

    let mut whole = [0i64; 6];
    integers(SEED, OFFSET, 0, &mut whole, -10, 1000);
    assert_eq!(whole, [573, 688, 425, 950, 534, 976]);
    // A range just over half of all: elements 3 and 4 are drawn again, 3 times and once.
    integers(SEED, OFFSET, 0, &mut whole, i64::MIN, 1);
    let above =
        [5327514324736214553u64, 6382868950129245663, 3981352388960453487, 5645469028310268241, 7307207782907651514, 9006309706195023256];
    assert_eq!(whole, above.map(|value| i64::MIN.wrapping_add(value as i64)));

    let mut hits = [false; 6];
    bernoulli(SEED, OFFSET, 0, &mut hits, 0.3);
    assert_eq!(hits, [false, false, true, false, false, false]);
    assert_eq!(permutation(SEED, OFFSET, 6), Ok(vec![2, 4, 0, 1, 3, 5]));

    let normals = [
        -0.8826310390186857,
        -0.46811226281144225,
        -2.43224558461343,
        0.9272507671264382,
        0.3732409227330125,
        0.8151263665698741,
        -0.23828648043742306,
    ];
    normal_f32(SEED, OFFSET, 0, &mut single, 0.0, 1.0);
    close(&single.map(f64::from), &normals, 5e-7);
    let normals = [-0.9789878873217904, 0.3732218798687284, -0.3923676197360149, -1.2354294549468818];
    normal_f64(SEED, OFFSET, 0, &mut double, 0.0, 1.0);
    close(&double, &normals, 1e-14);
    exponential_f32(SEED, OFFSET, 0, &mut single, 2.0);
    let waits = [0.2495416604084133, 0.2744279638054655, 1.6939031422520237, 0.18406151312085112];
    close(&single[..4].iter().copied().map(f64::from).collect::<Vec<_>>(), &waits, 5e-7);
    exponential_f64(SEED, OFFSET, 0, &mut double, 2.0);
    close(&double[..2], &[0.27442796378388246, 0.18406151319927935], 1e-14);
}

/// Fills 300 elements at once, then in pieces that begin anywhere, and compares the bits.
fn same_in_pieces<T: Copy + Default + PartialEq + std::fmt::Debug>(name: &str, draw: impl Fn(u64, &mut [T])) {
    let mut whole = [T::default(); 300];
    draw(0, &mut whole);
    for first in (0..150).chain([191, 192, 193, 299, 300]) {
        for length in [0, 1, 2, 3, 31, 32, 33, 63, 64, 65, 128, 150] {
            let end = (first + length).min(whole.len());
            let mut piece = vec![T::default(); end - first];
            draw(first as u64, &mut piece);
            assert_eq!(piece, whole[first..end], "{name}: {first}..{end}");
        }
    }
    // A draw that begins a block later is the same stream from there.
    assert_ne!(whole[..150], whole[150..], "{name} repeats itself");
}

#[test]
fn an_element_does_not_depend_on_its_chunk() {
    same_in_pieces("uniform_f32", |i, out| uniform_f32(3, 9, i, out, -1.0, 1.0));
    same_in_pieces("uniform_f64", |i, out| uniform_f64(3, 9, i, out, -1.0, 1.0));
    same_in_pieces("normal_f32", |i, out| normal_f32(3, 9, i, out, 1.0, 2.0));
    same_in_pieces("normal_f64", |i, out| normal_f64(3, 9, i, out, 1.0, 2.0));
    same_in_pieces("exponential_f32", |i, out| exponential_f32(3, 9, i, out, 2.0));
    same_in_pieces("exponential_f64", |i, out| exponential_f64(3, 9, i, out, 2.0));
    same_in_pieces("bernoulli", |i, out| bernoulli(3, 9, i, out, 0.4));
    same_in_pieces("bernoulli_f32", |i, out| bernoulli_f32(3, 9, i, out, 0.4, 2.0));
    same_in_pieces("integers", |i, out| integers(3, 9, i, out, -5, 5));
    same_in_pieces("integers, drawn again", |i, out| {
        integers(3, 9, i, out, i64::MIN, 1);
    });
}

#[test]
fn draws_taken_one_after_another_continue_the_stream() {
    let mut generator = Generator::new(11);
    let mut whole = [0f32; 40];
    uniform_f32(11, 0, 0, &mut whole, 0.0, 1.0);
    let mut parts = [0f32; 40];
    for part in parts.chunks_mut(8) {
        let offset = generator.take(blocks(8, Width::Single));
        uniform_f32(generator.initial_seed(), offset, 0, part, 0.0, 1.0);
    }
    assert_eq!(parts, whole);
    assert_eq!(generator.state(), [11, 10]);

    let mut copy = Generator::new(0);
    copy.set_state(generator.state());
    assert_eq!(copy, generator);
    assert_eq!(copy.take(u64::MAX), 10);
    assert_eq!(copy.take(1), 9, "the offset wraps");
    copy.manual_seed(11);
    assert_eq!(copy, Generator::new(11));
    assert_eq!((copy.seed(), copy.state()[1]), (copy.initial_seed(), 0));
    assert_ne!(copy.initial_seed(), Generator::new(0).seed(), "64 bits met by chance");
    assert_eq!([0, 1, 4, 5].map(|n| blocks(n, Width::Single)), [0, 1, 1, 2]);
    assert_eq!([0, 1, 2, 3].map(|n| blocks(n, Width::Double)), [0, 1, 1, 2]);
}

#[test]
fn uniform_keeps_its_bounds() {
    let mut single = vec![0f32; 10_000];
    let mut double = vec![0f64; 10_000];
    // The second pair has two values only, so half of the products round up to the bound.
    for (lo, hi) in [(0f32, 1f32), (1.0, 1.0f32.next_up().next_up()), (-3.0, 1e7), (2.0, 2.0)] {
        uniform_f32(5, 0, 0, &mut single, lo, hi);
        assert!(single.iter().all(|&x| lo <= x && (x < hi || lo == hi)), "[{lo}, {hi})");
    }
    for (lo, hi) in [(0f64, 1f64), (1.0, 1.0f64.next_up().next_up()), (-3.0, 1e7), (2.0, 2.0)] {
        uniform_f64(5, 0, 0, &mut double, lo, hi);
        assert!(double.iter().all(|&x| lo <= x && (x < hi || lo == hi)), "[{lo}, {hi})");
    }
}

#[test]
fn bernoulli_is_uniform_below_p() {
    let mut uniform = vec![0f32; 4096];
    uniform_f32(8, 1, 0, &mut uniform, 0.0, 1.0);
    let (mut hits, mut mask) = (vec![false; 4096], vec![0f32; 4096]);
    for p in [0.0, 1e-9, 0.1, 0.5, f64::from(uniform[7]), 0.999, 1.0] {
        bernoulli(8, 1, 0, &mut hits, p);
        bernoulli_f32(8, 1, 0, &mut mask, p, 1.25);
        for ((&u, &hit), &mask) in uniform.iter().zip(&hits).zip(&mask) {
            assert_eq!(hit, f64::from(u) < p);
            assert_eq!(mask, if hit { 1.25 } else { 0.0 });
        }
    }
}

/// Mean and the next three central moments.
fn moments(values: &[f64]) -> [f64; 4] {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let central = |power| values.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / n;
    [mean, central(2), central(3), central(4)]
}

/// The share of values below each of these is known; four standard errors are allowed.
fn shares(name: &str, values: &[f64], known: &[(f64, f64)]) {
    for &(bound, share) in known {
        let below = values.iter().filter(|&&x| x < bound).count() as f64 / values.len() as f64;
        let allowed = 4.0 * (share * (1.0 - share) / values.len() as f64).sqrt();
        assert!((below - share).abs() < allowed, "{name}: {below} of {share} below {bound}");
    }
}

const MANY: usize = 1 << 20;

#[test]
fn normals_have_the_shares_and_moments_of_a_normal() {
    let mut single = vec![0f32; MANY];
    let mut double = vec![0f64; MANY];
    normal_f32(21, 0, 0, &mut single, 0.0, 1.0);
    normal_f64(21, 0, 0, &mut double, 0.0, 1.0);
    for (name, values) in [("normal_f32", single.into_iter().map(f64::from).collect()), ("normal_f64", double.clone())] {
        let known = [
            (-3.0, 0.0013498980316301),
            (-1.9599639845400545, 0.025),
            (-0.6744897501960817, 0.25),
            (0.0, 0.5),
            (0.6744897501960817, 0.75),
            (1.9599639845400545, 0.975),
            (4.0, 0.9999683287581669),
        ];
        shares(name, &values, &known);
        let close = [0.0, 1.0, 0.0, 3.0].iter().zip(moments(&values));
        assert!(close.clone().all(|(e, m)| (m - e).abs() < 0.025), "{name}: {close:?}");
        // Neighbours come from one point of the plane and must know nothing of each other.
        let pairs = values.chunks_exact(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
        assert!((pairs * 2.0 / MANY as f64).abs() < 0.006, "{name}: neighbours are related");
    }
    normal_f64(21, 0, 0, &mut double[..7], 5.0, 0.0);
    assert_eq!(double[..7], [5.0; 7]);
}

#[test]
fn the_other_distributions_have_their_shares() {
    let mut single = vec![0f32; MANY];
    let mut double = vec![0f64; MANY];
    let quarters = [(-0.5, 0.25), (0.0, 0.5), (0.25, 0.625), (0.5, 0.75)];
    uniform_f32(22, 0, 0, &mut single, -1.0, 1.0);
    let values: Vec<f64> = single.iter().copied().map(f64::from).collect();
    shares("uniform_f32", &values, &quarters);
    uniform_f64(22, 0, 0, &mut double, -1.0, 1.0);
    shares("uniform_f64", &double, &quarters);

    let waits = [0.01f64, 0.5, 1.0, 4.0].map(|x| (x, 1.0 - (-2.0 * x).exp()));
    exponential_f32(23, 0, 0, &mut single, 2.0);
    assert!(single.iter().all(|&x| x > 0.0 && x.is_finite()));
    let values: Vec<f64> = single.iter().copied().map(f64::from).collect();
    shares("exponential_f32", &values, &waits);
    exponential_f64(23, 0, 0, &mut double, 2.0);
    assert!(double.iter().all(|&x| x > 0.0 && x.is_finite()));
    shares("exponential_f64", &double, &waits);
}

#[test]
fn integers_are_equally_likely() {
    let mut out = vec![0i64; MANY];
    for (lo, hi) in [(0, 1), (-3, 4), (0, 1 << 40), (i64::MIN, 1), (i64::MIN, i64::MAX)] {
        integers(31, 0, 0, &mut out, lo, hi);
        assert!(out.iter().all(|&x| lo <= x && x < hi));
        let place = |x: i64| (x as f64 - lo as f64) / (hi as f64 - lo as f64);
        let places: Vec<f64> = out.iter().copied().map(place).collect();
        if hi as f64 - lo as f64 > 1e9 {
            shares("integers", &places, &[(0.25, 0.25), (0.5, 0.5), (0.75, 0.75)]);
        }
    }
    integers(32, 0, 0, &mut out, -3, 4);
    let values: Vec<f64> = out.iter().map(|&x| x as f64).collect();
    let sevenths: Vec<_> = (1..7).map(|k| (f64::from(k) - 3.5, f64::from(k) / 7.0)).collect();
    shares("integers", &values, &sevenths);
}

#[test]
fn permutations_hold_every_number_once() {
    for n in [0, 1, 2, 17, 1000] {
        let mut sorted = permutation(41, 0, n).unwrap();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..n as i64));
    }
    // Long lists are dealt out by the first bits of their keys, and come out as one sort of all leaves them.
    for n in [300, 5000] {
        let mut keys = vec![0; n];
        integers(7, 3, 0, &mut keys, i64::MIN, i64::MAX);
        let mut by_key: Vec<i64> = (0..n as i64).collect();
        by_key.sort_by_key(|&i| keys[i as usize]);
        assert_eq!(permutation(7, 3, n), Ok(by_key));
    }
    let mut generator = Generator::new(42);
    let mut firsts = [0u32; 5];
    for _ in 0..50_000 {
        let order = permutation(42, generator.take(blocks(5, Width::Double)), 5).unwrap();
        firsts[order[0] as usize] += 1;
    }
    assert!(firsts.iter().all(|&count| count.abs_diff(10_000) < 400), "{firsts:?}");
    assert!(permutation(1, 0, usize::MAX / 4).is_err(), "more than there is memory for");
}
