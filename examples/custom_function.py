"""A function with a derivative of one's own, and backward from outputs that are no scalar.
Leans on schuss, schuss.autograd and schuss.viz; its picture goes to out/.
"""

from pathlib import Path

import schuss
from matplotlib.figure import Figure
from schuss import viz
from schuss.autograd import Function, Variable


class SmoothRamp(Function):
    """log(1 + exp(x)); the derivative, written by hand, is the logistic sigmoid."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0) + (1 + (-x.abs()).exp()).log()

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output / (1 + (-x).exp())


def ramp_and_slope(points):
    """Return values and derivatives of the ramp, and the derivatives by central differences."""
    x = schuss.linspace(-4, 4, points, dtype=schuss.float64).requires_grad_()
    y = SmoothRamp.apply(x)
    y.sum().backward()
    with schuss.no_grad():
        step = 1e-6
        differences = (SmoothRamp.apply(x + step) - SmoothRamp.apply(x - step)) / (2 * step)
    return x, y, x.grad, differences


def one_number():
    """Differentiate one number by one number: y = x^2, dy/dx = 2 x."""
    x = Variable(schuss.rand(1), requires_grad=True)
    y = x**2
    y.backward()
    return x.item(), x.grad.item()


def several_numbers():
    """Differentiate three numbers by two; `gradient` weighs the rows of the matrix of slopes."""
    x = Variable(schuss.rand(2, 1), requires_grad=True)
    y = Variable(schuss.zeros(3, 1), requires_grad=False)
    y[0] = x[0] ** 2
    y[1] = x[1] ** 3
    y[2] = x[1] ** 4
    y.backward(gradient=schuss.ones(y.size()))
    return x.detach(), x.grad


def two_tensors():
    """Differentiate Q = 3 a^3 - b^2, element by element."""
    a = schuss.tensor([2.0, 3.0], requires_grad=True)
    b = schuss.tensor([6.0, 4.0], requires_grad=True)
    Q = 3 * a**3 - b**2
    Q.backward(gradient=schuss.tensor([1.0, 1.0]))
    return a.grad.tolist(), b.grad.tolist()


def main(out="out", seed=0, points=81):
    """Run the four; return their numbers."""
    schuss.manual_seed(seed)
    x, y, slope, differences = ramp_and_slope(points)
    error = (slope - differences).abs().max().item()
    print(f"own derivative against central differences: off by at most {error:.1e}")
    number, derivative = one_number()
    print(f"x = {number:.4f}: d(x^2)/dx = {derivative:.4f}")
    inputs, gradient = several_numbers()
    print(f"x = {inputs.flatten().tolist()}: summed slopes {gradient.flatten().tolist()}")
    da, db = two_tensors()
    print(f"Q = 3 a^3 - b^2: dQ/da = {da}, dQ/db = {db}")

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    picture = Figure(layout="constrained")
    ax = picture.subplots()
    at = x.detach()
    ax.plot(at, y.detach(), label="log(1 + exp(x))")
    ax.plot(at, slope, label="its derivative")
    ax.set(xlabel="x", ylabel="y")
    ax.legend()
    picture.savefig(folder / "custom_function.png")
    viz.graph(y.sum(), params={"x": x}).save(folder / "custom_function_graph.png")
    return {"error": error, "number": (number, derivative), "several": (inputs, gradient),
            "two": (da, db)}  # fmt: skip


if __name__ == "__main__":
    main()
