"""An LSTM foretells the number of sunspots, year by year, from three centuries of counting.
Leans on schuss.nn, schuss.viz, and on statsmodels for the series.
"""

from pathlib import Path

import numpy as np
import schuss
from schuss import nn, optim, viz


def load():
    """Return the years and the sunspot numbers of 1700 to 2008."""
    from statsmodels.datasets import sunspots

    years, numbers = np.asarray(sunspots.load_pandas().data).T
    return years, schuss.tensor(numbers, dtype=schuss.float32)


class Forecast(nn.Module):
    """Reads a series and says after each number what the next will be."""

    def __init__(self, width):
        super().__init__()
        self.lstm = nn.LSTM(1, width, batch_first=True)
        self.last = nn.Linear(width, 1)

    def forward(self, x):
        # What is added to the number of today is learnt, not the number of tomorrow.
        return x + self.last(self.lstm(x)[0])


def main(out="out", seed=0, steps=300, width=24, lr=1e-2, held_out=60):
    """Train on all but the last years; return the errors of the network and of two simple rules."""
    schuss.manual_seed(seed)
    years, numbers = load()
    series = (numbers / numbers[:-held_out].max()).reshape(1, -1, 1)
    cut = series.shape[1] - held_out
    model = Forecast(width)
    optimizer = optim.Adam(model.parameters(), lr=lr, weight_decay=1e-4)
    losses = []
    for step in range(steps):
        loss = nn.functional.mse_loss(model(series[:, : cut - 1]), series[:, 1:cut])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % max(1, steps // 10) == 0:
            viz.progress(step + 1, steps, f"steps, loss {losses[-1]:.5f}")

    model.eval()
    with schuss.no_grad():
        foretold = model(series[:, :-1])[0, cut - 1 :, 0] * numbers[:-held_out].max()
    truth, before = numbers[cut:], numbers[cut - 1 : -1]

    def error(guess):
        return (guess - truth).square().mean().sqrt().item()

    found = {
        "network": error(foretold),
        "as last year": error(before),
        "the mean": error(numbers[:cut].mean().expand(held_out)),
    }
    for name, value in found.items():
        print(f"{name:>12}: wrong by {value:.1f} sunspots in the last {held_out} years")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    viz.loss_curve(losses, log=True).savefig(folder / "sunspots_lstm_loss.png")
    figure = viz.fit(years[cut:], truth, foretold, title="Sunspots by year")
    figure.savefig(folder / "sunspots_lstm_forecast.png")
    return {"errors": found, "losses": losses}


if __name__ == "__main__":
    main()
