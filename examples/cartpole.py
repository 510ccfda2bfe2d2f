"""A policy learns by trial to balance a pole on a cart, from nothing but how long it stood.
Leans on schuss.nn, schuss.distributions and schuss.viz; the cart is the first class below.
"""

import math
from pathlib import Path

import schuss
from schuss import nn, optim, viz
from schuss.distributions import Categorical


class Carts:
    """Many carts at once, each with a pole (Barto, Sutton and Anderson, 1983), in 20 ms steps."""

    def __init__(self, count):
        self.state = schuss.rand(count, 4) * 0.1 - 0.05

    def step(self, push_right):
        """Push every cart to one side; return which of them have fallen, or left the track."""
        x, v, angle, spin = self.state.unbind(1)
        force = schuss.where(push_right, 10.0, -10.0)
        cos, sin = angle.cos(), angle.sin()
        pull = (force + 0.05 * spin**2 * sin) / 1.1
        turn = (9.8 * sin - cos * pull) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        push = pull - 0.05 * turn * cos / 1.1
        after = [x + 0.02 * v, v + 0.02 * push, angle + 0.02 * spin, spin + 0.02 * turn]
        self.state = schuss.stack(after, dim=1)
        return (after[0].abs() > 2.4) | (after[2].abs() > 12 * math.pi / 180)


def play(policy, count, longest):
    """Let many poles stand until they fall; return log-probabilities, which stood, and for how
    long, each with a row for every step."""
    carts, standing = Carts(count), schuss.ones(count, dtype=schuss.bool)
    logs, alive = [], []
    for _ in range(longest):
        choice = Categorical(logits=policy(carts.state))
        action = choice.sample()
        logs.append(choice.log_prob(action))
        alive.append(standing)
        standing = standing & ~carts.step(action == 1)
        if not standing.any():
            break
    alive = schuss.stack(alive).float()
    return schuss.stack(logs), alive, alive.sum(0)


def main(out="out", seed=0, rounds=60, carts=32, longest=200, lr=1e-2, discount=0.99):
    """Train by REINFORCE (Williams, 1992); return how long the poles stood in every round."""
    schuss.manual_seed(seed)
    policy = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer = optim.Adam(policy.parameters(), lr=lr)
    lengths = []
    for round_ in range(rounds):
        logs, alive, stood = play(policy, carts, longest)
        with schuss.no_grad():
            worth, later = schuss.empty_like(alive), schuss.zeros(carts)
            for t in reversed(range(len(alive))):
                later = worth[t] = alive[t] * (1 + discount * later)
            # What a step is worth beside the same step of the other carts.
            mean = (worth * alive).sum(1, keepdim=True) / alive.sum(1, keepdim=True)
            ahead = (worth - mean) * alive
            ahead = ahead / (ahead.std() + 1e-8)
        loss = -(logs * ahead).sum() / alive.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lengths.append(stood.mean().item())
        viz.progress(round_ + 1, rounds, f"rounds, a pole stands for {lengths[-1]:.0f} steps")
    print(f"at first a pole stood for {lengths[0]:.0f} steps, at last for {lengths[-1]:.0f} of "
          f"{longest}")  # fmt: skip

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    viz.loss_curve(lengths, ylabel="steps").savefig(folder / "cartpole_steps.png")
    return {"lengths": lengths}


if __name__ == "__main__":
    main()
