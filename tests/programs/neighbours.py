"""Who belongs where in a small net of people, by attention to neighbours and by convolution.
Leans on PyTorch's names and NumPy."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

torch.manual_seed(3)
np.random.seed(3)
n, kinds = 60, 3
labels = torch.LongTensor(np.random.randint(0, kinds, n))
same = labels.unsqueeze(0) == labels.unsqueeze(1)
edges = torch.rand(n, n) < torch.where(same, torch.tensor(0.3), torch.tensor(0.02))
adj = (edges | edges.t() | torch.eye(n, dtype=torch.bool)).float()
features = torch.eye(n)
row_sum = adj.sum(1)
d_inv_sqrt = torch.pow(row_sum, -0.5).flatten()
d_inv_sqrt[torch.isinf(d_inv_sqrt)] = 0.0
normal = torch.mm(torch.mm(torch.diag(d_inv_sqrt), adj), torch.diag(d_inv_sqrt))


class GraphConvolution(nn.Module):
    def __init__(self, in_features, out_features, bias=True):
        super(GraphConvolution, self).__init__()
        self.weight = nn.Parameter(torch.FloatTensor(in_features, out_features))
        if bias:
            self.bias = nn.Parameter(torch.FloatTensor(out_features))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        stdv = 1.0 / np.sqrt(self.weight.size(1))
        self.weight.data.uniform_(-stdv, stdv)
        if self.bias is not None:
            self.bias.data.uniform_(-stdv, stdv)

    def forward(self, input, adj):
        output = torch.spmm(adj, torch.mm(input, self.weight))
        return output if self.bias is None else output + self.bias


class GraphAttention(nn.Module):
    def __init__(self, in_features, out_features, heads, alpha=0.2):
        super(GraphAttention, self).__init__()
        self.heads, self.out_features = heads, out_features
        self.W = nn.Parameter(torch.empty(size=(in_features, heads * out_features)))
        self.a = nn.Parameter(torch.empty(size=(heads, 2 * out_features, 1)))
        nn.init.xavier_uniform_(self.W.data, gain=1.414)
        nn.init.xavier_uniform_(self.a.data, gain=1.414)
        self.leakyrelu = nn.LeakyReLU(alpha)

    def forward(self, h, adj):
        Wh = torch.mm(h, self.W).view(-1, self.heads, self.out_features).permute(1, 0, 2)
        left = torch.matmul(Wh, self.a[:, : self.out_features])
        right = torch.matmul(Wh, self.a[:, self.out_features :])
        e = self.leakyrelu(left + right.mT)
        attention = torch.where(adj > 0, e, -9e15 * torch.ones_like(e))
        attention = F.dropout(F.softmax(attention, dim=-1), 0.2, training=self.training)
        return torch.matmul(attention, Wh).permute(1, 0, 2).reshape(-1, self.heads * self.out_features)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = GraphAttention(n, 8, 2)
        self.second = GraphConvolution(16, kinds)

    def forward(self, x):
        x = F.dropout(x, 0.2, training=self.training)
        return F.log_softmax(self.second(F.elu(self.first(x, adj)), normal), dim=1)


model = Net()
optimizer = optim.Adam(model.parameters(), lr=0.02, weight_decay=5e-4)
shuffled = torch.randperm(n)
known, asked = shuffled[:20], shuffled[20:]
for epoch in range(60):
    model.train()
    optimizer.zero_grad()
    loss = F.nll_loss(model(features)[known], labels[known])
    loss.backward()
    optimizer.step()

model.eval()
with torch.no_grad():
    right = (model(features)[asked].argmax(dim=1) == labels[asked]).float().mean().item()

# Sums over neighbours three ways: a product, a sum by index, a scattering.
src, dst = adj.nonzero(as_tuple=True)
x = torch.randn(n, 4)
by_index = torch.zeros(n, 4).index_add_(0, dst, x[src])
by_scatter = torch.zeros(n, 4).scatter_add_(0, dst.unsqueeze(1).expand(-1, 4), x[src])
assert torch.allclose(by_index, torch.mm(adj.t(), x), atol=1e-5)
assert torch.allclose(by_scatter, by_index, atol=1e-5)
assert torch.bincount(dst, minlength=n).equal(row_sum.long())
print("loss %.3f, right %.2f" % (loss.item(), right))
assert right > 0.7
