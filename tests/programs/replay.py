"""Learning what acts are worth from remembered moves: a duelling network, a target that follows.
Leans on PyTorch's names and Python's; the numbers at the end are those that PyTorch 2.15 gives."""

import math
import random
from collections import deque, namedtuple

import torch
import torch.nn.functional as F
from torch import nn, optim

Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))
random.seed(1)
SOFT = 0.05


class Memory:
    def __init__(self, capacity):
        self.moves = deque([], maxlen=capacity)

    def push(self, *args):
        self.moves.append(Transition(*args))

    def sample(self, count):
        return random.sample(self.moves, count)

    def __len__(self):
        return len(self.moves)


class Duel(nn.Module):
    def __init__(self, observed, acts):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(observed, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU())
        self.value = nn.Linear(24, 1)
        self.advantage = nn.Linear(24, acts)

    def forward(self, x):
        x = self.body(x)
        advantage = self.advantage(x)
        return self.value(x) + advantage - advantage.mean(dim=1, keepdim=True)


policy, target = Duel(4, 2), Duel(4, 2)
with torch.no_grad():
    for i, p in enumerate(policy.parameters()):
        values = torch.sin(torch.arange(p.numel(), dtype=torch.float) * 0.7 + i)
        p.copy_(values.view_as(p) / math.sqrt(p.shape[-1]))
target.load_state_dict(policy.state_dict())
target.requires_grad_(False)
optimizer = optim.AdamW(policy.parameters(), lr=1e-3, amsgrad=True)
memory, losses = Memory(200), []


def observed(step, action):
    return torch.sin(torch.arange(4.0) * 1.7 + step + action).unsqueeze(0)


state = observed(0, 0)
for step in range(120):
    if random.random() > 0.3:
        with torch.no_grad():
            action = policy(state).max(1).indices.view(1, 1)
    else:
        action = torch.tensor([[random.randrange(2)]], dtype=torch.long)
    following = None if step % 13 == 12 else observed(step + 1, action.item())
    memory.push(state, action, following, torch.tensor([float(random.random() < 0.5)]))
    state = torch.zeros(1, 4) if following is None else following
    if len(memory) < 16:
        continue

    batch = Transition(*zip(*memory.sample(16)))  # noqa: B905
    going_on = torch.tensor(tuple(map(lambda s: s is not None, batch.next_state)), dtype=torch.bool)
    next_states = torch.cat([s for s in batch.next_state if s is not None])
    worth = policy(torch.cat(batch.state)).gather(1, torch.cat(batch.action))
    next_worth = torch.zeros(16)
    with torch.no_grad():
        chosen = policy(next_states).argmax(1, keepdim=True)
        next_worth[going_on] = target(next_states).gather(1, chosen).squeeze(1)
    expected = next_worth * 0.95 + torch.cat(batch.reward)
    loss = F.smooth_l1_loss(worth, expected.unsqueeze(1))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_(policy.parameters(), 100)
    optimizer.step()
    losses.append(loss.item())

    followed, followers = policy.state_dict(), target.state_dict()
    for key in followed:
        followers[key] = followed[key] * SOFT + followers[key] * (1 - SOFT)
    target.load_state_dict(followers)

expected = [0.28955, 0.19849, 0.19949, 0.20483, 0.21407]
assert len(losses) == 105
assert all(abs(a - b) < 2e-4 for a, b in zip(losses[::26], expected, strict=True)), losses[::26]
