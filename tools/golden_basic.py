"""Goldens of the elementwise, shape, reduction, indexing and random ops."""

import math

import numpy as np
from golden_core import GROUP, LENGTHS, f32, golden

erf = np.vectorize(math.erf, otypes=[np.float64])


def binary(name, fn, apart=0.0, positive=False):
    """Cases of a binary op. `apart` keeps the operands from meeting, `positive` b away from 0."""

    def pair(g, sa, sb):
        a, b = g.normal(*sa), g.normal(*sb)
        if positive:
            b = f32(np.sign(b) * (0.5 + np.abs(b)))
        if apart:
            a = f32(np.where(np.abs(a - b) < apart, a + 3 * apart, a))
        return a, b

    @golden(name)
    def make(g):
        for n in LENGTHS:
            g.case(f"length {n}", fn, list(pair(g, (n,), (n,))))
        for sa, sb in [
            ((3, 65), (65,)),
            ((65,), (3, 65)),
            ((3, 5), (3, 1)),
            ((), (2, 3)),
            ((2, 1, 4), (3, 1)),
            ((2, 3, 1, 2, 3), (2, 1, 2, 1, 3)),
        ]:
            a, b = g.normal(*sa), g.normal(*sb)
            if positive:
                b = f32(np.sign(b) * (0.5 + np.abs(b)))
            g.case(f"{list(sa)} and {list(sb)}", fn, [a, b])
        g.case("mean 1e3", fn, [g.normal(65, mean=1e3), g.normal(65, mean=1e3)], step=1e-7)
        x = f32(np.sign(y := g.normal(65)) * (0.5 + np.abs(y)))
        for value in (2.5, -0.75):
            g.case(f"x and {value}", lambda a: fn(a, value), [x], right=value)
            g.case(f"{value} and x", lambda b: fn(np.float64(value), b), [x], left=value)


binary("add", lambda a, b: a + b)
binary("sub", lambda a, b: a - b)
binary("mul", lambda a, b: a * b)
binary("div", lambda a, b: a / b, positive=True)
binary("maximum", np.maximum, apart=1e-2)
binary("minimum", np.minimum, apart=1e-2)


@golden("integers")
def integers(g):
    """Arithmetic that wraps, on both integer types."""
    wide = [g.rng.integers(0, 2**32, 65, dtype=np.uint32) for _ in range(2)]
    signed = [x.view(np.int32) for x in wide]
    ops = {
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "maximum": np.maximum,
        "minimum": np.minimum,
    }
    with np.errstate(over="ignore"):
        for op, fn in ops.items():
            g.case(f"u32 {op}", fn, wide, op=op)
            g.case(f"i32 {op}", fn, signed, op=op)
    small = g.ids(1000, 65) + np.uint32(1)
    g.case("u32 div", lambda a, b: a // b, [wide[0], small], op="div")
    toward_zero = lambda a, b: np.trunc(a.astype(np.float64) / b).astype(np.int32)
    g.case("i32 div", toward_zero, [signed[0], small.view(np.int32)], op="div")


@golden("compare")
def compare(g):
    ops = {
        "greater": np.greater,
        "less": np.less,
        "greaterEqual": np.greater_equal,
        "lessEqual": np.less_equal,
        "equal": np.equal,
        "notEqual": np.not_equal,
    }
    floats = [f32(np.round(g.normal(65))) for _ in range(2)]
    ends = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0])
    special = [np.repeat(ends, 6), np.tile(ends, 6)]
    unsigned = [g.rng.integers(0, 3, 65, dtype=np.uint32) * np.uint32(2**31 - 1) for _ in range(2)]
    signed = [g.rng.integers(-2, 3, 65).astype(np.int32) for _ in range(2)]
    for op, fn in ops.items():
        g.case(f"{op} f32", fn, floats, op=op)
        g.case(f"{op} special", fn, special, op=op)
        g.case(f"{op} u32", fn, unsigned, op=op)
        g.case(f"{op} i32", fn, signed, op=op)
        g.case(f"{op} broadcast", fn, [floats[0].reshape(13, 5), floats[1][:5]], op=op)
        g.case(f"{op} number", lambda a: fn(a, 1.0), [floats[0]], op=op, right=1.0)


