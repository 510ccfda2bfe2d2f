"""Files from the network: a checkpoint by its address, checked and kept.
Leans on the download of vision's data sets and on load."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_SUM = re.compile(r"-([a-f0-9]{8,})\.")


def get_dir() -> str:
    """The folder that downloads are kept in: `schuss/hub` in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return _chosen or os.path.join(home, "schuss", "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Keep downloads in another folder from now on."""
    global _chosen
    _chosen = os.path.expanduser(d)


_chosen: str | None = None


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch a file; RuntimeError where its SHA-256 sum does not begin with `hash_prefix`."""
    import sys

    from schuss.vision.datasets.download import fetch, show_progress

    fetch(url, dst + ".part", None, show_progress if progress and sys.stderr.isatty() else None)
    with open(dst + ".part", "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if hash_prefix is not None and not found.startswith(hash_prefix):
        os.unlink(dst + ".part")
        raise RuntimeError(
            f"download_url_to_file: {url} gave a file with the sum {found}, which does not begin "
            f"with {hash_prefix}; it was thrown away"
        )
    os.replace(dst + ".part", dst)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """A checkpoint by its address, fetched once; nothing in it is run unless `weights_only=False`.

    With `check_hash` the sum is taken from the name of the file, which ends in `-<sum>.pth`.
    """
    import schuss

    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    name = file_name or os.path.basename(url.split("?")[0])
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        os.makedirs(folder, exist_ok=True)
        found = _SUM.search(name) if check_hash else None
        download_url_to_file(url, path, found.group(1) if found else None, progress)
    return schuss.load(path, map_location=map_location, weights_only=weights_only)


def load(repo_or_dir: str, model: str, *args: Any, **kwargs: Any) -> Any:
    """Not done: it would run other people's programs; NotImplementedError says what to do."""
    raise NotImplementedError(
        "hub.load: programs of others are not fetched and run here; build the model and give it "
        "a state by hub.load_state_dict_from_url"
    )


__all__ = ["download_url_to_file", "get_dir", "load", "load_state_dict_from_url", "set_dir"]
