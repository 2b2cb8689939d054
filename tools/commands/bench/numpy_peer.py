"""The benchmark's work in numpy, without training: numpy_peer.py DEVICE THREADS FOLDER [NAMES]. The caller bounds BLAS's threads."""

import json
import sys
import time as clock

import numpy as np

THREADS = int(sys.argv[2])
ONLY = sys.argv[4].split(",") if len(sys.argv) > 4 and sys.argv[4] else None


def wanted(name):
    return ONLY is None or name in ONLY


def uniform(n, scale, seed, offset=0.0):
    """As `uniform` of workload.ts: element i comes from step i + 1 of a linear congruential generator."""
    with np.errstate(over="ignore"):
        powers = np.cumprod(np.full(n, 1664525, np.uint32), dtype=np.uint32)
        sums = np.concatenate([np.ones(1, np.uint32), powers[:-1]]).cumsum(dtype=np.uint32)
        s = powers * np.uint32(seed) + sums * np.uint32(1013904223)
        mixed = (s ^ (s >> 16)) * np.uint32(0x45D9F3B)
    mixed ^= mixed >> 15
    return (offset + (mixed / 2.0**31 - 1) * scale).astype(np.float32)


def measure(name, call):
    def once():
        start = clock.perf_counter()
        y = call()
        return (clock.perf_counter() - start) * 1e3, y

    first, y = once()
    for _ in range(2):
        call()
    times = sorted(once()[0] for _ in range(7))
    value = float(np.square(y, dtype=np.float64).mean())
    print(json.dumps({"name": name, "first": first, "median": times[3], "value": value}))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    e /= e.sum(-1, keepdims=True)
    return e


def layer_norm(x, weight, bias):
    centred = x - x.mean(-1, keepdims=True)
    variance = np.square(centred).mean(-1, keepdims=True)
    centred /= np.sqrt(variance + np.float32(1e-12))
    centred *= weight
    centred += bias
    return centred


def erf(x):
    """Abramowitz and Stegun 7.1.26: numpy has none; its error is below 2e-7."""
    z = np.abs(x)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.float32(1.061405429)
    for c in [-1.453152027, 1.421413741, -0.284496736, 0.254829592]:
        series = series * t + np.float32(c)
    return np.copysign(1 - series * t * np.exp(-z * z), x)


def gelu(x):
    return np.float32(0.5) * x * (1 + erf(x * np.float32(0.5**0.5)))


LAYERS, HIDDEN, HEADS, FFN, BATCH, SEQUENCE = 4, 256, 4, 1024, 8, 32


def stack_weights():
    spread = 0.05 * 3**0.5
    p = {}

    def push(name, shape, scale, offset=0.0):
        p[name] = uniform(int(np.prod(shape)), scale, len(p) + 1, offset).reshape(shape)

    for i in range(LAYERS):
        for name in ["query", "key", "value", "attention"]:
            push(f"{i}.{name}.weight", [HIDDEN, HIDDEN], spread)
            push(f"{i}.{name}.bias", [HIDDEN], spread)
        push(f"{i}.norm1.weight", [HIDDEN], 0.1, 1)
        push(f"{i}.norm1.bias", [HIDDEN], 0.1)
        push(f"{i}.up.weight", [HIDDEN, FFN], spread)
        push(f"{i}.up.bias", [FFN], spread)
        push(f"{i}.down.weight", [FFN, HIDDEN], spread)
        push(f"{i}.down.bias", [HIDDEN], spread)
        push(f"{i}.norm2.weight", [HIDDEN], 0.1, 1)
        push(f"{i}.norm2.bias", [HIDDEN], 0.1)
    return p


def forward(p, x):
    for i in range(LAYERS):

        def of(name):
            return p[f"{i}.{name}.weight"], p[f"{i}.{name}.bias"]

        def dense(v, name):
            weight, bias = of(name)
            y = v @ weight
            y += bias
            return y

        def head(name):
            return dense(x, name).reshape(BATCH, SEQUENCE, HEADS, HIDDEN // HEADS).transpose(0, 2, 1, 3)

        scores = head("query") @ head("key").transpose(0, 1, 3, 2)
        scores *= np.float32((HIDDEN // HEADS) ** -0.5)
        mixed = (softmax(scores) @ head("value")).transpose(0, 2, 1, 3)
        mixed = mixed.reshape(BATCH * SEQUENCE, HIDDEN)
        x = layer_norm(x + dense(mixed, "attention"), *of("norm1"))
        x = layer_norm(x + dense(gelu(dense(x, "up")), "down"), *of("norm2"))
    return x


blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
print(json.dumps({"about": f"numpy {np.__version__}, {blas['name']} {blas['version']}, {THREADS} thread{'s' * (THREADS > 1)}"}))
if wanted("matmul"):
    for n in [256, 512, 1024]:
        a, b = (uniform(n * n, 1, seed).reshape(n, n) for seed in (1, 2))
        for name in [f"matmul {n}", f"matmul {n}, both packed inside"]:
            measure(name, lambda: a @ b)
if wanted("rows"):
    x = uniform(2048 * 512, 3, 3).reshape(2048, 512)
    measure("softmax 2048x512", lambda: softmax(x))
    y = uniform(2048 * 768, 3, 4).reshape(2048, 768)
    weight, bias = uniform(768, 1, 5), uniform(768, 1, 6)
    measure("layernorm 2048x768", lambda: layer_norm(y, weight, bias))
if wanted("forward"):
    p, x = stack_weights(), uniform(BATCH * SEQUENCE * HIDDEN, 1, 999).reshape(-1, HIDDEN)
    measure("stack forward", lambda: forward(p, x))
