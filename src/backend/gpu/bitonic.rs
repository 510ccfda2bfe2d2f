//! Long rows put in order by sorting networks: every pass exchanges pairs at one distance (Batcher 1968). Leans on order's keys
//! and stream.

use super::adapter::Caps;
use super::block;
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::order::{key_function, rows, step};
use super::shader::Shader;
use super::stream::{Gpu, Job};
use crate::backend::launch::{Operand, Order};
use crate::base::{DType, Error, Result};

/// What is asked of a row that is in order.
fn kind(order: Order) -> u64 {
    match order {
        Order::Nth(_) => 1,
        Order::Median { skip_nan: false } => 2,
        Order::Median { skip_nan: true } => 3,
        _ => 0,
    }
}

/// Keys in the order of the elements, equal ones in that of their places; what fills a row up comes last.
fn load(gpu: &Gpu, turn: bool, input: &Operand, (count, n, size): (usize, usize, usize), keys: &Operand, own: &Operand) -> Result<()> {
    let grid = Grid::new(&[&rows(input)])?;
    let mut words = vec![0, (count * size) as u32, n as u32, size as u32, step(input)];
    grid.push(&mut words);
    let mut key = Key::new();
    key.extend([47, u64::from(turn), input.dtype as u64, grid.key()]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("sort_keys", caps);
        for word in ["all", "n", "size", "by"] {
            shader.word(word);
        }
        grid.declare(&mut shader, "");
        shader.slot(keys.dtype, true, false);
        shader.slot(DType::I32, true, false);
        shader.slot(input.dtype, false, false);
        let (name, function) = key_function(input.dtype);
        let (flip, stored) = (if turn { "~" } else { "" }, Reg::of(keys.dtype).name());
        shader.before = function;
        shader.body = format!(
            "if (t >= p.all) {{ return; }}\nlet row = t / p.size; let own = t % p.size;\n{}var k = {name}(0) - {name}(1);\n\
             if (own < p.n) {{ k = {flip}key_of(get2(i0 + own * p.by)); }}\nput0(t, bitcast<{stored}>(k)); put1(t, i32(own));\n",
            grid.code("row", "")
        );
        shader
    };
    let blocks = [block(keys)?, block(own)?, block(input)?];
    let threads = (count * size) as u64;
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads, work: threads * 8 })
}

/// One pass over pairs that are `apart`, within runs of `run` that rise and fall in turn.
fn exchange(gpu: &Gpu, pairs: usize, run: usize, apart: usize, keys: &Operand, own: &Operand) -> Result<()> {
    let mut key = Key::new();
    key.extend([48, keys.dtype as u64]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("sort_pass", caps);
        for word in ["pairs", "run", "apart"] {
            shader.word(word);
        }
        shader.slot(keys.dtype, true, false);
        shader.slot(DType::I32, true, false);
        let name = if keys.dtype == DType::I64 { "u64" } else { "u32" };
        shader.body = format!(
            "if (t >= p.pairs) {{ return; }}\nlet a = 2u * t - (t & (p.apart - 1u)); let b = a + p.apart;\n\
             let x = bitcast<{name}>(get0(a)); let y = bitcast<{name}>(get0(b));\nlet i = get1(a); let j = get1(b);\n\
             let behind = x > y || (x == y && i > j);\nif (behind == ((a & p.run) == 0u)) {{\n\
             let first = get0(a); put0(a, get0(b)); put0(b, first);\nput1(a, j); put1(b, i);\n}}\n"
        );
        shader
    };
    let params = [0, pairs as u32, run as u32, apart as u32];
    let blocks = [block(keys)?, block(own)?];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &params, threads: pairs as u64, work: pairs as u64 * 16 })
}

