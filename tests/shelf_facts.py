"""Which layers, losses, optimisers and schedules run compiled, to the same bits, and on a GPU.
Leans on module_cases and optim.json; `python tests/shelf_facts.py` writes docs/shelf.md."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("SCHUSS_ADAPTER", "cpu")

import numpy as np
import schuss
from module_cases import CASES
from module_facts import arguments, filled, flat, weights
from schuss import nn, optim

PAGE = Path(__file__).resolve().parent.parent / "docs" / "shelf.md"
ROWS = json.loads(Path(__file__).with_name("optim.json").read_text(encoding="utf-8"))
YES = "yes"
CALLS = 5


class Work:
    """Something to be trained: what it is made of, one step, and what is done between steps."""

    def __init__(self, make: Callable[[], tuple[Any, ...]]) -> None:
        self.make = make

    def run(self, how: str) -> list[list[Any]]:
        """What every call gives, and what it leaves behind: eagerly, compiled, or on a GPU."""
        schuss.manual_seed(3)
        owner, given, step, *between = self.make()
        if how == "gpu":
            owner.to("gpu")
            given = [x.detach().to("gpu").requires_grad_(x.requires_grad) for x in given]
        call: Any = schuss.compile(step) if how == "compiled" else step
        told = []
        for _ in range(CALLS):
            results = flat(call(owner, *given))
            kept = [*owner.state_dict().values()]
            slopes = [x.grad for x in (*owner.parameters(), *given)]
            every = [x for x in (*results, *kept, *slopes) if x is not None]
            told.append([x.detach().cpu().clone() for x in every])
            for act in between:
                act()
        if how == "compiled" and not any(facts["seconds"] for facts in call.programs()):
            raise schuss.CompileError("no program was run")
        return told


# ---- layers and losses ---------------------------------------------------------------------------


def layer(name: str) -> Work:
    make, inputs, call, training = CASES[name]

    def made() -> Any:
        module = make(nn).float()
        module.train(training)
        filled(schuss, module)
        return module, arguments(schuss, name, inputs, schuss.float32), step

    def step(module: Any, *given: Any) -> Any:
        for x in (*module.parameters(), *given):
            x.grad = None
        found = flat(call(module, *given) if call else module(*given))
        loss: Any = sum(
            (x * schuss.tensor(weights(x.shape), dtype=x.dtype, device=x.device)).sum()
            for x in found
            if x.is_floating_point() and x.requires_grad
        )
        if not isinstance(loss, int):
            loss.backward()
        return found

    return Work(made)


def plain(make: Callable[[], Any]) -> Work:
    """A model of few numbers and what it makes of a matrix."""

    def made() -> Any:
        module = make()
        filled(schuss, module)
        return module, [schuss.linspace(-1, 1, 24).reshape(6, 4).requires_grad_()], step

    def step(module: Any, x: Any) -> Any:
        module.zero_grad()
        x.grad = None
        found = module(x)
        found.square().sum().backward()
        return found

    return Work(made)


class Listed(nn.Module):
    """Layers and parameters in lists and dicts."""

    def __init__(self, kind: str) -> None:
        layers, numbers = [nn.Linear(4, 4), nn.Tanh()], [schuss.ones(4), schuss.ones(4)]
        pairs = dict(zip("ab", layers, strict=True))
        self.parts: Any = {
            "ModuleList": lambda: nn.ModuleList(layers),
            "ModuleDict": lambda: nn.ModuleDict(pairs),
            "ParameterList": lambda: nn.ParameterList(map(nn.Parameter, numbers)),
            "ParameterDict": lambda: nn.ParameterDict({"a": nn.Parameter(numbers[0])}),
        }[kind]()

    def forward(self, x: Any) -> Any:
        for part in self.parts.values() if hasattr(self.parts, "values") else self.parts:
            x = part(x) if isinstance(part, nn.Module) else x * part
        return x


PLAIN: dict[str, Callable[[], Any]] = {
    "Sequential": lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)),
    **{
        k: (lambda k=k: Listed(k))
        for k in ["ModuleList", "ModuleDict", "ParameterList", "ParameterDict"]
    },
    "DataParallel": lambda: nn.DataParallel(nn.Linear(4, 3)),
    "TransformerDecoder": lambda: Decoder(),
    "CrossMapLRN2d": lambda: nn.Sequential(nn.Unflatten(1, (2, 2, 1)), nn.CrossMapLRN2d(2)),
}


class Decoder(nn.Module):
    """A decoder that looks at what it is given."""

    def __init__(self) -> None:
        self.inner = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, 0.0), 2)

    def forward(self, x: Any) -> Any:
        return self.inner(x, x)


def class_of(name: str) -> str:
    """The class that a case tries; what changes another's weights is named as it is called."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = type(CASES[name].make(nn)).__name__
    plain = re.split(r"[ (]", name)[0]
    odd = kind == "Sequential" or "norm" in plain or plain.startswith("orthogonal")
    if odd and not hasattr(nn, plain):
        return {"orthogonal": "utils.parametrizations.orthogonal"}.get(plain, f"utils.{plain}")
    return kind


