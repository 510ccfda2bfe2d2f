//! Compiled kernels kept from one run of a program to the next, in the form that the driver gives them. Leans on wgpu; a file
//! that cannot be read, or is not whole, is as none.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

const MAGIC: &[u8; 8] = b"schuss01";
const HEAD: usize = 16;

/// A driver's cache, and the file that it is kept in.
pub struct Cache {
    inner: wgpu::PipelineCache,
    path: PathBuf,
    /// Kernels compiled since it was last kept.
    fresh: AtomicUsize,
}

/// Where programs keep what they need again: `SCHUSS_CACHE_DIR`, or the system's place for it.
pub fn folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    if let Some(own) = named("SCHUSS_CACHE_DIR") {
        return Some(own);
    }
    let home = || named("HOME").map(|home| home.join(if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" }));
    let base = if cfg!(windows) { named("LOCALAPPDATA") } else { named("XDG_CACHE_HOME").or_else(home) };
    base.map(|base| base.join("schuss"))
}

fn sum(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish().to_le_bytes()
}

/// A file's contents, if they are those that were written.
fn read(path: &Path) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    let body = bytes.get(HEAD..)?;
    (&bytes[..8] == MAGIC && bytes[8..HEAD] == sum(body)).then(|| body.to_vec())
}

impl Cache {
    /// The cache of a device whose driver has one.
    pub fn open(device: &wgpu::Device, info: &wgpu::AdapterInfo) -> Option<Cache> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let path = folder()?.join(format!("{}.bin", wgpu::util::pipeline_cache_key(info)?));
        let data = read(&path);
        let description = wgpu::PipelineCacheDescriptor { label: None, data: data.as_deref(), fallback: true };
        // SAFETY: the bytes are what a driver gave for this vendor's device, as their sum shows; wgpu looks at their head, and
        // a driver of another version takes none of them.
        let inner = unsafe { device.create_pipeline_cache(&description) };
        Some(Cache { inner, path, fresh: AtomicUsize::new(0) })
    }

    pub fn inner(&self) -> &wgpu::PipelineCache {
        &self.inner
    }

    /// Notes that a kernel was compiled.
    pub fn note(&self) {
        self.fresh.fetch_add(1, Ordering::Relaxed);
    }

    /// Keeps what was compiled since the last time; where that fails, the next program compiles again.
    pub fn keep(&self) {
        if self.fresh.swap(0, Ordering::Relaxed) == 0 {
            return;
        }
        let (Some(data), Some(folder)) = (self.inner.get_data(), self.path.parent()) else { return };
        let whole = [MAGIC.as_slice(), &sum(&data), &data].concat();
        let part = self.path.with_extension(format!("{}.part", std::process::id()));
        let kept = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&part, whole));
        if kept.and_then(|()| std::fs::rename(&part, &self.path)).is_err() {
            let _ = std::fs::remove_file(&part);
        }
    }
}
