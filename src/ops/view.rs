//! Other layouts over the same elements, and the copies that only move elements. Leans on graph and base's layouts.

use super::strided;
use crate::backend::{Launch, of};
use crate::base::{DType, Device, Error, Few, Layout, Result, shape};
use crate::graph::{Arg, Call, Grads, Meta, Metas, Op, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// The same elements under another shape; one size may be -1. Raises RuntimeError where only a copy could give it.
    ///
    /// >>> schuss.arange(6).view(2, 3)
    /// tensor([[0, 1, 2],
    ///         [3, 4, 5]])
    view(input; size: Ints) Any {
        view(view_rule);
        vjp |g, [x], _y| [g.reshape(&x.shape())];
        batch sized;
        face hidden;
    }
    /// The same elements under another shape, copied where a view cannot give it; one size may be -1.
    ///
    /// >>> schuss.arange(6).reshape(3, -1)
    /// tensor([[0, 1],
    ///         [2, 3],
    ///         [4, 5]])
    reshape(input; shape: Ints) Any { inline(reshape_inline); }
    /// The axes in another order.
    ///
    /// >>> schuss.zeros(2, 3, 5).permute(2, 0, 1).shape
    /// schuss.Size([5, 2, 3])
    permute(input; dims: Ints) Any {
        view(permute_rule);
        vjp |g, [x], _y| [g.permute(inverse(&dims, x.rank()))];
        batch ordered;
    }
    /// Two axes exchanged.
    ///
    /// >>> schuss.zeros(2, 3).transpose(0, 1).shape
    /// schuss.Size([3, 2])
    transpose(input; dim0: Axis, dim1: Axis) Any {
        view(|x, args| {
            let a = shape::axis("transpose", args[0].int().unwrap_or(0), x.rank())?;
            let b = shape::axis("transpose", args[1].int().unwrap_or(0), x.rank())?;
            Ok(x.transpose(a, b))
        });
        vjp |g, [_x], _y| [g.transpose(dim0, dim1)];
        batch shift;
    }
    /// Axes of size 1 repeated to a larger shape without a copy; -1 keeps a size.
    ///
    /// >>> schuss.tensor([[1], [2]]).expand(2, 3)
    /// tensor([[1, 1, 1],
    ///         [2, 2, 2]])
    expand(input; size: Ints) Any {
        view(expand_rule);
        vjp |g, [x], _y| [g.sum_to(&x.shape())];
        batch sized;
    }
    /// Summed to a smaller shape that broadcasts to this one.
    sum_to(input; size: Ints) Any { inline(sum_to_inline); face hidden; }
    /// Axes of size 1 taken away: all, or those named.
    ///
    /// >>> schuss.zeros(1, 3, 1).squeeze().shape
    /// schuss.Size([3])
    squeeze(input; dim: Axes = Arg::None) Any {
        view(squeeze_rule);
        vjp |g, [x], _y| [g.reshape(&x.shape())];
        batch shift;
    }
    /// A new axis of size 1.
    ///
    /// >>> schuss.zeros(3).unsqueeze(0).shape
    /// schuss.Size([1, 3])
    unsqueeze(input; dim: Axis) Any {
        view(|x, args| {
            let (dim, most) = (args[0].int().unwrap_or(0), x.rank() as i64);
            if dim < -most - 1 || dim > most {
                let text = format!("axis {dim} is out of range for a new axis of a tensor of {most} (expected {} to {most})", -most - 1);
                return Err(Error::index("unsqueeze", text));
            }
            Ok(x.insert_axis(shape::axis("unsqueeze", dim, x.rank() + 1)?))
        });
        vjp |g, [x], _y| [g.reshape(&x.shape())];
        batch opened;
    }
    /// Part of each axis: starts, sizes and steps. What basic indexing is made of.
    slice(input; starts: Ints, sizes: Ints, steps: Ints) Any {
        view(slice_rule);
        rule view_back;
        quirk Reaches;
        batch cut;
        face hidden;
    }
    /// A slice whose axes are then listed anew: old axes by number, -1 for a new one, left out if taken by an integer.
    pick(input; starts: Ints, sizes: Ints, steps: Ints, order: Ints) Any {
        view(pick_rule);
        rule view_back;
        quirk Reaches;
        batch cut;
        face hidden;
    }
    /// One position along an axis, which goes away.
    select(input; dim: Axis, index: Int) Any {
        view(select_rule);
        rule view_back;
        batch shift;
        face hidden;
    }
    /// The diagonal of two axes, as the last axis.
    ///
    /// >>> schuss.tensor([[1, 2], [3, 4]]).diagonal()
    /// tensor([1, 4])
    diagonal(input; offset: Int = Arg::Int(0), dim1: Axis = Arg::Int(0), dim2: Axis = Arg::Int(1)) Any {
        view(diagonal_rule);
        rule view_back;
        batch shift;
    }
    /// Windows along an axis, one for each step, whose elements are a further axis.
    windows_along(input; dim: Axis, size: Int, step: Int) Any {
        view(windows_rule);
        rule windows_back;
        batch shift;
        face hidden;
    }
    /// A window over the storage by sizes and strides. Reaching past the storage raises RuntimeError.
    ///
    /// >>> schuss.arange(4).as_strided((2, 2), (1, 1))
    /// tensor([[0, 1],
    ///         [1, 2]])
    as_strided(input; size: Ints, stride: Ints, storage_offset: MaybeInt = Arg::None) Any {
        view(strided::rule);
        rule strided::back;
        quirk Reaches;
        batch strided;
    }
    /// Elements of a window on the row-major form of the input: the derivative of `unwindow`.
    window(input; size: Ints, stride: Ints, offset: Int) Any {
        kernel(window_meta, window_run);
        vjp |g, [x], _y| [g.unwindow(&x.shape(), size, stride, offset)];
        complex Yes;
        linear Together;
        batch windowed;
        face hidden;
    }
    /// Zeros of a shape, to which the input is added through a window: the derivative of every view.
    unwindow(input; shape: Ints, size: Ints, stride: Ints, offset: Int) Any {
        kernel(unwindow_meta, unwindow_run);
        vjp |g, [_x], _y| [g.window(size, stride, offset)];
        complex Yes;
        linear Together;
        batch windowed;
        face hidden;
    }
    /// The first with the second written through a window: an in-place write as a function.
    embed(input, value; size: Ints, stride: Ints, offset: Int) Any {
        kernel(embed_meta, embed_run);
        vjp |g, [_x, v], _y| [g.embed(&zeros_like(v), size.clone(), stride.clone(), offset), g.window(size, stride, offset)];
        complex Yes;
        linear Together;
        batch windowed;
        face hidden;
    }
    /// A copy, with its axes in the same order in memory, and no gaps.
    ///
    /// >>> schuss.tensor([1.0, 2.0]).clone()
    /// tensor([1., 2.])
    clone_(input) Any {
        kernel(same_meta, copy_run);
        vjp |g, [_x], _y| [g];
        quirk Keeps;
        complex Yes;
        linear Together;
        batch align;
    }
    /// A row-major copy.
    compact(input) Any {
        kernel(same_meta, copy_run);
        vjp |g, [_x], _y| [g];
        complex Yes;
        linear Together;
        batch align;
        face hidden;
    }
    /// The elements on another device (by number, -1 is the processor), and where their gradient goes.
    transfer(input; to: Int, home: Int) Any {
        inline(transfer_inline);
        vjp |g, [_x], _y| [g.transfer(home, to)];
        complex Yes;
        linear Together;
        batch align;
        face hidden;
    }
    /// The elements converted to another dtype.
    cast(input; dtype: MaybeDType) Any {
        kernel(cast_meta, copy_run);
        vjp |g, [x], _y| [g.cast(x.dtype())];
        quirk Keeps;
        complex Yes;
        linear Together;
        batch align;
        face hidden;
    }
}

