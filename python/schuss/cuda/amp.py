"""Mixed precision under its older name.
Leans on amp."""

from schuss.amp import GradScaler, autocast, custom_bwd, custom_fwd

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]
