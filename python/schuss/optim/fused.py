"""Fused, the base of optimisers whose step is one formula for each element of each parameter.
Leans on the core's fused step for tensors, and on the same formula worked out in Python else."""

from __future__ import annotations

from operator import is_, itemgetter
from typing import TYPE_CHECKING

import schuss
from schuss import _core
from schuss.optim.formula import worked_out
from schuss.optim.optimizer import Optimizer, has_hooks

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Any

    Entry = dict[str, Any]
    Group = dict[str, Any]
    Rule = tuple[str, tuple[str, ...], tuple[Any, ...]]
    Members = tuple[list[Any], list[Any], list[Entry]]


class Fused(Optimizer):
    """The base of optimisers whose step is a record of the core: write `_begin` and `_rule`.

    All the parameters of a group that are equally old are stepped in one pass. What PyTorch keeps
    as a tensor of one number (`_counted`, the count of steps for one) is a plain number here, and a
    tensor again in `state_dict`.
    """

    _counted: tuple[str, ...] = ("step",)
    # Whether a step is its passes and nothing else, so that their numbers are all it needs anew.
    _repeats = True
    # Whether `_age` counts, once there is a state, and does nothing else.
    _counts_alike = True
    # Options that decide what is computed besides the numbers of the passes.
    _fixed: tuple[str, ...] = ()
    # While a step is being recorded: the form, the group and the states of each run.
    _passes: list[tuple[Any, Group, list[Entry]]] | None = None

    def _begin(self, p: Any, group: Group) -> Entry:
        """The state of a parameter before its first step, without the count of steps."""
        raise NotImplementedError

    def _rule(self, group: Group, age: Any) -> Rule:
        """The record, the names of the states that it takes, and its numbers."""
        raise NotImplementedError

    def _age(self, entry: Entry, group: Group) -> Hashable:
        """Counts one more step; parameters for which it returns the same are stepped together."""
        entry["step"] = step = entry["step"] + 1
        return step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient; returns the closure's loss, if there is one."""
        loss = self._closed(closure)
        state, parameter, scalar = self.state, schuss.nn.Parameter, schuss.Scalar
        for group in self.param_groups:
            ages: dict[Any, Members] = {}
            for p in group["params"]:
                single = type(p) is not parameter and isinstance(p, scalar)
                grad = p.backwards_grad if single else p.grad
                if grad is None:
                    continue
                entry = state[p]
                if not entry:
                    entry.update(dict.fromkeys(self._counted, 0), **self._begin(p, group))
                age = self._age(entry, group)
                if single:
                    by_hand(self._rule(group, age), p, grad, entry)
                    continue
                members = ages.get(age)
                if members is None:
                    members = ages[age] = ([], [], [])
                members[0].append(p)
                members[1].append(grad)
                members[2].append(entry)
            for age, members in ages.items():
                self._together(group, age, members)
        return loss

    def _together(self, group: Group, age: Any, members: Members) -> None:
        """Steps parameters that are equally old; noted where a step is being recorded."""
        if self._passes is not None:
            form = self._form(group, self._all(group, age, members[2]))
            self._passes.append((form, group, members[2]))
        self._run(group, self._rule(group, age), members)

    def _all(self, group: Group, age: Any, entries: list[Entry]) -> list[tuple[str, Any]]:
        """The record and the numbers of every pass that `_run` makes, in their order."""
        name, _, numbers = self._rule(group, age)
        return [(name, numbers)]

    def _form(self, group: Group, every: list[tuple[str, Any]]) -> Any:
        """What must not change between a step that was recorded and one that repeats it."""
        return [name for name, _ in every], [group[key] for key in self._fixed]

    def _run(self, group: Group, rule: Rule, members: Members) -> None:
        """Steps parameters, which are equally old, with their gradients and states."""
        params, grads, entries = members
        if group.get("differentiable"):
            for p, grad, entry in zip(params, grads, entries, strict=True):
                by_hand(rule, p, grad, entry)
            return
        name, keys, numbers = rule
        states = [[entry[key] for entry in entries] for key in keys]
        _core.fused_step(name, [params, *states, grads], numbers)

    def _repeated(
        self, step: Callable[[], Any]
    ) -> tuple[Any, Callable[[], None], Callable[[], None]]:
        """Run a step that is being recorded; the result, what gives the numbers of the same step
        later on without looking at parameters and gradients, and what takes its counts back."""
        self._passes = passes = []
        try:
            result = step()
        finally:
            self._passes = None

        met = self._met()
        stepped = [entry for *_, entries in passes for entry in entries]
        counts = [(key, itemgetter(key)) for key in self._counted]
        before: list[tuple[str, list[Any]]] = []

        def numbers() -> None:
            before.clear()
            if not self._is_as(*met):
                # No numbers fit: the step is recorded anew.
                return _core._numbers(())
            before[:] = [(key, list(map(count, stepped))) for key, count in counts]
            for form, group, entries in passes:
                age, alike = self._again(group, entries)
                every = self._all(group, age, entries) if alike else []
                same = alike and self._form(group, every) == form
                for _, rates in every if same else [("", ())]:
                    _core._numbers(rates)
            return None

        def back() -> None:
            for key, values in before:
                for entry, value in zip(stepped, values, strict=True):
                    entry[key] = value

        return result, numbers, back

    def _again(self, group: Group, entries: list[Entry]) -> tuple[Any, bool]:
        """Counts one more step of parameters that were stepped together; returns the age of the
        last, and whether they are still equally old."""
        if self._counts_alike:
            age = entries[0]["step"] + 1
            alike = True
            for entry in entries:
                alike &= entry["step"] + 1 == age
                entry["step"] = age
            return age, alike
        ages = [self._age(entry, group) for entry in entries]
        return ages[-1], len(set(ages)) == 1

    def _met(self) -> tuple[list[Any], ...]:
        """The groups, their parameters, the states, and which tensors are where in these."""
        groups, states = list(self.param_groups), list(self.state.values())
        places = [
            (entry, key, value)
            for entry in states
            for key, value in entry.items()
            if isinstance(value, schuss.Tensor)
        ]
        owners, keys, tensors = ([place[i] for place in places] for i in range(3))
        return groups, [list(group["params"]) for group in groups], states, owners, keys, tensors

    def _is_as(
        self,
        groups: list[Group],
        params: list[list[Any]],
        states: list[Entry],
        owners: list[Entry],
        keys: list[str],
        tensors: list[Any],
    ) -> bool:
        """Whether groups, parameters, states and hooks are those that a recorded step met."""
        now, held = self.param_groups, self.state
        return (
            not has_hooks(self)
            and len(now) == len(groups)
            and len(held) == len(states)
            and all(map(is_, now, groups))
            and all(map(is_, held.values(), states))
            and all(map(is_, map(dict.get, owners, keys), tensors))
            and all(map(_are, (group["params"] for group in now), params))
        )

    def _saved(self, entry: Any) -> Any:
        if not isinstance(entry, dict):
            return entry
        counted = {
            k: schuss.tensor(float(entry[k]), device="cpu") for k in self._counted if k in entry
        }
        return {**entry, **counted}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)
        for entry in self.state.values():
            for key in self._counted:
                if key in entry:
                    entry[key] = int(entry[key]) if key == "step" else float(entry[key])


