"""Derivatives asked for by name: `grad`, `backward`, users' own functions, and the modes.
Leans on the core's reverse walk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schuss import _core
from schuss._core import Node, Tensor
from schuss.autograd.function import Function, once_differentiable
from schuss.modes import enable_grad, inference_mode, no_grad, set_grad_enabled

if TYPE_CHECKING:
    from schuss.autograd import forward_ad as forward_ad
    from schuss.autograd import functional as functional
    from schuss.autograd import graph as graph
    from schuss.autograd.anomaly import detect_anomaly as detect_anomaly
    from schuss.autograd.anomaly import set_detect_anomaly as set_detect_anomaly
    from schuss.testing import gradcheck as gradcheck
    from schuss.testing import gradgradcheck as gradgradcheck


_MODULES = {
    "anomaly_mode": "anomaly",
    "forward_ad": "forward_ad",
    "functional": "functional",
    "graph": "graph",
}
_ANOMALY = ("detect_anomaly", "set_detect_anomaly")


def backward(
    tensors,
    grad_tensors=None,
    retain_graph=None,
    create_graph=False,
    grad_variables=None,
    inputs=None,
) -> None:
    """Adds the gradients of some tensors' sum to the leaves that they were made of.

    Raises RuntimeError where a tensor is no scalar and no gradient is given, or the graph was
    freed by an earlier walk.

    >>> x = schuss.tensor(3.0, requires_grad=True)
    >>> schuss.autograd.backward([x * x])
    >>> x.grad
    tensor(6.)
    """
    given = grad_tensors if grad_tensors is not None else grad_variables
    _core.backward_all(tensors, given, retain_graph, create_graph, inputs)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of the outputs' sum at the inputs, as a tuple; no `.grad` is touched.

    >>> x = schuss.tensor(3.0, requires_grad=True)
    >>> schuss.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError("grad: materialize_grads=True needs allow_unused to be True or None")
    allow = materialize_grads if allow_unused is None else allow_unused
    retain = create_graph if retain_graph is None else retain_graph
    sources = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if is_grads_batched:
        if grad_outputs is None:
            raise ValueError("grad: is_grads_batched=True needs grad_outputs")
        each = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
        given = [g for g in each if g is not None]
        if not given or any(len(g) != len(given[0]) for g in given):
            raise ValueError("grad: is_grads_batched=True needs grad_outputs of one length")
        rows = []
        for k in range(len(given[0])):
            now = tuple(None if g is None else g[k] for g in each)
            rows.append(grad(outputs, sources, now, True, create_graph, allow_unused=allow))
        columns = zip(*rows, strict=True)
        return tuple(None if c[0] is None else _core._stack(list(c), 0) for c in columns)
    found = _core.grad_of(outputs, sources, grad_outputs, retain, create_graph)
    if all(g is not None for g in found):
        return found
    if materialize_grads:
        zeros = [_core.zeros(tuple(s.shape), dtype=s.dtype, device=s.device) for s in sources]
        for z in zeros:
            z.requires_grad_(create_graph)
        return tuple(z if g is None else g for g, z in zip(found, zeros, strict=True))
    if not allow:
        missing = next(i for i, g in enumerate(found) if g is None)
        raise RuntimeError(
            f"grad: input {missing} of shape {tuple(sources[missing].shape)} was not used to"
            " compute the outputs; pass allow_unused=True to get None for it"
        )
    return found


def Variable(data, requires_grad=False, volatile=None):
    """The tensor itself, told whether it requires a gradient: PyTorch's oldest spelling."""
    made = data if isinstance(data, Tensor) else _core.as_tensor(data)
    if requires_grad and not made.requires_grad:
        made = made.detach().requires_grad_() if made.grad_fn is not None else made
        made.requires_grad_(True)
    return made


def __getattr__(name: str):
    # Loaded on first use: most programs never ask for them.
    if name in ("gradcheck", "gradgradcheck"):
        from schuss import testing

        return getattr(testing, name)
    if name in _MODULES or name in _ANOMALY:
        from importlib import import_module

        module = import_module(f"schuss.autograd.{_MODULES.get(name, 'anomaly')}")
        return module if name in _MODULES else getattr(module, name)
    from schuss.absent import missing

    raise missing("schuss.autograd", name)


def __dir__():
    shown = {name for name in globals() if name not in ("_ANOMALY", "_MODULES")}
    return sorted({*shown, *_MODULES, *_ANOMALY, "gradcheck", "gradgradcheck"})


__all__ = [
    "Function",
    "Node",
    "Variable",
    "backward",
    "enable_grad",
    "grad",
    "inference_mode",
    "no_grad",
    "once_differentiable",
    "set_grad_enabled",
]
