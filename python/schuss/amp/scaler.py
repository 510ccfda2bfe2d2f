"""GradScaler: a loss multiplied so that small gradients survive, and steps left out that overflow.
Leans on tensors and optimisers (Micikevicius et al., 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import schuss

if TYPE_CHECKING:
    from typing import Any


class GradScaler:
    """Multiplies a loss before `backward`, divides its gradients before the step.

    A step whose gradients are not finite is left out and the scale made smaller; after
    `growth_interval` good steps it grows. With `enabled=False` everything passes through.

    >>> w = schuss.ones(1, requires_grad=True)
    >>> optimizer, scaler = optim.SGD([w], lr=0.5), schuss.amp.GradScaler(init_scale=8.0)
    >>> scaler.scale((w * w).sum()).backward()
    >>> w.grad.item(), scaler.step(optimizer), scaler.update(), w.item()
    (16.0, None, None, 0.0)
    """

    def __init__(
        self,
        device: str = "cpu",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if isinstance(device, (int, float)):  # cuda.amp's has no device in front
            device, init_scale = "cuda", device
        if growth_factor <= 1 or not 0 < backoff_factor < 1:
            raise ValueError(
                f"GradScaler: growth_factor must be above 1 and backoff_factor between 0 and 1, "
                f"got {growth_factor} and {backoff_factor}"
            )
        self._device, self._enabled, self._scale = device, enabled, float(init_scale)
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._good = growth_interval, 0
        # For each optimiser since the last update: whether its gradients were finite, and stepped.
        self._finite: dict[int, bool] = {}
        self._stepped: set[int] = set()

    def scale(self, outputs: Any) -> Any:
        """A loss, or a list of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(one) for one in outputs)
        return outputs * self._scale

    def unscale_(self, optimizer: Any) -> None:
        """Divide the gradients by the scale now, to clip them; RuntimeError a second time."""
        if not self._enabled:
            return
        if id(optimizer) in self._finite:
            raise RuntimeError("GradScaler: unscale_() was called twice since the last update()")
        finite = True
        with schuss.no_grad():
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        finite = finite and bool(p.grad.isfinite().all())
                        p.grad.mul_(1.0 / self._scale)
        self._finite[id(optimizer)] = finite

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimiser's step, unless a gradient is not finite; RuntimeError a second time."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) in self._stepped:
            raise RuntimeError("GradScaler: step() was called twice since the last update()")
        if id(optimizer) not in self._finite:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return optimizer.step(*args, **kwargs) if self._finite[id(optimizer)] else None

    def update(self, new_scale: Any = None) -> None:
        """The next scale: smaller after a step that was left out, larger after many good ones."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._finite:
            raise RuntimeError("GradScaler: update() comes after step(); no step was taken")
        elif not all(self._finite.values()):
            self._scale, self._good = self._scale * self._backoff_factor, 0
        else:
            self._good += 1
            if self._good >= self._growth_interval:
                self._scale, self._good = self._scale * self._growth_factor, 0
        self._finite.clear()
        self._stepped.clear()

    def get_scale(self) -> float:
        """The scale; 1 when not enabled."""
        return self._scale if self._enabled else 1.0

    def is_enabled(self) -> bool:
        """Whether it scales at all."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs; empty when not enabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._good,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint; RuntimeError for an empty one."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError("GradScaler: the state is empty; was the scaler not enabled?")
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._good = state_dict["_growth_tracker"]
