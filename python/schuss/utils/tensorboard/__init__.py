"""SummaryWriter: curves, pictures, histograms and texts in files that TensorBoard shows.
Leans on the event files beside it; TensorBoard itself is not needed to write."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import numpy as np

import schuss
from schuss.utils.tensorboard.events import EventFile, block, double, doubles, single, whole

if TYPE_CHECKING:
    from typing import Any


def _array(values: Any) -> np.ndarray:
    if isinstance(values, schuss.Tensor):
        return values.detach().cpu().numpy()
    return np.asarray(values)


def _value(tag: str, content: bytes) -> bytes:
    """One value of a summary, as the event that holds it."""
    return block(5, block(1, block(1, tag) + content))


class SummaryWriter:
    """Writes what a training did to a folder, `runs/<date>_<host>` unless another is given.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, SummaryWriter(folder) as writer:
    ...     writer.add_scalar("loss", 0.5, 1)
    ...     writer.flush()
    ...     len(os.listdir(folder))
    1
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            now = time.strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self._suffix, self._wait = filename_suffix, flush_secs
        self._file: EventFile | None = EventFile(self.log_dir, filename_suffix)
        self._others: dict[str, SummaryWriter] = {}
        self._flushed = time.monotonic()

    def get_logdir(self) -> str:
        """The folder that is written to."""
        return self.log_dir

    def _put(self, tag: str, content: bytes, step: Any, walltime: float | None) -> None:
        if self._file is None:
            self._file = EventFile(self.log_dir, self._suffix)
        self._file.put(_value(tag, content), 0 if step is None else int(step), walltime)
        if time.monotonic() - self._flushed > self._wait:
            self.flush()

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """A number of a curve."""
        self._put(tag, single(2, float(scalar_value)), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: dict[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Numbers of several curves of one picture, each in a folder of its own."""
        for tag, value in tag_scalar_dict.items():
            name = f"{main_tag.replace('/', '_')}_{tag}"
            if name not in self._others:
                self._others[name] = SummaryWriter(os.path.join(self.log_dir, name))
            self._others[name].add_scalar(main_tag, value, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "auto",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """How values are spread; ValueError where there are none."""
        values = _array(values).astype(np.float64).ravel()
        if not values.size:
            raise ValueError("add_histogram: there are no values")
        counts, edges = np.histogram(values, bins=64 if bins in ("tensorflow", "auto") else bins)
        content = double(1, values.min()) + double(2, values.max()) + double(3, values.size)
        content += double(4, values.sum()) + double(5, float(values @ values))
        content += doubles(6, edges[1:]) + doubles(7, counts)
        self._put(tag, block(5, content), global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """A picture of 0..1, or of bytes; ValueError for axes that are not those of dataformats."""
        from schuss.vision.utils import png_of

        pixels = _array(img_tensor)
        if pixels.ndim != len(dataformats):
            raise ValueError(f"add_image: {pixels.shape} has not the axes {dataformats}")
        if "C" not in dataformats.upper():
            pixels, dataformats = pixels[None], "C" + dataformats
        pixels = pixels.transpose([dataformats.upper().index(axis) for axis in "HWC"])
        if pixels.dtype != np.uint8:
            pixels = (pixels * 255.0).clip(0, 255).astype(np.uint8)
        pixels = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels[:, :, :3]
        height, width, channels = pixels.shape
        content = whole(1, height) + whole(2, width) + whole(3, channels)
        self._put(tag, block(4, content + block(4, png_of(pixels))), global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Several pictures in one grid."""
        from schuss.vision.utils import make_grid

        pixels = _array(img_tensor)
        pixels = pixels.transpose([dataformats.upper().index(axis) for axis in "NCHW"])
        grid = make_grid(schuss.as_tensor(np.ascontiguousarray(pixels)))
        self.add_image(tag, grid, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """A picture of matplotlib's."""
        figure.canvas.draw()
        pixels = np.asarray(figure.canvas.buffer_rgba())[:, :, :3]
        self.add_image(tag, pixels, global_step, walltime, "HWC")
        if close:
            import matplotlib.pyplot as plt

            plt.close(figure)

    def add_text(
        self,
        tag: str,
        text_string: str,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """A text, in Markdown if it is."""
        tensor = whole(1, 7) + block(2, block(2, whole(1, 1))) + block(8, text_string)
        metadata = block(9, block(1, block(1, "text")))
        name = f"{tag}/text_summary"
        self._put(name, metadata + block(8, tensor), global_step, walltime)

    def add_hparams(
        self, hparam_dict: dict[str, Any], metric_dict: dict[str, Any], **options: Any
    ) -> None:
        """The settings of a run as a text, and what came of them as numbers."""
        rows = "\n".join(f"|{name}|{value}|" for name, value in hparam_dict.items())
        self.add_text("hparams", f"|setting|value|\n|---|---|\n{rows}")
        for name, value in metric_dict.items():
            self.add_scalar(name, value)

    def add_graph(self, model: Any, input_to_model: Any = None, **options: Any) -> None:
        """The layers of a model as a text."""
        lines = "\n".join("    " + line for line in repr(model).splitlines())
        self.add_text("graph", lines)

    def flush(self) -> None:
        """Put on the disk what was added."""
        self._flushed = time.monotonic()
        for writer in (self, *self._others.values()):
            if writer._file is not None:
                writer._file.flush()

    def close(self) -> None:
        """End the files; what is added later begins new ones."""
        for writer in (self, *self._others.values()):
            if writer._file is not None:
                writer._file.close()
                writer._file = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()


__all__ = ["SummaryWriter"]
