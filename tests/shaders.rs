//! Every record's formula, in every type, as a shader that naga accepts and writes out for each kind of driver. Leans on
//! naga; no GPU is needed.
#![cfg(feature = "gpu")]

use naga::back::{hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use schuss::backend::gpu::{Caps, attention, average, contract, convolve, draw, fold, map, norm, recur, softmax};
use schuss::base::{DType, dtype};
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
        for compute in [DType::F32, DType::F64, DType::I64, DType::I32, DType::I16, DType::I8, DType::U8] {
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
    let odd: Vec<_> = missing.iter().filter(|(_, d)| *d != DType::F64).collect();
    assert!(odd.is_empty(), "only float64 may lack its mathematics: {odd:?}");
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
            [("attention", attention::texts(&caps), 27), ("a draw", draw::texts(&caps), 27), ("a recurrence", recur::texts(&caps), 9)];
        for (name, texts, count) in kinds {
            assert_eq!(texts.len(), count, "{name} has other kernels");
            texts.iter().for_each(|text| accepted(name, text));
        }
    }
}
