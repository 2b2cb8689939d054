"""Golden of `fit`: test/golden/models/fit.json.

    python3 tools/reference_fit.py

A network of two layers over ten items, in float64, by PyTorch's AdamW with groups of parameters: of another rate, of another
weight decay, frozen. Batches of four in order, so that the last of an epoch has two items; the schedule's warm-up, then half a
cosine, a line or nothing; gradients clipped, or gathered over batches first, where a batch weighs as its items.
"""

import json
import math

import torch

from reference_core import MODELS

ITEMS, BATCH = 10, 4
CASES = {
    "groups": dict(epochs=3, schedule="cosine", warmup=0.2, clip=0.4, accumulate=1, drop=False),
    "accumulated": dict(epochs=4, schedule="linear", warmup=0.0, clip=0.2, accumulate=2, drop=False),
    "dropped": dict(epochs=4, schedule="constant", warmup=0.25, clip=1e9, accumulate=1, drop=True),
}
RATE, OTHER_RATE, DECAY, OTHER_DECAY = 0.05, 0.01, 0.1, 0.3


def rate(step, total, warmup, schedule):
    rise = math.floor(total * warmup + 0.5)
    if step <= rise:
        return step / max(1, rise)
    done, all_ = step - rise - 1, max(1, total - rise)
    if schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * done / all_)) / 2 if schedule == "cosine" else 1 - done / all_


def run(x, y, start, epochs, schedule, warmup, clip, accumulate, drop):
    p = {name: value.double().clone().requires_grad_(name != "out.bias") for name, value in start.items()}
    groups = [
        {"params": [p["in.weight"]], "lr": RATE, "weight_decay": DECAY},
        {"params": [p["in.bias"]], "lr": RATE, "weight_decay": 0.0},  # one axis
        {"params": [p["out.weight"]], "lr": OTHER_RATE, "weight_decay": OTHER_DECAY},
    ]
    peaks = [group["lr"] for group in groups]
    trained = [t for group in groups for t in group["params"]]
    optimizer = torch.optim.AdamW(groups)
    count = ITEMS // BATCH * BATCH if drop else ITEMS
    each = BATCH * accumulate
    total = epochs * math.ceil(count / each)
    losses, norms, step = [], [], 0
    for _ in range(epochs):
        for begin in range(0, count, each):
            step += 1
            a, b = x[begin : min(count, begin + each)], y[begin : min(count, begin + each)]
            hidden = torch.tanh(a @ p["in.weight"].T + p["in.bias"])
            loss = ((hidden @ p["out.weight"].T + p["out.bias"] - b) ** 2).mean(1).mean()
            optimizer.zero_grad()
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(trained, clip).item())
            for group, peak in zip(optimizer.param_groups, peaks):
                group["lr"] = peak * rate(step, total, warmup, schedule)
            optimizer.step()
            losses.append(loss.item())
    return {"losses": losses, "norms": norms, "end": {name: t.flatten().tolist() for name, t in p.items()}}


def main():
    generator = torch.Generator().manual_seed(7)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # float32, so that both begin alike
    x, y = draw(ITEMS, 3), draw(ITEMS, 2)
    start = {"in.weight": draw(5, 3), "in.bias": draw(5), "out.weight": draw(2, 5), "out.bias": draw(2)}
    golden = {
        "x": x.tolist(),
        "y": y.tolist(),
        "start": {name: {"shape": list(t.shape), "values": t.flatten().tolist()} for name, t in start.items()},
        "rates": [RATE, OTHER_RATE],
        "decays": [DECAY, OTHER_DECAY],
        "cases": {name: {**case, **run(x.double(), y.double(), start, **case)} for name, case in CASES.items()},
    }
    (MODELS / "fit.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
