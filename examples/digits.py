"""Trains a small network to read handwriting: 1,797 digits of 8 by 8 pixels, a fifth held out.
Leans on schuss.nn, schuss.optim, schuss.utils.data, schuss.viz, and on scikit-learn for the data.
"""

import sys
from pathlib import Path
from time import perf_counter

import schuss
from schuss import nn, optim, viz
from schuss.utils.data import DataLoader, TensorDataset, random_split


def load(seed):
    """Return the images scaled to 0..1 and their labels, split into training and held-out sets."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit('digits: the data come with scikit-learn; pip install "schuss[examples]"')
    pixels, numbers = load_digits(return_X_y=True)
    images = schuss.tensor(pixels / 16, dtype=schuss.float32).reshape(-1, 8, 8)
    labels = schuss.tensor(numbers, dtype=schuss.int64)
    sizes = [len(labels) - len(labels) // 5, len(labels) // 5]
    shuffle = schuss.Generator().manual_seed(seed)
    return random_split(TensorDataset(images, labels), sizes, generator=shuffle)


def everything(subset):
    """Return all images and all labels of a set as two tensors."""
    return next(iter(DataLoader(subset, batch_size=len(subset))))


def with_moved(images, labels):
    """Add every image moved by half a pixel, each way; a digit stays the same digit."""
    down, up, right, left = (images.clone() for _ in range(4))
    down[:, 1:] = (images[:, 1:] + images[:, :-1]) / 2
    up[:, :-1] = down[:, 1:]
    right[:, :, 1:] = (images[:, :, 1:] + images[:, :, :-1]) / 2
    left[:, :, :-1] = right[:, :, 1:]
    return TensorDataset(schuss.cat([images, down, up, right, left]), schuss.cat([labels] * 5))


def network(width):
    first, second, last = nn.Linear(64, width), nn.Linear(width, width), nn.Linear(width, 10)
    drop = nn.Dropout(0.2)
    return nn.Sequential(nn.Flatten(), first, nn.ReLU(), drop, second, nn.ReLU(), drop, last)


def main(out="out", seed=0, epochs=15, batch_size=64, width=256, lr=3e-3):
    """Train and return the accuracy on the held-out images, losses, seconds, steps a second."""
    schuss.manual_seed(seed)
    train_set, test_set = load(seed)
    images, labels = everything(test_set)
    loader = DataLoader(with_moved(*everything(train_set)), batch_size=batch_size, shuffle=True)
    model, loss_fn = network(width), nn.CrossEntropyLoss()
    optimizer = optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    total, losses = epochs * len(loader), []
    print(f"digits: {len(train_set)} images to train on, {len(test_set)} held out, "
          f"{sum(p.numel() for p in model.parameters()):,} parameters")  # fmt: skip

    start = perf_counter()
    for epoch in range(epochs):
        model.train()
        for x, y in loader:
            optimizer.param_groups[0]["lr"] = lr * (1 - len(losses) / total)
            loss = loss_fn(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        mean = sum(losses[-len(loader) :]) / len(loader)
        viz.progress(epoch + 1, epochs, f"epochs, loss {mean:.4f}")
    seconds = perf_counter() - start

    model.eval()  # no dropout
    with schuss.no_grad():
        predicted = model(images).argmax(dim=1)
    accuracy = (predicted == labels).float().mean().item()
    print(f"accuracy {accuracy:.2%} on the held-out images; {seconds:.2f} s, "
          f"{total} steps, {total / seconds:,.0f} steps a second")  # fmt: skip

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    curve = viz.loss_curve(losses, log=True, smooth=len(loader) // 2, title="Loss of the digits")
    curve.savefig(folder / "digits_loss.png")
    # The mistakes first: they are the ones worth a look.
    right = (predicted == labels).tolist()
    some = sorted(range(len(right)), key=right.__getitem__)[:32]
    title = f"{accuracy:.1%} of {len(right)} right; mistakes first, in red, beside what was written"
    picture = viz.predictions(images[some], labels[some], predicted[some], title=title)
    picture.savefig(folder / "digits_predictions.png", dpi=150)
    loss = loss_fn(model(images), labels)  # not walked back yet: it still holds the data
    viz.graph(loss, params=model, data={"images": images}).save(folder / "digits_graph.png")
    print(f"pictures: {', '.join(str(path) for path in sorted(folder.glob('digits_*.png')))}")
    return {"accuracy": accuracy, "losses": losses, "seconds": seconds, "steps": total}


if __name__ == "__main__":
    main()
