//! Which GPUs there are, which may be used, and what each can do. Leans on wgpu; nothing here runs before it is asked.

use crate::base::{Error, Result};
use std::future::Future;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

/// What kernels are written for: copied from an adapter's features and limits, or forced by `SCHUSS_GPU_PROFILE`.
#[derive(Clone, Debug)]
pub struct Caps {
    /// A driver that computes on the processor: kernels without barriers are several times faster there.
    pub software: bool,
    pub subgroups: bool,
    pub int64: bool,
    pub float64: bool,
    /// Bytes of parameters that travel with a dispatch.
    pub immediates: u32,
    pub max_buffer: u64,
    pub max_binding: u64,
    pub bindings: u32,
    /// Invocations of a workgroup, and bytes of its memory.
    pub group: u32,
    pub room: u32,
    /// Whether a workgroup may have 256 invocations, as those have that share memory.
    pub wide: bool,
    /// Keep the checks that a shader compiler adds (`SCHUSS_GPU_CHECKS=1`).
    pub checks: bool,
}

impl Caps {
    /// A GPU as most are, for writing shaders without one.
    pub fn usual() -> Caps {
        Caps {
            software: false,
            subgroups: true,
            int64: true,
            float64: true,
            immediates: 128,
            max_buffer: 1 << 31,
            max_binding: 1 << 31,
            bindings: 16,
            group: 256,
            room: 32 << 10,
            wide: true,
            checks: false,
        }
    }

    /// The same with what a profile takes away: `gpu`, `cpu`, `noimm`, `nosubgroup`, `noint64`, `nof64`, `binding=BYTES`,
    /// `buffer=BYTES`.
    fn forced(mut self, profile: &str) -> Caps {
        for word in profile.split(',').map(str::trim) {
            match word.split_once('=') {
                None if word == "gpu" => (self.software, self.group) = (false, 256),
                None if word == "cpu" => (self.software, self.group) = (true, 64),
                None if word == "noimm" => self.immediates = 0,
                None if word == "nosubgroup" => self.subgroups = false,
                None if word == "noint64" => self.int64 = false,
                None if word == "nof64" => self.float64 = false,
                Some(("buffer", bytes)) => self.max_buffer = bytes.parse().unwrap_or(self.max_buffer),
                Some(("binding", bytes)) => self.max_binding = bytes.parse().unwrap_or(self.max_binding),
                _ => {}
            }
        }
        self
    }
}

/// Turns of its loops that an invocation may count on: llvmpipe ends them, without a word, after 65,535 in all.
pub const TURNS: usize = 1 << 15;

/// An adapter as users see it.
#[derive(Clone, Debug)]
pub struct Facts {
    pub name: String,
    pub kind: &'static str,
    pub api: String,
    pub driver: String,
    pub bus: String,
    /// Whether it may be used without being named.
    pub offered: bool,
}

pub(super) struct Found {
    pub facts: Facts,
    pub caps: Caps,
    pub adapter: wgpu::Adapter,
}

/// Waits for a future of wgpu's, which on native systems is ready at once.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::yield_now();
    }
}

/// All adapters; those that may be used come first, the likeliest before the others.
pub(super) fn all() -> &'static Vec<Found> {
    static ALL: OnceLock<Vec<Found>> = OnceLock::new();
    ALL.get_or_init(look)
}

fn look() -> Vec<Found> {
    // Two threads that ask first at the same time would start the drivers twice.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let mut description = wgpu::InstanceDescriptor::new_without_display_handle();
    description.backends = backends;
    description.flags = wgpu::InstanceFlags::empty();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let instance = wgpu::Instance::new(description);
        let list = ready(instance.enumerate_adapters(backends));
        // Drivers are not made to be unloaded while a program runs.
        std::mem::forget(instance);
        list
    }));
    let wish = std::env::var("SCHUSS_ADAPTER").unwrap_or_default().to_lowercase();
    let profile = std::env::var("SCHUSS_GPU_PROFILE").unwrap_or_default();
    let mut list: Vec<Found> = found.unwrap_or_default().into_iter().enumerate().map(|(i, a)| describe(i, a, &wish, &profile)).collect();
    list.sort_by_key(|f| (!f.facts.offered, rank(f.facts.kind)));
    list
}

fn rank(kind: &str) -> usize {
    ["discrete GPU", "integrated GPU", "virtual GPU", "other", "software"].iter().position(|k| *k == kind).unwrap_or(3)
}

fn describe(index: usize, adapter: wgpu::Adapter, wish: &str, profile: &str) -> Found {
    let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
    let software = info.device_type == wgpu::DeviceType::Cpu;
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    };
    let named = match wish {
        "" => false,
        "cpu" | "lavapipe" | "software" => software,
        number if number.parse::<usize>().is_ok() => number == index.to_string(),
        part => info.name.to_lowercase().contains(part) || info.device_pci_bus_id.to_lowercase().contains(part),
    };
    let caps = Caps {
        software,
        subgroups: features.contains(wgpu::Features::SUBGROUP),
        int64: features.contains(wgpu::Features::SHADER_INT64),
        float64: features.contains(wgpu::Features::SHADER_F64) && features.contains(wgpu::Features::SHADER_INT64),
        immediates: if features.contains(wgpu::Features::IMMEDIATES) { limits.max_immediate_size } else { 0 },
        max_buffer: limits.max_buffer_size,
        max_binding: limits.max_storage_buffer_binding_size,
        bindings: limits.max_storage_buffers_per_shader_stage,
        group: if software { 64 } else { 256.min(limits.max_compute_invocations_per_workgroup) },
        room: limits.max_compute_workgroup_storage_size,
        wide: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x) >= 256,
        checks: std::env::var_os("SCHUSS_GPU_CHECKS").is_some_and(|v| v == "1"),
    };
    let facts = Facts {
        name: info.name,
        kind,
        api: info.backend.to_string(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
        bus: info.device_pci_bus_id,
        // A software adapter is slower than the processor's own kernels: it is used only by those who name it.
        offered: named || wish.is_empty() && !software,
    };
    Found { facts, caps: caps.forced(profile), adapter }
}

/// The adapters in the order in which devices count them, and then those that are not offered.
pub fn list() -> Vec<Facts> {
    all().iter().map(|f| f.facts.clone()).collect()
}

/// How many may be used.
pub fn count() -> usize {
    all().iter().filter(|f| f.facts.offered).count()
}

/// The adapter behind a device number, or why there is none.
pub(super) fn offered(index: u8) -> Result<&'static Found> {
    let (all, count) = (all(), count());
    if let Some(found) = all.get(index as usize).filter(|f| f.facts.offered) {
        return Ok(found);
    }
    let name = format!("gpu:{index}");
    let seen: Vec<String> = all.iter().map(|f| format!("{:?} ({})", f.facts.name, f.facts.kind)).collect();
    let why = if count > 0 {
        format!("this machine has {count} GPU{}, counted from gpu:0", if count == 1 { "" } else { "s" })
    } else if all.is_empty() {
        "no Vulkan, Metal or DirectX 12 driver was found; install your GPU's driver, or use \"cpu\"".to_string()
    } else if std::env::var_os("SCHUSS_ADAPTER").is_some_and(|v| !v.is_empty()) {
        format!("SCHUSS_ADAPTER names none of the adapters here: {}", seen.join(", "))
    } else {
        format!(
            "only software adapters are here: {}; they are used if named, as with SCHUSS_ADAPTER=cpu, and are slower than \"cpu\"",
            seen.join(", ")
        )
    };
    Err(Error::device("device", format!("{name:?} is not there: {why}")))
}