/// Tells that a rule reads these, whatever the shapes are: what a rule keeps is found out once, and a rule that is done
/// early with a tensor without elements, or axes, must not make it forget what it reads of others.
pub fn reads(list: &[&Sym]) {
    if crate::graph::mode::Mode::now().probe() {
        list.iter().for_each(|s| drop(s.clone_()));
    }
}

/// A zero of a tensor's shape and type: one element, seen everywhere.
pub fn zeros_like(x: &Sym) -> Sym {
    scalar(x.dtype(), x.device()).expand(&x.shape())
}

/// One zero.
pub(super) fn scalar(dtype: DType, device: Device) -> Sym {
    let backend = crate::graph::sym::must(crate::backend::at(device));
    let operand = crate::graph::sym::must(crate::backend::Operand::new(backend, &[], dtype));
    crate::graph::sym::must(of(&operand.storage).launch(&Launch::Fill { dst: &operand, value: 0i64.into() }));
    Sym::Tensor(Tensor::from_operand(operand))
}

fn transfer_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = ins[0].as_ref().map_or(&Sym::Absent, |x| x);
    if crate::graph::mode::Mode::now().probe() {
        return Ok(vec![x.tensor().clone()]);
    }
    let device = Device::of_code(args[0].int().unwrap_or(-1));
    Ok(vec![Tensor::from_operand(crate::backend::transfer(&x.tensor().operand(), device)?)])
}