/// The elements at the first places, or at the one that is asked for.
fn store(gpu: &Gpu, order: Order, input: &Operand, (n, size): (usize, usize), [keys, own, values, places]: [&Operand; 4]) -> Result<()> {
    let m = values.layout.shape[values.layout.rank() - 1];
    let grid = Grid::new(&[&rows(input), &rows(values), &rows(places)])?;
    let nth = if let Order::Nth(k) = order { k.min(n - 1) } else { 0 };
    let count = values.numel();
    let mut words = vec![0, count as u32, n as u32, m as u32, size as u32, nth as u32, step(input), step(values), step(places)];
    grid.push(&mut words);
    let kind = kind(order);
    let mut key = Key::new();
    key.extend([49, kind, input.dtype as u64, values.dtype as u64, places.dtype as u64, grid.key()]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("sort_taken", caps);
        for word in ["count", "n", "m", "size", "nth", "by", "to", "at"] {
            shader.word(word);
        }
        grid.declare(&mut shader, "");
        shader.slot(values.dtype, true, element::lanes(values.dtype) > 1);
        shader.slot(places.dtype, true, element::lanes(places.dtype) > 1);
        shader.slot(input.dtype, false, false);
        shader.slot(keys.dtype, false, false);
        shader.slot(DType::I32, false, false);
        let name = if keys.dtype == DType::I64 { "u64" } else { "u32" };
        // Where the keys of NaN begin, by halves.
        let numbers = format!(
            "var low = 0u; var high = p.n;\nloop {{\nif (low >= high) {{ break; }}\nlet middle = (low + high) / 2u;\n\
             if (bitcast<{name}>(get3(row * p.size + middle)) == {name}(0) - {name}(1)) {{ high = middle; }} else {{ low = middle + 1u; }}\n}}\n"
        );
        let (search, rank) = match kind {
            0 => (String::new(), "slot"),
            1 => (String::new(), "p.nth"),
            2 => (numbers, "select((p.n - 1u) / 2u, low, low < p.n)"),
            _ => (numbers, "select((max(low, 1u) - 1u) / 2u, 0u, low == 0u)"),
        };
        let value = element::change("get2(i0 + u32(spot) * p.by)", Reg::of(input.dtype), Reg::of(values.dtype));
        let place = element::change("spot", Reg::I32, Reg::of(places.dtype));
        shader.body = format!(
            "if (t >= p.count) {{ return; }}\nlet row = t / p.m; let slot = t % p.m;\n{}{search}let spot = get4(row * p.size + {rank});\n\
             put0(i1 + slot * p.to, {value}); put1(i2 + slot * p.at, {place});\n",
            grid.code("row", "")
        );
        shader
    };
    let blocks = [block(values)?, block(places)?, block(input)?, block(keys)?, block(own)?];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: count as u64, work: count as u64 * 32 })
}

/// Rows in order, by log n (log n + 1) / 2 passes over all of them.
pub fn run(gpu: &Gpu, order: Order, input: &Operand, values: &Operand, places: &Operand) -> Result<()> {
    let n = input.layout.shape[input.layout.rank() - 1];
    let (size, count) = (n.next_power_of_two(), input.numel() / n);
    let wide = matches!(Reg::of(input.dtype), Reg::I64 | Reg::F64);
    let all = count.checked_mul(size).filter(|&all| all <= i32::MAX as usize);
    let all = all.ok_or_else(|| Error::memory("sort", format!("{count} rows of {n} elements are too many; sort fewer at a time")))?;
    let keys = gpu.scratch(&[all], if wide { DType::I64 } else { DType::I32 })?;
    let own = gpu.scratch(&[all], DType::I32)?;
    let turn = matches!(order, Order::Sorted { descending: true });
    load(gpu, turn, input, (count, n, size), &keys, &own)?;
    let mut run = 2;
    while run <= size {
        let mut apart = run / 2;
        while apart > 0 {
            // The last merge of each row rises, whatever its number.
            exchange(gpu, all / 2, if run == size { 0 } else { run }, apart, &keys, &own)?;
            apart /= 2;
        }
        run *= 2;
    }
    store(gpu, order, input, (n, size), [&keys, &own, values, places])
}