@golden("logic")
def logic(g):
    a, b = (g.ids(3, n) for n in (65, 65))
    g.case("and", lambda a, b: (a != 0) & (b != 0), [a, b], op="logicalAnd")
    g.case("or", lambda a, b: (a != 0) | (b != 0), [a, b], op="logicalOr")
    g.case("not", lambda a: a == 0, [a], op="logicalNot")


def unary(name, fn, low=-3.0, high=3.0, extra=()):
    @golden(name)
    def make(g):
        for n in LENGTHS:
            g.case(f"length {n}", fn, [g.uniform(low, high, n)])
        g.case("three axes", fn, [g.uniform(low, high, 2, 3, 4)])
        if extra:
            g.case("far out", fn, [f32(extra)], step=1e-6)


def gelu(x):
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


unary("neg", lambda x: -x)
unary("exp", np.exp, extra=(-80, -20, 0, 5))
unary("log", np.log, 0.05, 4, extra=(0.001, 1, 1e5, 1e3))
unary("sqrt", np.sqrt, 0.05, 4, extra=(0.01, 1e6))
unary("rsqrt", lambda x: 1 / np.sqrt(x), 0.05, 4, extra=(0.01, 1e6))
unary("reciprocal", lambda x: 1 / x, 0.2, 4, extra=(-5, 100))
unary("tanh", np.tanh, extra=(-1e4, -90, -20, 20, 90, 1e4))
unary("square", lambda x: x * x, extra=(1e3, -1e3))
unary("abs", np.abs, 0.01, 3, extra=(-1e3, -0.5, 7))
unary("sigmoid", lambda x: 1 / (1 + np.exp(-x)), extra=(-80, -20, 0.5, 20, 80))
unary("gelu", gelu, -5, 5, extra=(-40, -10, 10, 40))
unary("relu", lambda x: np.maximum(x, 0), extra=(-1e3, -0.5, 7))
unary("geluTanh", lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), -5, 5, extra=(-40, -9.5, 9.5, 40))
unary("silu", lambda x: x / (1 + np.exp(-x)), -8, 8, extra=(-80, -20, 20, 80))
unary("sin", np.sin, -8, 8, extra=(-500.5, -3.14159265, 0, 1.57079633, 700.25))
unary("cos", np.cos, -8, 8, extra=(-500.5, -3.14159265, 0, 1.57079633, 700.25))


@golden("where")
def where(g):
    pick = lambda c, a, b: np.where(c != 0, a, b)
    for n in LENGTHS:
        g.case(f"length {n}", pick, [g.ids(2, n), g.normal(n), g.normal(n)])
    g.case("broadcast", pick, [g.ids(2, 3, 1, 5), g.normal(4, 5), g.normal(3, 1, 1)])
    g.case("condition is larger", pick, [g.ids(2, 7, 5), g.normal(5), g.normal(7, 1)])
    g.case("last axis of 8", pick, [g.ids(2, 3, 8), g.normal(8), g.normal(3, 1)])
    shapes = (2, 1, 3, 1, 2), (2, 1, 2, 1), (2, 2, 1, 2, 1)
    g.case("five axes", pick, [g.ids(2, *shapes[0]), *(g.normal(*s) for s in shapes[1:])])
    c, x = g.ids(2, 65), g.normal(65)
    g.case("b is a number", lambda c, a: pick(c, a, -1.5), [c, x], b=-1.5)
    g.case("a is a number", lambda c, b: pick(c, 2.25, b), [c, x], a=2.25)
    g.case("both are numbers", lambda c: pick(c, 2.0, -1.0), [c], grads=False, a=2.0, b=-1.0)
    g.case("u32", pick, [c, g.ids(9, 65), g.ids(9, 65)])
    # what is not chosen must not leak
    bad = np.where(c != 0, x, np.nan)
    g.case("not a number", lambda c, a: pick(c, a, 0.0), [c, bad], grads=False, b=0)


