"""Values of actions learnt from a memory of steps, in a corridor with a prize at one end.
Leans on PyTorch's names alone."""

import random
from collections import deque

import torch
from torch import nn
from torch.nn import functional as F

random.seed(1)
torch.manual_seed(1)
LENGTH, LIMIT = 5, 20


def walk(place, action):
    place = max(0, place + (1 if action == 1 else -1))
    return place, 1.0 if place == LENGTH else -0.02, place == LENGTH


def seen(places):
    return F.one_hot(torch.as_tensor(places), LENGTH + 1).float()


values = nn.Sequential(nn.Linear(LENGTH + 1, 24), nn.Tanh(), nn.Linear(24, 2))
steady = nn.Sequential(nn.Linear(LENGTH + 1, 24), nn.Tanh(), nn.Linear(24, 2))
steady.load_state_dict(values.state_dict())
optimizer = torch.optim.AdamW(values.parameters(), lr=1e-2, amsgrad=True)
memory = deque(maxlen=2000)
lengths = []
for episode in range(60):
    place = 0
    for turn in range(LIMIT):
        if random.random() < max(0.05, 1 - episode / 25):
            action = random.randrange(2)
        else:
            with torch.no_grad():
                action = values(seen([place])).max(1).indices.item()
        after, reward, done = walk(place, action)
        memory.append((place, action, after, reward, done))
        place = after
        if len(memory) >= 32:
            columns = zip(*random.sample(memory, 32))
            before, actions, behind, rewards, ends = (torch.tensor(c) for c in columns)
            taken = values(seen(before)).gather(1, actions.unsqueeze(1)).squeeze(1)
            with torch.no_grad():
                best = torch.zeros(32)
                best[~ends] = steady(seen(behind[~ends])).max(1).values
            loss = nn.SmoothL1Loss()(taken, rewards + 0.9 * best)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_value_(values.parameters(), 10)
            optimizer.step()
            kept = steady.state_dict()
            for name, value in values.state_dict().items():
                kept[name] = 0.1 * value + 0.9 * kept[name]
            steady.load_state_dict(kept)
        if done:
            break
    lengths.append(turn + 1)

assert sum(lengths[-10:]) / 10 < LENGTH + 2, lengths
