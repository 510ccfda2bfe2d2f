"""NumPy's archives, read without running anything that is in them.
Leans on NumPy and on the download of keras.utils."""

from __future__ import annotations

import os
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from schuss.tf.keras.utils import get_file

if TYPE_CHECKING:
    from collections.abc import Sequence

HOME = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def arrays(path: str, names: Sequence[str]) -> list[np.ndarray]:
    """The named arrays of an archive; RuntimeError where it is damaged or lacks one."""
    try:
        # Opened here, since NumPy leaves a file open that turns out to be none of its own.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            return [archive[name] for name in names]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise RuntimeError(
            f"{os.path.basename(path)} is damaged or another file: {error}"
        ) from error


def archive(path: str) -> str:
    """The path of an archive: as given if it is one, else in Keras's folder, fetched if need be."""
    return path if os.path.isabs(path) else get_file(path, HOME + os.path.basename(path))
