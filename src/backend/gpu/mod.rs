//! GPUs by compute shaders: devices started when first asked for, launches turned into dispatches. Leans on wgpu, formula and launch.

pub mod adapter;
pub mod attention;
pub mod average;
mod bitonic;
mod burst;
mod cache;
pub mod contract;
pub mod convolve;
mod copy;
mod detour;
pub mod draw;
pub mod element;
pub mod fold;
mod gather;
mod index;
mod kernel;
pub mod map;
pub mod norm;
mod order;
mod pairs;
mod paper;
mod pool;
pub mod recur;
mod reel;
mod rows;
mod scan;
pub mod shader;
pub mod softmax;
mod split;
mod stream;
mod windows;

pub use adapter::{Caps, Facts, count, list};
pub use cache::folder;
pub use pool::Memory;
pub use stream::Gpu;

use super::program::lay::Weaver;
use super::program::{Away, Turn};
use super::{Backend, Launch, Operand, Storage, place, trace};
use crate::base::dtype::Element;
use crate::base::{DType, Device, Error, ErrorKind, Layout, Number, Result};
use pool::Block;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

const MOST: usize = 16;
/// Lists of integers that are kept on a device.
const TABLES: usize = 64;

static STARTED: [AtomicPtr<Gpu>; MOST] = [const { AtomicPtr::new(std::ptr::null_mut()) }; MOST];

/// Keeps what the devices that were started have compiled for the next program.
pub fn keep() {
    for slot in &STARTED {
        // SAFETY: null, or a device that was leaked when it was put there.
        if let Some(gpu) = unsafe { slot.load(Ordering::Acquire).as_ref() } {
            gpu.keep();
        }
    }
}

/// A GPU by its number, started when first asked for, and anew once its driver has lost it. It is never stopped: tensors
/// may outlive everything else.
pub fn open(index: u8) -> Result<&'static Gpu> {
    static ONE: Mutex<()> = Mutex::new(());
    let missing = || Error::device("device", format!("\"gpu:{index}\" is not there: at most {MOST} GPUs are counted"));
    let slot = STARTED.get(index as usize).ok_or_else(missing)?;
    let here = || {
        // SAFETY: null, or a device that was leaked when it was put there.
        unsafe { slot.load(Ordering::Acquire).as_ref() }.filter(|gpu| !gpu.is_lost())
    };
    if let Some(gpu) = here() {
        return Ok(gpu);
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(gpu) = here() {
        return Ok(gpu);
    }
    let gpu: &'static Gpu = Box::leak(Box::new(Gpu::start(index)?));
    slot.store(std::ptr::from_ref(gpu).cast_mut(), Ordering::Release);
    Ok(gpu)
}

/// An operand of no device's, for writing texts without one.
fn sketch(dtype: DType, layout: &Layout) -> Operand {
    Operand { storage: Arc::new(Storage::nowhere(Device::Gpu(0))), layout: layout.clone(), dtype }
}

/// The block behind an operand.
fn block(x: &Operand) -> Result<&Block> {
    let memory = x.storage.memory().and_then(|m| m.downcast_ref::<Block>());
    memory.ok_or_else(|| Error::bug("gpu", format!("an operand of shape {:?} lies on {}", &x.layout.shape[..], x.device())))
}

/// The one element of an operand that lies on the host.
fn number(x: &Operand) -> Result<Number> {
    let size = x.dtype.size();
    let inside = x.is_constant() && (x.layout.offset + 1) * size <= x.storage.len();
    if !inside {
        let message = format!("an operand of shape {:?} lies on the processor; move it with .to(\"gpu\")", &x.layout.shape[..]);
        return Err(Error::device("gpu", message));
    }
    Ok(crate::dispatch_all!(x.dtype, T => {
        // SAFETY: just checked: the element lies inside the storage, which is the host's.
        let v = unsafe { *x.ptr().cast::<T>() };
        match T::DTYPE {
            DType::Bool => Number::Bool(v.to_i64() != 0),
            d if d.is_complex() => {
                let (re, im) = v.to_pair();
                Number::Complex(re, im)
            }
            d if d.is_float() => Number::Float(v.to_f64()),
            _ => Number::Int(v.to_i64()),
        }
    }))
}

/// The bytes of a row-major operand of the host's.
fn host_bytes(x: &Operand) -> Result<&[u8]> {
    let (start, len) = (x.layout.offset * x.dtype.size(), x.numel() * x.dtype.size());
    if !x.layout.is_contiguous() || start + len > x.storage.len() {
        return Err(Error::bug("gpu", "bytes of the host that do not lie in a row"));
    }
    // SAFETY: the range lies inside the storage, which lives as long as the operand.
    Ok(unsafe { std::slice::from_raw_parts(x.storage.ptr().add(start), len) })
}

impl Gpu {
    /// An error for what has no kernel: the engine puts the operation's name before it.
    fn missing(&self, what: &str, instead: &str) -> Error {
        let name = self.name();
        Error::new(ErrorKind::Missing, "gpu", format!("{what} on {name}; {instead}, or x.cpu() for the processor"))
    }

    /// Refuses a dtype for which a family has no kernel, or the adapter no type.
    fn needs(&self, dtype: DType) -> Result<()> {
        if dtype.is_complex() {
            return Err(self.missing(&format!("has no {dtype} kernel"), "use view_as_real(x)"));
        }
        self.holds(dtype)
    }

    /// Refuses a dtype that the adapter cannot hold in registers.
    fn holds(&self, dtype: DType) -> Result<()> {
        if element::lacking(dtype, &self.caps) {
            return Err(self.missing(&format!("has no {dtype} kernel: the adapter lacks the type"), "use float32 or int32"));
        }
        Ok(())
    }

