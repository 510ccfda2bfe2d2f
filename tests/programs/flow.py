"""Two moons as a normal distribution, bent by layers that can be turned around (Real NVP).
Leans on PyTorch's names alone."""

import math

import torch
from torch import distributions, nn, optim
from torch.nn.parameter import Parameter

torch.manual_seed(1)


def moons(n):
    angle = math.pi * torch.rand(n)
    side = torch.randint(0, 2, (n,)).float() * 2 - 1
    points = torch.stack([side * (torch.cos(angle) - 0.5), side * (torch.sin(angle) - 0.25)], dim=1)
    return points + 0.05 * torch.randn_like(points)


class Coupling(nn.Module):
    def __init__(self, hidden, mask):
        super(Coupling, self).__init__()
        self.register_buffer("mask", mask)
        self.s = nn.Sequential(nn.Linear(2, hidden), nn.LeakyReLU(), nn.Linear(hidden, 2), nn.Tanh())
        self.t = nn.Sequential(nn.Linear(2, hidden), nn.LeakyReLU(), nn.Linear(hidden, 2))
        self.gain = Parameter(torch.zeros(1))

    def forward(self, x, inverse=False):
        kept = x * self.mask
        s = self.s(kept) * (1 - self.mask) * self.gain.exp()
        t = self.t(kept) * (1 - self.mask)
        if inverse:
            return kept + (1 - self.mask) * (x * s.exp() + t)
        return kept + (1 - self.mask) * (x - t) * (-s).exp(), -s.sum(dim=1)


class Flow(nn.Module):
    def __init__(self, depth):
        super().__init__()
        masks = [torch.tensor([i % 2, 1 - i % 2], dtype=torch.float) for i in range(depth)]
        self.layers = nn.ModuleList([Coupling(32, mask) for mask in masks])
        self.register_buffer("mean", torch.zeros(2))

    @property
    def prior(self):
        return distributions.MultivariateNormal(self.mean, torch.eye(2))

    def encode(self, x):
        total = x.new_zeros(x.shape[0])
        for layer in reversed(self.layers):
            x, log_det = layer(x)
            total += log_det
        return x, total

    def log_prob(self, x):
        z, total = self.encode(x)
        return self.prior.log_prob(z) + total

    @torch.no_grad()
    def sample(self, n):
        x = self.prior.sample((n,))
        for layer in self.layers:
            x = layer(x, inverse=True)
        return x


flow = Flow(6)
optimizer = optim.Adam(flow.parameters(), lr=5e-3)
scheduler = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[200], gamma=0.3)
losses = []
for step in range(250):
    loss = -flow.log_prob(moons(128)).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(flow.parameters(), max_norm=5.0)
    optimizer.step()
    scheduler.step()
    losses.append(loss.item())

x = moons(64)
with torch.no_grad():
    z, _ = flow.encode(x)
    back = z
    for layer in flow.layers:
        back = layer(back, inverse=True)
print(f"{losses[0]:.2f} -> {sum(losses[-20:]) / 20:.2f}")
assert sum(losses[-20:]) / 20 < losses[0] - 1.0
assert torch.allclose(back, x, atol=1e-4)
assert flow.sample(100).abs().max() < 5