# ---- optimisers and schedules --------------------------------------------------------------------


class Point(nn.Module):
    """Two parameters on their way to where a sum of squares and sines is smallest."""

    def __init__(self, vector: bool) -> None:
        self.a = nn.Parameter(schuss.tensor([[0.5, -1.0, 2.0], [1.5, -0.25, 0.75]]))
        if vector:
            self.b = nn.Parameter(schuss.tensor([1.0, -2.0]))

    def forward(self) -> Any:
        return sum(((p - 0.3) ** 2 * 1.5 + p.sin()).sum() for p in self.parameters())


def slopes(point: Any, sign: float = 1.0) -> Any:
    point.zero_grad()
    loss = sign * point()
    loss.backward()
    return loss


def optimiser(name: str, options: dict[str, Any], schedule: Any = None) -> Work:
    """One step of an optimiser, and of a schedule behind it."""
    once = name in CURVED or name == "LBFGS"

    def made() -> Any:
        point = Point(name != "Muon")
        opt: list[Any] = []

        def step(point: Any) -> Any:
            # Its state belongs where the parameters lie.
            if not opt:
                opt.append(getattr(optim, name)(point.parameters(), **options))
                if schedule is not None:
                    opt.append(schedule(opt[0]))
            if once:
                closure = CURVED.get(name, slopes)
                # What is to be maximised has a maximum.
                sign = [-1.0] if options.get("maximize") else []
                found = opt[0].step(lambda: closure(point, *sign))
            else:
                found = slopes(point)
                opt[0].step()
            if schedule is not None:
                opt[1].step()
            return found

        def slower() -> None:
            for group in opt[0].param_groups if schedule is None else ():
                group["lr"] *= 0.9

        return point, [], step, slower

    return Work(made)


def residuals(point: Any) -> Any:
    return schuss.cat([(p - 0.3).flatten() for p in point.parameters()])


# What the closures of those that know curvature return.
CURVED: dict[str, Callable[[Any], Any]] = {
    "BFGS": lambda point: point(),
    "LBFGSB": lambda point: point(),
    "NonlinearCG": lambda point: point(),
    "Newton": lambda point: point(),
    "NewtonCG": lambda point: point(),
    "GaussNewton": residuals,
    "LevenbergMarquardt": residuals,
    "NaturalGradient": lambda point: residuals(point) ** 2,
}
OWN: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in CURVED),
    ("LAMB", {}),
    ("Lion", {}),
    ("SparseAdam", {}),
]
_S = optim.lr_scheduler
SCHEDULES: dict[str, Callable[[Any], Any]] = {
    "ChainedScheduler": lambda o: _S.ChainedScheduler(
        [_S.ConstantLR(o, 0.5, 2), _S.ExponentialLR(o, 0.9)]
    ),
    "ConstantLR": lambda o: _S.ConstantLR(o, 0.5, 2),
    "CosineAnnealingLR": lambda o: _S.CosineAnnealingLR(o, 4),
    "CosineAnnealingWarmRestarts": lambda o: _S.CosineAnnealingWarmRestarts(o, 2),
    "CyclicLR": lambda o: _S.CyclicLR(o, 0.01, 0.1, 2),
    "ExponentialLR": lambda o: _S.ExponentialLR(o, 0.9),
    "LambdaLR": lambda o: _S.LambdaLR(o, lambda epoch: 0.9**epoch),
    "LinearLR": lambda o: _S.LinearLR(o, total_iters=3),
    "MultiStepLR": lambda o: _S.MultiStepLR(o, [1, 3]),
    "MultiplicativeLR": lambda o: _S.MultiplicativeLR(o, lambda epoch: 0.9),
    "OneCycleLR": lambda o: _S.OneCycleLR(o, 0.1, 9),
    "PolynomialLR": lambda o: _S.PolynomialLR(o, 4),
    "SequentialLR": lambda o: _S.SequentialLR(
        o, [_S.ConstantLR(o, 0.5, 2), _S.ExponentialLR(o, 0.9)], [2]
    ),
    "StepLR": lambda o: _S.StepLR(o, 2),
}


# ---- the verdicts --------------------------------------------------------------------------------


