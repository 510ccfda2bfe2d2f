//! Where elements lie: in the processor's memory, or in a GPU's. Leans on std.

use std::fmt;

/// A place for tensors; GPUs are numbered as `gpu::adapters` lists them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    #[default]
    Cpu,
    Gpu(u8),
}

impl Device {
    pub fn is_cpu(self) -> bool {
        self == Device::Cpu
    }
    /// As one integer: -1 is the processor.
    pub fn code(self) -> i64 {
        match self {
            Device::Cpu => -1,
            Device::Gpu(i) => i64::from(i),
        }
    }
    pub fn of_code(code: i64) -> Device {
        u8::try_from(code).map_or(Device::Cpu, Device::Gpu)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Gpu(i) => write!(f, "gpu:{i}"),
        }
    }
}
