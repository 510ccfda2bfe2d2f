"""A language model with rotary positions, grouped queries, gates and a cache of keys and values.
Leans on PyTorch's names alone; the losses at the end are those that PyTorch 2.15 gives."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    width: int = 32
    layers: int = 2
    heads: int = 4
    groups: int = 2
    words: int = 24
    longest: int = 32


def settle(model):
    """Weights without chance: the same wherever the program runs."""
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            values = torch.sin(torch.arange(p.numel(), dtype=torch.float) * 0.7 + i)
            scale = 1.0 / math.sqrt(p.shape[-1]) if p.dim() > 1 else 0.1
            p.copy_(values.view_as(p) * scale + (1.0 if p.dim() == 1 else 0.0))


def turns(size, end, theta=10000.0):
    freqs = 1.0 / (theta ** (torch.arange(0, size, 2)[: size // 2].float() / size))
    angles = torch.outer(torch.arange(end, device=freqs.device), freqs).float()
    return torch.polar(torch.ones_like(angles), angles)


def turned(x, by):
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    by = by.view(1, pairs.size(1), 1, pairs.size(-1))
    return torch.view_as_real(pairs * by).flatten(3).type_as(x)


class RMSNorm(nn.Module):
    def __init__(self, width, eps=1e-6):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        scaled = x.float() * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + self.eps)
        return scaled.type_as(x) * self.weight


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heads, self.groups, self.size = c.heads, c.groups, c.width // c.heads
        self.wq = nn.Linear(c.width, c.heads * self.size, bias=False)
        self.wk = nn.Linear(c.width, c.groups * self.size, bias=False)
        self.wv = nn.Linear(c.width, c.groups * self.size, bias=False)
        self.wo = nn.Linear(c.heads * self.size, c.width, bias=False)
        room = torch.zeros(2, c.longest, c.groups, self.size)
        self.register_buffer("keys", room, persistent=False)
        self.register_buffer("values", room.clone(), persistent=False)

    def forward(self, x, by, mask, start):
        batch, length, _ = x.shape
        q, k, v = (w(x).view(batch, length, -1, self.size) for w in (self.wq, self.wk, self.wv))
        q, k = turned(q, by), turned(k, by)
        if start is not None:
            self.keys[:batch, start : start + length] = k
            self.values[:batch, start : start + length] = v
            k, v = self.keys[:batch, : start + length], self.values[:batch, : start + length]
        times = self.heads // self.groups
        k = torch.repeat_interleave(k, times, dim=2)
        v = v[:, :, :, None, :].expand(*v.shape[:3], times, self.size)
        v = v.reshape(batch, k.shape[1], self.heads, self.size)
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        scores = torch.matmul(q, k.transpose(2, 3)) / math.sqrt(self.size)
        if mask is not None:
            scores = scores + mask
        mixed = F.softmax(scores.float(), dim=-1).type_as(q) @ v
        return self.wo(mixed.transpose(1, 2).contiguous().view(batch, length, -1))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.attention = Attention(c)
        self.norm1, self.norm2 = RMSNorm(c.width), RMSNorm(c.width)
        self.w1 = nn.Linear(c.width, 64, bias=False)
        self.w2 = nn.Linear(64, c.width, bias=False)
        self.w3 = nn.Linear(c.width, 64, bias=False)

    def forward(self, x, *rest):
        x = x + self.attention(self.norm1(x), *rest)
        h = self.norm2(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


class Language(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.words = nn.Embedding(c.words, c.width)
        self.layers = nn.ModuleList([Block(c) for _ in range(c.layers)])
        self.norm = RMSNorm(c.width)
        self.out = nn.Linear(c.width, c.words, bias=False)
        self.out.weight = self.words.weight
        self.turns = turns(c.width // c.heads, c.longest * 2)

    def forward(self, tokens, targets=None, start=None):
        length, mask = tokens.shape[1], None
        by = self.turns[(start or 0) : (start or 0) + length]
        if length > 1:
            mask = torch.full((length, length), float("-inf"), device=tokens.device)
            mask = torch.triu(mask, diagonal=1)
        h = self.words(tokens)
        for layer in self.layers:
            h = layer(h, by, mask, start)
        logits = self.out(self.norm(h))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


model = Language(Config())
settle(model)
named = {name: p for name, p in model.named_parameters() if p.requires_grad}
groups = [
    {"params": [p for p in named.values() if p.dim() >= 2], "weight_decay": 0.1},
    {"params": [p for p in named.values() if p.dim() < 2], "weight_decay": 0.0},
]
optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
data = torch.cumsum(torch.arange(400) * 7 % 3, 0) % 24
losses = []
for step in range(9):
    for group in optimizer.param_groups:
        group["lr"] = 3e-3 * min(1, (step + 1) / 4) * 0.5 * (1 + math.cos(math.pi * step / 9))
    for micro in range(2):
        starts = [(step * 37 + micro * 101 + 53 * i) % 380 for i in range(2)]
        x = torch.stack([data[i : i + 16] for i in starts])
        y = torch.stack([data[i + 1 : i + 17] for i in starts])
        _, loss = model(x, y)
        (loss / 2).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    losses.append(loss.item())

model.eval()
with torch.no_grad():
    tokens = data[None, :5]
    whole = model(tokens)[0]
    steps = [model(tokens[:, a:b], start=a)[0] for a, b in ((0, 3), (3, 4), (4, 5))]
    assert torch.allclose(torch.cat(steps, 1), whole, atol=1e-5)
    for _ in range(4):
        logits = model(tokens)[0][:, -1] / 0.8
        best, _ = torch.topk(logits, 5)
        logits[logits < best[:, [-1]]] = -float("Inf")
        choice = F.softmax(logits, dim=-1).argmax(-1, keepdim=True)
        tokens = torch.cat((tokens, choice), dim=1)

expected = [3.49838, 3.15165, 2.99967, 2.87922, 2.82363]
assert all(abs(a - b) < 2e-4 for a, b in zip(losses[::2], expected, strict=True)), losses
assert tokens.tolist() == [[0, 1, 3, 3, 4, 6, 15, 15, 15]]
assert sum(p.numel() for p in model.parameters()) == 19360 and len(model.state_dict()) == 21