def verdict(work: Work, how: str) -> str:
    """`yes`, or why not: the class of the error and the beginning of its message."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = work.run("eager")
        try:
            found = work.run(how)
        except Exception as error:
            text = " ".join(str(error).split())
            return f"{type(error).__name__}: {text}"
    for call, (mine, other) in enumerate(zip(found, wanted, strict=True), 1):
        if len(mine) != len(other):
            return f"other results: {len(mine)} of {len(other)} in call {call}"
        for a, b in zip(mine, other, strict=True):
            a, b = (x.float().numpy() if x.dtype == schuss.bfloat16 else x.numpy() for x in (a, b))
            if a.shape != b.shape or a.dtype != b.dtype:
                return f"other results: {a.dtype} {a.shape} for {b.dtype} {b.shape} in call {call}"
            if how == "compiled" and a.tobytes() != b.tobytes():
                return f"other bits in call {call}"
            scale = float(np.abs(b[np.isfinite(b)]).max(initial=1)) if b.dtype.kind == "f" else 0
            if how == "gpu" and not np.allclose(a, b, 1e-3, 2e-4 * scale, equal_nan=True):
                return f"other numbers in call {call}: off by {np.abs(a - b).max():.2g}"
    return YES


def works() -> dict[str, dict[str, dict[str, Work]]]:
    """Every class, in its part of the page, with all settings in which it is tried."""
    parts: dict[str, dict[str, dict[str, Work]]] = {
        "Layers and losses": {},
        "Optimisers": {},
        "Schedules": {},
    }
    for name in CASES:
        parts["Layers and losses"].setdefault(class_of(name), {})[name] = layer(name)
    rows = [(row["name"], row["options"]) for row in ROWS] + OWN
    for name, options in rows:
        shown = ", ".join(f"{k}={v}" for k, v in options.items())
        parts["Optimisers"].setdefault(name, {})[shown] = optimiser(name, options)
    for name, make in PLAIN.items():
        parts["Layers and losses"][name] = {"": plain(make)}
    for name, make in SCHEDULES.items():
        parts["Schedules"][name] = {"": optimiser("SGD", {"lr": 0.1}, make)}
    return {part: dict(sorted(listed.items())) for part, listed in parts.items()}


# What stands in a table of a refusal, whose words may change.
REASONS = {
    r"reads the number in|decides by a tensor|lists a tensor's elements|to NumPy": "reads elements",
    r"gives its optimiser a closure": "calls a closure",
    r"computes with Python's numbers": "numbers by Python",
    r"requires grad and was computed outside": "walks back into what was made outside",
    r"no program was run": "recorded anew at each call",
    r"(\w+): has no (\w+ )?kernel on": r"\1 has no \2kernel",
    r"on the same device": "tensors of two devices",
    r"off by .*": "other numbers",
}


def short(text: str) -> str:
    """A verdict in few words, without what differs from machine to machine."""
    for pattern, reason in REASONS.items():
        if found := re.search(pattern, text):
            return found.expand(reason)
    return text[:100]


def summed(verdicts: dict[str, str]) -> str:
    """One cell: yes where every setting works, else those that do not."""
    bad: dict[str, list[str]] = {}
    for setting, text in verdicts.items():
        if text != YES:
            bad.setdefault(short(text), []).append(setting or "as it is")
    count = sum(map(len, bad.values()))
    if len(bad) == 1 and count == len(verdicts):
        return f"no: {next(iter(bad))}"
    listed = "; ".join(f"{reason}: {', '.join(names)}" for reason, names in bad.items())
    return f"{len(verdicts) - count} of {len(verdicts)}; {listed}" if bad else YES


def cell(settings: dict[str, Work], how: str) -> str:
    return summed({setting: verdict(work, how) for setting, work in settings.items()})


INTRO = """# Where layers, optimisers and schedules run

Every layer and loss, in every setting that the tests know, is run five times, forward and back:
eagerly, under [`schuss.compile`](compile.md), whose results, gradients and buffers must have the
same bits, and on a [GPU](gpu.md) (a software adapter), where they must agree to three digits. So is
a step of every optimiser with each of its options, at a rate that changes, and of every schedule
behind one. Where only some settings work, the others are named. `python tests/shelf_facts.py`
writes this page, and the tests fail where it is no longer true.
"""


WHY = """## Why some are not compiled

A program is a fixed list of launches. What decides by looking at elements how many there are, or
how large they are, has none:

- Line searches (`LBFGS`, `BFGS` and their kin) evaluate as often as the losses that they meet ask
  for. Compile the closure; the optimiser calls it.
- `AdaptiveLogSoftmaxWithLoss` works on the rows of each cluster alone, and how many those are only
  the targets tell. Working on all rows for each cluster would undo what it saves.
- `parametrizations.orthogonal` exponentiates a matrix, or solves a system: how often it squares,
  and whether there is an answer, the elements say.

What merely asks (is this class there, is that variance positive) asks as a launch of its own, in
every run, and raises the error of the eager call. `ctc_loss` with all targets in a row needs their
lengths as plain numbers, and so does a batch that is packed inside the step.
"""


def page(told: dict[str, dict[str, tuple[str, str]]]) -> str:
    lines = [INTRO]
    for part, listed in told.items():
        lines += [f"## {part}", "", "| | compiled | on a GPU |", "|---|---|---|"]
        lines += [f"| `{name}` | {c} | {g} |" for name, (c, g) in listed.items()] + [""]
    return "\n".join([*lines, WHY]).rstrip() + "\n"


def main() -> None:
    told: dict[str, dict[str, tuple[str, str]]] = {}
    for part, listed in works().items():
        told[part] = {}
        for name, settings in listed.items():
            cells = []
            for how in ("compiled", "gpu"):
                cells.append(cell(settings, how))
            told[part][name] = (cells[0], cells[1])
            if cells != [YES, YES]:
                print(name, *cells, sep=" | ", flush=True)
    PAGE.write_text(page(told), encoding="utf-8")


if __name__ == "__main__":
    main()
