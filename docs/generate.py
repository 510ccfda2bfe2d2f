"""Prints what the repository keeps in generated form: the stub of the core and docs/reference.

Leans on the built core and stub.py. `x.py gen` runs it; with `--check` nothing is written, and
files that are not current are named.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
import types
from collections.abc import Mapping
from pathlib import Path

from stub import NOTICE, Core, stub

ROOT = Path(__file__).resolve().parent.parent

# The public modules that have a page of their own, by the name of that page.
MODULES = {
    "nn.md": "schuss.nn",
    "functional.md": "schuss.nn.functional",
    "fft.md": "schuss.fft",
    "init.md": "schuss.nn.init",
    "nn_utils.md": "schuss.nn.utils",
    "nn_rnn.md": "schuss.nn.utils.rnn",
    "nn_parametrize.md": "schuss.nn.utils.parametrize",
    "nn_parametrizations.md": "schuss.nn.utils.parametrizations",
    "nn_prune.md": "schuss.nn.utils.prune",
    "nn_stateless.md": "schuss.nn.utils.stateless",
    "optim.md": "schuss.optim",
    "lr_scheduler.md": "schuss.optim.lr_scheduler",
    "swa_utils.md": "schuss.optim.swa_utils",
    "autograd.md": "schuss.autograd",
    "autograd_function.md": "schuss.autograd.function",
    "autograd_functional.md": "schuss.autograd.functional",
    "autograd_forward_ad.md": "schuss.autograd.forward_ad",
    "autograd_graph.md": "schuss.autograd.graph",
    "func.md": "schuss.func",
    "checkpoint.md": "schuss.utils.checkpoint",
    "data.md": "schuss.utils.data",
    "tensorboard.md": "schuss.utils.tensorboard",
    "training.md": "schuss.training",
    "distributions.md": "schuss.distributions",
    "amp.md": "schuss.amp",
    "accelerator.md": "schuss.accelerator",
    "futures.md": "schuss.futures",
    "hub.md": "schuss.hub",
    "tf.md": "schuss.tf",
    "tf_data.md": "schuss.tf.data",
    "tf_optimizers.md": "schuss.tf.optimizers",
    "tf_losses.md": "schuss.tf.losses",
    "keras.md": "schuss.tf.keras",
    "keras_callbacks.md": "schuss.tf.keras.callbacks",
    "keras_layers.md": "schuss.tf.keras.layers",
    "keras_saving.md": "schuss.tf.keras.saving",
    "keras_metrics.md": "schuss.tf.keras.metrics",
    "keras_models.md": "schuss.tf.keras.models",
    "tape.md": "schuss.tape",
    "descent.md": "schuss.descent",
    "viz.md": "schuss.viz",
    "testing.md": "schuss.testing",
    "cuda.md": "schuss.cuda",
    "gpu.md": "schuss.gpu",
    "linalg.md": "schuss.linalg",
    "signal.md": "schuss.signal.windows",
    "special.md": "schuss.special",
    "vision_datasets.md": "schuss.vision.datasets",
    "vision_models.md": "schuss.vision.models",
    "vision_transforms.md": "schuss.vision.transforms",
    "vision_transforms_functional.md": "schuss.vision.transforms.functional",
    "vision_utils.md": "schuss.vision.utils",
    "array_api.md": "schuss.array_api",
    "array_api_fft.md": "schuss.array_api.fft",
    "array_api_linalg.md": "schuss.array_api.linalg",
}
PLAIN = (bool, int, float, str)


# ---- one entry ----------------------------------------------------------------------------------


def page_text(value: object) -> str:
    """A docstring as Markdown: its examples fenced."""
    lines: list[str] = []
    fenced = False
    for line in inspect.cleandoc(getattr(value, "__doc__", None) or "").splitlines():
        if line.startswith(">>>") and not fenced:
            if lines and lines[-1]:
                lines.append("")
            lines.append("```python")
            fenced = True
        elif not line.strip() and fenced:
            lines.append("```")
            fenced = False
        lines.append(line.rstrip())
    if fenced:
        lines.append("```")
    return "\n".join(lines)


def shown(value: object) -> str:
    """A default value as a reader would type it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    text = value.__name__ if isinstance(value, type) else repr(value)
    return "..." if value is ... or "<" in text else text


def form(core: Core, value: object, method: bool = False) -> str:
    """The parameters and their defaults, in brackets; empty for what is not called."""
    found = None if inspect.isdatadescriptor(value) else core.signature(value)
    if found is None:
        return ""
    kinds = inspect.Parameter
    listed = list(found.parameters.values())
    if method and listed and listed[0].kind is not kinds.VAR_POSITIONAL:
        listed = listed[1:]
    listed = [item for item in listed if item.name != "cls"]
    words = []
    starred = False
    for place, item in enumerate(listed):
        starred |= item.kind is kinds.VAR_POSITIONAL
        if item.kind is kinds.KEYWORD_ONLY and not starred:
            words.append("*")
            starred = True
        mark = {kinds.VAR_POSITIONAL: "*", kinds.VAR_KEYWORD: "**"}.get(item.kind, "")
        given = "" if item.default is kinds.empty else f"={shown(item.default)}"
        words.append(f"{mark}{item.name}{given}")
        follows = listed[place + 1].kind if place + 1 < len(listed) else None
        if item.kind is kinds.POSITIONAL_ONLY and follows is not kinds.POSITIONAL_ONLY:
            words.append("/")
    return f"({', '.join(words)})"


