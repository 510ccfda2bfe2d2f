"""Linear algebra under PyTorch's names: norms, decompositions, and what is solved with them.
Leans on products and the core's records of matrices."""

from __future__ import annotations

from schuss.products import cross, multi_dot

__all__ = ["cross", "multi_dot"]