@golden("cast")
def cast(g):
    halves = [0, 0.5, 0.999, 1.5, 2.5, -0.5, -0.999, -1.5, -2.5, 1e6 + 0.5, 16777216]
    ends = [3e9, -3e9, 5e9, 1e20, -1e20, np.inf, -np.inf, np.nan]
    edges = [2147483520, 2147483648, 4294967040]  # the last before 2^31, 2^31, the last before 2^32
    floats = np.concatenate([f32(halves), f32(ends), f32(edges), g.normal(60, spread=1e3)])

    def to_int(x, low, high):
        return np.clip(np.trunc(np.nan_to_num(x, nan=0.0, posinf=1e30, neginf=-1e30)), low, high)

    signed = lambda x: to_int(x, -(2**31), 2**31 - 1).astype(np.int32)
    unsigned = lambda x: to_int(x, 0, 2**32 - 1).astype(np.uint32)
    g.case("f32 to i32", signed, [floats], to="i32")
    g.case("f32 to u32", unsigned, [floats], to="u32")
    wide = g.rng.integers(0, 2**32, 65, dtype=np.uint32)
    nearest = lambda x: x.astype(np.float32).astype(np.float64)
    g.case("u32 to f32", nearest, [wide], grads=False, to="f32")
    g.case("i32 to f32", nearest, [wide.view(np.int32)], grads=False, to="f32")
    g.case("u32 to i32", lambda x: x.view(np.int32), [wide], to="i32")
    g.case("i32 to u32", lambda x: x.view(np.uint32), [wide.view(np.int32)], to="u32")
    g.case("f32 to f32", lambda x: x * 1.0, [g.normal(5)], to="f32")
    for n in (1, 64, 65):
        g.case(f"f16 to f32, {n}", lambda x: x, [g.f16(n)], grads=False, to="f32")
        g.case(f"bf16 to f32, {n}", lambda x: x, [g.bf16(n)], grads=False, to="f32")


@golden("addN")
def add_n(g):
    for n in LENGTHS:
        g.case(f"three of length {n}", lambda *xs: sum(xs), [g.normal(n) for _ in range(3)])
    for count in (1, 2, 5, 6, 7, 11, 12):
        g.case(f"{count} tensors", lambda *xs: sum(xs), [g.normal(2, 3) for _ in range(count)])


@golden("reshape")
def reshape(g):
    g.case("two axes", lambda x: x.reshape(6, 20), [g.normal(4, 30)], shape=[6, -1])
    g.case("one number", lambda x: x.reshape(()), [g.normal(1, 1)], shape=[])


@golden("slice")
def slice_(g):
    cut = lambda axis, start, end: lambda x: x[(slice(None),) * axis + (slice(start, end),)]
    for shape, axis, start, end in [
        ((8, 64), 0, 2, 5),  # starts at a multiple of 256 bytes
        ((8, 5), 0, 2, 5),
        ((3, 7), 1, 0, 3),
        ((3, 7), -1, 4, 7),
        ((2, 5, 3), 1, 1, 2),
        ((1, 9, 64), 1, 3, 9),
        ((2, 3, 2, 5, 2), 3, 1, 4),
        ((197,), 0, 65, 130),
    ]:
        name = f"{list(shape)}, axis {axis}, {start} to {end}"
        at = axis % len(shape)
        g.case(name, cut(at, start, end), [g.normal(*shape)], axis=axis, start=start, end=end)
    g.case("u32", cut(1, 1, 3), [g.ids(99, 3, 4)], axis=1, start=1, end=3)


