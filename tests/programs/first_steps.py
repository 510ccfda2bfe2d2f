"""Tensors, gradients and a network fitted by hand, in the manner of a first lesson.
Leans on PyTorch's names alone."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.autograd import Variable

x = torch.empty(5, 3)
x = torch.rand(5, 3)
assert x.size() == torch.Size([5, 3])
x = x.new_ones(5, 3, dtype=torch.double)
y = torch.randn_like(x, dtype=torch.float)
result = torch.empty(5, 3)
torch.add(x.float(), y, out=result)
y.add_(x)
assert torch.allclose(y, result) and x.view(-1, 5).shape == (3, 5)
a = np.ones(5)
b = torch.from_numpy(a)
np.add(a, 1, out=a)
assert b.tolist() == [2.0] * 5
if torch.cuda.is_available():
    assert y.to(torch.device("cuda")).is_cuda

x = torch.ones(2, 2, requires_grad=True)
y = x + 2
z = y * y * 3
out = z.mean()
out.backward()
assert x.grad.tolist() == [[4.5, 4.5], [4.5, 4.5]] and y.grad_fn is not None
old = Variable(torch.FloatTensor([1, 2, 3]), requires_grad=True)
(old * old).sum().backward()
assert old.grad.data.tolist() == [2, 4, 6]


class Net(nn.Module):
    def __init__(self):
        super(Net, self).__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 4 * 4, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.num_flat_features(x))
        return self.fc2(F.relu(self.fc1(x)))

    def num_flat_features(self, x):
        count = 1
        for s in x.size()[1:]:
            count *= s
        return count


net = Net()
assert len(list(net.parameters())) == 8 and "conv1" in str(net)
given = torch.randn(1, 1, 28, 28)
net.zero_grad()
net(given).backward(torch.randn(1, 10))
target = torch.randn(10).view(1, -1)
criterion = nn.MSELoss()
first = criterion(net(given), target).item()
for f in net.parameters():
    f.data.sub_(f.grad.data * 0.0)
optimizer = optim.SGD(net.parameters(), lr=0.05)
for _ in range(20):
    optimizer.zero_grad()
    loss = criterion(net(given), target)
    loss.backward()
    optimizer.step()
assert loss.item() < 0.5 * first

x = torch.linspace(-math.pi, math.pi, 500)
y = torch.sin(x)
xx = x.unsqueeze(-1).pow(torch.tensor([1, 2, 3]))
model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0, 1))
loss_fn = nn.MSELoss(reduction="sum")
optimizer = optim.RMSprop(model.parameters(), lr=1e-2)
for t in range(1500):
    loss = loss_fn(model(xx), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
assert loss.item() < 20 and model[0].bias.item() == model[0].bias.data[0]
