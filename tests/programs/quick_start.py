"""A quick tour: a data set class, hooks, schedules, saving all state, own functions, profiles of names.
Leans on PyTorch's names alone."""

import os

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, WeightedRandomSampler, random_split


class CsvDataset(Dataset):
    def __init__(self, path, transform=None, target_transform=None):
        self.rows = np.loadtxt(path, delimiter=",", dtype=np.float32)
        self.transform, self.target_transform = transform, target_transform

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, idx):
        if torch.is_tensor(idx):
            idx = idx.tolist()
        sample = {"features": self.rows[idx, :-1], "label": self.rows[idx, -1]}
        return self.transform(sample) if self.transform else sample


class ToTensor(object):
    def __call__(self, sample):
        return {name: torch.as_tensor(value) for name, value in sample.items()}


rng = np.random.default_rng(0)
x = rng.normal(size=(120, 4))
np.savetxt("data.csv", np.c_[x, x @ [1, -1, 2, 0.5]], delimiter=",")
train, test = random_split(CsvDataset("data.csv", ToTensor()), [0.8, 0.2])
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
print(f"Using {device} device")


class LegendreP3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input**3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input**2 - 1)


class NeuralNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.stack = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
        self.register_buffer("scale", torch.ones(1))

    def forward(self, x):
        return self.stack(self.flatten(x)) * self.scale


model = NeuralNetwork().to(device)
seen = []
handle = model.stack[0].register_forward_hook(lambda module, args, output: seen.append(output.shape))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-2, steps_per_epoch=6, epochs=20)
loss_fn = nn.MSELoss()
for epoch in range(20):
    for batch in DataLoader(train, batch_size=16, shuffle=True):
        loss = loss_fn(model(batch["features"].to(device)).squeeze(1), batch["label"].to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
handle.remove()
count = len(seen)
state = {
    "epoch": epoch, "model_state_dict": model.state_dict(), "loss": loss.item(),
    "optimizer_state_dict": optimizer.state_dict(), "scheduler": scheduler.state_dict(),
}
torch.save(state, "checkpoint.tar")
checkpoint = torch.load("checkpoint.tar", map_location=device)
again = NeuralNetwork()
again.load_state_dict(checkpoint["model_state_dict"])
optimizer.load_state_dict(checkpoint["optimizer_state_dict"])
again.eval()
with torch.inference_mode():
    batch = next(iter(DataLoader(test, batch_size=24)))
    error = loss_fn(again(batch["features"]).squeeze(1), batch["label"]).item()
assert error < 0.6 and count == len(seen) and os.path.exists("checkpoint.tar")
assert torch.autograd.gradcheck(LegendreP3.apply, torch.rand(3, dtype=torch.double, requires_grad=True))
weights = torch.tensor([0.0, 1.0]).repeat(5)
drawn = DataLoader(TensorDataset(torch.arange(10)), sampler=WeightedRandomSampler(weights, 20), batch_size=20)
assert set((next(iter(drawn))[0] % 2).tolist()) == {1}
with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
    assert again(torch.ones(1, 4)).shape == (1, 1)
