"""Stochastic gradient descent with warm restarts: the rate falls along a cosine, then jumps back.
Leans on schuss.nn, schuss.optim and schuss.viz; its pictures go to out/.

The schedule is that of Loshchilov and Hutter, "SGDR" (2017).
"""

from pathlib import Path

import schuss
from schuss import nn, optim, viz
from schuss.optim.lr_scheduler import CosineAnnealingWarmRestarts


def main(out="out", seed=0, n=200, epochs=70, batch=20, lr=0.05, first=10):
    """Fit a sine; return the rate and the loss of every epoch."""
    schuss.manual_seed(seed)
    x = 4 * schuss.rand(n, 1) - 2
    y = schuss.sin(2 * x) + 0.05 * schuss.randn(n, 1)
    model = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
    loss_fn = nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    # Cycles last 10, 20, 40... epochs.
    scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=first, T_mult=2, eta_min=1e-3)

    rates, losses = [], []
    for epoch in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        total = 0.0
        for rows in schuss.randperm(n).split(batch):
            optimizer.zero_grad()
            loss = loss_fn(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        losses.append(total / n)
        scheduler.step()
        restart = epoch > 0 and rates[-1] > rates[-2]
        if restart or epoch in (0, epochs - 1):
            print(f"epoch {epoch:3}: rate {rates[-1]:.4f}, loss {losses[-1]:.4f}"
                  + (", restarted" if restart else ""))  # fmt: skip

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    schedule = viz.parameters_over_epochs(
        {"rate": rates}, title="warm restarts", ylabel="learning rate"
    )
    schedule.savefig(folder / "warm_restarts_rate.png")
    viz.loss_curve(losses, log=True, xlabel="epoch").savefig(folder / "warm_restarts_loss.png")
    viz.fit(x, y, model(x)).savefig(folder / "warm_restarts_fit.png")
    return {"rates": rates, "losses": losses}


if __name__ == "__main__":
    main()
