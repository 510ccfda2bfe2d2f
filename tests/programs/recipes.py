"""Sets of points, attention over them, folds that begin anew, and a search for a rate.
Leans on PyTorch's names alone; the numbers at the end are those that PyTorch 2.15 gives."""

import copy
import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

sizes = [2 + (7 * i) % 5 for i in range(30)]
points, mask = torch.zeros(30, max(sizes), 4), torch.zeros(30, max(sizes), dtype=torch.bool)
for i, size in enumerate(sizes):
    points[i, :size] = torch.sin(torch.arange(size * 4.0) * 1.3 + i).view(size, 4)
    mask[i, :size] = True
targets = points[..., 0].amax(1) + points[..., 1].sum(1)
data = TensorDataset(points, mask, targets)


class DeepSets(nn.Module):
    def __init__(self):
        super().__init__()
        self.each = nn.Sequential(nn.Linear(4, 32), nn.Softplus(beta=2), nn.Linear(32, 32))
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)
        self.whole = nn.Sequential(nn.Linear(96, 32), nn.CELU(), nn.Linear(32, 1))

    def forward(self, x, mask):
        h = self.each(x)
        h = h + self.attention(h, h, h, key_padding_mask=~mask, need_weights=True)[0]
        kept = h.masked_fill(~mask.unsqueeze(-1), 0.0)
        largest = h.masked_fill(~mask[..., None], -torch.inf).amax(1)
        mean = kept.sum(1) / mask.sum(1, keepdim=True)
        return self.whole(torch.cat([kept.sum(1), mean, largest], -1)).squeeze(-1)


net = DeepSets()
with torch.no_grad():
    for i, p in enumerate(net.parameters()):
        values = torch.sin(torch.arange(p.numel(), dtype=torch.float) * 0.7 + i)
        p.copy_(values.view_as(p) / math.sqrt(p.shape[-1]))
begin = copy.deepcopy(net.state_dict())

results, rates = [], []
for fold in range(3):
    net.load_state_dict(begin)
    chosen = [i for i in range(30) if i % 3 != fold]
    held = [i for i in range(30) if i % 3 == fold]
    optimizer = torch.optim.Adadelta(net.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=1, threshold=0.05
    )
    best = float("inf")
    for _ in range(6):
        net.train()
        for x, m, y in DataLoader(Subset(data, chosen), batch_size=10):
            loss = nn.HuberLoss(delta=0.5)(net(x, m), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            parts = [
                nn.functional.l1_loss(net(x, m), y).item()
                for x, m, y in DataLoader(Subset(data, held), batch_size=7)
            ]
        value = sum(parts) / len(parts)
        schedule.step(value)
        if value < best:
            best = value
            state = {key: t.detach().cpu().clone() for key, t in net.state_dict().items()}
    results.append(best)
    rates.append(optimizer.param_groups[0]["lr"])

net.load_state_dict(state)
net.load_state_dict(begin)
optimizer = torch.optim.SGD(net.parameters(), lr=1e-6)
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: 10 ** (i / 2))
history, batches = [], iter(DataLoader(data, 10))
for _ in range(14):
    try:
        x, m, y = next(batches)
    except StopIteration:
        batches = iter(DataLoader(data, 10))
        x, m, y = next(batches)
    loss = nn.functional.mse_loss(net(x, m), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append((schedule.get_last_lr()[0], loss.item()))
    schedule.step()

assert rates == [0.5, 0.25, 0.25]
assert all(abs(a - b) < 5e-4 for a, b in zip(results, [0.6691, 0.50725, 0.92769], strict=True))
tried = [(math.log10(rate), loss) for rate, loss in history[:9:4]]
for (rate, loss), expected in zip(tried, [(-6, 4.6634), (-4, 2.8237), (-2, 2.68154)], strict=True):
    assert abs(rate - expected[0]) < 1e-6 and abs(loss - expected[1]) < 5e-4, tried
