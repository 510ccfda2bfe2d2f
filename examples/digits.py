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
    data = load_digits()
    images = schuss.tensor(data.images / 16, dtype=schuss.float32)
    labels = schuss.tensor(data.target, dtype=schuss.int64)
    held_out = len(labels) // 5
    return random_split(
        TensorDataset(images, labels),
        [len(labels) - held_out, held_out],
        generator=schuss.Generator().manual_seed(seed),
    )


def network(width):
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, width),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(width, 10),
    )


def progress(done, total, text):
    """Draw a bar in place on a terminal; elsewhere write every tenth line."""
    bar = ("#" * (30 * done // total)).ljust(30, ".")
    if sys.stdout.isatty():
        print(f"\r[{bar}] {done}/{total} {text}", end="" if done < total else "\n", flush=True)
    elif done == total or done % max(1, total // 10) == 0:
        print(f"[{bar}] {done}/{total} {text}", flush=True)


def predict(model, images):
    """Return the likeliest digit of each image, with dropout off and nothing recorded."""
    model.eval()
    with schuss.no_grad():
        return model(images).argmax(dim=1)


def main(out="out", seed=0, epochs=30, batch_size=32, width=128, lr=3e-3):
    """Train and return the accuracy on the held-out images, losses, seconds, steps a second."""
    schuss.manual_seed(seed)
    train_set, test_set = load(seed)
    images, labels = next(iter(DataLoader(test_set, batch_size=len(test_set))))
    loader = DataLoader(train_set, batch_size=batch_size, shuffle=True)
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
        progress(epoch + 1, epochs, f"epochs, loss {mean:.4f}")
    seconds = perf_counter() - start

    predicted = predict(model, images)
    accuracy = (predicted == labels).float().mean().item()
    print(f"accuracy {accuracy:.2%} on the held-out images; {seconds:.2f} s, "
          f"{total} steps, {total / seconds:,.0f} steps a second")  # fmt: skip

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = viz.loss_curve(losses, log=True, title="digits: loss of each step")
    picture.savefig(folder / "digits_loss.png")
    # The mistakes first: they are the ones worth a look.
    order = (predicted == labels).int().argsort(stable=True)[:32]
    picture = viz.predictions(images[order], labels[order], predicted[order])
    picture.savefig(folder / "digits_predictions.png", dpi=150)
    viz.graph(loss, params=model).save(folder / "digits_graph.png")
    print(f"pictures: {', '.join(str(path) for path in sorted(folder.glob('digits_*.png')))}")
    return {"accuracy": accuracy, "losses": losses, "seconds": seconds, "steps": total}


if __name__ == "__main__":
    main()
