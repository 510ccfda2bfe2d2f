"""Writes points.txt: values of the f64 functions to 60 digits, for math_ulp.rs.

Leans on mpmath alone: `python tests/math/points.py > tests/math/points.txt`.

One block a function: its name, then lines of `x [y] value rest`, numbers as the bits of an f64 in
hexadecimal and the rest (what the value lacks of the true one) in thousandths of its last place.
"""

import math
import random
import struct

import mpmath  # pyright: ignore[reportMissingImports]
from mpmath import mp, mpf  # pyright: ignore[reportMissingImports]

mp.dps = 60
COUNT = 200


def uniform(a, b):
    return lambda r: r.uniform(a, b)


def spread(low, high, signed=True):
    """Every binary exponent from low to high alike."""
    signs = (-1, 1) if signed else (1,)
    return lambda r: r.choice(signs) * r.uniform(1, 2) * 2.0 ** r.randint(low, high)


def around(c, low, high):
    return lambda r: c + r.choice((-1, 1)) * 2.0 ** r.uniform(low, high)


def inside(sides):
    """Close below 1 in magnitude."""
    return lambda r: r.choice(sides) * (1 - r.random() * 2.0 ** -r.randint(1, 52))


def quarter_turns(r):
    return float(r.randint(1, 1 << 24) * mp.pi / 2)


def circular(f):
    def wide(x):
        with mpmath.workprec(1300):
            return +f(x)

    return wide


EXPS = [uniform(-1, 1), uniform(-708, 709.7), uniform(-745, -708), spread(-40, 3)]
EXP2S = [uniform(-1, 1), uniform(-1022, 1023.9), uniform(-1074, -1022)]
GAMMAS = [uniform(0.01, 4), uniform(0, 30), spread(-40, 1000, signed=False)]
ANGLES = [uniform(-4, 4), uniform(-1e4, 1e4), spread(-30, 26), quarter_turns]
# The last is the f64 closest to a multiple of pi / 2 (Kahan and McDonald).
FAR = [spread(20, 1023), spread(900, 1023), spread(26, 70), lambda r: 6381956970095103 * 2.0**797]
LOGS = [uniform(0.5, 2), spread(-1074, 1023, signed=False), around(1, -50, -2)]
UNARY = {
    "exp": (mpmath.exp, EXPS),
    "exp2": (lambda x: mpf(2) ** x, EXP2S),
    "expm1": (mpmath.expm1, [uniform(-1, 1), uniform(-40, 709), spread(-60, 3)]),
    "sigmoid": (lambda x: 1 / (1 + mpmath.exp(-x)), [uniform(-3, 3), uniform(-740, 40)]),
    "log": (mpmath.log, LOGS),
    "log2": (lambda x: mpmath.log(x) / mpmath.log(2), LOGS),
    "log10": (mpmath.log10, LOGS),
    "log1p": (mpmath.log1p, [uniform(-0.999, 2), spread(-60, -1), spread(-9, 1023, signed=False)]),
    "log1p_exp": (lambda x: mpmath.log1p(mpmath.exp(x)), [uniform(-3, 3), uniform(-740, 40)]),
    "sin": (circular(mpmath.sin), [*ANGLES, *FAR]),
    "cos": (circular(mpmath.cos), [*ANGLES, *FAR]),
    "tan": (circular(mpmath.tan), [*ANGLES, *FAR]),
    "sin_near": (circular(mpmath.sin), ANGLES),
    "cos_near": (circular(mpmath.cos), ANGLES),
    "tan_near": (circular(mpmath.tan), ANGLES),
    "asin": (mpmath.asin, [uniform(-1, 1), uniform(0.45, 0.6), spread(-30, -1), inside((1,))]),
    "acos": (mpmath.acos, [uniform(-1, 1), uniform(0.45, 0.6), spread(-30, -1), inside((-1, 1))]),
    "atan": (mpmath.atan, [uniform(-3, 3), uniform(0.3, 0.6), spread(-30, 60)]),
    "sinh": (mpmath.sinh, [uniform(-3, 3), uniform(-710, 710), spread(-30, 4)]),
    "cosh": (mpmath.cosh, [uniform(-3, 3), uniform(-710, 710), spread(-30, 4)]),
    "tanh": (mpmath.tanh, [uniform(-1, 1), uniform(-20, 20), spread(-30, 4)]),
    "asinh": (mpmath.asinh, [uniform(-3, 3), spread(-30, 1023)]),
    "acosh": (mpmath.acosh, [uniform(1, 3), spread(0, 1023, signed=False), around(1.01, -40, -7)]),
    "atanh": (mpmath.atanh, [uniform(-1, 1), spread(-30, -1), inside((1,))]),
    "erf": (mpmath.erf, [uniform(-1.2, 1.2), uniform(-6, 6), spread(-30, 2)]),
    "erfc": (mpmath.erfc, [uniform(-1, 1), uniform(0.4, 27.2), uniform(-6, 6), spread(-30, 2)]),
    "lgamma": (lambda x: mp.re(mpmath.loggamma(x)), [*GAMMAS, around(1.5, -2, -1)]),
    "digamma": (mpmath.digamma, [*GAMMAS, around(1.4616, -30, -3)]),
}


def pow_pair(r):
    kind = r.randrange(4)
    if kind == 0:
        return r.uniform(0, 3), r.uniform(-10, 10)
    if kind == 1:
        return 2.0 ** r.uniform(-20, 20), float(r.randint(-40, 40))
    x = 2.0 ** r.uniform(-1074, 1023) if kind == 2 else around(1, -45, -2)(r)
    return x, float(r.uniform(-1070, 1023) / mpmath.log(x, 2))


def atan2_pair(r):
    kind = r.randrange(3)
    if kind == 0:
        return r.uniform(-3, 3), r.uniform(-3, 3)
    if kind == 1:
        return spread(-30, 30)(r), spread(-30, 30)(r)
    x = r.uniform(-3, 3)
    return x * r.uniform(0.38, 0.45), x


BINARY = {"pow": (lambda x, y: mpf(x) ** y, pow_pair), "atan2": (mpmath.atan2, atan2_pair)}


def bits(v):
    return struct.pack(">d", v).hex()


def line(arguments, value):
    near = float(value)
    rest = (value - mpf(near)) / mpf(math.ulp(near))
    return " ".join([*map(bits, arguments), bits(near), str(int(mp.nint(rest * 1000)))])


def block(name, f, draw):
    print(name)
    left = COUNT
    r = random.Random(name)
    while left:
        arguments = draw(r, left)
        value = f(*map(mpf, arguments))
        if isinstance(value, mpf) and mpf(2) ** -1076 < abs(value) < mpf(2) ** 1023.99:
            print(line(arguments, value))
            left -= 1


for name, (f, draws) in UNARY.items():
    block(name, f, lambda r, k, draws=draws: (float(draws[k % len(draws)](r)),))
for name, (f, pair) in BINARY.items():
    block(name, f, lambda r, _, pair=pair: pair(r))
