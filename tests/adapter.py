"""The adapter that GPU tests use: a software one is enough, and is named before anybody looks.

Leans on schuss.gpu; tests that need an adapter import `DEVICE` and `needs_adapter`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import schuss

# A software adapter is never used unless it is named; what a user has named stays.
os.environ.setdefault("SCHUSS_ADAPTER", "cpu")

DEVICE = "gpu"
WHY = (
    "no Vulkan, Metal or DirectX adapter here: on Debian and Ubuntu, apt-get install"
    " mesa-vulkan-drivers gives one that computes on the processor"
)


def there() -> bool:
    return schuss.gpu.is_available()


needs_adapter = pytest.mark.skipif("not __import__('adapter').there()", reason=WHY)


def away(x: schuss.Tensor) -> schuss.Tensor:
    return x.detach().to(DEVICE)


def told(program: str, **environment: str | None) -> subprocess.CompletedProcess:
    """Run a program in a process of its own, with variables set, or unset where None is given.

    It may import the package and what lies beside the tests.
    """
    path = [str(Path(schuss.__file__).parents[1]), str(Path(__file__).parent)]
    own = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    for name, value in environment.items():
        if value is None:
            own.pop(name, None)
        else:
            own[name] = value
    return subprocess.run(
        [sys.executable, "-c", program], env=own, capture_output=True, text=True, timeout=300
    )