@golden("concat")
def concat(g):
    for shapes, axis in [
        (((2, 64), (1, 64), (3, 64)), 0),  # rows of 256 bytes
        (((2, 5), (3, 5)), 0),
        (((1,), (64,), (65,)), 0),
        (((3, 2), (3, 5), (3, 1)), 1),
        (((2, 3, 4), (2, 2, 4)), 1),
        (((2, 3, 4), (2, 3, 65)), -1),
        (((2, 64),) * 9, 0),
    ]:
        name = f"{' '.join(map(str, map(list, shapes)))}, axis {axis}"
        join = lambda *xs: np.concatenate(xs, axis)
        g.case(name, join, [g.normal(*s) for s in shapes], axis=axis)
    join = lambda *xs: np.concatenate(xs, 0)
    g.case("u32", join, [g.ids(99, 3, 4), g.ids(99, 2, 4)], axis=0)


@golden("stack")
def stack(g):
    for shape, count, axis in [((5,), 3, 0), ((64,), 3, 0), ((5,), 3, 1), ((3, 4), 2, 1), ((3, 4), 2, -1), ((2, 65), 4, -3)]:
        join = lambda *xs: np.stack(xs, axis)
        g.case(f"{count} of {list(shape)}, axis {axis}", join, [g.normal(*shape) for _ in range(count)], axis=axis)
    join = lambda *xs: np.stack(xs, 0)
    g.case("numbers", join, [g.normal() for _ in range(3)], axis=0)
    g.case("one", join, [g.normal(2, 3)], axis=0)
    g.case("u32", join, [g.ids(99, 3, 4), g.ids(99, 3, 4)], axis=0)


@golden("permute")
def permute(g):
    for shape, axes in [
        ((5, 3), (1, 0)),
        ((65, 3), (1, 0)),
        ((2, 3, 4), (1, 0, 2)),
        ((2, 3, 4), (2, 0, 1)),
        ((2, 3, 4), (0, 1, 2)),
        ((2, 1, 4), (1, 0, 2)),
        ((2, 5, 3, 4), (0, 2, 1, 3)),
        ((2, 5, 3, 4), (3, 1, 0, 2)),
        ((2, 3, 2, 3, 2), (4, 2, 0, 3, 1)),
        ((2, 3, 2, 1, 3, 2), (5, 4, 3, 2, 1, 0)),
    ]:
        name = f"{list(shape)} to {list(axes)}"
        g.case(name, lambda x: x.transpose(axes), [g.normal(*shape)], axes=axes)
    g.case("u32", lambda x: x.T, [g.ids(99, 3, 4)], axes=[1, 0])


@golden("transpose")
def transpose(g):
    for a, b in [(0, 1), (-1, 0), (1, 2)]:
        g.case(f"{a} and {b}", lambda x: x.swapaxes(a, b), [g.normal(2, 3, 5)], a=a, b=b)


@golden("expand")
def expand(g):
    for shape, to in [
        ((), (3, 5)),
        ((1,), (65,)),
        ((5,), (3, 5)),
        ((3, 1), (3, 65)),
        ((2, 1, 3, 1), (2, 4, 3, 5)),
        ((1, 3, 1, 2, 1), (2, 3, 2, 2, 3)),
        ((2, 3), (2, 3)),
        ((2, 3), (1, 2, 3)),
    ]:
        name = f"{list(shape)} to {list(to)}"
        g.case(name, lambda x: x + np.zeros(to), [g.normal(*shape)], shape=to)


@golden("stopGradient")
def stop_gradient(g):
    x = g.normal(3, 5)
    stopped = lambda *ups: [ups[0] * f32(x)]
    g.case("half of a product", lambda a: a * x, [x], grads=stopped)


