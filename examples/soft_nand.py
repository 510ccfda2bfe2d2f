"""Four gates, each 1 - ab of two wires that it chooses itself, learn to be XOR.
Leans on schuss.nn, schuss.optim and schuss.viz.
"""

from pathlib import Path

import schuss
from schuss import nn, optim, viz

INPUTS = schuss.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
TRUTH = schuss.tensor([0.0, 1.0, 1.0, 0.0])


class Gates(nn.Module):
    """Many nets at once: gate k mixes the inputs and the gates before it, twice, into 1 - ab."""

    def __init__(self, nets, gates):
        super().__init__()
        # For each gate: nets, two legs, and a weight for every wire that is there already.
        self.wires = nn.ParameterList(schuss.randn(nets, 2, 2 + k) for k in range(gates))

    def forward(self, x, sharp=1.0):
        values = x.T.expand(len(self.wires[0]), -1, -1)  # nets, wires, cases
        for wires in self.wires:
            chosen = (sharp * wires).softmax(-1)
            a, b = (chosen @ values).unbind(1)
            values = schuss.cat([values, (1 - a * b).unsqueeze(1)], dim=1)
        return values[:, -1]

    def program(self, net):
        """The wire that each leg of each gate prefers, as a text; x and y are the inputs."""
        names, lines = ["x", "y"], []
        for k, wires in enumerate(self.wires):
            a, b = (names[i] for i in wires[net].argmax(-1).tolist())
            names.append(f"g{k + 1}")
            lines.append(f"{names[-1]} = nand({a}, {b})")
        return lines


def run(lines, x, y):
    """What the program says of two bits, with gates that are 0 or 1."""
    values = {"x": x, "y": y}
    for line in lines:
        name, call = line.split(" = ")
        a, b = call[5:-1].split(", ")
        values[name] = 1 - values[a] * values[b]
    return values[name]


def main(out="out", seed=0, steps=400, nets=64, gates=4, lr=0.05):
    """Train many nets from random wires; return the best one's wires, and its truth table."""
    schuss.manual_seed(seed)
    model = Gates(nets, gates)
    optimizer = optim.Adam(model.parameters(), lr=lr)
    losses = []
    for step in range(steps):
        each = (model(INPUTS, sharp=1 + 4 * step / steps) - TRUTH).square().mean(1)
        optimizer.zero_grad()
        each.sum().backward()
        optimizer.step()
        losses.append(each.detach().min().item())
    best = each.argmin().item()
    lines = model.program(best)
    table = [run(lines, *map(int, row)) for row in INPUTS.tolist()]
    right = sum([run(model.program(net), *map(int, row)) for row in INPUTS.tolist()]
                == TRUTH.tolist() for net in range(nets))  # fmt: skip
    print("\n".join(lines))
    print(f"of 00, 01, 10, 11 it makes {table}; {right} of {nets} nets have learnt XOR")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    viz.loss_curve(losses, log=True).savefig(folder / "soft_nand_loss.png")
    return {"program": lines, "table": table, "right": right, "losses": losses}


if __name__ == "__main__":
    main()
