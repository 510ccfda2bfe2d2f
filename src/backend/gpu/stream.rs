//! A device's work in its order: one open encoder and pass, handed over by count, by work, or when a value is read.
//! Leans on kernel and pool.

use super::adapter::{self, Caps, Facts, ready};
use super::burst::{Burst, direct};
use super::kernel::{Kernel, Kernels, Key};
use super::pool::{Block, Pool};
use super::shader::Shader;
use crate::backend::{Operand, stop};
use crate::base::{Device, Error, Result};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, mpsc};
use std::time::Duration;

/// Dispatches, and rough operations, that are handed over together; less for a processor that plays the GPU.
const MANY: usize = 256;
const MANY_IN_SOFTWARE: usize = 64;
const MUCH: u64 = 1 << 36;
const MUCH_IN_SOFTWARE: u64 = 1 << 30;
/// Hand-overs that may be under way.
const AHEAD: usize = 3;
/// How long a thread sleeps while another waits for the device.
const BRIEF: Duration = Duration::from_micros(100);
/// Bytes that go through one staging buffer.
const PIECE: usize = 64 << 20;
/// Workgroups along one axis of a grid.
const ROW: u64 = 65_535;

/// One dispatch: which kernel, what it is bound to, its parameters, and how many invocations it needs.
pub struct Job<'a> {
    pub key: Key,
    pub write: &'a dyn Fn(&Caps) -> Shader,
    pub blocks: &'a [&'a Block],
    pub params: &'a [u32],
    pub threads: u64,
    /// Rough operations, for handing over before a driver's patience ends.
    pub work: u64,
}

/// A dispatch as it is handed to the device: what a recorded step runs again.
pub struct Made {
    kernel: Arc<Kernel>,
    bound: wgpu::BindGroup,
    params: Vec<u32>,
    groups: (u32, u32),
    work: u64,
}

/// What a thread has dispatched since it began to keep it.
#[derive(Default)]
pub struct Take {
    pub made: Vec<Made>,
    /// Memory that was asked for meanwhile, and serves again within the same recording once nobody has it.
    pub rooms: Vec<Block>,
    /// Memory that the dispatches read and that must stay as it is.
    pub kept: Vec<Block>,
    /// Whether something else than dispatches was done.
    pub mixed: bool,
    /// Whether a kernel may find an index out of range.
    pub suspicious: bool,
    device: u64,
}

thread_local! {
    static TAKE: RefCell<Option<Take>> = const { RefCell::new(None) };
}

/// Does something to what is being kept, if anything is.
pub(super) fn taking(work: impl FnOnce(&mut Take)) {
    TAKE.with_borrow_mut(|take| {
        if let Some(take) = take {
            work(take);
        }
    });
}

#[derive(Default)]
struct Queue {
    encoder: Option<wgpu::CommandEncoder>,
    pass: Option<wgpu::ComputePass<'static>>,
    last: u64,
    count: usize,
    work: u64,
    /// How many steps under way want to be handed over whole.
    held: usize,
    ahead: VecDeque<wgpu::SubmissionIndex>,
    /// Staging buffers for reading, by size.
    staging: Vec<wgpu::Buffer>,
}

/// What has happened so far on a device.
#[derive(Debug, Default)]
pub struct Counters {
    pub dispatches: AtomicU64,
    pub submissions: AtomicU64,
}

/// A started device.
pub struct Gpu {
    pub index: u8,
    pub facts: Facts,
    pub caps: Caps,
    pub counters: Counters,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) pool: Arc<Pool>,
    pub(super) kernels: Kernels,
    pub(super) tables: Mutex<HashMap<Vec<i32>, Operand>>,
    /// Where kernels note what was wrong with an index; read along with values.
    pub(super) faults: Block,
    suspicious: AtomicBool,
    /// Whether there ever was memory that is too large for one binding.
    pub(super) large: AtomicBool,
    pub(super) burst: Burst,
    stream: Mutex<Queue>,
    /// Held by the one thread that waits for the device.
    turn: Mutex<()>,
    trouble: Arc<Mutex<Option<String>>>,
    lost: Arc<AtomicBool>,
    pid: u32,
}

