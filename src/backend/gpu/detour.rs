//! Work for which a device has no kernel, done by the processor and said aloud: operands come over, results go back.
//! Leans on task and place.

use super::element;
use super::stream::Gpu;
use crate::backend::task::Task;
use crate::backend::{Launch, Operand, place};
use crate::base::{Device, Result};

/// What a launch does, in words, and of which type where the adapter lacks that.
fn what(gpu: &Gpu, launch: &Launch) -> String {
    let mut dtypes = Task::of(launch).into_iter().flat_map(|task| task.operands).map(|o| o.dtype);
    let lacked = dtypes.find(|&dtype| element::lacking(dtype, &gpu.caps));
    let named = named(launch);
    lacked.filter(|dtype| !named.contains(&dtype.to_string())).map_or(named.clone(), |dtype| format!("{named} of {dtype}"))
}

fn named(launch: &Launch) -> String {
    let first = |text: String| text.split([' ', '(', '{']).next().unwrap_or_default().to_lowercase();
    match launch {
        Launch::Dense { what, .. } => format!("the decomposition {}", first(format!("{what:?}"))),
        Launch::Special { .. } => "special functions".to_string(),
        Launch::Order { order, .. } => first(format!("{order:?}")),
        Launch::Map { compute, .. } => format!("this mathematics in {compute}"),
        other => Task::of(other).first().map_or("this", Task::name).to_string(),
    }
}

/// Runs a launch on the processor.
pub fn run(gpu: &Gpu, launch: &Launch) -> Result<()> {
    place::tell(&gpu.name(), &what(gpu, launch))?;
    Task::of(launch).into_iter().try_for_each(over)
}

/// Runs on the processor what is larger than a kernel can be bound to, and cannot be cut into parts.
pub fn large(gpu: &Gpu, task: Task) -> Result<()> {
    place::tell(&gpu.name(), &format!("{} of tensors larger than it can be bound to ({} bytes)", task.name(), gpu.caps.max_binding))?;
    over(task)
}

fn over(mut task: Task) -> Result<()> {
    let home = place::at(Device::Cpu)?;
    let writes = task.writes().to_vec();
    let (kept, adds) = (task.operands.len() - task.written, task.adds());
    for (i, own) in task.operands.iter_mut().enumerate() {
        *own = if i < kept || adds { place::fetch(own)? } else { Operand::new(home, &own.layout.shape, own.dtype)? };
    }
    task.run()?;
    for (near, own) in task.operands[kept..].iter().zip(&writes) {
        place::copy(near, own)?;
    }
    Ok(())
}
