"""A network that solves Burgers' equation by what the equation says of its derivatives.
Leans on PyTorch's names and NumPy."""

from collections import OrderedDict

import numpy as np
import torch

np.random.seed(0)
torch.manual_seed(0)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class DNN(torch.nn.Module):
    def __init__(self, layers):
        super(DNN, self).__init__()
        self.depth = len(layers) - 1
        self.activation = torch.nn.Tanh
        listed = list()
        for i in range(self.depth - 1):
            listed.append(("layer_%d" % i, torch.nn.Linear(layers[i], layers[i + 1])))
            listed.append(("activation_%d" % i, self.activation()))
        listed.append(("layer_%d" % (self.depth - 1), torch.nn.Linear(layers[-2], layers[-1])))
        self.layers = torch.nn.Sequential(OrderedDict(listed))

    def forward(self, x):
        return self.layers(x)


class PhysicsInformedNN:
    def __init__(self, points, values, inside, nu):
        self.x_u = torch.tensor(points[:, 0:1], requires_grad=True).float().to(device)
        self.t_u = torch.tensor(points[:, 1:2], requires_grad=True).float().to(device)
        self.x_f = torch.tensor(inside[:, 0:1], requires_grad=True).float().to(device)
        self.t_f = torch.tensor(inside[:, 1:2], requires_grad=True).float().to(device)
        self.u = torch.tensor(values).float().to(device)
        self.nu = nu
        self.dnn = DNN([2, 16, 16, 1]).to(device)
        self.optimizer = torch.optim.LBFGS(
            self.dnn.parameters(),
            lr=1.0,
            max_iter=120,
            max_eval=150,
            history_size=50,
            tolerance_grad=1e-5,
            tolerance_change=1.0 * np.finfo(float).eps,
            line_search_fn="strong_wolfe",
        )
        self.losses = []

    def net_u(self, x, t):
        return self.dnn(torch.cat([x, t], dim=1))

    def net_f(self, x, t):
        u = self.net_u(x, t)
        ones = torch.ones_like(u)
        options = {"grad_outputs": ones, "retain_graph": True, "create_graph": True}
        u_t = torch.autograd.grad(u, t, **options)[0]
        u_x = torch.autograd.grad(u, x, **options)[0]
        u_xx = torch.autograd.grad(u_x, x, **options)[0]
        return u_t + u * u_x - self.nu * u_xx

    def loss_func(self):
        self.optimizer.zero_grad()
        loss_u = torch.mean((self.u - self.net_u(self.x_u, self.t_u)) ** 2)
        loss_f = torch.mean(self.net_f(self.x_f, self.t_f) ** 2)
        loss = loss_u + loss_f
        loss.backward()
        self.losses.append(loss.item())
        return loss

    def train(self):
        self.dnn.train()
        self.optimizer.step(self.loss_func)

    def predict(self, X):
        x = torch.tensor(X[:, 0:1], requires_grad=True).float().to(device)
        t = torch.tensor(X[:, 1:2], requires_grad=True).float().to(device)
        self.dnn.eval()
        return self.net_u(x, t).detach().cpu().numpy(), self.net_f(x, t).detach().cpu().numpy()


x = np.linspace(-1, 1, 41)[:, None]
start = np.hstack((x, 0 * x))
times = np.linspace(0, 1, 21)[:, None]
walls = np.vstack((np.hstack((0 * times + 1, times)), np.hstack((0 * times - 1, times))))
points = np.vstack((start, walls))
values = np.vstack((-np.sin(np.pi * x), 0 * walls[:, :1]))
inside = np.random.uniform([-1, 0], [1, 1], (300, 2))

model = PhysicsInformedNN(points, values, inside, nu=0.1)
model.train()
u, f = model.predict(np.vstack((points, inside)))
error = np.abs(u[: len(values)] - values).mean()
print("%.3f -> %.4f, at the borders %.3f" % (model.losses[0], model.losses[-1], error))
assert model.losses[-1] < 0.1 * model.losses[0]
assert error < 0.1 and np.abs(f).mean() < 0.3
