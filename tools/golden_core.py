"""How a golden is made: float64 in, float64 through, central differences back.

An op's golden is a list of cases. A case has inputs (rounded to what the device holds), the outputs
of a plain numpy function of them, a random upstream gradient for each float output, and the
gradient of every float32 input. Gradients come from central differences of that function, so no
derivative is written down twice; where a caller gives them analytically, they are checked against a
difference along a random direction.

File: test/golden/ops/<op>.safetensors with "<case>.input.<i>", "<case>.output.<j>",
"<case>.upstream.<j>", "<case>.grad.<i>" and, in __metadata__["cases"], JSON:
[{"name", "inputs", "outputs", "grads": [i, ...], "attrs"}].
"""

import json
import pathlib
import struct
import zlib
from dataclasses import dataclass

import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "test" / "golden" / "ops"
GROUP = 64
# around the size of a workgroup: one, just below, equal, just above, several and a rest
LENGTHS = (1, GROUP - 1, GROUP, GROUP + 1, 3 * GROUP + 5)


KINDS = {
    "float64": ("F32", np.float32),
    "uint32": ("U32", np.uint32),
    "int32": ("I32", np.int32),
}


@dataclass
class Stored:
    """Values of a half-precision table: `values` (float64) is what the stored bits mean."""

    values: np.ndarray
    bits: np.ndarray
    dtype: str


def f32(x):
    """Rounds to float32, keeps computing in float64."""
    return np.asarray(x, np.float64).astype(np.float32).astype(np.float64)


def value_of(x):
    return x.values if isinstance(x, Stored) else x


def is_float(x):
    return not isinstance(x, Stored) and np.asarray(x).dtype == np.float64


def as_list(x):
    return list(x) if isinstance(x, (list, tuple)) else [x]


class Golden:
    def __init__(self, name):
        self.name = name
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.tensors = {}
        self.cases = []

    def normal(self, *shape, mean=0.0, spread=1.0):
        """Normal values, rounded to float32."""
        return f32(mean + spread * self.rng.standard_normal(shape))

    def uniform(self, low, high, *shape):
        return f32(self.rng.uniform(low, high, shape))

    def ids(self, high, *shape):
        return self.rng.integers(0, high, shape, dtype=np.uint32)

    def f16(self, *shape):
        half = self.rng.standard_normal(shape).astype(np.float16)
        return Stored(half.astype(np.float64), half.view(np.uint16), "F16")

    def bf16(self, *shape):
        bits = self.rng.standard_normal(shape).astype(np.float32).view(np.uint32) & 0xFFFF0000
        values = bits.astype(np.uint32).view(np.float32).astype(np.float64)
        return Stored(values, (bits >> 16).astype(np.uint16), "BF16")

    def case(self, name, fn, inputs, grads=True, step=1e-4, **attrs):
        """Adds a case. `fn` maps the inputs' values to one output or a list of them.

        grads: True differentiates numerically with respect to every float32 input; a function takes
        the upstream gradients and gives a list, one entry for each input, None where it has no
        gradient; False has none.
        step: of the central differences, relative to max(1, |x|).
        """
        if any(c["name"] == name for c in self.cases):
            raise ValueError(f"{self.name}: two cases are called {name!r}")
        values = [value_of(x) for x in inputs]
        outputs = [np.asarray(y) for y in as_list(fn(*values))]
        ups = [self.normal(*y.shape) if y.dtype == np.float64 else None for y in outputs]
        if grads is False or all(u is None for u in ups):
            ups, found = [None] * len(outputs), [None] * len(inputs)
        elif grads is True:
            wanted = [is_float(x) for x in inputs]
            found = [numeric(fn, values, ups, i, step) if w else None for i, w in enumerate(wanted)]
        else:
            found = grads(*[u for u in ups if u is not None])
            self.check_direction(name, fn, values, ups, found, step)
        for i, x in enumerate(inputs):
            self.put(f"{name}.input.{i}", x)
        for j, (y, up) in enumerate(zip(outputs, ups)):
            self.put(f"{name}.output.{j}", y)
            if up is not None:
                self.put(f"{name}.upstream.{j}", up)
        for i, g in enumerate(found):
            if g is not None:
                self.put(f"{name}.grad.{i}", g)
        given = [i for i, g in enumerate(found) if g is not None]
        sizes = {"inputs": len(inputs), "outputs": len(outputs), "grads": given}
        self.cases.append({"name": name, **sizes, "attrs": attrs})

    def check_direction(self, name, fn, values, ups, found, step):
        for i, g in enumerate(found):
            if g is None:
                continue
            d = self.rng.standard_normal(values[i].shape)
            h = step * max(1.0, np.abs(values[i]).max(initial=0.0))
            moved = [loss(fn, values, ups, i, values[i] + s * h * d) for s in (1, -1)]
            want = (moved[0] - moved[1]) / (2 * h)
            got = float((g * d).sum())
            if abs(want - got) > 1e-4 * (np.abs(g * d).sum() + 1e-6):
                what = f"{self.name}, {name}: the gradient of input {i}"
                raise ValueError(f"{what} is wrong: {got} is not {want}")

    def put(self, key, x):
        if isinstance(x, Stored):
            self.tensors[key] = (x.dtype, x.bits)
            return
        x = np.asarray(x)
        if x.dtype == np.bool_:
            x = x.astype(np.uint32)
        if x.dtype.name not in KINDS:
            raise ValueError(f"{self.name}: {key} is {x.dtype}; use float64, uint32, int32 or bool")
        tag, kind = KINDS[x.dtype.name]
        self.tensors[key] = (tag, x.astype(kind))

    def write(self):
        header, blobs, at = {"__metadata__": {"cases": json.dumps(self.cases)}}, [], 0
        for key, (tag, x) in self.tensors.items():
            blob = np.ascontiguousarray(x).tobytes()
            span = [at, at + len(blob)]
            header[key] = {"dtype": tag, "shape": list(x.shape), "data_offsets": span}
            blobs.append(blob)
            at += len(blob)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = FOLDER / f"{self.name}.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
        return path.stat().st_size


def loss(fn, values, ups, i, moved):
    """The sum of upstream * output with input i replaced."""
    outputs = as_list(fn(*values[:i], moved, *values[i + 1 :]))
    return sum(float((u * y).sum()) for u, y in zip(ups, outputs) if u is not None)


def numeric(fn, values, ups, i, step):
    """d loss / d input i by central differences, one element at a time."""
    x = values[i]
    grad = np.zeros(x.shape)
    for at in np.ndindex(x.shape):
        h = step * max(1.0, abs(x[at]))
        up, down = x.copy(), x.copy()
        up[at] += h
        down[at] -= h
        change = loss(fn, values, ups, i, up) - loss(fn, values, ups, i, down)
        grad[at] = change / (up[at] - down[at])
    return grad


GOLDENS = {}


def golden(name):
    """Registers a function that adds the cases of one op."""

    def register(make):
        GOLDENS[name] = make
        return make

    return register
