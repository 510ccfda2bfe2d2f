"""Words and tags: n-gram embeddings, an LSTM tagger, and a conditional random field by hand.
Leans on PyTorch's names alone."""

import torch
import torch.autograd as autograd
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

torch.manual_seed(1)
START, STOP = "<START>", "<STOP>"
training_data = [
    ("the dog ate the apple".split(), "D N V D N".split()),
    ("everybody read that book".split(), "N V D N".split()),
]
word_to_ix = {}
for sent, _ in training_data:
    for word in sent:
        word_to_ix.setdefault(word, len(word_to_ix))
tag_to_ix = {"D": 0, "N": 1, "V": 2, START: 3, STOP: 4}


def prepare_sequence(seq, to_ix):
    return torch.tensor([to_ix[w] for w in seq], dtype=torch.long)


def log_sum_exp(vec):
    max_score = vec[0, torch.argmax(vec, dim=1).item()]
    max_broadcast = max_score.view(1, -1).expand(1, vec.size()[1])
    return max_score + torch.log(torch.sum(torch.exp(vec - max_broadcast)))


class NGram(nn.Module):
    def __init__(self, vocab, dim, context):
        super().__init__()
        self.embeddings = nn.Embedding(vocab, dim)
        self.linear1 = nn.Linear(context * dim, 32)
        self.linear2 = nn.Linear(32, vocab)

    def forward(self, inputs):
        embeds = self.embeddings(inputs).view((1, -1))
        return F.log_softmax(self.linear2(F.relu(self.linear1(embeds))), dim=1)


words = training_data[0][0]
ngrams = [([words[i - 1], words[i - 2]], words[i]) for i in range(2, len(words))]
model, losses = NGram(len(word_to_ix), 10, 2), []
optimizer = optim.SGD(model.parameters(), lr=0.1)
for epoch in range(15):
    total = 0
    for context, target in ngrams:
        model.zero_grad()
        loss = F.nll_loss(model(prepare_sequence(context, word_to_ix)), prepare_sequence([target], word_to_ix))
        loss.backward()
        optimizer.step()
        total += loss.item()
    losses.append(total)
assert losses[-1] < 0.5 * losses[0]


class BiLSTM_CRF(nn.Module):
    def __init__(self, vocab_size, tag_to_ix, embedding_dim, hidden_dim):
        super().__init__()
        self.hidden_dim, self.tagset_size = hidden_dim, len(tag_to_ix)
        self.word_embeds = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim // 2, num_layers=1, bidirectional=True)
        self.hidden2tag = nn.Linear(hidden_dim, self.tagset_size)
        self.transitions = nn.Parameter(torch.randn(self.tagset_size, self.tagset_size))
        self.transitions.data[tag_to_ix[START], :] = -10000
        self.transitions.data[:, tag_to_ix[STOP]] = -10000

    def features(self, sentence):
        hidden = (torch.randn(2, 1, self.hidden_dim // 2), torch.randn(2, 1, self.hidden_dim // 2))
        embeds = self.word_embeds(sentence).view(len(sentence), 1, -1)
        lstm_out, hidden = self.lstm(embeds, hidden)
        return self.hidden2tag(lstm_out.view(len(sentence), self.hidden_dim))

    def partition(self, feats):
        forward_var = torch.full((1, self.tagset_size), -10000.0)
        forward_var[0][tag_to_ix[START]] = 0.0
        for feat in feats:
            alphas = []
            for tag in range(self.tagset_size):
                emit = feat[tag].view(1, -1).expand(1, self.tagset_size)
                alphas.append(log_sum_exp(forward_var + self.transitions[tag].view(1, -1) + emit).view(1))
            forward_var = torch.cat(alphas).view(1, -1)
        return log_sum_exp(forward_var + self.transitions[tag_to_ix[STOP]])

    def score(self, feats, tags):
        total = torch.zeros(1)
        tags = torch.cat([torch.tensor([tag_to_ix[START]], dtype=torch.long), tags])
        for i, feat in enumerate(feats):
            total = total + self.transitions[tags[i + 1], tags[i]] + feat[tags[i + 1]]
        return total + self.transitions[tag_to_ix[STOP], tags[-1]]

    def neg_log_likelihood(self, sentence, tags):
        feats = self.features(sentence)
        return self.partition(feats) - self.score(feats, tags)

    def forward(self, sentence):
        var, back = torch.full((1, self.tagset_size), -10000.0), []
        var[0][tag_to_ix[START]] = 0
        feats = self.features(sentence)
        for feat in feats:
            best = (var + self.transitions).max(1)
            back.append(best.indices.tolist())
            var = (best.values + feat).view(1, -1)
        at = (var + self.transitions[tag_to_ix[STOP]]).argmax(1).item()
        path = [at]
        for row in reversed(back):
            path.append(row[path[-1]])
        return path[::-1][1:]


model = BiLSTM_CRF(len(word_to_ix), tag_to_ix, 5, 8)
optimizer = optim.SGD(model.parameters(), lr=0.05, weight_decay=1e-4)
for epoch in range(60):
    for sentence, tags in training_data:
        model.zero_grad()
        sentence_in = prepare_sequence(sentence, word_to_ix)
        loss = model.neg_log_likelihood(sentence_in, prepare_sequence(tags, tag_to_ix))
        loss.sum().backward()
        optimizer.step()
with torch.no_grad():
    for sentence, tags in training_data:
        found = model(prepare_sequence(sentence, word_to_ix))
        assert sum(a == b for a, b in zip(found, prepare_sequence(tags, tag_to_ix).tolist())) >= len(tags) - 1
x = autograd.Variable(torch.Tensor([[2.0]]), requires_grad=True)
assert autograd.grad(x.pow(3).sum(), x)[0].item() == 12
