"""DistributedSampler: one process's share of a data set, under PyTorch's name.
Leans on the core's random numbers; who shares with whom is told by the caller."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import schuss
from schuss.utils.data.sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sized


class DistributedSampler(Sampler):
    """Every `num_replicas`-th index from `rank` on, of an order that `seed` and the epoch decide.

    All shares are of one length: indices are repeated from the front, or cut off with `drop_last`.
    Call `set_epoch` before each epoch to have another order. Without `num_replicas` there is one
    process. ValueError for a rank outside [0, num_replicas).

    >>> from schuss.utils.data import DistributedSampler
    >>> [list(DistributedSampler(range(5), 2, rank, shuffle=False)) for rank in (0, 1)]
    [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.dataset = dataset
        self.num_replicas = 1 if num_replicas is None else num_replicas
        self.rank = 0 if rank is None else rank
        if not 0 <= self.rank < self.num_replicas:
            raise ValueError(
                f"DistributedSampler: rank {self.rank} is not within 0 and {self.num_replicas - 1}"
            )
        self.epoch = 0
        self.drop_last = drop_last
        n = len(dataset)
        whole = drop_last and n % self.num_replicas
        share = (n - self.num_replicas if whole else n) / self.num_replicas
        self.num_samples = math.ceil(share)
        self.total_size = self.num_samples * self.num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        n = len(self.dataset)
        if self.shuffle:
            generator = schuss.Generator().manual_seed(self.seed + self.epoch)
            indices = schuss.randperm(n, generator=generator, device="cpu").tolist()
        else:
            indices = list(range(n))
        if indices and len(indices) < self.total_size:
            indices *= -(-self.total_size // len(indices))
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes, so that the order differs from that of the last."""
        self.epoch = epoch
