"""Forward and backward hooks of a Model: what they see, replace, and leave when removed.
Leans on schuss alone; the expected gradients follow from the definitions."""

import pytest
import schuss
from schuss import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(schuss.zeros(2))

    def forward(self, x, shift=0.0):
        return x + self.bias + shift


def test_forward_hooks_see_and_replace():
    log = []
    model = nn.Identity()
    pre = model.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    model.register_forward_pre_hook(lambda m, args: args[0] * 10, prepend=True)
    post = model.register_forward_hook(lambda m, args, out: log.append((args, out)))
    model.register_forward_hook(lambda m, args, out: out + 0.5)
    assert model(2) == 21.5 and log == [((21,), 21)]
    pre.remove()
    pre.remove()
    with post:
        assert model(2) == 20.5
    assert len(log) == 2
    model(2)
    assert len(log) == 2


def test_forward_hooks_with_kwargs():
    net = Net()
    seen = []
    net.register_forward_pre_hook(lambda m, args, kw: (args, {"shift": 5.0}), with_kwargs=True)
    net.register_forward_hook(lambda m, args, kw, out: seen.append(kw), with_kwargs=True)
    net(schuss.ones(1, 2), shift=1.0)
    assert seen == [{"shift": 5.0}]
    net.register_forward_pre_hook(lambda m, args, kw: 3, with_kwargs=True)
    with pytest.raises(RuntimeError):
        net(schuss.ones(1, 2))


def test_always_call_runs_after_an_error():
    class Broken(nn.Module):
        def forward(self, x):
            raise ArithmeticError("no")

    seen = []
    model = Broken()
    model.register_forward_hook(lambda m, args, out: seen.append("plain"))
    model.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(ArithmeticError):
        model(1)
    assert seen == [None]


def test_backward_hooks_see_both_gradients():
    class Product(nn.Module):
        def forward(self, x, factor, y):
            return x * y * factor

    log = []
    model = Product()
    model.register_full_backward_hook(lambda m, gin, gout: log.append((gin, gout)))
    x = schuss.tensor([2.0], requires_grad=True)
    y = schuss.tensor([3.0], requires_grad=True)
    (model(x, 10.0, y) * 7).sum().backward()
    ((gin, gout),) = log
    assert [None if g is None else g.item() for g in gin] == [210.0, None, 140.0]
    assert [g.item() for g in gout] == [7.0]
    assert (x.grad.item(), y.grad.item()) == (210.0, 140.0)


def test_backward_hooks_replace_gradients():
    model = nn.Identity()
    model.register_full_backward_pre_hook(lambda m, gout: (gout[0] * 2,))
    handle = model.register_full_backward_hook(lambda m, gin, gout: (gin[0] * 5 + gout[0],))
    x = schuss.tensor([1.0], requires_grad=True)
    model(x * 1).sum().backward()
    assert x.grad.item() == 12.0
    handle.remove()
    x.grad = None
    model(x * 1).sum().backward()
    assert x.grad.item() == 2.0


def test_backward_hook_without_input_gradients():
    layer = nn.Linear(1, 1)
    log = []
    layer.register_full_backward_hook(lambda m, gin, gout: log.append((gin, gout[0].item())))
    layer(schuss.ones(1, 1)).sum().backward()
    assert log == [((None,), 1.0)]
    assert layer.weight.grad.item() == 1.0


def test_backward_hooks_on_several_outputs():
    class Pair(nn.Module):
        def forward(self, x):
            return x * 2, x * 3

    seen = []
    model = Pair()
    model.register_full_backward_hook(lambda m, gin, gout: seen.append((gin[0].item(), gout[1])))
    x = schuss.tensor([1.0], requires_grad=True)
    first, second = model(x)
    (first.sum() + 10 * second.sum()).backward()
    assert seen[0][0] == 32.0 and seen[0][1].item() == 10.0
    with schuss.no_grad():
        assert model(x)[1].item() == 3.0


def test_hooks_are_listed_and_may_be_cleared():
    model = nn.Identity()
    assert len(model._forward_hooks) == 0 and not model._forward_pre_hooks
    pre = model.register_forward_pre_hook(lambda m, args: (args[0] + 1,))
    post = model.register_forward_hook(lambda m, args, out: out * 2, with_kwargs=False)
    model.register_full_backward_hook(lambda m, inward, outward: None)
    assert list(model._forward_pre_hooks) == [pre.id] and list(model._forward_hooks) == [post.id]
    assert model._forward_hooks[post.id](model, (), 4) == 8 and len(model._backward_hooks) == 1
    assert model(schuss.tensor(1.0)).item() == 4
    model._forward_hooks.clear()
    del model._forward_pre_hooks[pre.id]
    assert model(schuss.tensor(1.0)).item() == 1 and not model._forward_hooks
    with pytest.raises(TypeError, match="Identity: hooks are registered by their methods"):
        model._forward_hooks[0] = print
