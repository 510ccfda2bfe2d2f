"""Classes as rows of zeros with a single one, seeds, files from the network.
Leans on NumPy and on the download of vision's data sets."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Any


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Class numbers as rows of zeros with a single one; ValueError for numbers out of range.

    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    classes = np.asarray(x, dtype=np.int64)
    if classes.ndim > 1 and classes.shape[-1] == 1:
        classes = classes[..., 0]
    count = int(classes.max()) + 1 if num_classes is None else num_classes
    if classes.size and not 0 <= classes.min() <= classes.max() < count:
        raise ValueError(
            f"to_categorical: classes from {classes.min()} to {classes.max()}, and num_classes is "
            f"{count}"
        )
    return np.eye(count, dtype=np.float64)[classes]


def set_random_seed(seed: int) -> None:
    """Seed Python's, NumPy's and schuss's generators."""
    from schuss.tf.random import set_seed

    random.seed(seed)
    np.random.seed(seed)
    set_seed(seed)


def get_file(
    fname: str | None = None,
    origin: str | None = None,
    md5_hash: str | None = None,
    cache_dir: str | None = None,
    cache_subdir: str = "datasets",
    file_hash: str | None = None,
    **options: Any,
) -> str:
    """The path of a file that is fetched once, into `~/.keras/datasets` as Keras keeps it."""
    from schuss.vision.datasets.download import check_integrity, fetch_any

    if origin is None:
        raise ValueError("get_file: give origin, the address")
    folder = os.path.join(
        cache_dir or os.path.join(os.path.expanduser("~"), ".keras"), cache_subdir
    )
    path = os.path.join(folder, fname or os.path.basename(origin))
    if not check_integrity(path, md5_hash):
        fetch_any("get_file", [origin], path, md5_hash)
    return path