    /// A list of integers in the device's memory: the same list lies there once.
    fn table(&self, list: &[i32]) -> Result<Operand> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tables.get(list) {
            let kept = block(known)?.clone();
            stream::taking(|take| take.kept.push(kept));
            return Ok(known.clone());
        }
        if tables.len() >= TABLES {
            tables.clear();
        }
        let made = self.scratch(&[list.len()], DType::I32)?;
        let bytes: Vec<u8> = list.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.write(&bytes, block(&made)?, 0)?;
        let kept = block(&made)?.clone();
        stream::taking(|take| take.kept.push(kept));
        tables.insert(list.to_vec(), made.clone());
        Ok(made)
    }

    /// A row-major operand of this device's.
    fn scratch(&self, shape: &[usize], dtype: DType) -> Result<Operand> {
        Operand::new(self, shape, dtype)
    }
}

impl Backend for Gpu {
    fn device(&self) -> Device {
        Device::Gpu(self.index)
    }

    fn alloc(&self, bytes: usize) -> Result<Storage> {
        let block = self.block(bytes)?;
        Ok(Storage::away(Device::Gpu(self.index), bytes, Box::new(block)))
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        if trace::on() {
            trace::unheard(|| self.anyhow(launch))?;
            trace::note(launch);
            return Ok(());
        }
        self.anyhow(launch)
    }

    fn weaver(&self) -> &dyn Weaver {
        self
    }

    fn away(&self, turns: Vec<Turn>) -> Result<Box<dyn Away>> {
        Ok(Box::new(reel::Reel::new(self.index, turns)))
    }

    fn upload(&self, host: &Operand, own: &Operand) -> Result<()> {
        self.settle()?;
        stream::taking(|take| take.mixed = true);
        self.write(host_bytes(host)?, block(own)?, own.layout.offset * own.dtype.size())
    }

    fn download(&self, own: &Operand, host: &Operand) -> Result<()> {
        self.settle()?;
        stream::taking(|take| take.mixed = true);
        let len = host_bytes(host)?.len();
        // SAFETY: just looked at: so many bytes of the host's lie there, fresh and nobody else's.
        let to = unsafe { std::slice::from_raw_parts_mut(host.ptr(), len) };
        self.read(block(own)?, own.layout.offset * own.dtype.size(), to)
    }
}

impl Gpu {
    /// Runs a launch's kernels, or has the processor do what there is none for.
    fn anyhow(&self, launch: &Launch) -> Result<()> {
        if self.waits(launch)? {
            return Ok(());
        }
        match self.family(launch) {
            Err(error) if error.kind() == ErrorKind::Missing => detour::run(self, launch),
            done => done,
        }
    }

    /// Runs a launch's kernels.
    fn family(&self, launch: &Launch) -> Result<()> {
        if self.large.load(Ordering::Relaxed) && split::is_large(self, launch) {
            return split::run(self, launch);
        }
        match *launch {
            Launch::Map { body, compute, params, ins, outs } => map::run(self, body, compute, params, ins, outs),
            Launch::Copy { src, dst } => copy::copy(self, src, dst),
            Launch::Fill { dst, value } => copy::fill(self, dst, value),
            Launch::Fold { kind, input, folded, correction, out } => fold::run(self, kind, input, folded, correction, out),
            Launch::Contract { a, b, out } => contract::run(self, a, b, out),
            Launch::Softmax { log, input, out } => softmax::run(self, log, input, out),
            Launch::SoftmaxBack { log, grad, result, out } => softmax::back(self, log, grad, result, out),
            Launch::Gather { source, picks, out } => gather::gather(self, source, picks, out),
            Launch::Scatter { target, picks, values, add } => gather::scatter(self, target, picks, values, add),
            Launch::Scan { kind, input, out } => scan::run(self, kind, input, out),
            Launch::Random { draw, seed, offset, out } => draw::run(self, draw, seed, offset, out),
            Launch::Drop { keep, scale, seed, offset, place, input, out } => {
                draw::dropped(self, (keep, scale), (seed, offset), place, input, out)
            }
            Launch::Segments { body, compute, params, segments } => {
                let lists: Vec<&[Operand]> = segments.iter().map(Vec::as_slice).collect();
                map::run_segments(self, body, compute, params, &lists)
            }
            Launch::Order { order, input, values, places } => order::run(self, order, input, values, places),
            Launch::Search { sorted, values, right, out } => order::search(self, sorted, values, right, out),
            Launch::Merge { kind, target, pick, values } => gather::merge(self, kind, target, pick, values),
            Launch::Windows { image, columns, geometry, back } => windows::run(self, image, columns, geometry, back),
            Launch::Pool { input, spans, values, places } => windows::pool(self, input, spans, values, places),
            Launch::Demand { op, test, ins, numbers } => {
                let here = ins.iter().map(place::fetch).collect::<Result<Vec<_>>>()?;
                test(op, &here, numbers)
            }
            Launch::Convolve { what, ins, outs, geometry, groups } => convolve::run(self, what, ins, outs, geometry, groups),
            Launch::Unpool { values, places, spans, out } => windows::unpool(self, values, places, spans, out),
            Launch::Special { .. } | Launch::Dense { .. } | Launch::Fourier { .. } => Err(self.missing("has no kernel", "leave it out")),
            Launch::Average { image, means, geometry, divisor, back } => average::run(self, image, means, geometry, divisor, back),
            Launch::Attention { what, ins, outs } => attention::run(self, &what, ins, outs),
            Launch::Norm { what, ins, outs } => norm::run(self, &what, ins, outs),
            Launch::Entropy { what, ins, outs } => softmax::entropy(self, &what, ins, outs),
            Launch::Recur { what, ins, outs } => recur::run(self, what, ins, outs),
        }
    }
}