pub(super) fn sizes(list: &[i64]) -> Few<usize> {
    list.iter().map(|&s| s.max(0) as usize).collect()
}

fn view_rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let shape = shape::infer("view", &args[0].ints(), &x.shape)?;
    x.reshape(&shape).ok_or_else(|| {
        Error::runtime(
            "view",
            format!(
                "the elements of shape {} with strides {} cannot be seen as {} without a copy; use x.reshape{} or x.contiguous() first",
                shape::show(&x.shape),
                shape::show(&x.strides),
                shape::show(&shape),
                shape::show(&shape)
            ),
        )
    })
}

fn reshape_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = ins[0].as_ref().map_or(&Sym::Absent, |x| x).tensor();
    let wanted = shape::infer("reshape", &args[0].ints(), &x.shape())?;
    let layout = x.layout();
    if layout.reshape(&wanted).is_some() {
        return Ok(vec![view(x, &wanted)?]);
    }
    Ok(vec![view(&compact(x)?, &wanted)?])
}

fn permute_rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let dims = args[0].ints();
    if dims.len() != x.rank() {
        return Err(Error::runtime(
            "permute",
            format!(
                "the order {} names {} axes, the tensor of shape {} has {}",
                shape::show(&dims),
                dims.len(),
                shape::show(&x.shape),
                x.rank()
            ),
        ));
    }
    let mut order: Few<usize> = Few::new();
    for &d in dims.iter() {
        let d = shape::axis("permute", d, x.rank())?;
        if order.contains(&d) {
            return Err(Error::runtime("permute", format!("axis {d} appears more than once in the order {}", shape::show(&dims))));
        }
        order.push(d);
    }
    Ok(x.permute(&order))
}

fn inverse(dims: &[i64], rank: usize) -> Few<i64> {
    let mut back = Few::filled(0i64, rank);
    for (i, &d) in dims.iter().enumerate() {
        let d = if d < 0 { d + rank as i64 } else { d } as usize;
        back[d] = i as i64;
    }
    back
}

fn expand_rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let wanted = args[0].ints();
    let lead = wanted.len().saturating_sub(x.rank());
    let mut full: Few<usize> = Few::new();
    for (i, &s) in wanted.iter().enumerate() {
        full.push(match s {
            -1 if i >= lead => x.shape[i - lead],
            s if s >= 0 => s as usize,
            _ => return Err(Error::runtime("expand", format!("the size {s} at position {i} is not allowed in {}", shape::show(&wanted)))),
        });
    }
    shape::count("expand", &full)?;
    x.broadcast_to("expand", &full)
}

