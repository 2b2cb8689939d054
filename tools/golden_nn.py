"""Goldens of the neural-network ops, in plain numpy float64."""

import math

import numpy as np
from golden_basic import stays
from golden_core import LENGTHS, f32, golden


def softmax_of(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid_of(x):
    return 1 / (1 + np.exp(-x))


def gate_of(x):
    return 2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)


def gelu_tanh_slope(x):
    s, dz = sigmoid_of(gate_of(x)), 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)
    return s + x * s * (1 - s) * dz


# y and dy/dx of what `linear` applies in a launch of its own
ACTIVATIONS = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: x > 0),
    "geluTanh": (lambda x: x * sigmoid_of(gate_of(x)), gelu_tanh_slope),
    "silu": (lambda x: x * sigmoid_of(x), lambda x: sigmoid_of(x) * (1 + x * (1 - sigmoid_of(x)))),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
}


def gelu_of(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


@golden("binaryCrossEntropyWithLogits")
def binary_cross_entropy_with_logits(g):
    def of(x, t):
        return np.logaddexp(0, x) - x * t

    for n in LENGTHS:
        g.case(f"length {n}", of, [g.normal(n, spread=3.0), g.uniform(0, 1, n)])
    g.case("three axes", of, [g.normal(2, 3, 4), g.uniform(0, 1, 2, 3, 4)])
    labels = f32(g.rng.integers(0, 2, (3, 65)))
    g.case("far from 0", of, [g.normal(3, 65, spread=200.0), labels], step=1e-6)
    g.case("at 0", of, [np.zeros(3), f32([0, 1, 0.25])])


@golden("logSoftmax")
def log_softmax(g):
    def of(x):
        below = x - x.max(-1, keepdims=True)
        return below - np.log(np.exp(below).sum(-1, keepdims=True))

    def backward(x):
        return lambda dy: [dy - np.exp(of(x)) * dy.sum(-1, keepdims=True)]

    for n in LENGTHS:
        x = g.normal(3, n)
        g.case(f"length {n}", of, [x], grads=backward(x))
    x = g.normal(3, 65, spread=30.0)  # probabilities that f32 rounds to 0
    g.case("wide spread", of, [x], grads=backward(x), step=1e-6)
    x = g.normal(2, 1, 3, 6)
    g.case("four axes", of, [x], grads=backward(x))


@golden("softmax")
def softmax(g):
    def backward(x):
        y = softmax_of(x)
        return lambda dy: [y * (dy - (y * dy).sum(-1, keepdims=True))]

    for n in LENGTHS:
        g.case(f"length {n}", softmax_of, [g.normal(3, n)])
    for rows in LENGTHS[1:]:
        x = g.normal(rows, 3)
        g.case(f"{rows} rows", softmax_of, [x], grads=backward(x))
    x = g.normal(3, 65, mean=1e3)
    g.case("mean 1e3", softmax_of, [x], grads=backward(x), step=1e-7)
    x = g.normal(3, 65, spread=30.0)
    g.case("wide spread", softmax_of, [x], grads=backward(x), step=1e-6)
    g.case("one axis", softmax_of, [g.normal(7)])
    g.case("four axes", softmax_of, [g.normal(2, 1, 3, 6)])


@golden("layerNorm")
def layernorm(g):
    eps = 1e-5

    def f(x, weight, bias, residual=0.0, left=1.0):
        s = x * left + residual
        c = s - s.mean(-1, keepdims=True)
        return c / np.sqrt((c * c).mean(-1, keepdims=True) + eps) * weight + bias

    def backward(x, weight, residual=None, left=1.0):
        s = x * left if residual is None else x * left + residual
        c = s - s.mean(-1, keepdims=True)
        r = 1 / np.sqrt((c * c).mean(-1, keepdims=True) + eps)
        h = c * r

        def rule(dy):
            k = dy * weight
            dx = r * (k - k.mean(-1, keepdims=True) - h * (k * h).mean(-1, keepdims=True))
            sums = [(dy * h).reshape(-1, x.shape[-1]).sum(0), dy.reshape(-1, x.shape[-1]).sum(0)]
            return [dx * left, *sums] if residual is None else [dx * left, *sums, dx]

        return rule

    def add(name, shape, mean=0.0, residual=False):
        n = shape[-1]
        x, w, b = g.normal(*shape, mean=mean), g.normal(n, mean=1.0), g.normal(n)
        inputs = [x, w, b] + ([g.normal(*shape)] if residual else [])
        step = 1e-7 if mean else 1e-4
        g.case(name, f, inputs, grads=backward(x, w, *inputs[3:]), step=step, eps=eps)

    for n in LENGTHS[1:]:
        add(f"length {n}", (3, n))
    for rows in LENGTHS:
        add(f"{rows} rows", (rows, 3), residual=rows == 65)
    add("mean 1e3", (3, 65), mean=1e3)
    add("residual", (2, 3, 65), residual=True)
    add("residual, mean 1e3", (2, 3, 33), mean=1e3, residual=True)

    def drop(name, shape, p, residual=True):
        n = shape[-1]
        x, w, b = g.normal(*shape), g.normal(n, mean=1.0), g.normal(n)
        others = [g.normal(*shape)] if residual else []
        rng = g.rng.integers(0, 2**32, 4, dtype=np.uint32)
        left = stays(shape, p, 0, rng) / (1 - p)
        normed = lambda x, w, b, *more: f(x, w, b, *(more[:-1] or [0.0]), left)
        rule = backward(x, w, *(others or [None]), left)
        gradients = lambda dy: rule(dy) + [None]
        g.case(name, normed, [x, w, b, *others, rng], grads=gradients, eps=eps, p=p)

    for n in LENGTHS[1:]:
        drop(f"dropout, length {n}", (3, n), 0.4)
    drop("dropout, 65 rows", (65, 3), 0.4)
    drop("dropout, four axes", (2, 1, 3, 8), 0.1)
    drop("dropout, long rows", (2, 516), 0.5)
    drop("dropout without a residual", (5, 20), 0.4, residual=False)
    drop("dropout without a residual, odd", (5, 7), 0.4, residual=False)
    drop("nothing falls out", (5, 7), 0)


@golden("columnSums")
def column_sums(g):
    g.case("one row", lambda a: a.sum(0), [g.normal(1, 5)], grads=False)
    for rows, cols in [(63, 3), (257, 3), (321, 4), (9, 65), (5, 260)]:
        g.case(f"{rows} rows", lambda a: a.sum(0), [g.normal(rows, cols)], grads=False)
    for cols in (3, 4):
        pair = [g.normal(258, cols), g.normal(258, cols)]
        g.case(f"times, {cols} columns", lambda a, b: (a * b).sum(0), pair, grads=False)


def transposed(x, yes):
    return np.swapaxes(x, -1, -2) if yes else x


def undo_broadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(0)
    return grad


@golden("matmul")
def matmul(g):
    def add(name, m, k, n, a=(), b=(), ta=False, tb=False, scale=1.0, b_half=None):
        def f(x, y):
            return scale * transposed(x, ta) @ transposed(y, tb)

        sa = (*a, k, m) if ta else (*a, m, k)
        sb = (*b, n, k) if tb else (*b, k, n)
        x = g.normal(*sa)
        y = b_half(*sb) if b_half else g.normal(*sb)
        values = y.values if b_half else y

        def rule(dy):
            dx = scale * transposed(dy @ transposed(transposed(values, tb), True), ta)
            if b_half:
                return [undo_broadcast(dx, sa), None]
            dv = scale * transposed(transposed(transposed(x, ta), True) @ dy, tb)
            return [undo_broadcast(dx, sa), undo_broadcast(dv, sb)]

        attrs = {"transA": ta, "transB": tb, "scale": scale}
        g.case(name, f, [x, y], grads=rule, **attrs)

    for ta in (False, True):
        for tb in (False, True):
            both = f"{'T' if ta else 'N'}{'T' if tb else 'N'}"
            add(f"odd {both}", 7, 13, 9, ta=ta, tb=tb)
            add(f"fours {both}", 8, 12, 36, ta=ta, tb=tb)
            add(f"batch {both}", 5, 7, 3, a=(2, 3), b=(2, 3), ta=ta, tb=tb, scale=0.5)
            add(f"left batch {both}", 5, 7, 3, a=(3,), ta=ta, tb=tb)
            add(f"right batch {both}", 5, 7, 3, b=(3,), ta=ta, tb=tb)
    add("one", 1, 1, 1)
    add("scaled, right of one matrix", 5, 7, 3, a=(2,), tb=True, scale=0.25)
    for m, k, n in [(1, 64, 9), (63, 3, 8), (17, 65, 9), (5, 9, 66), (5, 197, 6), (197, 2, 3)]:
        add(f"{m} x {k} x {n}", m, k, n)
    add("f16", 5, 12, 8, a=(2,), b_half=g.f16)
    add("f16, transposed, odd", 5, 7, 9, tb=True, b_half=g.f16)
    add("bf16, transposed", 6, 12, 20, tb=True, b_half=g.bf16)


@golden("linear")
def linear(g):
    def add(name, rows, k, n, bias=True, gelu=False, residual=False, half=None, activation=None):
        def parts(x, w, *rest):
            rest = list(rest)
            pre = x @ w.T + (rest.pop(0) if bias else 0.0)
            y = gelu_of(pre) if gelu else ACTIVATIONS[activation][0](pre) if activation else pre
            return pre, y + (rest.pop(0) if residual else 0.0)

        x, w = g.normal(*rows, k), half(n, k) if half else g.normal(n, k)
        inputs = [x, w] + ([g.normal(n)] if bias else []) + ([g.normal(*rows, n)] if residual else [])
        values = [w.values if t is w and half else t for t in inputs]

        def rule(dy):
            pre, _ = parts(*values)
            cdf = 0.5 * (1 + np.vectorize(math.erf)(pre / math.sqrt(2)))
            slope = cdf + pre * np.exp(-0.5 * pre * pre) / math.sqrt(2 * math.pi)
            d = dy * slope if gelu else dy * ACTIVATIONS[activation][1](pre) if activation else dy
            flat = d.reshape(-1, n)
            dw = None if half else flat.T @ x.reshape(-1, k)
            return [d @ values[1], dw] + ([flat.sum(0)] if bias else []) + ([dy] if residual else [])

        attrs = {"bias": bias, "gelu": gelu, "residual": residual}
        if activation:
            attrs["activation"] = activation
        g.case(name, lambda *v: parts(*v)[1], inputs, grads=rule, **attrs)

    add("plain", (5,), 7, 3, bias=False)
    add("bias", (2, 3), 8, 12)
    add("bias, odd", (2, 3), 7, 5)
    add("gelu", (2, 3), 8, 12, gelu=True)
    add("gelu, odd", (7,), 5, 9, gelu=True)
    add("residual", (2, 5), 12, 8, residual=True)
    add("residual, odd, without bias", (2, 5), 7, 9, bias=False, residual=True)
    add("bias, gelu, residual", (65,), 8, 12, gelu=True, residual=True)
    add("one vector", (), 8, 4)
    add("f16", (2, 3), 12, 8, half=g.f16)
    add("bf16, gelu, odd", (5,), 7, 9, gelu=True, half=g.bf16)
    for activation in ACTIVATIONS:
        add(f"{activation}, residual", (2, 3), 8, 12, residual=True, activation=activation)
        add(f"{activation}, without bias", (5,), 7, 9, bias=False, activation=activation)


def attention_case(g, name, b, h, tq, tk, d, mask=None, causal=False, ql="btd", kl="btd", p=None):
    def heads_of(x, layout):
        x = x if layout == "btd" else x.transpose(1, 0, 2)
        b, t, c = x.shape
        return x.reshape(b, t, h, c // h).transpose(0, 2, 1, 3)

    def join(x, layout):
        b, h, t, d = x.shape
        x = x.transpose(0, 2, 1, 3).reshape(b, t, h * d)
        return x if layout == "btd" else x.transpose(1, 0, 2)

    scale = 1 / math.sqrt(d)
    shape = lambda t, layout: (b, t, h * d) if layout == "btd" else (t, b, h * d)
    q, k, v = g.normal(*shape(tq, ql)), g.normal(*shape(tk, kl)), g.normal(*shape(tk, kl))
    seen = np.ones((b, 1, tq, tk), bool)
    inputs = [q, k, v]
    attrs = {"heads": h, "scale": scale, "causal": causal, "queryLayout": ql, "keyLayout": kl}
    if mask is not None:
        inputs.append(mask)
        seen = seen & (mask.reshape(b, 1, -1, tk) != 0)
    if causal:
        seen = seen & (np.arange(tk)[None, :] <= np.arange(tq)[:, None] + tk - tq)
    left = 1  # what dropout multiplies by
    if p is not None:
        rng = g.rng.integers(0, 2**32, 4, dtype=np.uint32)
        inputs.append(rng)
        attrs["p"] = p
        left = stays((b, h, tq, tk), p, 0, rng) / (1 - p)

    def weights(q, k):
        s = scale * heads_of(q, ql) @ heads_of(k, kl).transpose(0, 1, 3, 2)
        return softmax_of(np.where(seen, s, -1e30))

    def f(q, k, v, *_):
        return join((weights(q, k) * left) @ heads_of(v, kl), ql)

    def rule(do):
        w, do = weights(q, k), heads_of(do, ql)
        dw = left * (do @ heads_of(v, kl).transpose(0, 1, 3, 2))
        ds = np.where(seen, w * (dw - (w * dw).sum(-1, keepdims=True)), 0) * scale
        dq = join(ds @ heads_of(k, kl), ql)
        dk = join(ds.transpose(0, 1, 3, 2) @ heads_of(q, ql), kl)
        dv = join((w * left).transpose(0, 1, 3, 2) @ do, kl)
        return [dq, dk, dv] + [None] * (len(inputs) - 3)

    g.case(name, f, inputs, grads=rule, **attrs)


def keep(g, *shape):
    """A mask in which every row sees something."""
    mask = (g.rng.random(shape) < 0.7).astype(np.uint32)
    mask[..., 0] = 1
    return mask


@golden("attention")
def attention(g):
    add = lambda *args, **options: attention_case(g, *args, **options)

    add("plain", 2, 2, 5, 7, 8)
    add("one query", 3, 2, 1, 6, 8)
    add("one query, one key", 2, 1, 1, 1, 4)
    add("eight queries, eight keys", 1, 2, 8, 8, 16)
    add("nine queries, nine keys", 2, 1, 9, 9, 20)
    add("head of 68", 1, 1, 3, 5, 68)
    add("head of 128", 1, 2, 2, 3, 128)
    add("head of 6", 2, 2, 3, 4, 6, mask=keep(g, 2, 4), kl="tbd")
    for n in LENGTHS[1:]:
        add(f"{n} keys", 1, 1, 3, n, 4)
        add(f"{n} queries", 1, 1, n, 3, 4)
    add("padding", 3, 2, 5, 7, 8, mask=keep(g, 3, 7))
    full = keep(g, 3, 6)
    full[1] = 0
    add("a fully masked row", 3, 2, 4, 6, 8, mask=full)
    add("slots", 2, 2, 4, 6, 8, mask=keep(g, 2, 4, 6))
    slots = keep(g, 2, 3, 5)
    slots[1, 2] = 0
    add("slots, a fully masked query", 2, 2, 3, 5, 8, mask=slots)
    add("causal", 2, 2, 6, 6, 8, causal=True)
    add("causal, more keys", 1, 2, 3, 7, 8, causal=True)
    add("causal, fewer keys", 1, 2, 5, 3, 8, causal=True)
    add("causal, padding", 2, 2, 9, 9, 8, mask=keep(g, 2, 9), causal=True)
    add("step-major queries", 3, 2, 4, 5, 8, ql="tbd")
    add("step-major keys", 3, 2, 4, 5, 8, mask=keep(g, 3, 5), kl="tbd")
    add("step-major, one query", 3, 2, 1, 5, 8, mask=keep(g, 3, 1, 5), ql="tbd", kl="tbd")
    add("step-major, slots", 3, 2, 4, 5, 8, mask=keep(g, 3, 4, 5), causal=True, ql="tbd", kl="tbd")


@golden("attentionDropout")
def attention_dropout(g):
    add = lambda *args, **options: attention_case(g, *args, **options)

    # few numbers of queries and keys: software adapters compile each of their workgroups anew
    for p in (0.1, 0.5):
        add(f"{p}", 2, 2, 5, 7, 8, p=p)
        add(f"{p}, one query", 3, 2, 1, 6, 8, p=p)
        add(f"{p}, rows of whole groups", 1, 3, 6, 8, 16, p=p)
    add("eight queries, five keys", 2, 1, 8, 5, 20, p=0.5)
    add("head of 128", 1, 2, 5, 7, 128, p=0.3)
    add("head of 6", 2, 2, 5, 7, 6, mask=keep(g, 2, 7), kl="tbd", p=0.3)
    add("261 keys, one query", 1, 2, 1, 261, 4, p=0.4)
    add("261 keys, five queries", 1, 2, 5, 261, 4, p=0.4)
    add("66 queries", 1, 2, 66, 7, 4, p=0.4)
    full = keep(g, 3, 6)
    full[1] = 0
    add("padding, a fully masked row", 3, 2, 5, 6, 8, mask=full, p=0.4)
    slots = keep(g, 2, 7, 5)
    slots[1, 2] = 0
    add("slots, a fully masked query", 2, 2, 7, 5, 8, mask=slots, p=0.4)
    add("causal", 2, 2, 7, 7, 8, causal=True, p=0.4)
    add("causal, fewer keys", 1, 2, 7, 5, 8, causal=True, p=0.4)
    add("causal, padding", 2, 2, 8, 8, 64, mask=keep(g, 2, 8), causal=True, p=0.4)
    add("step-major keys", 3, 2, 5, 7, 8, mask=keep(g, 3, 7), kl="tbd", p=0.4)
    one = keep(g, 3, 1, 5)
    add("step-major, one query", 3, 2, 1, 5, 64, mask=one, ql="tbd", kl="tbd", p=0.4)
    some = keep(g, 3, 6, 7)
    add("step-major, slots", 3, 2, 6, 7, 8, mask=some, causal=True, ql="tbd", kl="tbd", p=0.4)
    add("nothing falls out", 2, 2, 5, 7, 8, p=0)


@golden("attentionShared")
def attention_shared(g):
    """Two queries read one k and v: their gradients add up. The second has twice the weight."""
    b, tk, c = 2, 5, 8

    def f(q1, q2, k, v):
        return sum(w * softmax_of(q @ k.transpose(0, 2, 1)) @ v for w, q in ((1.0, q1), (2.0, q2)))

    q1, q2, k, v = g.normal(b, 3, c), g.normal(b, 3, c), g.normal(b, tk, c), g.normal(b, tk, c)
    g.case("k and v", f, [q1, q2, k, v], elsewhere=False)
    step1, step2 = g.normal(b, 1, c), g.normal(b, 1, c)
    g.case("one query each", f, [step1, step2, k, v], elsewhere=False)
    g.case("k used elsewhere", lambda *t: f(*t) * t[2].sum(), [q1, q2, k, v], elsewhere=True)


@golden("crossEntropy")
def cross_entropy(g):
    def add(name, shape, mean=0.0, spread=1.0, wrong=()):
        x, ids = g.normal(*shape, mean=mean, spread=spread), g.ids(shape[-1], *shape[:-1])
        ids.flat[: len(wrong)] = wrong

        def f(x, ids):
            top = x.max(-1, keepdims=True)
            total = np.log(np.exp(x - top).sum(-1)) + top[..., 0]
            known = np.minimum(ids.astype(int), shape[-1] - 1)[..., None]
            loss = total - np.take_along_axis(x, known, -1)[..., 0]
            return np.where(ids < shape[-1], loss, np.nan)

        def rule(dloss):
            known = np.where(ids < shape[-1], dloss, np.nan)[..., None]
            return [(softmax_of(x) - (np.arange(shape[-1]) == ids[..., None])) * known, None]

        g.case(name, f, [x, ids], grads=rule, step=1e-7 if mean else 1e-4)

    for n in LENGTHS:
        add(f"{n} classes", (3, n))
    for rows in LENGTHS[1:]:
        add(f"{rows} rows", (rows, 3))
    add("mean 1e3", (3, 65), mean=1e3)
    add("wide spread", (5, 65), spread=30.0)
    add("two axes of rows", (2, 3, 7))
    for n in (3, 8):
        add(f"ids beyond {n} classes", (5, n), wrong=(n, 2**32 - 100, 2**32 - 1, n + 1))


@golden("adamw")
def adamw(g):
    beta1, beta2, eps = 0.9, 0.999, 1e-8

    def add(name, shape, step, decay, clip=1.0, ok=1.0):
        lr = 1e-2
        scalars = f32([lr, 1 / (1 - beta1**step), 1 / (1 - beta2**step), 0, 0, 0, 0, 0])
        control = f32([clip, ok, 0, 0])

        def f(p, m, v, grad, scalars, control):
            if control[1] == 0:
                return [p, m, v]
            lr, c1, c2 = scalars[:3]
            grad = grad * control[0]
            m = beta1 * m + (1 - beta1) * grad
            v = beta2 * v + (1 - beta2) * grad * grad
            p = p - lr * decay * p
            return [p - lr * (m * c1) / (np.sqrt(v * c2) + eps), m, v]

        v = f32(np.abs(g.normal(*shape)) * 1e-2)
        inputs = [g.normal(*shape), g.normal(*shape, spread=0.1), v, g.normal(*shape), scalars, control]
        attrs = {"beta1": beta1, "beta2": beta2, "eps": eps, "weightDecay": decay}
        g.case(name, f, inputs, grads=False, **attrs)

    for n in LENGTHS:
        add(f"length {n}", (n,), 3, 0.01)
    add("vectors of four", (13, 20), 7, 0.1)
    add("no decay, clipped", (3, 4), 1, 0.0, clip=0.25)
    add("not ok", (3, 4), 2, 0.1, ok=0.0)
    add("not ok, odd", (3, 5), 2, 0.1, ok=0.0)


@golden("gradNorm")
def grad_norm(g):
    def add(name, grads, finite, max_norm, bad=False):
        def f(*tensors):
            total = math.sqrt(sum(float((t[np.isfinite(t)] ** 2).sum()) for t in tensors[: len(grads)]))
            if bad:
                return f32([0, 0, total, 0])
            return f32([min(1.0, max_norm / (total + 1e-6)) if max_norm else 1.0, 1, total, 0])

        attrs = {"gradients": len(grads), "maxNorm": max_norm}
        g.case(name, f, [*grads, *finite], grads=False, **attrs)

    add("clipped", [g.normal(7), g.normal(3, 65)], [g.normal()], 1.0)
    add("not clipped", [g.normal(7), g.normal(3, 5)], [g.normal(3)], 100.0)
    add("no limit", [g.normal(64)], [], 0.0)
    add("many chunks", [g.normal(2049), g.normal(1), g.normal(2048)], [], 1.0)
    nan, inf = g.normal(5), g.normal(72)
    nan[3], inf[69] = np.nan, -np.inf
    add("NaN in a gradient", [g.normal(9), nan], [], 1.0, bad=True)
    add("infinity in a gradient", [inf], [g.normal()], 1.0, bad=True)
    add("NaN in a loss", [g.normal(9)], [g.normal(2), nan], 1.0, bad=True)
