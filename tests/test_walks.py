"""Walks back that come again: a program gives the numbers of the first walk.

Leans on schuss alone."""

from __future__ import annotations

import threading

import pytest
import schuss
from schuss.nn import functional as F


class TestWalksThatComeAgain:
    """Small graphs of one form are walked back by a program from the second time on."""

    @staticmethod
    def gradients(loss, leaves, times=6):
        found = []
        for _ in range(times):
            for leaf in leaves:
                leaf.grad = None
            loss().backward()
            found.append([leaf.grad.tolist() for leaf in leaves])
        return found

    def test_gradients_stay_the_same(self):
        w, b = (schuss.tensor([0.3, -0.7, 2.0], requires_grad=True) for _ in range(2))
        found = self.gradients(lambda: ((w * b).exp() + w.tanh() * w).sum(), [w, b])
        assert all(f == found[0] for f in found)

    def test_values_are_read_anew(self):
        w = schuss.tensor([1.0, 2.0], requires_grad=True)
        for i in range(8):
            w.grad = None
            x = schuss.tensor([float(i), 1.0])
            (w * x * x).sum().backward()
            assert w.grad.tolist() == [float(i * i), 1.0]

    def test_gradients_add_up(self):
        w = schuss.tensor([1.0, 2.0], requires_grad=True)
        for i in range(1, 9):
            (w * 3.0).sum().backward()
            assert w.grad.tolist() == [3.0 * i] * 2

    def test_forms_are_told_apart(self):
        for i in range(24):
            n = (2, 3, 2, 5)[i % 4]
            w = schuss.full((n,), 2.0, requires_grad=True)
            x = schuss.arange(1.0, n + 1.0)
            x = x if i % 3 else x.flip(0)
            loss = ((w * x) ** 2).sum() if i % 2 else (w * x * (i % 5)).sum()
            loss.backward()
            expected = 2 * 2.0 * x * x if i % 2 else x * (i % 5)
            assert schuss.equal(w.grad, expected), i

    def test_one_leaf_or_two(self):
        for i in range(12):
            a = schuss.tensor([2.0], requires_grad=True)
            b = a if i % 3 == 2 else schuss.tensor([2.0], requires_grad=True)
            (a * b).sum().backward()
            assert a.grad.item() == (4.0 if b is a else 2.0)

    def test_a_written_operand_is_noticed(self):
        w = schuss.tensor([1.0, 2.0], requires_grad=True)
        for i in range(6):
            w.grad = None
            x = schuss.tensor([1.0, 2.0])
            loss = (w * x).sum()
            if i > 3:
                x.add_(1)
                with pytest.raises(schuss.GradError, match="modified by an in-place"):
                    loss.backward()
            else:
                loss.backward()

    def test_a_graph_is_let_go(self):
        w = schuss.tensor([1.0, 2.0], requires_grad=True)
        for _ in range(6):
            loss = (w * w).sum()
            loss.backward()
            with pytest.raises(schuss.GradError, match="second time"):
                loss.backward()

    def test_hooks_are_called(self):
        w, seen = schuss.tensor([1.0, 2.0], requires_grad=True), []
        for i in range(6):
            y = w * 2
            if i > 3:
                y.register_hook(lambda g: seen.append(g.tolist()))
            (y * y).sum().backward()
        assert len(seen) == 2
        w.register_hook(lambda g: g * 0)
        w.grad = None
        (w * 2 * w * 2).sum().backward()
        assert w.grad.tolist() == [0.0, 0.0]

    def test_draws_in_a_graph(self):
        w = schuss.ones(64, requires_grad=True)
        for _ in range(6):
            w.grad = None
            out = F.dropout(w * 1.0, 0.5)
            out.sum().backward()
            assert schuss.equal(w.grad, out.detach())

    def test_threads(self):
        wrong = []

        def work(k):
            w = schuss.full((4,), float(k), requires_grad=True)
            for _ in range(300):
                w.grad = None
                (w * w * 0.5).sum().backward()
                if w.grad.tolist() != [float(k)] * 4:
                    wrong.append(k)

        threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert not wrong
