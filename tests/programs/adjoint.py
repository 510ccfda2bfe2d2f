"""A differential equation whose right side is a network, with a gradient that stores no steps.
Leans on PyTorch's names alone."""

import torch
from torch import nn

torch.manual_seed(0)
times = torch.linspace(0.0, 1.5, 16)
turn = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])


def follow(slope, state, times):
    """Runge and Kutta's fourth-order steps."""
    states = [state]
    for start, end in zip(times[:-1], times[1:]):
        h = end - start
        a = slope(state)
        b = slope(state + h / 2 * a)
        c = slope(state + h / 2 * b)
        d = slope(state + h * c)
        state = state + h / 6 * (a + 2 * b + 2 * c + d)
        states.append(state)
    return torch.stack(states)


with torch.no_grad():
    truth = follow(lambda s: s @ turn, torch.tensor([[2.0, 0.0]]), times)


class Right(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 2))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.1)
                nn.init.constant_(layer.bias, val=0)

    def forward(self, state):
        return self.layers(state)


right = Right()


class Backwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx, state, times, *params):
        states = follow(right, state, times)
        ctx.save_for_backward(states, times, *params)
        return states

    @staticmethod
    def backward(ctx, grads):
        states, times, *params = ctx.saved_tensors
        back = torch.zeros_like(states[0])
        found = [torch.zeros_like(p) for p in params]
        for i in range(len(times) - 1, 0, -1):
            with torch.enable_grad():
                state = states[i - 1].detach().requires_grad_(True)
                end = follow(right, state, times[i - 1 : i + 1])[-1]
                back, *more = torch.autograd.grad(end, (state, *params), back + grads[i])
            found = [a + b for a, b in zip(found, more)]
        return back + grads[0], None, *found


optimizer = torch.optim.RMSprop(right.parameters(), lr=1e-2)
losses = []
for step in range(150):
    starts = torch.randint(0, 6, (5,))
    wanted = torch.stack([truth[starts + i] for i in range(10)])
    optimizer.zero_grad()
    loss = (follow(right, truth[starts], times[:10]) - wanted).abs().mean()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
assert sum(losses[-10:]) < 0.4 * sum(losses[:10])

params = list(right.parameters())
plain = torch.autograd.grad(follow(right, truth[0], times).square().sum(), params)
short = torch.autograd.grad(Backwards.apply(truth[0], times, *params).square().sum(), params)
assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-3) for a, b in zip(plain, short))