fn sum_to_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = ins[0].as_ref().map_or(&Sym::Absent, |x| x);
    let wanted = sizes(&args[0].ints());
    let have = x.shape();
    if have == wanted {
        return Ok(vec![x.tensor().clone()]);
    }
    let lead = have.len() - wanted.len();
    let axes: Vec<i64> = (0..have.len()).filter(|&i| i < lead || wanted[i - lead] == 1 && have[i] != 1).map(|i| i as i64).collect();
    let summed = if axes.is_empty() { x.clone() } else { x.sum(&axes[..], true, ()) };
    Ok(vec![if lead > 0 { summed.reshape(&wanted) } else { summed }.tensor().clone()])
}

fn squeeze_rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let named = args[0].ints();
    let mut gone: Few<usize> = Few::new();
    if matches!(args[0], Arg::None) {
        gone = (0..x.rank()).filter(|&i| x.shape[i] == 1).collect();
    }
    for &d in named.iter() {
        let d = shape::axis("squeeze", d, x.rank())?;
        if d < x.rank() && x.shape[d] == 1 {
            gone.push(d);
        }
    }
    let keep = |i: &usize| !gone.contains(i);
    Ok(Layout::new(
        (0..x.rank()).filter(keep).map(|i| x.shape[i]).collect(),
        (0..x.rank()).filter(keep).map(|i| x.strides[i]).collect(),
        x.offset,
    ))
}

fn slice_rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let (starts, sizes, steps) = (args[0].ints(), args[1].ints(), args[2].ints());
    if [starts.len(), sizes.len(), steps.len()] != [x.rank(); 3] {
        return Err(Error::runtime("slice", format!("needs a start, a size and a step for each axis of {}", shape::show(&x.shape))));
    }
    let mut out = x.clone();
    for i in 0..x.rank() {
        if starts[i] != 0 || sizes[i] as usize != x.shape[i] || steps[i] != 1 {
            out = out.slice(i, starts[i] as usize, sizes[i] as usize, steps[i] as isize);
        }
    }
    Ok(out)
}

fn pick_rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let cut = slice_rule(x, args)?;
    let order = args[3].ints();
    let (mut shape, mut strides) = (Few::new(), Few::new());
    for (i, &axis) in order.iter().enumerate() {
        if axis >= 0 {
            shape.push(cut.shape[axis as usize]);
            strides.push(cut.strides[axis as usize]);
        } else {
            // A new axis steps over all that follows it, as if the tensor were row-major.
            let next = order[i + 1..].iter().find(|&&a| a >= 0).map(|&a| cut.strides[a as usize] * cut.shape[a as usize].max(1) as isize);
            shape.push(1);
            strides.push(next.unwrap_or(1));
        }
    }
    Ok(Layout::new(shape, strides, cut.offset))
}

fn diagonal_rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let offset = args[0].int().unwrap_or(0);
    let a = shape::axis("diagonal", args[1].int().unwrap_or(0), x.rank())?;
    let b = shape::axis("diagonal", args[2].int().unwrap_or(1), x.rank())?;
    if a == b || x.rank() < 2 {
        return Err(Error::runtime("diagonal", format!("needs two different axes, got {a} and {b} of shape {}", shape::show(&x.shape))));
    }
    let (rows, columns) = (x.shape[a] as i64, x.shape[b] as i64);
    let n = if offset >= 0 { rows.min(columns - offset) } else { (rows + offset).min(columns) }.max(0) as usize;
    let start = match (n, offset >= 0) {
        (0, _) => 0,
        (_, true) => offset as isize * x.strides[b],
        (_, false) => -offset as isize * x.strides[a],
    };
    let keep = |i: &usize| *i != a && *i != b;
    let mut shape: Few<usize> = (0..x.rank()).filter(keep).map(|i| x.shape[i]).collect();
    let mut strides: Few<isize> = (0..x.rank()).filter(keep).map(|i| x.strides[i]).collect();
    shape.push(n);
    strides.push(x.strides[a] + x.strides[b]);
    Ok(Layout::new(shape, strides, (x.offset as isize + start) as usize))
}

