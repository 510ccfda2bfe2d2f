//! Compiled kernels: found by a short key, told apart by their text, compiled once. Leans on shader and wgpu.

use super::adapter::{Caps, ready};
use super::cache::Cache;
use super::shader::Shader;
use crate::base::{Error, Result};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What makes a kernel different from others, in words.
pub type Key = SmallVec<[u64; 8]>;

pub struct Kernel {
    pub name: String,
    pub pipeline: wgpu::ComputePipeline,
    pub bindings: wgpu::BindGroupLayout,
    /// Whether the parameters travel with the dispatch; else they lie in a buffer, the last binding.
    pub immediate: bool,
    pub group: u32,
    pub serial: u64,
}

pub struct Kernels {
    device: wgpu::Device,
    cache: Option<Cache>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_key: HashMap<Key, Arc<Kernel>>,
    by_text: HashMap<String, Arc<Kernel>>,
}

impl Kernels {
    pub fn new(device: wgpu::Device, info: &wgpu::AdapterInfo) -> Kernels {
        let cache = Cache::open(&device, info);
        Kernels { device, cache, known: Mutex::default() }
    }

    /// Keeps what was compiled for the next program.
    pub fn keep(&self) {
        if let Some(cache) = &self.cache {
            cache.keep();
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The texts of all kernels so far.
    pub fn texts(&self) -> Vec<String> {
        self.known().by_text.keys().cloned().collect()
    }

    pub fn len(&self) -> usize {
        self.known().by_text.len()
    }

    pub fn get(&self, key: &Key, caps: &Caps, write: &dyn Fn(&Caps) -> Shader) -> Result<Arc<Kernel>> {
        let mut known = self.known();
        if let Some(kernel) = known.by_key.get(key) {
            return Ok(kernel.clone());
        }
        let shader = write(caps);
        let text = shader.text(caps);
        let kernel = match known.by_text.get(&text) {
            Some(kernel) => kernel.clone(),
            None => {
                let kernel = Arc::new(self.compile(&shader, &text, caps, known.by_text.len() as u64 + 1)?);
                known.by_text.insert(text, kernel.clone());
                kernel
            }
        };
        known.by_key.insert(key.clone(), kernel.clone());
        Ok(kernel)
    }

    fn compile(&self, shader: &Shader, text: &str, caps: &Caps, serial: u64) -> Result<Kernel> {
        self.guarded(&shader.name, text, || self.build(shader, text, caps, serial))
    }

    /// A panic of the shader compiler, and what it or the driver refuses, is an error that names the kernel.
    fn guarded<T>(&self, name: &str, text: &str, build: impl FnOnce() -> T) -> Result<T> {
        let filters = [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation];
        let scopes = filters.map(|filter| self.device.push_error_scope(filter));
        let built = catch_unwind(AssertUnwindSafe(build));
        // The last that was opened is closed first.
        let refused = scopes.into_iter().rev().fold(None, |found: Option<wgpu::Error>, scope| ready(scope.pop()).or(found));
        match (built, refused) {
            (Err(_), _) => Err(Error::bug(name, format!("the shader compiler gave up on this kernel:\n{text}"))),
            (_, Some(wgpu::Error::OutOfMemory { .. })) => Err(Error::memory(name, "the device has no memory left for this kernel")),
            (_, Some(error)) => Err(Error::bug(name, format!("the device refuses this kernel: {error}\n{text}"))),
            (Ok(kernel), None) => Ok(kernel),
        }
    }

    /// Compiles a kernel that is wrong, or with a compiler that gives up, to see what a program is told.
    pub fn fail(&self, caps: &Caps, gives_up: bool) -> Result<()> {
        if gives_up {
            return self.guarded("broken", "", || panic!("the shader compiler was asked to give up"));
        }
        let write = |caps: &Caps| Shader { body: "let x: u32 = 1.5f;".into(), ..Shader::new("broken", caps) };
        self.get(&Key::new(), caps, &write).map(drop)
    }

    fn build(&self, shader: &Shader, text: &str, caps: &Caps, serial: u64) -> Kernel {
        let source = wgpu::ShaderModuleDescriptor { label: Some(&shader.name), source: wgpu::ShaderSource::Wgsl(text.into()) };
        let module = if caps.checks {
            self.device.create_shader_module(source)
        } else {
            // SAFETY: every kernel tests its own bounds before it reads or writes, its loops end, and integer divisors
            // are tested; the checks left out are the compiler's second ones.
            unsafe { self.device.create_shader_module_trusted(source, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let immediate = shader.is_immediate(caps);
        let mut entries: Vec<wgpu::BindGroupLayoutEntry> = Vec::new();
        let entry = |binding: usize, read_only: bool| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        for (i, slot) in shader.slots.iter().enumerate() {
            entries.push(entry(i, !slot.writable));
        }
        if !immediate {
            entries.push(entry(shader.slots.len(), true));
        }
        let bindings = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&bindings)],
            immediate_size: if immediate { shader.params.len() as u32 * 4 } else { 0 },
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&shader.name),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions { constants: &[], zero_initialize_workgroup_memory: false },
            cache: self.cache.as_ref().map(Cache::inner),
        });
        if let Some(cache) = &self.cache {
            cache.note();
        }
        Kernel { name: shader.name.clone(), pipeline, bindings, immediate, group: shader.group, serial }
    }
}