impl Gpu {
    pub(super) fn start(index: u8) -> Result<Gpu> {
        let found = adapter::offered(index)?;
        let wanted = wgpu::Features::IMMEDIATES
            | wgpu::Features::SUBGROUP
            | wgpu::Features::PIPELINE_CACHE
            | wgpu::Features::SHADER_INT64
            | wgpu::Features::SHADER_F64;
        let description = wgpu::DeviceDescriptor {
            label: Some("schuss"),
            required_features: found.adapter.features() & wanted,
            required_limits: found.adapter.limits(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        };
        let (device, queue) = ready(found.adapter.request_device(&description))
            .map_err(|e| Error::device("device", format!("gpu:{index} ({}) could not be started: {e}", found.facts.name)))?;
        let trouble = Arc::new(Mutex::new(None));
        let note = trouble.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            note.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.to_string());
        }));
        let lost = Arc::new(AtomicBool::new(false));
        let gone = lost.clone();
        device.set_device_lost_callback(move |_, _| gone.store(true, Ordering::Relaxed));
        let name = format!("gpu:{index} ({})", found.facts.name);
        let pool = Pool::new(device.clone(), name, found.caps.max_buffer);
        let faults = pool.take(16)?.ok_or_else(|| pool.refuse(16))?;
        Ok(Gpu {
            index,
            facts: found.facts.clone(),
            caps: found.caps.clone(),
            counters: Counters::default(),
            kernels: Kernels::new(device.clone(), &found.adapter.get_info()),
            tables: Mutex::default(),
            device,
            queue,
            pool,
            faults,
            suspicious: AtomicBool::new(false),
            large: AtomicBool::new(false),
            burst: Burst::default(),
            stream: Mutex::default(),
            turn: Mutex::default(),
            trouble,
            lost,
            pid: std::process::id(),
        })
    }

    pub(super) fn name(&self) -> String {
        format!("{} ({})", Device::Gpu(self.index), self.facts.name)
    }

    fn stream(&self) -> MutexGuard<'_, Queue> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Ends the device as if its driver had lost it.
    pub fn lose(&self) {
        self.device.destroy();
        self.lost.store(true, Ordering::Relaxed);
    }

    /// The texts of the kernels that were compiled.
    pub fn texts(&self) -> Vec<String> {
        self.kernels.texts()
    }

    /// Fails as a kernel does that cannot be compiled.
    pub fn fail(&self, gives_up: bool) -> Result<()> {
        self.kernels.fail(&self.caps, gives_up)
    }

    /// Refuses memory of a device that was lost: its number may be another device's by now.
    fn own<'a>(&self, block: &'a Block) -> Result<&'a Block> {
        if block.is_of(&self.pool) {
            return Ok(block);
        }
        let message = "a tensor lies on a device that was lost by its driver, and its elements with it; make it anew";
        Err(Error::device("device", format!("{}: {message}", self.name())))
    }

    /// Whether the device can still be used.
    fn check(&self) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            let message = "was lost by its driver, and all tensors on it; make them anew, and the device is started again";
            return Err(Error::device("device", format!("{} {message}", self.name())));
        }
        if self.pid != std::process::id() {
            let message = "a GPU cannot be used after a fork of the process; start workers by the \"spawn\" method";
            return Err(Error::device("device", format!("{}: {message}", self.name())));
        }
        self.troubled("device")
    }

    /// An error that the driver or the checks of the shader compiler raised since it was last asked.
    pub(super) fn troubled(&self, what: &str) -> Result<()> {
        match self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take() {
            None => Ok(()),
            Some(text) if text.to_lowercase().contains("out of memory") => {
                Err(Error::memory(what, format!("{} has no memory left: {text}", self.name())))
            }
            Some(text) => Err(Error::bug(what, format!("{} refused its work: {text}", self.name()))),
        }
    }

    /// Bytes of the device's memory; what nobody uses is given back, and work waited for, before it is refused.
    pub(super) fn block(&self, bytes: usize) -> Result<Block> {
        self.check()?;
        let mut kept = None;
        taking(|take| kept = take.rooms.iter().find(|room| room.would_serve(bytes)).cloned());
        if let Some(block) = kept {
            return Ok(block);
        }
        let block = match self.pool.take(bytes)? {
            Some(block) => block,
            None => {
                self.synchronize()?;
                self.pool.clear();
                self.pool.take(bytes)?.ok_or_else(|| self.pool.refuse(bytes))?
            }
        };
        self.troubled("allocate")?;
        if bytes as u64 > self.caps.max_binding {
            self.large.store(true, Ordering::Relaxed);
        }
        taking(|take| take.rooms.push(block.clone()));
        Ok(block)
    }

    /// Notes that a kernel was launched that may find an index out of range.
    pub(super) fn suspect(&self) {
        self.suspicious.store(true, Ordering::Relaxed);
        taking(|take| take.suspicious = true);
    }

    pub(super) fn dispatch(&self, job: &Job) -> Result<()> {
        if job.threads == 0 {
            return Ok(());
        }
        self.check()?;
        let kernel = self.kernels.get(&job.key, &self.caps, job.write)?;
        self.troubled(&kernel.name)?;
        let held;
        let mut entries: Vec<wgpu::BindGroupEntry> = Vec::with_capacity(job.blocks.len() + 1);
        for (i, block) in job.blocks.iter().enumerate() {
            entries.push(wgpu::BindGroupEntry { binding: i as u32, resource: self.own(block)?.binding() });
        }
        if !kernel.immediate {
            held = self.parameters(job.params);
            entries.push(wgpu::BindGroupEntry { binding: job.blocks.len() as u32, resource: held.as_entire_binding() });
        }
        let description = wgpu::BindGroupDescriptor { label: None, layout: &kernel.bindings, entries: &entries };
        let bound = self.device.create_bind_group(&description);
        let groups = job.threads.div_ceil(u64::from(kernel.group));
        let x = groups.min(ROW);
        let groups = (x as u32, groups.div_ceil(x) as u32);
        self.encode(&mut self.stream(), &kernel, &bound, job.params, groups, job.work)?;
        taking(|take| take.made.push(Made { kernel, bound, params: job.params.to_vec(), groups, work: job.work }));
        Ok(())
    }

    /// Rough operations that are handed over together.
    pub(super) fn much(&self) -> u64 {
        if self.caps.software { MUCH_IN_SOFTWARE } else { MUCH }
    }

    /// Adds a dispatch to the work that waits.
    fn encode(
        &self,
        stream: &mut Queue,
        kernel: &Kernel,
        bound: &wgpu::BindGroup,
        params: &[u32],
        groups: (u32, u32),
        work: u64,
    ) -> Result<()> {
        let encoder = stream.encoder.get_or_insert_with(|| self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()));
        let pass = stream.pass.get_or_insert_with(|| encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default()).forget_lifetime());
        if stream.last != kernel.serial {
            pass.set_pipeline(&kernel.pipeline);
            stream.last = kernel.serial;
        }
        pass.set_bind_group(0, bound, &[]);
        if kernel.immediate {
            pass.set_immediates(0, bytes_of(params));
        }
        pass.dispatch_workgroups(groups.0, groups.1, 1);
        self.counters.dispatches.fetch_add(1, Ordering::Relaxed);
        stream.count += 1;
        stream.work += work;
        let many = if self.caps.software { MANY_IN_SOFTWARE } else { MANY };
        if stream.count >= many && stream.held == 0 || stream.work >= self.much() {
            self.submit(stream)?;
        }
        Ok(())
    }

    /// Runs something and keeps what it dispatches; memory that it needs on the way comes from `rooms` where one serves.
    pub(super) fn take(&self, rooms: &mut Vec<Block>, work: impl FnOnce() -> Result<()>) -> Result<Take> {
        TAKE.set(Some(Take { rooms: std::mem::take(rooms), device: self.pool.number(), ..Take::default() }));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        let mut take = TAKE.take().unwrap_or_default();
        *rooms = std::mem::take(&mut take.rooms);
        match done {
            Ok(done) => done.map(|()| take),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Runs again what was kept.
    pub(super) fn play(&self, take: &Take) -> Result<()> {
        self.check()?;
        if take.suspicious {
            self.suspect();
        }
        let mut stream = self.stream();
        if take.device != self.pool.number() {
            return Err(Error::device(
                "device",
                format!("a compiled step's memory lay on {} before it was lost; compile it anew", self.name()),
            ));
        }
        take.made.iter().try_for_each(|m| self.encode(&mut stream, &m.kernel, &m.bound, &m.params, m.groups, m.work))
    }

    /// Hands over a step's work at once, when all of it is there.
    pub(super) fn whole(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        self.check()?;
        self.settle()?;
        self.stream().held += 1;
        let done = direct(work);
        let mut stream = self.stream();
        stream.held -= 1;
        done?;
        self.submit(&mut stream)
    }

    /// Parameters that are too many for a dispatch, in a buffer of their own.
    fn parameters(&self, words: &[u32]) -> wgpu::Buffer {
        let size = (words.len() * 4).next_multiple_of(16).max(16) as u64;
        let usage = wgpu::BufferUsages::STORAGE;
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: true });
        if let Ok(mut view) = buffer.get_mapped_range_mut(..(words.len() * 4) as u64) {
            view.copy_from_slice(bytes_of(words));
        }
        buffer.unmap();
        buffer
    }

    /// Hands over what waits.
    fn submit(&self, stream: &mut Queue) -> Result<()> {
        drop(stream.pass.take());
        stream.last = 0;
        (stream.count, stream.work) = (0, 0);
        let Some(encoder) = stream.encoder.take() else { return Ok(()) };
        let index = self.queue.submit([encoder.finish()]);
        self.counters.submissions.fetch_add(1, Ordering::Relaxed);
        stream.ahead.push_back(index);
        if stream.ahead.len() > AHEAD
            && let Some(oldest) = stream.ahead.pop_front()
        {
            self.wait(Some(oldest))?;
        }
        self.troubled("submit")
    }

    /// Waits, and asks the host now and then whether to go on.
    fn wait(&self, index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        loop {
            // One thread at a time: wgpu-core 30 panics where a wait runs out of time while another thread's finds all done
            // (gfx-rs/wgpu#9958). What one thread waits for, the others find done.
            let polled = match self.turn.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(BRIEF);
                    Err(wgpu::PollError::Timeout)
                }
                _turn => self.device.poll(wgpu::PollType::Wait { submission_index: index.clone(), timeout: Some(stop::SPELL) }),
            };
            match polled {
                Ok(_) => return Ok(()),
                Err(wgpu::PollError::Timeout) => {
                    self.check()?;
                    stop::hear();
                    if let Some(why) = stop::taken() {
                        return Err(why);
                    }
                }
                Err(e) => return Err(Error::device("synchronize", format!("{} did not finish its work: {e}", self.name()))),
            }
        }
    }

    /// Hands over all work and waits for it.
    pub fn synchronize(&self) -> Result<()> {
        self.check()?;
        self.settle()?;
        {
            let mut stream = self.stream();
            self.submit(&mut stream)?;
            stream.ahead.clear();
        }
        self.wait(None)?;
        self.troubled("synchronize")?;
        self.faulted()
    }

    /// Bytes of the host's into a block, in the order of the work.
    pub(super) fn write(&self, bytes: &[u8], block: &Block, offset: usize) -> Result<()> {
        self.check()?;
        let buffer = self.own(block)?.buffer();
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.len() > PIECE {
            return bytes.chunks(PIECE).enumerate().try_for_each(|(k, piece)| self.write(piece, block, offset + k * PIECE));
        }
        let size = bytes.len().next_multiple_of(4) as u64;
        let usage = wgpu::BufferUsages::COPY_SRC;
        let staging = self.device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: true });
        match staging.get_mapped_range_mut(..) {
            Ok(mut view) => view.slice(..bytes.len()).copy_from_slice(bytes),
            Err(e) => return Err(Error::memory("upload", format!("{} has no room for {size} bytes: {e}", self.name()))),
        }
        staging.unmap();
        let mut stream = self.stream();
        drop(stream.pass.take());
        stream.last = 0;
        let encoder = stream.encoder.get_or_insert_with(|| self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()));
        encoder.copy_buffer_to_buffer(&staging, 0, buffer, offset as u64, size);
        // Staging memory is freed only behind the work that reads it.
        stream.work += size;
        stream.count += 1;
        if stream.count >= MANY || size > 16 << 20 {
            self.submit(&mut stream)?;
        }
        Ok(())
    }

    /// Bytes of a block, once all work on it is done. The stream is free for others while this waits.
    pub(super) fn read(&self, block: &Block, offset: usize, to: &mut [u8]) -> Result<()> {
        self.check()?;
        let buffer = self.own(block)?.buffer();
        if to.len() > PIECE {
            return to.chunks_mut(PIECE).enumerate().try_for_each(|(k, piece)| self.read(block, offset + k * PIECE, piece));
        }
        let start = offset / 4 * 4;
        let size = ((offset + to.len()).next_multiple_of(4) - start) as u64;
        let (staging, index) = {
            let mut stream = self.stream();
            drop(stream.pass.take());
            stream.last = 0;
            let kept = stream.staging.iter().position(|b| b.size() >= size && b.size() <= size * 4 + 4096);
            let staging = match kept {
                Some(i) => stream.staging.swap_remove(i),
                None => self.device.create_buffer(&wgpu::BufferDescriptor {
                    label: None,
                    size: size.next_power_of_two().max(256),
                    usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                }),
            };
            let encoder =
                stream.encoder.get_or_insert_with(|| self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default()));
            encoder.copy_buffer_to_buffer(buffer, start as u64, &staging, 0, size);
            self.submit(&mut stream)?;
            let index = stream.ahead.back().cloned();
            (staging, index)
        };
        let (tell, told) = mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, ..size, move |result| {
            let _ = tell.send(result);
        });
        self.wait(index)?;
        self.troubled("read")?;
        match told.recv() {
            Ok(Ok(())) => {}
            _ => return Err(Error::device("read", format!("{} did not give back its elements", self.name()))),
        }
        let skip = offset - start;
        match staging.get_mapped_range(..size) {
            Ok(view) => to.copy_from_slice(&view[skip..skip + to.len()]),
            Err(e) => return Err(Error::device("read", format!("{} did not give back its elements: {e}", self.name()))),
        }
        staging.unmap();
        let mut stream = self.stream();
        if stream.staging.len() < 8 {
            stream.staging.push(staging);
        }
        drop(stream);
        self.faulted()
    }

    /// An index that a kernel found out of range since values were last read.
    fn faulted(&self) -> Result<()> {
        if !self.suspicious.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let mut bytes = [0u8; 16];
        self.read(&self.faults, 0, &mut bytes)?;
        let word = |i: usize| u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]);
        if word(0) == 0 {
            return Ok(());
        }
        self.write(&[0; 16], &self.faults, 0)?;
        Err(Error::index(
            "index",
            format!(
                "index {} is out of range for an axis of size {} (found on {} by an operation since its values were last read)",
                word(1) as i32,
                word(2),
                self.name()
            ),
        ))
    }

    pub fn memory(&self) -> super::pool::Memory {
        self.pool.memory()
    }

    /// Gives back what is kept for reuse.
    pub fn clear(&self) {
        self.pool.clear();
    }

    /// Keeps compiled kernels for the next program.
    pub fn keep(&self) {
        self.kernels.keep();
    }

    /// How many kernels have been compiled.
    pub fn compiled(&self) -> usize {
        self.kernels.len()
    }
}

fn bytes_of(words: &[u32]) -> &[u8] {
    // SAFETY: every byte of an integer is a byte; the slice covers the same memory.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 4) }
}
