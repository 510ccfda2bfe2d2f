"""Fetching a published file: with progress, checked against its sum, whole or not there.
Leans on the standard library's urllib, hashlib and tarfile."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

_CHUNK = 1 << 16


def md5_of(path: str | os.PathLike[str]) -> str:
    """The MD5 sum of a file, as the publishers of data sets print it."""
    found = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while part := file.read(_CHUNK):
            found.update(part)
    return found.hexdigest()


def check_integrity(fpath: str | os.PathLike[str], md5: str | None = None) -> bool:
    """Whether a file is there, and has the sum if one is given.

    >>> check_integrity("no such file")
    False
    """
    return os.path.isfile(fpath) and (md5 is None or md5_of(fpath) == md5)


def show_progress(done: int, whole: int | None) -> None:
    """One line on the terminal that is written over as the download goes on."""
    if whole:
        sys.stderr.write(f"\r{done / 1e6:8.1f} of {whole / 1e6:.1f} MB")
    else:
        sys.stderr.write(f"\r{done / 1e6:8.1f} MB")
    sys.stderr.flush()


def fetch(
    url: str, path: str, md5: str | None = None, progress: Callable[[int, Any], None] | None = None
) -> None:
    """Copy a URL to a file; OSError where it cannot be reached, RuntimeError for a wrong sum.

    The file is written beside its place and put there when it is whole and its sum is right.
    """
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://", "file://")):
        raise ValueError(f"download: {url} is no address that begins with https:// or http://")
    folder = os.path.dirname(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=".download-", dir=folder)
    try:
        found = hashlib.md5(usedforsecurity=False)
        with os.fdopen(handle, "wb") as file:
            with urlopen(Request(url, headers={"User-Agent": "schuss"}), timeout=30) as source:
                length = source.headers.get("Content-Length")
                whole, done = (int(length) if length else None), 0
                while part := source.read(_CHUNK):
                    file.write(part)
                    found.update(part)
                    done += len(part)
                    if progress is not None:
                        progress(done, whole)
            if progress is not None:
                sys.stderr.write("\n")
        if whole is not None and done != whole:
            raise OSError(f"the connection ended after {done} of {whole} bytes")
        if md5 is not None and found.hexdigest() != md5:
            raise RuntimeError(
                f"download: {url} gave a file with the MD5 sum {found.hexdigest()}, and {md5} was "
                "expected; it is damaged or another file, and was thrown away"
            )
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def fetch_any(name: str, urls: Sequence[str], path: str, md5: str | None) -> None:
    """Fetch a file from the first address that gives it; RuntimeError that says how to go on."""
    failures = []
    for url in urls:
        try:
            fetch(url, path, md5, show_progress if sys.stderr.isatty() else None)
            return
        except (OSError, RuntimeError) as error:
            failures.append(f"{url}: {error}")
    tried = "\n  ".join(failures)
    raise RuntimeError(
        f"{name}: {os.path.basename(path)} could not be downloaded; without a network, put the "
        f"file into {os.path.dirname(path)} by hand. Tried:\n  {tried}"
    )


def unpack(path: str, folder: str) -> None:
    """Unpack a tar file; RuntimeError where it is damaged or would write outside the folder."""
    import tarfile

    try:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise RuntimeError(f"{path} cannot be unpacked: {error}") from error
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise RuntimeError(f"{path} is damaged: {error}") from error
        raise


def download_url(
    url: str,
    root: str | os.PathLike[str],
    filename: str | None = None,
    md5: str | None = None,
    max_redirect_hops: int = 3,
) -> None:
    """Fetch a file into a folder unless it is there with the right sum."""
    path = os.path.join(os.path.expanduser(root), filename or os.path.basename(url))
    if not check_integrity(path, md5):
        fetch_any("download_url", [url], path, md5)


def download_and_extract_archive(
    url: str,
    download_root: str | os.PathLike[str],
    extract_root: str | os.PathLike[str] | None = None,
    filename: str | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """Fetch a tar or zip file and unpack it."""
    root = os.path.expanduser(download_root)
    name = filename or os.path.basename(url)
    download_url(url, root, name, md5)
    path, target = os.path.join(root, name), os.fspath(extract_root or root)
    if name.endswith(".zip"):
        import zipfile

        with zipfile.ZipFile(path) as archive:
            archive.extractall(target)
    else:
        unpack(path, target)
    if remove_finished:
        os.remove(path)
