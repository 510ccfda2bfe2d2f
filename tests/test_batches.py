"""Batches gathered from memory: rows of every length, several batches at once, writes in between.
Leans on schuss's loader and NumPy."""

from __future__ import annotations

import pytest
import schuss
from schuss.utils.data import DataLoader, Subset, TensorDataset


@pytest.mark.parametrize("width", [1, 63, 64, 65, 100, 784, 2048, 2049])
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_of_every_length_are_gathered_whole(width, threads):
    """Short rows one by one, middling ones by pairs, long ones alone; odd ones left over."""
    x = schuss.arange(101 * width, dtype=schuss.float32).reshape(101, width)
    wide = schuss.arange(101 * 3 * width).reshape(101, 3, width)[:, 1]
    order = schuss.randperm(101)
    before = schuss.get_num_threads()
    schuss.set_num_threads(threads)
    try:
        for source in (x, wide):
            data = Subset(TensorDataset(source), order.tolist())
            found = [batch for (batch,) in DataLoader(data, batch_size=7)]
            assert [len(batch) for batch in found] == [7] * 14 + [3]
            assert (schuss.cat(found).numpy() == source.numpy()[order.numpy()]).all()
            assert (source[order].numpy() == source.numpy()[order.numpy()]).all()
    finally:
        schuss.set_num_threads(before)


def test_batches_gathered_together_see_what_was_written_in_between():
    x = schuss.zeros(4096, 784)
    before = schuss.get_num_threads()
    schuss.set_num_threads(2)
    try:
        for i, (batch,) in enumerate(DataLoader(TensorDataset(x), batch_size=64, shuffle=True)):
            assert (batch == i).all()
            x.add_(1)
    finally:
        schuss.set_num_threads(before)