def reduction(name, fn):
    @golden(name)
    def make(g):
        for n in LENGTHS:
            g.case(f"rows of {n}", lambda x: fn(x, axis=-1), [g.normal(2, n)], axis=[-1])
            g.case(f"columns of {n}", lambda x: fn(x, axis=0), [g.normal(n, 2)], axis=[0])
        for shape, axis in [
            ((2, 3, 4), (1,)),
            ((2, 3, 4), (0, 2)),
            ((2, 3, 4), (0, 1)),
            ((2, 3, 4), (0, 1, 2)),
            ((2, 3, 2, 3, 2), (0, 2, 4)),
            ((1, 5, 1), (0, 2)),
            ((9, 65), (0,)),
            ((9, 65), (1,)),
        ]:
            f = lambda x: fn(x, axis=axis)
            g.case(f"{list(shape)} over {list(axis)}", f, [g.normal(*shape)], axis=axis)
        keep = lambda x: fn(x, axis=(0, 2), keepdims=True)
        g.case("keepdims", keep, [g.normal(2, 3, 4)], axis=[0, 2], keepdims=True)
        g.case("all", fn, [g.normal(5, 7)])
        for axis in (0, 1):
            x = g.normal(5, 65, mean=1e3)
            g.case(f"mean 1e3, {axis}", lambda x: fn(x, axis=axis), [x], step=1e-6, axis=[axis])
        if name != "mean":  # long enough for two stages, the last part not full
            g.case("long row", lambda x: fn(x, axis=0), [g.normal(4099)], grads=False, axis=[0])
            long = g.normal(389, 2)
            g.case("long column", lambda x: fn(x, axis=0), [long], grads=False, axis=[0])


reduction("sum", np.sum)
reduction("mean", np.mean)
reduction("max", np.max)
reduction("min", np.min)


@golden("entropy")
def entropy(g):
    def fn(p):
        return -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)

    def shares(*shape):
        x = np.exp(2 * g.normal(*shape).astype(np.float64))
        return f32(x / x.sum(-1, keepdims=True))

    for n in LENGTHS:
        g.case(f"rows of {n}", fn, [shares(2, n)], step=1e-8)
    g.case("two axes of rows", fn, [shares(3, 2, 33)], step=1e-8)
    g.case("one row", fn, [shares(9)], step=1e-8)
    g.case("long rows", fn, [shares(2, 5003)], grads=False)  # in two stages
    one = np.zeros((2, 37))
    one[:, 5] = 1
    g.case("certain", fn, [one], grads=False)
    g.case("hardly anything", fn, [f32([[1e-30, 1e-20, 1e-38, 1.0]])], grads=False)


@golden("embedding")
def embedding(g):
    take = lambda table, ids: table[ids]
    for n in LENGTHS:
        g.case(f"{n} ids", take, [g.normal(11, 3), g.ids(11, n)])
    g.case("two axes of ids", take, [g.normal(5, 65), g.ids(5, 2, 3)])
    g.case("one id again and again", take, [g.normal(4, 5), np.full(67, 2, np.uint32)])
    g.case("each id once", take, [g.normal(7, 4), np.arange(7, dtype=np.uint32)[::-1].copy()])
    for dim in (4, 5):
        for make in (g.f16, g.bf16):
            table = make(7, dim)
            g.case(f"{table.dtype} of {dim}", take, [table, g.ids(7, 65)], grads=False)
    g.case("u32 table", take, [g.ids(2**31, 9, 2), g.ids(9, 5)])

    def beyond(table, ids):
        return np.where((ids < 5)[:, None], table[np.minimum(ids, 4)], np.nan)

    g.case("ids beyond the table", beyond, [g.normal(5, 3), g.ids(8, 20)], grads=False)
    order = g.rng.permutation(9)[:6].astype(np.uint32)
    g.case("unique", take, [g.normal(9, 5), order], unique=True)


@golden("scatterAdd")
def scatter_add(g):
    def add(base, rows, ids):
        sums = base.copy()
        inside = ids < len(base)
        np.add.at(sums, ids[inside], rows[inside])
        return sums

    for n in LENGTHS:
        g.case(f"{n} rows", add, [g.normal(11, 3), g.normal(n, 3), g.ids(13, n)], grads=False)
    for dim in (4, 5, 270):
        rows = [g.normal(12, dim), g.normal(15, dim)]
        ids = g.rng.permutation(15).astype(np.uint32)
        g.case(f"unique rows of {dim}", add, [*rows, ids], grads=False, unique=True)
        g.case(f"rows of {dim}", add, [*rows, g.ids(9, 15)], grads=False)


