"""Processing of signals: what frames of them are multiplied with. Leans on the room beside it."""

from schuss.signal import windows as windows

__all__ = ["windows"]
