"""One sentence for each name that PyTorch has and schuss has not: why, and what to do instead.
Leans on the import system; hasattr answers no for all of them, and an import is refused."""

from __future__ import annotations

import sys

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
    "sparse": "tensors are dense; index_add and embedding take sparse work",
    "quantization": "there are no quantised layers",
    "overrides": "functions are overridden by subclasses of Model and Function alone",
    "monitor": "use Python's logging, or utils.tensorboard",
    "Stream": "work is queued in one order, and waited for by itself",
    "UntypedStorage": "elements are reached by indexing and numpy()",
    "TypedStorage": "elements are reached by indexing and numpy()",
    "FloatStorage": "elements are reached by indexing and numpy()",
    "float8_e4m3fn": "the narrowest floats are float16 and bfloat16",
    "float8_e5m2": "the narrowest floats are float16 and bfloat16",
    "uint16": "use int32 or int64",
    "uint32": "use int64",
    "uint64": "use int64",
    "complex32": "use complex64",
    "autograd.profiler": "use Python's cProfile, and time.perf_counter around what is to be timed",
    "utils.benchmark": "use Python's timeit; what is on a GPU is waited for by gpu.synchronize()",
    "utils.bottleneck": "use Python's cProfile",
    "utils.cpp_extension": "a new operation is an autograd.Function here",
    "utils.mobile_optimizer": "programs are not exported; save a state_dict",
    "nn.quantized": "there are no quantised layers",
    "nn.qat": "there are no quantised layers",
    "nn.intrinsic": "there are no quantised layers",
    "cuda.nccl": "there are no process groups; one process uses all cores of a machine",
    "_dynamo": "schuss.compile records a step as it runs; see docs/compile.md",
    "_inductor": "schuss.compile records a step as it runs; see docs/compile.md",
    "vision.ops": "boxes of detectors have no functions here",
}


def sentence(module: str, name: str) -> str:
    """What to say when a name is asked for that is not there.

    >>> sentence("schuss", "jit").split(":")[0]
    "module 'schuss' has no attribute 'jit'"
    """
    said = f"module {module!r} has no attribute {name!r}"
    why = _TABLE.get(name)
    if why:
        return f"{said}: {why}"
    near = nearest(module, name)
    return f"{said} (did you mean {near}?)" if near else said


# What other libraries, or habit, call a function.
_OTHER_NAMES = {
    "array": "tensor",
    "asarray": "as_tensor",
    "astensor": "as_tensor",
    "dense": "Linear",
    "concatenate": "cat",
    "power": "pow",
    "mod": "remainder",
    "transpose": "permute",
    "var_like": "var",
    "variable": "tensor",
    "crossentropy": "cross_entropy",
    "softmaxcrossentropy": "cross_entropy",
    "bce": "binary_cross_entropy",
    "bceloss": "binary_cross_entropy",
    "crossentropyloss": "cross_entropy",
    "batchnorm": "BatchNorm1d",
    "conv": "Conv2d",
    "maxpool": "MaxPool2d",
}


def nearest(module: str, name: str) -> str | None:
    """The name in a module that was most likely meant, if any is near.

    >>> nearest("schuss", "arrange"), nearest("schuss.nn", "Conv2D"), nearest("schuss", "_repr_")
    ('arange', 'Conv2d', None)
    """
    found = sys.modules.get(module)
    if found is None or name.startswith("_"):
        return None
    names = [n for n in dir(found) if not n.startswith("_")]
    bare = _bare(name)
    other = _OTHER_NAMES.get(bare)
    if other in names:
        return other
    for known in names:
        if _bare(known) == bare:
            return known
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, names, 1, 0.8)), None)


def _bare(name: str) -> str:
    return name.lower().replace("_", "")


def missing(module: str, name: str) -> AttributeError:
    """The refusal of a name that a module has not.

    It carries the name alone: given the module as well, Python would add a guess of its own.
    """
    return AttributeError(sentence(module, name), name=name)


class Finder:
    """Refuses to import a module that is not here with the sentence about it."""

    @staticmethod
    def find_spec(fullname: str, path=None, target=None) -> None:
        """None, so that the import goes on, for any module that nothing is said of."""
        package, _, name = fullname.partition(".")
        why = _TABLE.get(name) if package == "schuss" else None
        if why:
            said = f"No module named {fullname!r}: {why}"
            raise ModuleNotFoundError(said, name=fullname)


sys.meta_path.append(Finder)  # pyright: ignore[reportArgumentType]
