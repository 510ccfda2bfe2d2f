"""Two networks at play: one forges handwritten digits, the other tells them from real ones.
Leans on schuss.nn, schuss.vision, schuss.viz, and on scikit-learn for the digits.
"""

from pathlib import Path

import schuss
from schuss import nn, optim, viz
from schuss.utils.data import DataLoader
from schuss.vision.utils import save_image


def load():
    """Return the digits, 64 pixels from -1 to 1 each."""
    from sklearn.datasets import load_digits

    pixels, _ = load_digits(return_X_y=True)
    return schuss.tensor(pixels / 8 - 1, dtype=schuss.float32)


def networks(noise, width):
    """The forger, from noise to pixels, and the judge, from pixels to a logit."""
    forger = nn.Sequential(
        nn.Linear(noise, width), nn.BatchNorm1d(width), nn.ReLU(),
        nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 64), nn.Tanh(),
    )  # fmt: skip
    judge = nn.Sequential(
        nn.Linear(64, width), nn.LeakyReLU(0.2), nn.Dropout(0.3),
        nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(width, 1),
    )  # fmt: skip
    return forger, judge


def main(out="out", seed=0, epochs=60, noise=16, width=128, lr=5e-4):
    """Play (Goodfellow et al., 2014); return both losses, and how far forged pixels are from real
    ones on the average, before and after."""
    schuss.manual_seed(seed)
    images = load()
    forger, judge = networks(noise, width)
    forging = optim.Adam(forger.parameters(), lr=lr, betas=(0.5, 0.999))
    judging = optim.Adam(judge.parameters(), lr=lr, betas=(0.5, 0.999))
    told, losses = nn.BCEWithLogitsLoss(), {"forger": [], "judge": []}

    def distance():
        with schuss.no_grad():
            forged = forger(schuss.randn(1000, noise))
        means = (forged.mean(0) - images.mean(0)).abs().mean()
        return (means + (forged.std(0) - images.std(0)).abs().mean()).item()

    before = distance()
    for epoch in range(epochs):
        for real in DataLoader(images, batch_size=64, shuffle=True, drop_last=True):
            yes, no = schuss.full((len(real), 1), 0.9), schuss.zeros(len(real), 1)
            forged = forger(schuss.randn(len(real), noise))

            judging.zero_grad()
            judged = told(judge(real), yes) + told(judge(forged.detach()), no)
            judged.backward()
            judging.step()

            forging.zero_grad()
            fooled = told(judge(forged), schuss.ones_like(no))
            fooled.backward()
            forging.step()
            losses["judge"].append(judged.item())
            losses["forger"].append(fooled.item())
        viz.progress(epoch + 1, epochs, f"epochs, forger {losses['forger'][-1]:.2f}, "
                     f"judge {losses['judge'][-1]:.2f}")  # fmt: skip
    after = distance()
    forger.eval()
    with schuss.no_grad():
        forged = forger(schuss.randn(64, noise)).reshape(-1, 1, 8, 8)
    print(f"forged pixels are off by {before:.3f} at first and by {after:.3f} at last")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    save_image(forged, folder / "digits_gan_forged.png", normalize=True, value_range=(-1, 1))
    viz.loss_curve(losses, smooth=20).savefig(folder / "digits_gan_loss.png")
    return {"losses": losses, "before": before, "after": after, "forged": forged}


if __name__ == "__main__":
    main()
