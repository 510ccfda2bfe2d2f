"""A variational autoencoder folds handwritten digits into a plane and draws new ones from it.
Leans on schuss.nn, schuss.distributions, schuss.vision, and on scikit-learn for the digits.
"""

from pathlib import Path

import schuss
from schuss import nn, optim, viz
from schuss.distributions import Normal, kl_divergence
from schuss.nn import functional as F
from schuss.utils.data import DataLoader
from schuss.vision.utils import save_image


def load():
    """Return the digits, 64 pixels from 0 to 1 each."""
    from sklearn.datasets import load_digits

    pixels, _ = load_digits(return_X_y=True)
    return schuss.tensor(pixels / 16, dtype=schuss.float32)


class VAE(nn.Module):
    """An encoder that says where a picture may lie, a decoder that draws what lies there."""

    def __init__(self, width, code):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 2 * code))
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.ReLU(), nn.Linear(width, 64))

    def forward(self, x):
        mean, log_scale = self.encoder(x).chunk(2, dim=1)
        place = Normal(mean, log_scale.exp())
        return self.decoder(place.rsample()), place


def bound(model, x):
    """The two parts of the evidence lower bound (Kingma and Welling, 2014), in nats a picture."""
    logits, place = model(x)
    drawn = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
    far = kl_divergence(place, Normal(0.0, 1.0)).sum(1).mean()
    return drawn, far


def main(out="out", seed=0, epochs=60, width=128, code=2, lr=2e-3):
    """Train and return the losses of every epoch, and new digits."""
    schuss.manual_seed(seed)
    images = load()
    model = VAE(width, code)
    optimizer = optim.Adam(model.parameters(), lr=lr)
    losses = []
    for epoch in range(epochs):
        total = 0.0
        for x in DataLoader(images, batch_size=64, shuffle=True):
            drawn, far = bound(model, x)
            loss = drawn + far
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        losses.append(total / len(images))
        viz.progress(epoch + 1, epochs, f"epochs, {losses[-1]:.2f} nats a digit")

    with schuss.no_grad():
        # A square of the plane, by equal shares of the normal distribution along each side.
        steps = Normal(0.0, 1.0).icdf(schuss.linspace(0.05, 0.95, 12))
        plane = schuss.cartesian_prod(steps, steps)
        if code > 2:
            plane = schuss.randn(144, code)
        new = model.decoder(plane).sigmoid().reshape(-1, 1, 8, 8)
        drawn, far = bound(model, images)
    print(f"{drawn.item():.2f} nats for the pixels, {far.item():.2f} for the place in the plane")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    save_image(new, folder / "digits_vae_plane.png", nrow=12, padding=0)
    viz.loss_curve(losses).savefig(folder / "digits_vae_loss.png")
    return {"losses": losses, "new": new, "pixels": drawn.item(), "place": far.item()}


if __name__ == "__main__":
    main()
