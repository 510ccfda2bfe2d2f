"""Linear algebra under PyTorch's names: norms, decompositions, and what is solved with them.
Leans on products and the core's records of matrices; this file only gives names."""

from schuss.linalg.factors import *
from schuss.linalg.norms import *
from schuss.linalg.powers import *
from schuss.linalg.spectra import *
from schuss.linalg.tensors import *
from schuss.products import multi_dot as multi_dot

LinAlgError = RuntimeError
