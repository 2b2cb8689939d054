"""A block of layers beside PyTorch in float64: test/golden/models/joins/golden.safetensors.

Every kind of join of engine/joins.ts occurs in it, forward or backward: three products of one x, a product with
LayerNorm, GELU's slope, a sum of products with a residual and LayerNorm's gradient, many sums of columns and of squares.
Inputs are the numbers of the generator below, as test/webgpu/joins.test.ts makes them; what is kept is the result, each
gradient (every seventh element of matrices) and their norm.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

# rows, width, width of the keys, inner width: in fours with K in two chunks, and odd
SIZES = {"even": (36, 264, 40, 64), "odd": (33, 265, 37, 61)}
EPS = 1e-5


def values(n: int, seed: int) -> np.ndarray:
    """n numbers in (-1, 1) that depend on the seed alone, rounded to f32."""
    state = (seed * 2654435761 + 12345) % 2**32
    out = np.empty(n)
    for i in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        out[i] = state / 2**31 - 1
    return out.astype(np.float32).astype(np.float64)


def shapes(rows: int, d: int, k: int, inner: int) -> dict[str, tuple[int, ...]]:
    """Inputs in the order of their seeds."""
    return {
        "x": (rows, d), "g0": (d,), "s0": (d,),
        "wq": (k, d), "bq": (k,), "wk": (k, d), "bk": (k,), "wv": (k, d), "bv": (k,),
        "wo": (d, k), "bo": (d,), "g1": (d,), "s1": (d,),
        "w1": (inner, d), "b1": (inner,), "w2": (d, inner), "b2": (d,), "g2": (d,), "s2": (d,),
        "up": (rows, d),
    }


def block(t: dict[str, torch.Tensor]) -> torch.Tensor:
    f = torch.nn.functional
    d = t["x"].shape[1]
    x = f.layer_norm(t["x"], (d,), t["g0"], t["s0"], EPS)
    q, k, v = (x @ t[f"w{n}"].T + t[f"b{n}"] for n in "qkv")
    o = (q * k + v) @ t["wo"].T + t["bo"]
    h = f.layer_norm(o + x, (d,), t["g1"], t["s1"], EPS)
    wide = f.gelu(h @ t["w1"].T + t["b1"])
    return f.layer_norm(wide @ t["w2"].T + t["b2"] + h, (d,), t["g2"], t["s2"], EPS)


def main() -> None:
    out: dict[str, np.ndarray] = {}
    for name, sizes in SIZES.items():
        tensors = {}
        for seed, (key, shape) in enumerate(shapes(*sizes).items(), start=1):
            data = values(int(np.prod(shape)), seed).reshape(shape) * (0.25 if key[0] == "w" else 1)
            tensors[key] = torch.tensor(data, dtype=torch.float64, requires_grad=key != "up")
        y = block(tensors)
        (y * tensors["up"]).sum().backward()
        out[f"{name}.y"] = y.detach().numpy().reshape(-1)[::7].astype(np.float32)
        squares = 0.0
        for key, t in tensors.items():
            if key == "up":
                continue
            kept = t.grad.numpy().reshape(-1)[:: 7 if t.ndim > 1 else 1]
            out[f"{name}.{key}"] = kept.astype(np.float32)
            squares += float((t.grad**2).sum())
        out[f"{name}.norm"] = np.array([squares**0.5], dtype=np.float32)
    folder = Path(__file__).parent.parent / "test/golden/models/joins"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(out, folder / "golden.safetensors")


main()