def _are(now: list[Any], then: list[Any]) -> bool:
    return len(now) == len(then) and all(map(is_, now, then))


def by_hand(rule: Rule, p: Any, grad: Any, entry: Entry) -> None:
    """One parameter's step by the formula; that of a tensor is recorded."""
    name, keys, numbers = rule
    states = [entry[key] for key in keys]
    if isinstance(p, schuss.Scalar):
        _core._refuse_recording("the step moves Scalars, which are numbers of Python")
        p.value, *new = worked_out(name, [p.value, *states, grad], numbers)
    else:
        with schuss.enable_grad():
            moved, *new = worked_out(name, [p, *states, grad], numbers)
            p.copy_(moved)
    entry.update(zip(keys, new, strict=True))


def zeros(p: Any) -> Any:
    """A state like a parameter, all 0."""
    if isinstance(p, schuss.Scalar):
        return 0.0
    return schuss.zeros_like(p, requires_grad=False)


def filled(p: Any, value: complex) -> Any:
    """A state like a parameter, all of one value."""
    if isinstance(p, schuss.Scalar):
        return value
    return schuss.full_like(p, value, requires_grad=False)


def rate(group: Group) -> Any:
    """The learning rate: a number, or the tensor it is in where steps are differentiated."""
    lr = group["lr"]
    return lr if group.get("differentiable") else float(lr)


def sign(group: Group) -> float:
    """What the gradient is multiplied with, so that the loss falls, or rises."""
    return -1.0 if group.get("maximize") else 1.0


def decays(group: Group, lr: Any) -> tuple[Any, Any]:
    """How much of the parameter goes into the gradient, and how much of it is kept."""
    decay = group["weight_decay"]
    decoupled = group.get("decoupled_weight_decay")
    return (0.0, 1 - lr * decay) if decoupled else (decay, 1.0)
