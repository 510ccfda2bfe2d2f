"""DLPack under PyTorch's names: memory shared with other libraries, and its kinds of devices.
Leans on exchange."""

from __future__ import annotations

from enum import IntEnum

from schuss import from_dlpack as from_dlpack
from schuss import to_dlpack as to_dlpack


class DLDeviceType(IntEnum):
    """DLPack's kinds of devices, by PyTorch's names.

    >>> schuss.ones(2).__dlpack_device__()[0].name
    'kDLCPU'
    """

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLOpenCL = 4
    kDLVulkan = 7
    kDLMetal = 8
    kDLVPI = 9
    kDLROCM = 10
    kDLROCMHost = 11
    kDLExtDev = 12
    kDLCUDAManaged = 13
    kDLOneAPI = 14
    kDLWebGPU = 15
    kDLHexagon = 16
    kDLMAIA = 17


__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]
