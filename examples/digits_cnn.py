"""A small convolutional network reads handwriting, trained by one call with early stopping.
Leans on schuss.nn, schuss.fit, schuss.viz, and on scikit-learn for the digits.
"""

from pathlib import Path

import schuss
from schuss import nn, optim, viz
from schuss.training import EarlyStopping, evaluate
from schuss.utils.data import TensorDataset, random_split
from schuss.vision import transforms


def load(seed):
    """Return training, validation and test sets: 8 by 8 pixels from 0 to 1, and the digit."""
    from sklearn.datasets import load_digits

    pixels, numbers = load_digits(return_X_y=True)
    images = schuss.tensor(pixels / 16, dtype=schuss.float32).reshape(-1, 1, 8, 8)
    whole = TensorDataset(images, schuss.tensor(numbers))
    return random_split(whole, [0.7, 0.15, 0.15], schuss.Generator().manual_seed(seed))


class Network(nn.Module):
    """Two convolutions, each with a normalisation, and one layer for the ten digits."""

    def __init__(self, width):
        super().__init__()
        self.moved = transforms.RandomCrop(8, padding=1)
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.3),
        )  # fmt: skip
        self.last = nn.Linear(8 * width, 10)

    def forward(self, x):
        if self.training:
            x = self.moved(x)  # a batch moved by a pixel or not; a digit stays the same digit
        return self.last(self.features(x))


def main(out="out", seed=0, epochs=25, width=16, lr=4e-3):
    """Train and return the history and the accuracy on digits that were not used."""
    schuss.manual_seed(seed)
    train, validation, test = load(seed)
    model, loss = Network(width), nn.CrossEntropyLoss()
    optimizer = optim.AdamW(model.parameters(), lr=lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    stop = EarlyStopping("val_accuracy", patience=8, restore_best_weights=True)
    history = schuss.fit(
        model, train, loss, optimizer, epochs, validation=validation, batch_size=64,
        metrics="accuracy", scheduler=schedule, callbacks=stop,
    ).history  # fmt: skip
    found = evaluate(model, test, loss, metrics="accuracy")
    print(f"{found['accuracy']:.1%} of {len(test)} digits that it never saw are read right")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = viz.loss_curve({"training": history["loss"], "validation": history["val_loss"]})
    picture.savefig(folder / "digits_cnn_loss.png")
    return {"history": history, "accuracy": found["accuracy"]}


if __name__ == "__main__":
    main()
