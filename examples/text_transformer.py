"""A transformer learns to write, letter by letter, as Python's own manual does.
Leans on schuss.nn, schuss.viz, and on the manual's text in the standard library.
"""

from pathlib import Path
from pydoc_data.topics import topics

import schuss
from schuss import nn, optim, viz
from schuss.nn import functional as F


class Letters:
    """A text as numbers, its letters in order, and random pieces of it."""

    def __init__(self, text):
        self.letters = sorted(set(text))
        self.number = {letter: i for i, letter in enumerate(self.letters)}
        numbers = schuss.tensor([self.number[letter] for letter in text])
        cut = int(0.9 * len(numbers))
        self.train, self.test = numbers[:cut], numbers[cut:]

    def pieces(self, source, count, length):
        """Pieces, and the same moved on by one letter: what is to come after each."""
        start = schuss.randint(0, len(source) - length - 1, (count, 1))
        at = start + schuss.arange(length + 1)
        return source[at[:, :-1]], source[at[:, 1:]]


class Writer(nn.Module):
    """Letters and their places, blocks of attention to what came before, the next letter."""

    def __init__(self, letters, context, width, heads, depth):
        super().__init__()
        self.context = context
        self.letter, self.place = nn.Embedding(letters, width), nn.Embedding(context, width)
        block = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.1, batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(block, depth, nn.LayerNorm(width))
        self.last = nn.Linear(width, letters)

    def forward(self, x):
        n = x.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(n)
        x = self.letter(x) + self.place(schuss.arange(n))
        return self.last(self.blocks(x, mask=mask, is_causal=True))

    @schuss.no_grad()
    def write(self, begun, count):
        """Go on from numbers by `count` letters, each drawn from what the model expects."""
        for _ in range(count):
            logits = self(begun[:, -self.context :])[:, -1]
            chosen = schuss.multinomial(F.softmax(logits / 0.8, dim=-1), 1)
            begun = schuss.cat([begun, chosen], dim=1)
        return begun[0].tolist()


def main(out="out", seed=0, steps=1500, context=64, width=64, heads=4, depth=2, batch=32, lr=2e-3):
    """Train and return the losses, what is lost on unseen text, and a text it wrote."""
    schuss.manual_seed(seed)
    text = Letters("\n".join(topics[name] for name in sorted(topics))[:300_000])
    model = Writer(len(text.letters), context, width, heads, depth)
    optimizer = optim.AdamW(model.parameters(), lr=lr)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    losses = []
    for step in range(steps):
        x, y = text.pieces(text.train, batch, context)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // 10) == 0:
            viz.progress(step + 1, steps, f"steps, loss {losses[-1]:.3f}")
    model.eval()
    with schuss.no_grad():
        x, y = text.pieces(text.test, 64, context)
        unseen = F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
    begun = schuss.tensor([[text.number[letter] for letter in "The "]])
    written = "".join(text.letters[i] for i in model.write(begun, 200))
    print(f"loss on unseen text {unseen:.3f} nats a letter; it writes:\n{written}")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    viz.loss_curve(losses, smooth=20).savefig(folder / "text_transformer_loss.png")
    return {"losses": losses, "unseen": unseen, "written": written, "letters": len(text.letters)}


if __name__ == "__main__":
    main()
