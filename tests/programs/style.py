"""A picture as the parameter: content and style losses from inside a network, and L-BFGS.
Leans on PyTorch's names alone."""

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.nn.modules.activation import ReLU
from torch.nn.modules.conv import Conv2d

torch.manual_seed(0)


def gram_matrix(input):
    a, b, c, d = input.size()
    features = input.view(a * b, c * d)
    return torch.mm(features, features.t()).div(a * b * c * d)


class ContentLoss(nn.Module):
    def __init__(self, target):
        super().__init__()
        self.target = target.detach()

    def forward(self, input):
        self.loss = F.mse_loss(input, self.target)
        return input


class StyleLoss(nn.Module):
    def __init__(self, target_feature):
        super().__init__()
        self.target = gram_matrix(target_feature).detach()

    def forward(self, input):
        self.loss = F.mse_loss(gram_matrix(input), self.target)
        return input


cnn = nn.Sequential(Conv2d(3, 8, 3, padding=1), ReLU(inplace=True), Conv2d(8, 8, 3, padding=1)).eval()
content_img, style_img = torch.rand(1, 3, 12, 12), torch.rand(1, 3, 12, 12)
mean = torch.tensor([0.485, 0.456, 0.406]).view(-1, 1, 1)
model = nn.Sequential()
content_losses, style_losses, i = [], [], 0
for layer in cnn.children():
    name = f"relu_{i}" if isinstance(layer, nn.ReLU) else f"conv_{i}"
    if isinstance(layer, nn.ReLU):
        layer = nn.ReLU(inplace=False)
    else:
        i += 1
    model.add_module(name, layer)
    if name == "conv_1" or isinstance(layer, nn.Conv2d) and i == 2:
        content_losses.append(ContentLoss(model(content_img - mean)))
        model.add_module(f"content_loss_{i}", content_losses[-1])
        style_losses.append(StyleLoss(model(style_img - mean)))
        model.add_module(f"style_loss_{i}", style_losses[-1])
input_img = content_img.clone()
input_img.requires_grad_(True)
model.eval()
model.requires_grad_(False)
optimizer = optim.LBFGS([input_img], lr=0.5)
run, seen = [0], []
while run[0] <= 40:

    def closure():
        with torch.no_grad():
            input_img.clamp_(0, 1)
        optimizer.zero_grad()
        model(input_img - mean)
        style_score = 1e6 * sum(sl.loss for sl in style_losses)
        content_score = sum(cl.loss for cl in content_losses)
        loss = style_score + content_score
        loss.backward()
        run[0] += 1
        seen.append(loss.item())
        return loss

    optimizer.step(closure)
assert seen[-1] < 0.5 * seen[0] and input_img.shape == (1, 3, 12, 12)