@golden("tiedTable")
def tied_table(g):
    """A table that is read by ids three times and multiplied by: one gradient for all."""

    def reads(table, a, b, order, x):
        return [table[a], table[b], table[order], x @ table.T]

    for dim in (3, 8):
        order = g.rng.permutation(9)[:6].astype(np.uint32)
        ids = [g.ids(9, 17), g.ids(9, 2, 3), order]
        g.case(f"rows of {dim}", reads, [g.normal(9, dim), *ids, g.normal(4, dim)])


def philox(counter, key):
    """Philox4x32-10 in Python integers (Salmon et al., 2011)."""
    c, k = [int(x) for x in counter], [int(x) for x in key]
    for _ in range(10):
        u, v = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(v >> 32) ^ c[1] ^ k[0], v & 0xFFFFFFFF, (u >> 32) ^ c[3] ^ k[1], u & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


@golden("randomBits")
def random_bits(g):
    draw = lambda c, k: np.array([philox(a, b) for a, b in zip(c, k)], np.uint32)
    words = lambda text: np.array([[int(w, 16) for w in text.split()]], np.uint32)
    # the vectors published with Random123
    f = "ffffffff"
    pi = "243f6a88 85a308d3 13198a2e 03707344"
    for counter, key, want in [
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (f"{f} {f} {f} {f}", f"{f} {f}", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (pi, "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ]:
        g.case(f"counter {counter}", lambda c, k: words(want), [words(counter), words(key)])
        assert (draw(words(counter), words(key)) == words(want)).all()
    wide = lambda *shape: g.rng.integers(0, 2**32, shape, dtype=np.uint32)
    g.case("65 rows", draw, [wide(65, 4), wide(65, 2)])


def stays(shape, p, index, rng):
    """Which elements dropout leaves."""
    n = math.prod(shape)
    key = (rng[0], index)
    bits = [philox((t, rng[2], rng[3], rng[1]), key) for t in range((n + 3) // 4)]
    u = (np.array(bits, np.uint32).reshape(-1)[:n] >> 8) * 2.0**-24
    return (u < np.float32(1 - p)).reshape(shape)


@golden("dropout")
def dropout(g):
    def drop(p, index, rng):
        return lambda x, _: x * stays(x.shape, p, index, rng) / (1 - p)

    for n in LENGTHS:
        rng = g.rng.integers(0, 2**32, 4, dtype=np.uint32)
        g.case(f"length {n}", drop(0.1, 0, rng), [g.normal(n), rng], p=0.1)
    rng = np.array([7, 0, 3, 1], np.uint32)
    g.case("two axes", drop(0.5, 0, rng), [g.normal(3, 5), rng], p=0.5)
    g.case("nothing falls out", lambda x, _: x * 1.0, [g.normal(3, 5), rng], p=0)


@golden("argmax")
def argmax(g):
    best = lambda x: np.argmax(x, -1).astype(np.uint32)
    for n in LENGTHS:
        g.case(f"rows of {n}", best, [g.normal(3, n)])
    g.case("ties", best, [f32(np.round(g.normal(9, 65)))])
    g.case("negative", best, [g.normal(2, 3, 7, mean=-1e3)])
    g.case("one axis", best, [g.normal(197)])
    first, second = [np.nan, 1, np.inf, np.inf], [-np.inf, np.nan, -1e30, -1]
    ends = f32([first, second, [0.0, -0.0, 0.0, -1]])
    g.case("special", lambda x: np.array([2, 3, 0], np.uint32), [ends])


@golden("topK")
def top_k(g):
    def best(k):
        def f(x):
            order = np.argsort(-x, -1, kind="stable")[..., :k]
            return [order.astype(np.uint32), np.take_along_axis(x, order, -1)]

        return f

    for n in LENGTHS:
        k = min(n, 5)
        g.case(f"{k} of {n}", best(k), [g.normal(9, n)], grads=False, k=k)
    g.case("ties", best(7), [f32(np.round(g.normal(5, 65)))], grads=False, k=7)
    g.case("all", best(6), [g.normal(2, 2, 6)], grads=False, k=6)


@golden("fill")
def fill(g):
    for n in LENGTHS:
        of = {"shape": [n], "value": 2.5, "dtype": "f32"}
        g.case(f"length {n}", lambda: np.full((n,), 2.5), [], grads=False, **of)
    of = {"shape": [2, 3]}
    g.case("i32", lambda: np.full((2, 3), -7, np.int32), [], **of, value=-7, dtype="i32")
    g.case("u32", lambda: np.full((2, 3), 2**32 - 7, np.uint32), [], **of, value=2**32 - 7, dtype="u32")


assert LENGTHS == (1, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 5)


@golden("clamp")
def clamp(g):
    def between(low, high):
        return lambda x: np.clip(x, low, high)

    for n in LENGTHS:
        # no value so near a bound that a difference steps over it
        x = g.normal(n)
        for bound in (-0.75, 0.5):
            x = np.where(np.abs(x - bound) < 0.01, f32(bound + 0.1), x)
        g.case(f"length {n}", between(-0.75, 0.5), [x], min=-0.75, max=0.5)
    g.case("from below", between(-0.5, None), [g.uniform(-3, -1, 2, 3)], min=-0.5)
    g.case("from above", between(None, 2), [g.uniform(-3, 3, 2, 3)], max=2)
    g.case("at its bounds", between(-1, 2), [f32([-1, 2])], grads=False, min=-1, max=2)


@golden("pow")
def power(g):
    for exponent in (0, 1, 2, 3, 7, -1, -2, 0.5, -0.5, 1.7, -2.3, 100):
        low, high = (0.9, 1.1) if exponent == 100 else (0.3, 2.5)
        f = lambda x: x**exponent
        g.case(f"to the {exponent}", f, [g.uniform(low, high, 5, 13)], exponent=exponent)
    for exponent in (2, 3, -3):
        f = lambda x: x**exponent
        g.case(f"below 0 to the {exponent}", f, [g.uniform(-2, -0.4, 67)], exponent=exponent)
    g.case("0 to the 1.5", lambda x: x**1.5, [f32([0, 4])], grads=lambda u: [u * [0, 3.0]], exponent=1.5)


def spread(name, fn):
    @golden(name)
    def make(g):
        for correction in (0, 1):
            for shape, axis in [((5, 7), None), ((2, 3, 65), (2,)), ((4, 5, 6), (0, 2)), ((129, 3), (0,))]:
                f = lambda x: fn(x, axis=axis, ddof=correction)
                attrs = {"correction": correction} | ({} if axis is None else {"axis": list(axis)})
                g.case(f"{list(shape)} over {axis}, {correction} off", f, [g.normal(*shape)], **attrs)
        keep = lambda x: fn(x, axis=-1, keepdims=True, ddof=1)
        g.case("keepdims", keep, [g.normal(3, 9)], axis=[1], keepdims=True)
        far = lambda x: fn(x, axis=-1, ddof=1)
        g.case("mean 1e3", far, [g.normal(4, 65, mean=1e3)], step=1e-6, axis=[1])
        if name == "std":  # a kink, where PyTorch's gradient is 0
            flat = lambda up: [np.zeros((1, 6))]
            g.case("equal elements", lambda x: fn(x, axis=-1, ddof=1), [np.full((1, 6), 2.5)], grads=flat, axis=[1])


spread("variance", np.var)
spread("std", np.std)


@golden("rmsNorm")
def rms_norm(g):
    def norm(x, weight=1.0):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * weight

    for n in LENGTHS:
        g.case(f"rows of {n}", norm, [g.normal(3, n), g.normal(n)], eps=1e-6)
    g.case("three axes", norm, [g.normal(2, 3, 8), g.normal(8)], eps=1e-6)
    g.case("without a weight", norm, [g.normal(5, 16)], eps=1e-6)