def own_name(name: str, value: object, members: Mapping[str, object]) -> str:
    """The name that a thing is described under, where it stands under several."""
    first = getattr(value, "__name__", name)
    if not isinstance(first, str) or members.get(first) is value:
        return first if isinstance(first, str) else name
    return next((n for n in sorted(members) if n[0] != "_" and members[n] is value), name)


def entry(core: Core, name: str, members: Mapping[str, object], level: str, of: type | None) -> str:
    """A heading and what there is to say under it."""
    value = members[name]
    method = of is not None
    if isinstance(value, PLAIN):
        return f"{level} {name}\n\n`{value!r}`, for all."
    if isinstance(value, (staticmethod, classmethod)):
        value, method = value.__func__, isinstance(value, classmethod)
    head = f"{level} {name}{form(core, value, method)}"
    described = own_name(name, value, members)
    if callable(value) and described != name:
        return f"{head}\n\nAnother name of `{described}`."
    text = page_text(value)
    return head + (f"\n\n{text}" if text else "")


def entries(
    core: Core, members: Mapping[str, object], level: str = "###", of: type | None = None
) -> str:
    """The public names of a module or a class, in order; a class is followed by its methods."""
    blocks = []
    for name, value in sorted(members.items()):
        if name.startswith("_"):
            continue
        blocks.append(entry(core, name, members, level, of))
        if of is None and isinstance(value, type) and value.__name__ == name:
            own = vars(value)
            told = {n: v for n, v in own.items() if page_text(v) and not isinstance(v, PLAIN)}
            blocks.append(entries(core, told, "####", value))
    return "\n\n".join(block for block in blocks if block)


# ---- the pages ----------------------------------------------------------------------------------


def operations(core: Core) -> str:
    """A row for every record: what it takes, how it is computed, whether it has a gradient."""
    rows = [
        "| operation | inputs | parameters | body | dtypes | gradient |",
        "|---|---|---|---|---|---|",
    ]
    for record in core.records:
        lists = (", ".join(record[key]) or "none" for key in ("inputs", "params"))
        gradient = "yes" if record["differentiable"] else "no"
        cells = [f"`{record['name']}`", *lists, record["kind"], record["dtype"], gradient]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def public(module: types.ModuleType) -> dict[str, object]:
    """What a module offers: what it lists, or else schuss's functions and its own classes in it.

    The Tensor has a page of its own.
    """
    listed = getattr(module, "__all__", None)
    if listed is not None:
        found = {name: getattr(module, name) for name in listed}
        return {n: v for n, v in found.items() if callable(v) and n != "Tensor"}
    found = {}
    for name, value in vars(module).items():
        home = getattr(value, "__module__", None) or module.__name__
        routine = inspect.isroutine(value) and home.startswith("schuss")
        own = isinstance(value, type) and home.startswith(module.__name__)
        if name[0] != "_" and (routine or own):
            found[name] = value
    return found


def pages(core: Core, package: types.ModuleType | None = None) -> dict[str, str]:
    """Every generated page of docs/reference, by its name; of a package, its modules' as well."""
    tensor = core.classes["Tensor"]
    face = public(package) if package else {**core.functions, **core.classes}
    classes = {n: v for n, v in face.items() if isinstance(v, type) and n != "Tensor"}
    functions = {n: v for n, v in face.items() if not isinstance(v, type)}
    bodies = {
        "tensor.md": ("schuss.Tensor", entries(core, vars(tensor), of=tensor)),
        "functions.md": ("Functions of schuss", entries(core, functions)),
        "classes.md": ("The other classes of schuss", entries(core, classes)),
        "operations.md": ("The operations and their records", operations(core)),
    }
    for page, name in MODULES.items() if package else ():
        module = importlib.import_module(name)
        body = f"{page_text(module)}\n\n{entries(core, public(module))}"
        bodies[page] = (name, body)
    contents = "\n".join(f"- [{title}]({name})" for name, (title, _) in bodies.items())
    bodies["README.md"] = ("Reference", contents)
    return {name: f"# {title}\n\n*{NOTICE}*\n\n{body}\n" for name, (title, body) in bodies.items()}


def files(core: Core, package: types.ModuleType) -> dict[Path, str]:
    """Everything that is generated, by its place in the repository."""
    reference = pages(core, package).items()
    printed = {Path("docs/reference") / name: text for name, text in reference}
    return {Path("python/schuss/_core.pyi"): stub(core), **printed}


def stale(printed: dict[Path, str], root: Path) -> list[Path]:
    """The files that are missing or differ, and those in docs/reference that nothing prints."""
    differing = [
        path
        for path, text in printed.items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text
    ]
    present = {p.relative_to(root) for p in (root / "docs/reference").glob("*.md")}
    return sorted({*differing, *(present - set(printed))})


def main(words: list[str]) -> int:
    import schuss

    printed = files(Core(schuss._core), schuss)
    old = stale(printed, ROOT)
    if "--check" in words:
        for path in old:
            print(f"{path.as_posix()} is not current; run: python3 x.py gen")
        return 1 if old else 0
    for path in old:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        if path in printed:
            (ROOT / path).write_text(printed[path], encoding="utf-8", newline="\n")
        else:
            (ROOT / path).unlink()
        print(f"{'wrote' if path in printed else 'removed'} {path.as_posix()}")
    if not old:
        print("everything generated is current")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
