//! Every record's formula, in every type, as a shader that naga accepts and writes out for each kind of driver. Leans on
//! naga; no GPU is needed but for kernels that are written as they are launched.
#![cfg(feature = "gpu")]

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use schuss::backend::gpu::{self, Caps, attention, average, contract, convolve, draw, fold, map, norm, recur, softmax};
use schuss::backend::launch::{FoldKind, Geometry, Order, Pick, Span};
use schuss::backend::{Backend, Launch, Operand};
use schuss::base::{DType, Layout, Result, dtype};
use schuss::graph::Body;

/// What drivers of all three kinds would be given.
fn accepted(what: &str, text: &str) {
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{what}: {}\n{text}", e.emit_to_string(text)));
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator.validate(&module).unwrap_or_else(|e| panic!("{what}: {}\n{text}", e.emit_to_string(text)));
    let options = spv::Options { lang_version: (1, 3), ..Default::default() };
    spv::write_vec(&module, &info, &options, None).unwrap_or_else(|e| panic!("{what} as SPIR-V: {e}\n{text}"));
    // Neither Metal nor DirectX has float64 in naga; both have everything else.
    if text.contains("f64") {
        return;
    }
    let options = msl::Options { lang_version: (2, 4), fake_missing_bindings: true, ..Default::default() };
    msl::write_string(&module, &info, &options, &msl::PipelineOptions::default()).unwrap_or_else(|e| panic!("{what} as MSL: {e}\n{text}"));
    let target = Some(hlsl::BindTarget::default());
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0,
        fake_missing_bindings: true,
        immediates_target: target,
        ..Default::default()
    };
    let mut out = String::new();
    hlsl::Writer::new(&mut out, &options, &hlsl::PipelineOptions::default())
        .write(&module, &info, None)
        .unwrap_or_else(|e| panic!("{what} as HLSL: {e}\n{text}"));
}

#[test]
fn every_map_is_a_shader_in_every_type() {
    let caps = Caps::usual();
    let (mut written, mut missing) = (0, Vec::new());
    for op in schuss::ops::all() {
        let Body::Map(body) = &op.body else { continue };
        let floats = [DType::F32, DType::F64, DType::C64, DType::C128];
        for compute in floats.into_iter().chain([DType::I64, DType::I32, DType::I16, DType::I8, DType::U8]) {
            if (body.native)(compute).is_none() {
                continue;
            }
            match map::texts(body, compute, &caps) {
                Some(texts) => texts.iter().for_each(|text| accepted(&format!("{} in {compute}", op.name), text)),
                None => missing.push((op.name, compute)),
            }
            written += 1;
        }
    }
    assert!(written > 300, "{written} shaders are too few for the table");
    let odd: Vec<_> = missing.iter().filter(|(_, d)| *d != DType::F64 && !d.is_complex()).collect();
    assert!(odd.is_empty(), "only float64 and complex numbers may lack their mathematics: {odd:?}");
    let known = ["add", "sub", "mul", "div", "neg", "eq", "ne", "isnan", "isinf", "conj", "unit", "where_"];
    let lost: Vec<_> = missing.iter().filter(|(name, d)| d.is_complex() && known.contains(name)).collect();
    assert!(lost.is_empty(), "complex numbers have their arithmetic: {lost:?}");
}

#[test]
fn products_and_folds_are_shaders_in_every_type() {
    for caps in [Caps::usual(), Caps { immediates: 0, ..Caps::usual() }] {
        for d in dtype::ALL.into_iter().filter(|d| !d.is_complex()) {
            for text in contract::texts(d, &caps) {
                accepted(&format!("matmul of {d}"), &text);
            }
            for text in fold::texts(d, &caps) {
                accepted(&format!("a fold of {d}"), &text);
            }
        }
    }
}

#[test]
fn rows_and_convolutions_are_shaders() {
    for caps in [Caps::usual(), Caps { immediates: 0, ..Caps::usual() }] {
        for d in [DType::F32, DType::F16, DType::BF16] {
            let kinds = [
                ("softmax", softmax::texts(d, &caps)),
                ("a norm", norm::texts(d, &caps)),
                ("conv", convolve::texts(d, &caps)),
                ("a mean of windows", average::texts(d, &caps)),
            ];
            for (name, texts) in kinds {
                assert!(texts.len() > 10, "{name} has too few kernels");
                texts.iter().for_each(|text| accepted(&format!("{name} of {d}"), text));
            }
        }
    }
}

