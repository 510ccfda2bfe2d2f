"""A table with holes is learnt as a product of two thin ones, and the holes are filled in.
Leans on schuss.nn, schuss.optim, schuss.viz, and on scikit-learn for handwriting as the table.
"""

from pathlib import Path

import schuss
from schuss import nn, optim, viz


def load():
    """Return 1,797 rows of 64 pixels, from 0 to 1."""
    from sklearn.datasets import load_digits

    pixels, _ = load_digits(return_X_y=True)
    return schuss.tensor(pixels / 16, dtype=schuss.float32)


class Factors(nn.Module):
    """Row i, column j: the product of two short vectors, and how bright each is by itself."""

    def __init__(self, rows, columns, rank):
        super().__init__()
        self.row, self.column = nn.Embedding(rows, rank), nn.Embedding(columns, rank)
        self.row_bias, self.column_bias = nn.Embedding(rows, 1), nn.Embedding(columns, 1)
        for table in (self.row, self.column, self.row_bias, self.column_bias):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, i, j):
        product = (self.row(i) * self.column(j)).sum(1)
        return product + self.row_bias(i).squeeze(1) + self.column_bias(j).squeeze(1)


def main(out="out", seed=0, epochs=12, rank=10, hidden=0.2, batch=4096, lr=2e-2):
    """Hide a share of the numbers, learn from the others; return the errors on the hidden ones."""
    schuss.manual_seed(seed)
    table = load()
    rows, columns = table.shape
    order = schuss.randperm(rows * columns)
    cut = int(hidden * len(order))
    places = schuss.stack([order // columns, order % columns])
    values = table[places[0], places[1]]
    test, train = (slice(0, cut), slice(cut, None))

    model = Factors(rows, columns, rank)
    optimizer = optim.Adam(model.parameters(), lr=lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    data = schuss.utils.data.TensorDataset(*places[:, train], values[train])
    losses = {"seen": [], "hidden": []}
    for epoch in range(epochs):
        total = count = 0
        for i, j, value in schuss.utils.data.DataLoader(data, batch_size=batch, shuffle=True):
            found = model(i, j)
            loss = nn.functional.mse_loss(found, value)
            # Short vectors unless the data ask for long ones (Koren, Bell and Volinsky, 2009).
            small = model.row(i).square().mean() + model.column(j).square().mean()
            optimizer.zero_grad()
            (loss + 2e-2 * small).backward()
            optimizer.step()
            total, count = total + loss.item(), count + 1
        schedule.step()
        with schuss.no_grad():
            wrong = nn.functional.mse_loss(model(*places[:, test]), values[test]).sqrt().item()
        losses["seen"].append((total / count) ** 0.5)
        losses["hidden"].append(wrong)
        viz.progress(epoch + 1, epochs, f"epochs, hidden pixels wrong by {wrong:.3f}")

    means = schuss.zeros(columns).index_add(0, places[1, train], values[train])
    means = means / schuss.zeros(columns).index_add(0, places[1, train], values[train] * 0 + 1)
    plain = (means[places[1, test]] - values[test]).square().mean().sqrt().item()
    print(f"hidden pixels: wrong by {losses['hidden'][-1]:.3f}; their column's mean by {plain:.3f}")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    viz.loss_curve(losses, ylabel="error").savefig(folder / "matrix_factorisation_error.png")
    return {"losses": losses, "plain": plain}


if __name__ == "__main__":
    main()
