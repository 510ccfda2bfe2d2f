"""Steps for flat minima (SAM) and by signs (Lion), a focal loss, weights averaged, pruned, adapted.
Leans on PyTorch's names alone; the numbers at the end are those that PyTorch 2.15 gives."""

import math

import torch
import torch.nn.functional as F
import torch.nn.utils.prune as prune
from torch import nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer
from torch.optim.swa_utils import SWALR, AveragedModel


def settle(model):
    """Weights without chance: the same wherever the program runs."""
    with torch.no_grad():
        for i, p in enumerate(model.parameters()):
            values = torch.sin(torch.arange(p.numel(), dtype=torch.float) * 0.7 + i)
            p.copy_(values.view_as(p) / math.sqrt(p.shape[-1]))
    return model


class SAM(Optimizer):
    def __init__(self, params, base_optimizer, rho=0.05, **kwargs):
        super().__init__(params, dict(rho=rho, **kwargs))
        self.base_optimizer = base_optimizer(self.param_groups, **kwargs)
        self.param_groups = self.base_optimizer.param_groups
        self.defaults.update(self.base_optimizer.defaults)

    def _parameters(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    yield group, p

    @torch.no_grad()
    def first_step(self, zero_grad=False):
        norms = [p.grad.norm(p=2) for _, p in self._parameters()]
        whole = torch.norm(torch.stack(norms), p=2)
        for group, p in self._parameters():
            self.state[p]["old_p"] = p.data.clone()
            p.add_(p.grad * (group["rho"] / (whole + 1e-12)).to(p))
        if zero_grad:
            self.zero_grad()

    @torch.no_grad()
    def second_step(self, zero_grad=False):
        for _, p in self._parameters():
            p.data = self.state[p]["old_p"]
        self.base_optimizer.step()
        if zero_grad:
            self.zero_grad()


class Lion(Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in filter(lambda p: p.grad is not None, group["params"]):
                state = self.state[p]
                if len(state) == 0:
                    state["exp_avg"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                p.data.mul_(1 - group["lr"] * group["weight_decay"])
                mean = state["exp_avg"]
                update = mean.clone(memory_format=torch.preserve_format)
                update = update.mul_(beta1).add(p.grad, alpha=1 - beta1).sign_()
                p.data.add_(update, alpha=-group["lr"])
                mean.mul_(beta2).add_(p.grad, alpha=1 - beta2)
        return loss


class FocalLoss(nn.Module):
    def __init__(self, gamma=2.0, alpha=None):
        super().__init__()
        self.gamma = gamma
        self.register_buffer("alpha", alpha)

    def forward(self, scores, targets):
        log_p = F.log_softmax(scores, -1).gather(1, targets[:, None]).squeeze(1)
        weight = 1.0 if self.alpha is None else self.alpha[targets]
        return (-((1 - log_p.exp()) ** self.gamma) * log_p * weight).mean()


class Adapter(nn.Module):
    def __init__(self, inputs, outputs, rank=2):
        super().__init__()
        self.down = nn.Parameter(torch.full((rank, inputs), 0.1))
        self.up = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, weight):
        return weight + self.up @ self.down


points = torch.sin(torch.arange(480.0) * 1.3).view(48, 10)
labels = (points[:, :3] * torch.tensor([1.0, 1.1, 0.9])).argmax(1)
net = settle(nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 3)))
focal = FocalLoss(alpha=torch.tensor([1.0, 2.0, 1.0]))

sam = SAM(net.parameters(), torch.optim.SGD, rho=0.05, lr=0.5, momentum=0.9)
sam_losses = []
for _ in range(8):
    loss = focal(net(points), labels)
    loss.backward()
    sam.first_step(zero_grad=True)
    focal(net(points), labels).backward()
    sam.second_step(zero_grad=True)
    sam_losses.append(loss.item())

lion = Lion(net.parameters(), lr=1e-3, weight_decay=0.1)
averaged = AveragedModel(net)
schedule = SWALR(lion, swa_lr=5e-4, anneal_epochs=3)


def closure():
    found = focal(net(points), labels)
    found.backward()
    return found


for _ in range(6):
    lion.zero_grad()
    last = lion.step(closure)
    averaged.update_parameters(net)
    schedule.step()
mean_loss = focal(averaged(points), labels)

prune.l1_unstructured(net[0], "weight", amount=0.3)
assert sorted(dict(net[0].named_buffers())) == ["weight_mask"]
assert int((net[0].weight == 0).sum()) == 48
pruned = focal(net(points), labels).item()
prune.remove(net[0], "weight")
assert [name for name, _ in net[0].named_parameters()] == ["bias", "weight"]

layer = net[2]
parametrize.register_parametrization(layer, "weight", Adapter(16, 3))
layer.parametrizations.weight.original.requires_grad_(False)
trained = [p for p in layer.parameters() if p.requires_grad]
assert len(trained) == 3
adapt = torch.optim.Adam(trained, lr=1e-2)
for _ in range(5):
    adapt.zero_grad()
    loss = focal(net(points), labels)
    loss.backward()
    adapt.step()
parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
assert type(layer) is nn.Linear

found = [*sam_losses[::3], last.item(), mean_loss.item(), pruned, loss.item()]
expected = [0.7443, 0.30146, 0.06185, 0.02629, 0.02685, 0.02519, 0.0234]
assert all(abs(a - b) < 2e-4 for a, b in zip(found, expected, strict=True)), found
assert abs(lion.param_groups[0]["lr"] - 5e-4) < 1e-9
