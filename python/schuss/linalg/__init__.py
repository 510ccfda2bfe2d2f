"""Linear algebra under PyTorch's names: norms, decompositions, and what is solved with them.
Leans on products and the core's records of matrices; this file only gives names."""

from schuss import _core
from schuss.linalg.factors import *
from schuss.linalg.norms import *
from schuss.linalg.powers import *
from schuss.linalg.spectra import *
from schuss.linalg.tensors import *
from schuss.naming import publish as _publish
from schuss.products import multi_dot as multi_dot

LinAlgError = _core.LinAlgError

_publish(globals(), __name__, [name for name in globals() if not name.startswith("_")])