fn windows_rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let axis = shape::axis("unfold", args[0].int().unwrap_or(0), x.rank())?;
    let (size, step) = (args[1].int().unwrap_or(0), args[2].int().unwrap_or(0));
    if size < 0 || step <= 0 || size > x.shape[axis] as i64 {
        return Err(Error::runtime("unfold", format!("windows of {size} by {step} do not fit axis of size {}", x.shape[axis])));
    }
    let (mut shape, mut strides) = (x.shape.clone(), x.strides.clone());
    shape.push(size as usize);
    strides.push(strides[axis]);
    shape[axis] = (x.shape[axis] - size as usize) / step as usize + 1;
    strides[axis] = strides[axis].saturating_mul(step as isize);
    Ok(Layout::new(shape, strides, x.offset))
}

fn select_rule(x: &Layout, args: &[Arg]) -> Result<Layout> {
    let (dim, index) = (args[0].int().unwrap_or(0), args[1].int().unwrap_or(0));
    if x.rank() == 0 {
        return Err(Error::index("select", "a 0-d tensor has no axis to index; use .item() for its number"));
    }
    let axis = shape::axis("select", dim, x.rank())?;
    let size = x.shape[axis] as i64;
    if index < -size || index >= size {
        return Err(shape::outside("select", index, axis, &x.shape));
    }
    let at = if index < 0 { index + size } else { index };
    let offset = x.offset as isize + at as isize * x.strides[axis];
    let left = |i: &usize| *i != axis;
    let (shape, strides) =
        ((0..x.rank()).filter(left).map(|i| x.shape[i]).collect(), (0..x.rank()).filter(left).map(|i| x.strides[i]).collect());
    Ok(Layout::new(shape, strides, offset as usize))
}

/// Whether an operator takes a part of a tensor, as `part` says which.
pub fn is_part(op: &Op) -> bool {
    [&slice::OP, &pick::OP, &select::OP, &diagonal::OP].into_iter().any(|own| std::ptr::eq(own, op))
}

/// The part that such an operator takes, by its parameters.
pub fn part(x: &Layout, args: &[Arg]) -> Result<Layout> {
    match args {
        [Arg::Ints(_), _, _, _] => pick_rule(x, args),
        [Arg::Ints(_), ..] => slice_rule(x, args),
        [_, _] => select_rule(x, args),
        _ => diagonal_rule(x, args),
    }
}

/// The derivative of a view: its cotangent laid back through the same view of a row-major tensor.
fn view_back(pull: &Pull) -> Grads {
    laid_back(pull, part)
}

fn windows_back(pull: &Pull) -> Grads {
    laid_back(pull, windows_rule)
}

fn laid_back(pull: &Pull, rule: fn(&Layout, &[Arg]) -> Result<Layout>) -> Grads {
    let x = pull.ins[0].shape();
    let seen = crate::graph::sym::must(rule(&Layout::contiguous(x.clone()), pull.args));
    let strides: Few<i64> = seen.strides.iter().map(|&s| s as i64).collect();
    let grad = pull.grad().unwindow(&x, &seen.shape, strides, seen.offset);
    [pull.needs.has(0).then_some(grad)].into_iter().collect()
}

fn window_layout(args: &[Arg]) -> Layout {
    let strides = args[1].ints().iter().map(|&s| s as isize).collect();
    Layout::new(sizes(&args[0].ints()), strides, args[2].int().unwrap_or(0) as usize)
}

