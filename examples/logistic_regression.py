"""Logistic regression on the breast cancer data, to the same coefficients as scikit-learn's.
Leans on schuss.nn, on L-BFGS of schuss.optim, and on scikit-learn for the data and its answer.
"""

from pathlib import Path

import numpy as np
import schuss
from schuss import nn, optim, viz


def load():
    """Return 569 tumours: 30 measures of each, all of one scale, and whether it is benign."""
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    x = np.asarray(x)
    return (x - x.mean(0)) / x.std(0), y


def main(out="out", strength=1.0, steps=40):
    """Fit both; return both lists of coefficients, the losses and the accuracy."""
    x, y = load()
    inputs, targets = schuss.tensor(x), schuss.tensor(y, dtype=schuss.float64)
    model = nn.Linear(30, 1).double()
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = optim.LBFGS(
        model.parameters(), max_iter=20, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
    )
    losses = []

    def closure():
        optimizer.zero_grad()
        logits = model(inputs).squeeze(1)
        wrong = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        loss = strength * wrong + 0.5 * model.weight.square().sum()
        loss.backward()
        losses.append(loss.item())
        return loss

    for _ in range(steps):
        optimizer.step(closure)
        if max(p.grad.abs().max().item() for p in model.parameters()) < 1e-8:
            break
    ours = np.append(model.weight.detach().numpy(), model.bias.item())
    accuracy = ((model(inputs).squeeze(1) > 0) == (targets > 0)).double().mean().item()

    from sklearn.linear_model import LogisticRegression

    other = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(x, y)
    theirs = np.append(other.coef_, other.intercept_)
    print(f"{accuracy:.1%} of the tumours are told apart; after {len(losses)} evaluations the "
          f"coefficients are scikit-learn's to {np.abs(ours - theirs).max():.1e}")  # fmt: skip

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = viz.loss_curve([loss - min(losses) + 1e-12 for loss in losses], log=True,
                             ylabel="loss above the least")  # fmt: skip
    picture.savefig(folder / "logistic_regression_loss.png")
    return {"ours": ours, "theirs": theirs, "losses": losses, "accuracy": accuracy}


if __name__ == "__main__":
    main()
