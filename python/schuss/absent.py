"""One sentence for each name that PyTorch has and schuss has not: why, and what to do instead.
Leans on nothing; hasattr answers no for all of them."""

from __future__ import annotations

_TABLE = {
    "jit": "programs are not compiled to a language of their own; schuss.compile records a step",
    "fx": "programs are not rewritten as graphs; viz.graph shows what was computed",
    "export": "programs are not exported; save a state_dict, which PyTorch can load",
    "onnx": "ONNX files are not written; save a state_dict, which PyTorch can load",
    "distributed": "there are no process groups; one process uses all cores of a machine",
    "profiler": "use Python's cProfile, and time.perf_counter around what is to be timed",
    "ops": "operations are functions of schuss and methods of Tensor",
    "classes": "classes of C++ cannot be loaded",
    "library": "a new operation is an autograd.Function here",
    "sparse_coo_tensor": "tensors are dense; index_add and embedding take sparse work",
    "sparse_csr_tensor": "tensors are dense; index_add and embedding take sparse work",
    "nested": "tensors have one size along each axis; use nn.utils.rnn.pad_sequence",
    "quantize_per_tensor": "there are no quantised tensors; int8 tensors hold bytes",
    "ao": "there are no quantised layers",
    "xpu": 'GPUs of every make are called "gpu"; see schuss.gpu',
    "mps": 'GPUs of every make are called "gpu"; see schuss.gpu',
    "package": "use save and load for weights, and Python's packages for code",
    "masked": "use masked_fill, where and sums over them",
}


def sentence(module: str, name: str) -> str:
    """What to say when a name is asked for that is not there.

    >>> sentence("schuss", "jit").split(":")[0]
    "module 'schuss' has no attribute 'jit'"
    """
    said = f"module {module!r} has no attribute {name!r}"
    why = _TABLE.get(name)
    return f"{said}: {why}" if why else said