pub(super) fn one(ins: &[Option<Meta>]) -> Meta {
    ins[0].clone().unwrap_or(Meta { shape: Few::new(), dtype: DType::F32 })
}

/// A window must stay inside the row-major elements that it looks at.
fn inside(op: &str, window: &Layout, offset: Option<i64>, elements: usize) -> Result<()> {
    let (low, high) = window.span();
    if offset.is_some_and(|o| o < 0) || low < 0 || window.numel() > 0 && high > elements as isize {
        return Err(Error::runtime(
            op,
            format!("a window of {} from {} reaches past {elements} elements", shape::show(&window.shape), offset.unwrap_or(low as i64)),
        ));
    }
    Ok(())
}

fn window_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    inside("window", &window_layout(args), args[2].int(), one(ins).shape.iter().product())?;
    Ok(smallvec![Meta { shape: sizes(&args[0].ints()), dtype: one(ins).dtype }])
}

/// Row-major elements of the first operand, with room where it is scattered.
fn flat(call: &Call) -> Result<crate::backend::Operand> {
    let x = operand(call, 0)?;
    if x.layout.is_contiguous() {
        return Ok(x.clone());
    }
    let backend = of(&x.storage);
    let copy = crate::backend::Operand::new(backend, &x.layout.shape, x.dtype)?;
    backend.launch(&Launch::Copy { src: x, dst: &copy })?;
    Ok(copy)
}

pub(super) fn operand<'a>(call: &'a Call, i: usize) -> Result<&'a crate::backend::Operand> {
    call.ins.get(i).copied().flatten().ok_or_else(|| Error::bug("kernel", "an operand is missing"))
}

fn shifted(base: &crate::backend::Operand, window: &Layout) -> crate::backend::Operand {
    let offset = base.layout.offset + window.offset;
    base.view(Layout::new(window.shape.clone(), window.strides.clone(), offset))
}

fn window_run(call: &Call) -> Result<()> {
    let base = flat(call)?;
    let seen = shifted(&base, &window_layout(call.args));
    of(&base.storage).launch(&Launch::Copy { src: &seen, dst: &call.outs[0] })
}

fn unwindow_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    inside("unwindow", &window_layout(&args[1..]), args[3].int(), sizes(&args[0].ints()).iter().product())?;
    Ok(smallvec![Meta { shape: sizes(&args[0].ints()), dtype: one(ins).dtype }])
}

fn unwindow_run(call: &Call) -> Result<()> {
    let (g, out) = (operand(call, 0)?, &call.outs[0]);
    let backend = of(&out.storage);
    backend.launch(&Launch::Fill { dst: out, value: 0i64.into() })?;
    let window = window_layout(&call.args[1..]);
    let seen = shifted(out, &window);
    if window.overlaps_itself() {
        backend.launch(&Launch::Scatter { target: &seen, picks: &[], values: g, add: true })
    } else {
        backend.launch(&Launch::Copy { src: g, dst: &seen })
    }
}

fn embed_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    inside("embed", &window_layout(args), args[2].int(), one(ins).shape.iter().product())?;
    Ok(smallvec![one(ins)])
}

fn embed_run(call: &Call) -> Result<()> {
    let out = &call.outs[0];
    let backend = of(&out.storage);
    backend.launch(&Launch::Copy { src: operand(call, 0)?, dst: out })?;
    backend.launch(&Launch::Copy { src: operand(call, 1)?, dst: &shifted(out, &window_layout(call.args)) })
}

pub(super) fn same_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    Ok(smallvec![one(ins)])
}

pub(super) fn copy_run(call: &Call) -> Result<()> {
    let x = operand(call, 0)?;
    of(&x.storage).launch(&Launch::Copy { src: x, dst: &call.outs[0] })
}

fn cast_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let dtype = if let Arg::DType(d) = args[0] { d } else { x.dtype };
    Ok(smallvec![Meta { shape: x.shape, dtype }])
}
