"""Sequence to sequence with attention: numbers said backwards, with padding and packed batches.
Leans on PyTorch's names alone."""

import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset, RandomSampler

SOS, EOS, PAD, MAX = 0, 1, 2, 7
random.seed(0)
torch.manual_seed(0)


class Pairs(Dataset):
    def __init__(self, n):
        rows = [[random.randrange(3, 8) for _ in range(random.randrange(2, 6))] for _ in range(n)]
        self.rows = [(torch.tensor(r + [EOS]), torch.tensor(r[::-1] + [EOS])) for r in rows]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def collate(batch):
    batch = sorted(batch, key=lambda pair: -len(pair[0]))
    source, target = zip(*batch)
    lengths = torch.tensor([len(s) for s in source])
    return (
        pad_sequence(source, batch_first=True, padding_value=PAD), lengths,
        pad_sequence(target, batch_first=True, padding_value=PAD),
    )


class Encoder(nn.Module):
    def __init__(self, words, hidden):
        super().__init__()
        self.embedding = nn.Embedding(words, hidden, padding_idx=PAD)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(self.embedding(x), lengths, batch_first=True)
        output, hidden = self.gru(packed)
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=x.size(1))
        return output, hidden


class Attention(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.Wa, self.Ua, self.Va = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)

    def forward(self, query, keys, mask):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys))).squeeze(2).unsqueeze(1)
        weights = F.softmax(scores.masked_fill(mask.unsqueeze(1), float("-inf")), dim=-1)
        return torch.bmm(weights, keys), weights


class Decoder(nn.Module):
    def __init__(self, hidden, words):
        super().__init__()
        self.embedding = nn.Embedding(words, hidden)
        self.attention = Attention(hidden)
        self.gru = nn.GRU(2 * hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, words)

    def forward(self, outputs, hidden, mask, length, target=None):
        word = torch.full((outputs.size(0), 1), SOS, dtype=torch.long)
        said = []
        for i in range(length):
            context, _ = self.attention(hidden.permute(1, 0, 2), outputs, mask)
            output, hidden = self.gru(torch.cat((self.embedding(word), context), dim=2), hidden)
            said.append(self.out(output))
            if target is not None:
                word = target[:, i].unsqueeze(1)
            else:
                _, topi = said[-1].topk(1)
                word = topi.squeeze(-1).detach()
        return F.log_softmax(torch.cat(said, dim=1), dim=-1)


data = Pairs(256)
loader = DataLoader(data, sampler=RandomSampler(data), batch_size=32, collate_fn=collate)
encoder, decoder = Encoder(8, 32), Decoder(32, 8)
optimizers = [optim.Adam(m.parameters(), lr=1e-2) for m in (encoder, decoder)]
criterion = nn.NLLLoss(ignore_index=PAD)
losses = []
for epoch in range(14):
    for source, lengths, target in loader:
        for optimizer in optimizers:
            optimizer.zero_grad()
        outputs, hidden = encoder(source, lengths)
        found = decoder(outputs, hidden, source == PAD, target.size(1), target)
        loss = criterion(found.view(-1, found.size(-1)), target.view(-1))
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
assert losses[-1] < 0.35 * losses[0]
with torch.no_grad():
    source, lengths, target = next(iter(loader))
    said = decoder(*encoder(source, lengths), source == PAD, target.size(1)).argmax(-1)
    right = (said == target)[target != PAD].float().mean().item()
assert right > 0.7
