"""Whatever a public function is given, what it says begins with the name that was called.

Leans on schuss and pytest. The functions are those of the namespaces themselves, so that a new one
is asked as well.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schuss
from schuss import Tensor, fft, linalg, special
from schuss.naming import speaks
from schuss.nn import functional

HOLDERS = {
    "schuss": schuss,
    "functional": functional,
    "linalg": linalg,
    "fft": fft,
    "special": special,
    "Tensor": Tensor,
}


class Odd:
    """What no function takes."""


FIRST = [
    Odd(),
    "a",
    None,
    -7,
    2.5,
    schuss.tensor([[1j, 2.0], [3.0, 4.0]]),
    schuss.tensor([1, 2]),
    schuss.tensor([True, False]),
    schuss.ones(2, 3),
    schuss.zeros(0),
]
SECOND = [(), (Odd(),), ("a",), (schuss.ones(4, 5, 6),), (99,)]
# Names in front of messages that are the argument's, or that of the question a function asks of it.
WORDS = {"dtype", "device", "generator", "requires_grad", "tensor", "item"}
# What these do is no operation on tensors, or they change the state of the session.
APART = {
    "compile", "fit", "load", "save", "manual_seed", "seed", "set_rng_state", "set_default_dtype",
    "set_default_device", "set_num_threads", "set_printoptions", "typename", "backward", "vmap",
    "set_default_tensor_type", "set_num_interop_threads", "apply_", "map_", "register_hook",
    "register_post_accumulate_grad_hook", "set_flush_denormal", "is_tensor", "from_dlpack",
    "get_rng_state", "initial_seed", "use_deterministic_algorithms", "set_warn_always",
    "set_float32_matmul_precision", "set_deterministic_debug_mode", "numpy", "asarray",
    "frombuffer", "from_numpy", "new", "tolist", "no_grad", "enable_grad", "set_grad_enabled",
    "inference_mode", "promote_types", "result_type", "can_cast", "result_shape", "size_hint",
}  # fmt: skip


# Nothing is asked in front of these: a call more would count. The arguments of the others are read
# before anything of ours runs.
THIN = {
    "relu",
    "gelu",
    "linear",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "mse_loss",
    "l1_loss",
    "add_",
    "sub_",
}
THIN |= {"clone", "dropout", "detach", "requires_grad_", "size", "stride", "type_as", "to_device"}
# What nn.functional is made with.
THIN |= {"in_place", "legacy_reduction"}


def functions(holder: Any) -> Iterator[tuple[str, Callable]]:
    names = getattr(holder, "__all__", None) or dir(holder)
    for name in names:
        value = getattr(holder, name, None)
        usable = callable(value) and not inspect.isclass(value) and not name.startswith("_")
        if usable and name not in APART and not getattr(value, "__module__", "").endswith("tf"):
            yield name, value  # pyright: ignore[reportReturnType]


def messages(function: Callable, method: bool) -> Iterator[str]:
    for first in FIRST:
        if method and not isinstance(first, Tensor):
            continue
        for more in SECOND:
            try:
                function(first.clone() if isinstance(first, Tensor) else first, *more)
            except StopIteration:
                pass
            except Exception as error:
                yield str(error)


def names_itself(text: str, name: str) -> bool:
    head = text.partition(": ")[0].partition("(")[0].strip().rpartition(".")[2].rstrip("_")
    names = (name, name.removesuffix("_with_indices"), *ALIASES.get(name, ()))
    return head in {n.rstrip("_") for n in names} or head in WORDS


# One function under two names says the first.
ALIASES: dict[str, tuple[str, ...]] = {}
for _holder in HOLDERS.values():
    _groups: dict[int, list[str]] = {}
    for _name, _value in functions(_holder):
        own = getattr(_value, "__wrapped__", _value)
        _groups.setdefault(id(own), []).append(_name)
        ALIASES[_name] = (*ALIASES.get(_name, ()), getattr(_value, "__name__", _name))
    for _group in _groups.values():
        for _name in _group:
            ALIASES[_name] = (*ALIASES.get(_name, ()), *_group)


@pytest.mark.parametrize("where", HOLDERS)
def test_refusals_begin_with_the_name_that_was_called(where: str) -> None:
    wrong = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, function in functions(HOLDERS[where]):
            for text in messages(function, where == "Tensor"):
                if name not in THIN and not names_itself(text, name):
                    wrong.setdefault(name, text)
    assert not wrong, "\n".join(f"{name}: says {text[:100]!r}" for name, text in wrong.items())


# The public name instead of the one of a record that it is made of.
INNER = [
    (lambda: schuss.ones(3).sort(7), "sort: "),
    (lambda: schuss.searchsorted(schuss.tensor([1j]), schuss.ones(2)), "searchsorted: "),
    (lambda: functional.gelu(schuss.tensor([1j])), "gelu: "),
    (lambda: schuss.nn.GELU()(schuss.tensor([1j])), "gelu: "),
    (
        lambda: functional.batch_norm(schuss.ones(2, 2) * 1j, None, None, training=True),
        "batch_norm",
    ),
    (lambda: functional.max_pool2d(schuss.ones(1, 4, 4) * 1j, 2), "max_pool2d: "),
    (lambda: schuss.stack([schuss.ones(2), schuss.ones(3)]), "stack: "),
    (lambda: functional.mse_loss(schuss.ones(2), schuss.ones(3, 4)), "mse_loss: "),
    (lambda: functional.l1_loss(schuss.ones(2), schuss.ones(3)), "l1_loss: "),
    (lambda: schuss.index_put(schuss.ones(3), (schuss.tensor([7]),), schuss.ones(1)), "index_put"),
    (lambda: schuss.median(schuss.tensor([1j])), "median: "),
    (lambda: fft.fft(schuss.ones(3), n=2.5), "fft: "),
    (lambda: schuss.diag([1.0]), "diag: input must be a Tensor, got list"),
    (lambda: schuss.load(5), "load: expected str, bytes or os.PathLike object, not int"),
]


@pytest.mark.parametrize(("call", "start"), INNER)
def test_inner_names_stay_inside(call: Callable, start: str) -> None:
    with warnings.catch_warnings(), pytest.raises(Exception) as caught:
        warnings.simplefilter("ignore")
        call()
    assert str(caught.value).startswith(start)


def test_a_users_own_error_is_left_alone() -> None:
    def reads(x: Any) -> None:
        raise x

    for error in (ValueError("mine: not here"), KeyError("mine"), schuss.CompileError("step: no")):
        with pytest.raises(type(error), match=re.escape(str(error))):
            speaks(reads)(error)
    with pytest.raises(UserWarning, match=r"^sort: odd"):
        speaks(reads)(UserWarning("sort: odd"))
