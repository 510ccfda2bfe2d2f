//! A device's buffers: in a few sizes, kept when they are let go, under one budget of bytes. Leans on wgpu.

use super::adapter::ready;
use crate::base::{Error, Result};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const LEAST: u64 = 256;
const STEP: u64 = 2 << 20;
/// Buffers ever made, on all devices.
static BUFFERS: AtomicU64 = AtomicU64::new(1);

/// A run of a device's memory; let go by all, it serves the next one who asks for its size. Work that is under way or
/// waiting has been ordered before whatever comes after, so that it may be handed on at once.
#[derive(Clone)]
pub struct Block {
    run: Arc<Run>,
    /// The part of it that is meant: its first byte, and how many.
    part: Option<(u64, u64)>,
}

struct Run {
    buffer: wgpu::Buffer,
    class: u64,
    serial: u64,
    pool: Arc<Pool>,
}

impl Block {
    pub fn buffer(&self) -> &wgpu::Buffer {
        &self.run.buffer
    }
    /// A part of it, as a block of its own.
    pub fn part(&self, start: usize, bytes: usize) -> Block {
        Block { run: self.run.clone(), part: Some((start as u64, bytes as u64)) }
    }
    pub fn is_part(&self) -> bool {
        self.part.is_some()
    }
    /// What a kernel is bound to.
    pub fn binding(&self) -> wgpu::BindingResource<'_> {
        match self.part {
            None => self.run.buffer.as_entire_binding(),
            Some((offset, bytes)) => {
                let size = std::num::NonZeroU64::new(bytes.next_multiple_of(4));
                wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &self.run.buffer, offset, size })
            }
        }
    }
    /// The buffer's number, which no other buffer ever has.
    pub fn serial(&self) -> u64 {
        self.run.serial
    }
    pub fn is_of(&self, pool: &Arc<Pool>) -> bool {
        Arc::ptr_eq(&self.run.pool, pool)
    }
    /// Whether it would serve for so many bytes, and nobody else has it.
    pub fn would_serve(&self, bytes: usize) -> bool {
        self.run.class == class(bytes as u64) && Arc::strong_count(&self.run) == 1
    }
}

pub struct Pool {
    number: u64,
    device: wgpu::Device,
    name: String,
    /// Bytes that one buffer can hold.
    most: u64,
    budget: u64,
    shelves: Mutex<Shelves>,
}

#[derive(Default)]
struct Shelves {
    free: HashMap<u64, Vec<(wgpu::Buffer, u64)>>,
    /// Bytes of all buffers, and of those that wait for use; the most that were ever in use.
    held: u64,
    idle: u64,
    peak: u64,
}

/// Bytes in use, kept for later, the most ever in use, and the budget.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub used: u64,
    pub idle: u64,
    pub peak: u64,
    pub budget: u64,
}

/// Powers of two and one and a half times them; large ones in steps of 2 MiB.
fn class(bytes: u64) -> u64 {
    if bytes > 64 << 20 {
        return bytes.div_ceil(STEP) * STEP;
    }
    let whole = bytes.max(LEAST).next_power_of_two();
    let between = whole / 4 * 3;
    if bytes <= between && between >= LEAST { between } else { whole }
}

impl Pool {
    pub fn new(device: wgpu::Device, name: String, most: u64) -> Arc<Pool> {
        let budget = std::env::var("SCHUSS_GPU_MEM_LIMIT").ok().and_then(|v| v.trim().parse().ok()).unwrap_or(u64::MAX);
        static MADE: AtomicU64 = AtomicU64::new(1);
        Arc::new(Pool { number: MADE.fetch_add(1, Ordering::Relaxed), device, name, most, budget, shelves: Mutex::default() })
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that no other device's memory has.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// A block of at least so many bytes; None if only giving back what is kept, and waiting, could help.
    pub fn take(self: &Arc<Pool>, bytes: usize) -> Result<Option<Block>> {
        let class = class(bytes as u64);
        if bytes as u64 > self.most {
            let message = format!("{bytes} bytes are more than one buffer of {} holds for a kernel, {}", self.name, self.most);
            return Err(Error::memory("allocate", format!("{message}; use a smaller shape or dtype, or .cpu()")));
        }
        let class = class.min(self.most / 4 * 4);
        let mut shelves = self.shelves();
        let kept = shelves.free.get_mut(&class).and_then(Vec::pop);
        let (buffer, serial) = match kept {
            Some(kept) => {
                shelves.idle -= class;
                kept
            }
            None => {
                if shelves.held.saturating_add(class) > self.budget {
                    return Ok(None);
                }
                let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
                let description = wgpu::BufferDescriptor { label: None, size: class, usage, mapped_at_creation: false };
                let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
                let buffer = self.device.create_buffer(&description);
                if ready(scope.pop()).is_some() {
                    return Ok(None);
                }
                shelves.held += class;
                (buffer, BUFFERS.fetch_add(1, Ordering::Relaxed))
            }
        };
        shelves.peak = shelves.peak.max(shelves.held - shelves.idle);
        Ok(Some(Block { run: Arc::new(Run { buffer, class, serial, pool: self.clone() }), part: None }))
    }

    /// Gives back to the driver all that nobody uses.
    pub fn clear(&self) {
        let mut shelves = self.shelves();
        shelves.held -= shelves.idle;
        shelves.idle = 0;
        shelves.free.clear();
    }

    pub fn memory(&self) -> Memory {
        let shelves = self.shelves();
        Memory { used: shelves.held - shelves.idle, idle: shelves.idle, peak: shelves.peak, budget: self.budget }
    }

    pub fn refuse(&self, bytes: usize) -> Error {
        let memory = self.memory();
        let of = if memory.budget == u64::MAX { String::new() } else { format!(" of {}", memory.budget) };
        let (name, used) = (&self.name, memory.used);
        let text = format!("no memory for {bytes} bytes on {name}: {used} are in use{of}; use smaller batches, or free tensors first");
        Error::memory("allocate", text)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut shelves = self.pool.shelves();
        shelves.idle += self.class;
        shelves.free.entry(self.class).or_default().push((self.buffer.clone(), self.serial));
    }
}
