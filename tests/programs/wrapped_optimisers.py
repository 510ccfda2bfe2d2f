"""Optimisers around optimisers, a schedule and a sampler of the program's own.
Leans on PyTorch's names alone."""

from collections import defaultdict

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Sampler, TensorDataset

torch.manual_seed(0)


class Uphill(Optimizer):
    """Climbs a little, and steps by the slope found there."""

    def __init__(self, params, inner, radius=0.05, **options):
        super().__init__(params, dict(radius=radius, **options))
        self.inner = inner(self.param_groups, **options)
        self.param_groups = self.inner.param_groups

    @torch.no_grad()
    def step(self, closure):
        closure = torch.enable_grad()(closure)
        loss = closure()
        slopes = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        size = torch.norm(torch.stack([s.norm(p=2) for s in slopes]), p=2)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["home"] = p.data.clone()
                p.add_(p.grad * (group["radius"] / (size + 1e-12)).to(p))
        closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.data = self.state[p]["home"]
        self.inner.step()
        return loss


class Slow(Optimizer):
    """A second copy that follows the first; it has no constructor of its base's."""

    def __init__(self, inner, every=5, share=0.5):
        self.inner, self.every, self.share = inner, every, share
        self.param_groups, self.state, self.count = inner.param_groups, defaultdict(dict), 0

    def step(self, closure=None):
        loss = self.inner.step(closure)
        self.count += 1
        for group in self.param_groups if self.count % self.every == 0 else []:
            for p in group["params"]:
                copy = self.state[p].setdefault("copy", torch.clone(p.data).detach())
                copy += (p.data - copy) * self.share
                p.data.copy_(copy)
        return loss

    def zero_grad(self):
        self.inner.zero_grad()


class Heavy(Optimizer):
    """Velocity, by hand."""

    def __init__(self, params, lr=0.05, kept=0.9):
        super().__init__(params, {"lr": lr, "kept": kept})

    @torch.no_grad()
    def step(self, closure=None):
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if len(state) == 0:
                    state["speed"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                state["speed"].mul_(group["kept"]).add_(p.grad)
                p.add_(state["speed"], alpha=-group["lr"])
        return loss


class Warm(LRScheduler):
    def get_lr(self):
        return [rate * min(1.0, (self.last_epoch + 1) / 5) for rate in self.base_lrs]


class Even(Sampler):
    """As many of each class."""

    def __init__(self, labels):
        self.rows = [torch.where(labels == c)[0] for c in labels.unique()]
        self.count = min(map(len, self.rows))

    def __iter__(self):
        drawn = [rows[torch.randperm(len(rows))[: self.count]] for rows in self.rows]
        return iter(torch.stack(drawn, 1).flatten().tolist())

    def __len__(self):
        return self.count * len(self.rows)


x = torch.randn(300, 5)
y = (x[:, 0] + x[:, 1] > 0.5).long()
loader = DataLoader(TensorDataset(x, y), batch_size=32, sampler=Even(y))
for make in (
    lambda p: Uphill(p, torch.optim.SGD, lr=0.1, momentum=0.9),
    lambda p: Slow(torch.optim.Adam(p, lr=0.02)),
    Heavy,
):
    model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = make(model.parameters())
    schedule = Warm(getattr(optimizer, "inner", optimizer))
    for epoch in range(12):
        for rows, classes in loader:

            def closure():
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(rows), classes)
                loss.backward()
                return loss

            optimizer.step(closure)
        schedule.step()
    found = (model(x).argmax(1) == y).float().mean().item()
    assert found > 0.9, (type(optimizer).__name__, found)
    assert schedule.get_last_lr()[0] == schedule.base_lrs[0]
