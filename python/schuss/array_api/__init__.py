"""The Array API standard (data-apis.org/array-api), version 2025.12, as functions of tensors.
Leans on the shelves beside it; this file only gives names."""

import math as _math

from schuss._core import bfloat16 as bfloat16
from schuss._core import bool as bool
from schuss._core import complex64 as complex64
from schuss._core import complex128 as complex128
from schuss._core import float16 as float16
from schuss._core import float32 as float32
from schuss._core import float64 as float64
from schuss._core import int8 as int8
from schuss._core import int16 as int16
from schuss._core import int32 as int32
from schuss._core import int64 as int64
from schuss._core import uint8 as uint8
from schuss.array_api import fft as fft
from schuss.array_api import linalg as linalg
from schuss.array_api.creation import *
from schuss.array_api.dtypes import *
from schuss.array_api.elementwise import *
from schuss.array_api.inspection import __array_namespace_info__ as __array_namespace_info__
from schuss.array_api.linalg import matmul as matmul
from schuss.array_api.linalg import matrix_transpose as matrix_transpose
from schuss.array_api.linalg import tensordot as tensordot
from schuss.array_api.linalg import vecdot as vecdot
from schuss.array_api.manipulation import *
from schuss.array_api.searching import *
from schuss.array_api.sets import *
from schuss.array_api.statistics import *

__array_api_version__ = "2025.12"
e, inf, nan, pi, newaxis = _math.e, _math.inf, _math.nan, _math.pi, None
