"""A block of layers beside PyTorch in float64: test/golden/models/joins/golden.safetensors.

Every kind of join of engine/joins.ts occurs in it, forward or backward: three products of one x, a product with
LayerNorm, GELU's slope, a sum of products with a residual and LayerNorm's gradient, many sums of columns and of squares.
`decoding` is a decoder of one layer that writes after a prefix of two: each step attends to all before it and to a memory, so
that the gradients of keys are sums over steps.
Inputs are the numbers of the generator below, as test/webgpu/joins.test.ts makes them; what is kept is the result, each
gradient (every seventh element of matrices) and their norm.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

# rows, width, width of the keys, inner width: in fours with K in two chunks, and odd; then likewise with K in one
SIZES = {
    "even": (36, 264, 40, 64), "odd": (33, 265, 37, 61),
    "short": (36, 72, 40, 64), "shortOdd": (33, 71, 37, 61),
}
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


# batch, width, heads, length of the memory, steps behind the prefix
DECODING = (4, 64, 2, 5, 4)


def decoding() -> dict[str, np.ndarray]:
    batch, d, heads, length, steps = DECODING
    size = {"x": (2, batch, d), "memory": (batch, length, d), "up": (2 + steps, batch, d)}
    size |= {name: (d, d) for name in ("wq", "wk", "wv", "wc", "wm", "wn", "wo")}
    t = {}
    for seed, (key, shape) in enumerate(size.items(), start=31):
        data = values(int(np.prod(shape)), seed).reshape(shape) * (0.25 if key[0] == "w" else 1)
        t[key] = torch.tensor(data, dtype=torch.float64, requires_grad=key != "up")

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> torch.Tensor:
        """[time, batch, width] each."""
        q, k, v = (a.reshape(-1, batch, heads, d // heads).permute(1, 2, 0, 3) for a in (q, k, v))
        scores = q @ k.transpose(2, 3)
        if causal:
            ahead = torch.ones(scores.shape[2:], dtype=torch.bool).triu(k.shape[2] - q.shape[2] + 1)
            scores = scores.masked_fill(ahead, -torch.inf)
        return (scores.softmax(3) @ v).permute(2, 0, 1, 3).reshape(-1, batch, d)

    memory = t["memory"].transpose(0, 1)
    h, keys, written = t["x"], [], []
    for _ in range(1 + steps):
        keys.append((h @ t["wk"].T, h @ t["wv"].T))
        k, v = (torch.cat(part) for part in zip(*keys, strict=True))
        h = h + attend(h @ t["wq"].T, k, v, True)
        seen = attend(h @ t["wc"].T, memory @ t["wm"].T, memory @ t["wn"].T, False)
        h = h + seen @ t["wo"].T
        written.append(h)
        h = h[-1:]
    y = torch.cat(written)
    (y * t["up"]).sum().backward()
    out = {f"decoding.{key}": v.grad.numpy().reshape(-1)[::7] for key, v in t.items() if key != "up"}
    out["decoding.y"] = y.detach().numpy().reshape(-1)[::7]
    return {key: value.astype(np.float32) for key, value in out.items()}


def main() -> None:
    out = decoding()
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