#[test]
fn attention_draws_and_recurrences_are_shaders() {
    for caps in [Caps::usual(), Caps { immediates: 0, ..Caps::usual() }] {
        let kinds =
            [("attention", attention::texts(&caps), 27), ("a draw", draw::texts(&caps), 29), ("a recurrence", recur::texts(&caps), 9)];
        for (name, texts, count) in kinds {
            assert_eq!(texts.len(), count, "{name} has other kernels");
            texts.iter().for_each(|text| accepted(name, text));
        }
    }
}

/// Launches of the families whose kernels are written as they are launched, over elements of one type.
fn launched(on: &dyn Backend, d: DType) -> Result<()> {
    let fresh = |shape: &[usize], d: DType| Operand::new(on, shape, d);
    let go = |launch: Launch| on.launch(&launch);
    let (a, b, index) = (fresh(&[6, 5], d)?, fresh(&[4, 5], d)?, fresh(&[4], DType::I64)?);
    go(Launch::Copy { src: &a.view(a.layout.slice(0, 0, 4, 1)), dst: &b.view(b.layout.clone()) })?;
    let across = |x: &Operand, strides: [isize; 2]| x.view(Layout::new([4, 5][..].into(), strides[..].into(), 0));
    let pick = Pick { op: "test", index: across(&index, [1, 0]), size: 6, stride: 5, wraps: true };
    let (rows, picks) = (across(&a, [0, 1]), std::slice::from_ref(&pick));
    go(Launch::Gather { source: &rows, picks, out: &b })?;
    for add in [false, true] {
        go(Launch::Scatter { target: &rows, picks, values: &b, add })?;
    }
    if d.is_complex() {
        return Ok(());
    }
    for kind in [FoldKind::Prod, FoldKind::Max, FoldKind::Min] {
        go(Launch::Merge { kind, target: &rows, pick: &pick, values: &b })?;
    }
    for n in [40, 5000] {
        let (x, y, places) = (fresh(&[3, n], d)?, fresh(&[3, n], d)?, fresh(&[3, n], DType::I64)?);
        for kind in [FoldKind::Sum, FoldKind::Prod] {
            go(Launch::Scan { kind, input: &x, out: &y })?;
        }
        let (one, at) = (y.view(y.layout.slice(1, 0, 1, 1)), places.view(places.layout.slice(1, 0, 1, 1)));
        for order in [Order::Nth(3), Order::Median { skip_nan: false }, Order::Median { skip_nan: true }] {
            go(Launch::Order { order, input: &x, values: &one, places: &at })?;
        }
        for descending in [false, true] {
            go(Launch::Order { order: Order::Sorted { descending }, input: &x, values: &y, places: &places })?;
        }
        go(Launch::Order { order: Order::Running { largest: true }, input: &x, values: &y, places: &places })?;
        go(Launch::Search { sorted: &x, values: &y, right: n > 40, out: &places })?;
    }
    let (image, values, places) = (fresh(&[2, 3, 8, 8], d)?, fresh(&[2, 3, 4, 4], d)?, fresh(&[2, 3, 4, 4], DType::I64)?);
    for count in [2, 3] {
        let span = || Span { starts: &[0, 2, 4, 6], counts: if count == 2 { &[2; 4] } else { &[3; 4] }, step: 1 };
        go(Launch::Pool { input: &image, spans: &[span(), span()], values: &values, places: &places })?;
        go(Launch::Unpool { values: &values, places: &places, spans: &[span(), span()], out: &image })?;
    }
    let geometry = Geometry { kernel: vec![3, 3], stride: vec![2, 2], padding: vec![1, 1], dilation: vec![1, 1] };
    let columns = fresh(&[2, 3, 3, 3, 4, 4], d)?;
    for back in [false, true] {
        go(Launch::Windows { image: &image, columns: &columns, geometry: &geometry, back })?;
    }
    Ok(())
}

#[test]
fn what_is_launched_is_shaders_in_every_type() {
    // SAFETY: no other thread of this program's asks for these variables meanwhile.
    unsafe {
        std::env::set_var("SCHUSS_ADAPTER", "cpu");
        std::env::set_var("SCHUSS_GPU_PROFILE", "gpu");
    }
    let Ok(gpu) = gpu::open(0) else {
        eprintln!("skipped: no adapter here; on Debian and Ubuntu, apt-get install mesa-vulkan-drivers gives one");
        return;
    };
    for d in dtype::ALL {
        launched(gpu, d).unwrap_or_else(|e| panic!("{d}: {e}"));
    }
    let texts = gpu.texts();
    assert!(texts.len() > 300, "{} kernels are too few for the families", texts.len());
    texts.iter().for_each(|text| accepted("a kernel", text));
}
