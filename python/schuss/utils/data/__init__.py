"""Data sets, samplers, the loader that makes batches of them, and `batches` at memory speed.
Leans on tensors and threads; nothing here needs a `__main__` guard."""

from schuss.utils.data.collation import default_collate, default_convert
from schuss.utils.data.dataloader import DataLoader
from schuss.utils.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from schuss.utils.data.distributed import DistributedSampler
from schuss.utils.data.memory import batches
from schuss.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from schuss.utils.data.workers import get_worker_info

__all__ = [
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DistributedSampler",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "batches",
    "default_collate",
    "default_convert",
    "get_worker_info",
    "random_split",
]
