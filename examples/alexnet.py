"""AlexNet takes steps on pieces of 224 by 224 pixels of two photographs: temple or flower?
Leans on schuss.vision and schuss.optim, and on scikit-learn and Pillow for the photographs.
"""

from pathlib import Path
from time import perf_counter

import schuss
from schuss import nn, optim, viz
from schuss.utils.data import DataLoader, Dataset
from schuss.vision import models, transforms


class Pieces(Dataset):
    """Random pieces of photographs, mirrored or not; the class is the photograph."""

    def __init__(self, photographs, count, side):
        self.photographs, self.count = photographs, count
        self.changed = transforms.Compose([
            transforms.RandomResizedCrop(side, scale=(0.1, 0.6)),
            transforms.RandomHorizontalFlip(),
            transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
        ])  # fmt: skip

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        kind = i % len(self.photographs)
        return self.changed(self.photographs[kind]), kind


def load():
    """Return a photograph of a Chinese temple and one of a flower, as tensors of 0..1."""
    from sklearn.datasets import load_sample_images

    return [transforms.functional.to_tensor(image) for image in load_sample_images().images]


def main(out="out", seed=0, steps=12, batch=16, side=224, lr=1e-4):
    """Train for a few steps; return the losses, the seconds of a step, and the parameters."""
    schuss.manual_seed(seed)
    photographs = load()
    model = models.alexnet(num_classes=len(photographs))
    optimizer = optim.Adam(model.parameters(), lr=lr)
    loader = DataLoader(Pieces(photographs, steps * batch, side), batch_size=batch)
    losses, seconds = [], []
    model.train()
    for step, (x, kinds) in enumerate(loader):
        start = perf_counter()
        loss = nn.functional.cross_entropy(model(x), kinds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        seconds.append(perf_counter() - start)
        viz.progress(step + 1, steps, f"steps, loss {losses[-1]:.3f}, {seconds[-1]:.2f} s")
    count = sum(p.numel() for p in model.parameters())
    typical = sorted(seconds)[len(seconds) // 2]
    print(f"AlexNet, {count:,} parameters: {typical:.2f} s a step of {batch} pictures")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    viz.loss_curve(losses).savefig(folder / "alexnet_loss.png")
    return {"losses": losses, "seconds": seconds, "parameters": count}


if __name__ == "__main__":
    main()
