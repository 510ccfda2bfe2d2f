//! Which backend holds what, and elements brought from one device to another. Leans on the backends and launch.

use super::cpu::Cpu;
use super::{Backend, Launch, Operand, Storage};
use crate::base::{Device, Error, Layout, Result, shape};
use std::collections::HashSet;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The backend that holds a storage.
#[inline]
pub fn of(storage: &Storage) -> &'static dyn Backend {
    if storage.is_away() { abroad(storage) } else { &Cpu }
}

/// The backend of one name for many examples: nothing can be computed with it, only with what it stands for.
struct Nowhere;

impl Backend for Nowhere {
    fn device(&self) -> Device {
        Device::Cpu
    }
    fn alloc(&self, _bytes: usize) -> Result<Storage> {
        Err(differing())
    }
    fn launch(&self, _launch: &Launch) -> Result<()> {
        Err(differing())
    }
    fn upload(&self, _host: &Operand, _own: &Operand) -> Result<()> {
        Err(differing())
    }
    fn download(&self, _own: &Operand, _host: &Operand) -> Result<()> {
        Err(differing())
    }
}

#[cold]
fn differing() -> Error {
    let message = "this asks for elements (item, bool, numpy, a mask as an index), and they differ from example to example; \
                   use where, or do it outside of vmap";
    Error::runtime("vmap", message)
}

/// Whether a tensor has elements of its own.
pub fn somewhere(x: &Operand) -> Result<()> {
    if x.storage.is_nowhere() { Err(differing()) } else { Ok(()) }
}

/// The backend of a device, started if it has not been asked for before.
#[inline]
pub fn at(device: Device) -> Result<&'static dyn Backend> {
    match device {
        Device::Cpu => Ok(&Cpu),
        #[cfg(feature = "gpu")]
        Device::Gpu(i) => super::gpu::open(i).map(|gpu| gpu as &dyn Backend),
        #[cfg(not(feature = "gpu"))]
        other => Err(Error::device("device", format!("{other} is not there: this build has no GPU support; use \"cpu\""))),
    }
}

#[cold]
fn abroad(storage: &Storage) -> &'static dyn Backend {
    if storage.is_nowhere() {
        return &Nowhere;
    }
    match at(storage.device()) {
        Ok(backend) => backend,
        // A storage is only ever made by the backend of its device, which is never stopped.
        Err(error) => unreachable!("{error}"),
    }
}

/// The one device of an operation's operands, those that were left out among them. Those that are one number may lie on the
/// host beside operands on a device. `name` says what the operation calls the operand of a number.
pub fn together<'a>(
    op: &str,
    name: impl Fn(usize) -> &'a str,
    operands: impl Iterator<Item = Option<&'a Operand>> + Clone,
) -> Result<Device> {
    let mut given = operands.enumerate().filter_map(|(k, o)| Some((k, o?)));
    let mut away = given.clone().filter(|(_, o)| o.storage.is_away());
    let Some((k, first)) = away.next() else { return Ok(Device::Cpu) };
    let device = first.device();
    given.clone().try_for_each(|(_, o)| somewhere(o))?;
    let apart = |o: &Operand| o.device() != device && !(o.device().is_cpu() && o.layout.rank() == 0);
    let Some((j, other)) = given.find(|(_, o)| apart(o)) else { return Ok(device) };
    let shown = |k: usize, o: &Operand| {
        let word = name(k);
        let comma = if word.is_empty() { "" } else { ", " };
        format!("{} ({word}{comma}shape {})", o.device(), shape::show(&o.layout.shape))
    };
    Err(Error::device(
        op,
        format!(
            "expected all tensors to be on the same device, but found {} and {}; move one with x.to({:?})",
            shown(k, first),
            shown(j, other),
            device.to_string()
        ),
    ))
}

/// What is written in place, and what it is written from, lie on one device.
pub fn beside<'a>(op: &str, own: &'a Operand, others: impl Iterator<Item = &'a Operand> + Clone) -> Result<()> {
    let device = together(op, |k| if k == 0 { "what is written" } else { "" }, std::iter::once(own).chain(others).map(Some))?;
    if device == own.device() {
        return Ok(());
    }
    Err(Error::device(op, format!("a result on {device} cannot be written to a tensor on {}; use .to() first", own.device())))
}

/// A gradient lies where its tensor does.
pub fn gradient_beside(op: &str, there: Device, here: Device) -> Result<()> {
    if there == here {
        return Ok(());
    }
    Err(Error::device(op, format!("the gradient lies on {there}, the tensor on {here}; use gradient.to({:?})", here.to_string())))
}

/// An operand whose elements the host can read: itself, or a copy that waits for the device.
pub fn fetch(x: &Operand) -> Result<Operand> {
    if !x.storage.is_away() {
        return Ok(x.clone());
    }
    somewhere(x)?;
    transfer(x, Device::Cpu)
}

/// A row-major copy of an operand on a device; on its own device the operand as it is.
pub fn transfer(x: &Operand, to: Device) -> Result<Operand> {
    let from = x.device();
    if from == to {
        return Ok(x.clone());
    }
    somewhere(x)?;
    if !from.is_cpu() && !to.is_cpu() {
        return transfer(&transfer(x, Device::Cpu)?, to);
    }
    let home = of(&x.storage);
    // One number stays one number, however often it is seen.
    let single = x.is_constant() && x.numel() > 1;
    let dense = if single {
        x.view(Layout::new(crate::base::Few::new(), crate::base::Few::new(), x.layout.offset))
    } else if x.layout.is_contiguous() {
        x.clone()
    } else {
        let copy = Operand::new(home, &x.layout.shape, x.dtype)?;
        home.launch(&Launch::Copy { src: x, dst: &copy })?;
        copy
    };
    let backend = at(to)?;
    let made = Operand::new(backend, &dense.layout.shape, x.dtype)?;
    if dense.numel() > 0 {
        // The device's side does the copying, in its order of work.
        if from.is_cpu() {
            backend.upload(&dense, &made)?
        } else {
            home.download(&dense, &made)?
        }
        super::trace::moved(&dense, &made);
    }
    if single {
        let strides = x.layout.strides.iter().map(|_| 0).collect();
        return Ok(made.view(Layout::new(x.layout.shape.clone(), strides, 0)));
    }
    Ok(made)
}

/// `dst = src`, from one device to another if need be.
pub fn copy(src: &Operand, dst: &Operand) -> Result<()> {
    let near = transfer(src, dst.device())?;
    of(&dst.storage).launch(&Launch::Copy { src: &near, dst })
}

/// Tells the host's user something; set by the door.
pub static TELL: OnceLock<fn(&str) -> Result<()>> = OnceLock::new();

/// Says, once for each kind of work and device, that the processor does what a device has no kernel for.
pub fn tell(device: &str, what: &str) -> Result<()> {
    static TOLD: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let text = format!(
        "{device} has no kernel for {what}: the processor computes it, and operands and results are copied to and fro (said once); \
         x.cpu() before it spares the copies"
    );
    let fresh = TOLD.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(text.clone());
    TELL.get().filter(|_| fresh).map_or(Ok(()), |tell| tell(&text))
}
