"""DLPack under PyTorch's names: memory shared with other libraries.
Leans on exchange; this file only gives names."""

from schuss.exchange import DLDeviceType as DLDeviceType
from schuss.exchange import from_dlpack as from_dlpack
from schuss.exchange import to_dlpack as to_dlpack

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]
