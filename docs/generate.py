"""Prints what the repository keeps in generated form: the stub of the core and docs/reference.

Leans on the built core and stub.py. `x.py gen` runs it; with `--check` nothing is written, and
files that are not current are named.
"""

from __future__ import annotations

import inspect
import re
import sys
import types
from pathlib import Path

from stub import NOTICE, Core, signature, stub

ROOT = Path(__file__).resolve().parent.parent


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


def heading(name: str, value: object) -> str:
    found = signature(value)
    if found is None or isinstance(value, (types.GetSetDescriptorType, property)):
        return f"### {name}"
    words = re.sub(r"^\(self(, /)?(, )?", "(", str(found)).replace("=Ellipsis", "=...")
    return f"### {name}{words}"


def entries(members: dict[str, object]) -> str:
    blocks = []
    for name, value in sorted(members.items()):
        if not name.startswith("_"):
            text = page_text(value)
            blocks.append(heading(name, value) + (f"\n\n{text}" if text else ""))
    return "\n\n".join(blocks)


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


def pages(core: Core) -> dict[str, str]:
    """Every generated page of docs/reference, by its name."""
    others = {n: c for n, c in core.classes.items() if n != "Tensor"}
    bodies = {
        "tensor.md": ("schuss.Tensor", entries(dict(vars(core.classes["Tensor"])))),
        "functions.md": ("Functions of schuss", entries(dict(core.functions))),
        "classes.md": ("The other classes of the core", entries(dict(others))),
        "operations.md": ("The operations and their records", operations(core)),
    }
    contents = "\n".join(f"- [{title}]({name})" for name, (title, _) in bodies.items())
    bodies["README.md"] = ("Reference", contents)
    return {name: f"# {title}\n\n*{NOTICE}*\n\n{body}\n" for name, (title, body) in bodies.items()}


def files(core: Core) -> dict[Path, str]:
    """Everything that is generated, by its place in the repository."""
    printed = {Path("docs/reference") / name: text for name, text in pages(core).items()}
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
    from schuss import _core

    printed = files(Core(_core))
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
