"""Multinomial logistic regression with an L2 penalty by Newton's method in float64: a reference for the probe, whose way is another.

Minimises sum of -log P(class | row) + l2 / 2 |W|^2; biases are not punished. scipy's own minimiser must find the same loss.
Writes test/golden/logistic.json.

    python3 tools/reference_probe.py
"""

import json

import numpy as np
from reference_core import GOLDEN
from scipy.optimize import minimize
from scipy.special import log_softmax


def problem(rows, classes, count, l2):
    """Loss, gradient and Hessian of parameters [K * (features + 1)], the bias of a class last."""
    wide = np.hstack([rows, np.ones((len(rows), 1))])  # [n, F]
    features = wide.shape[1]
    penalty = np.tile(np.r_[np.full(features - 1, l2), 0.0], count)
    hot = np.eye(count)[classes]

    def logs(x):
        return log_softmax(wide @ x.reshape(count, features).T, axis=1)  # [n, K]

    def loss(x):
        return -(hot * logs(x)).sum() + 0.5 * (penalty * x * x).sum()

    def gradient(x):
        return ((np.exp(logs(x)) - hot).T @ wide).ravel() + penalty * x

    def hessian(x):
        p = np.exp(logs(x))
        blocks = np.zeros((count, features, count, features))
        for a in range(count):
            for b in range(count):
                w = p[:, a] * ((a == b) - p[:, b])
                blocks[a, :, b, :] = (wide * w[:, None]).T @ wide
        return blocks.reshape(count * features, -1) + np.diag(penalty)

    return loss, gradient, hessian


def newton(rows, classes, count, l2):
    loss, gradient, hessian = problem(rows, classes, count, l2)
    x = np.zeros(count * (rows.shape[1] + 1))
    for _ in range(100):
        g = gradient(x)
        if np.abs(g).max() < 1e-11:
            break
        step = np.linalg.lstsq(hessian(x), -g, rcond=1e-12)[0]  # biases may shift together
        length = 1.0
        while loss(x + length * step) > loss(x) + 1e-4 * length * (g @ step) and length > 1e-9:
            length /= 2
        x = x + length * step
    assert np.abs(gradient(x)).max() < 1e-8, np.abs(gradient(x)).max()
    other = minimize(loss, np.zeros_like(x), jac=gradient, method="L-BFGS-B",
                     options={"maxiter": 20000, "maxfun": 40000, "ftol": 1e-15, "gtol": 1e-9})
    assert abs(other.fun - loss(x)) < 1e-6 * abs(loss(x)), (other.fun, loss(x))
    return x, loss(x)


def main():
    draw = np.random.default_rng(5)
    cases = []
    # more rows than features, and fewer, as distributions over words have
    for count, features, train, test, l2 in (
        (4, 6, 40, 8, 1.0), (3, 5, 30, 6, 1e-3), (5, 60, 24, 10, 0.1), (6, 40, 20, 10, 10.0),
    ):
        centres = draw.normal(size=(count, features))
        classes = np.r_[np.arange(count), draw.integers(0, count, train - count)]
        rows = np.round(centres[classes] * 0.6 + draw.normal(size=(train, features)), 4)
        others = np.round(draw.normal(size=(test, features)), 4)
        x, loss = newton(rows, classes, count, l2)
        model = x.reshape(count, -1)
        logs = log_softmax(others @ model[:, :-1].T + model[:, -1], axis=1)
        cases.append({
            "l2": l2,
            "rows": rows.tolist(),
            "classes": classes.tolist(),
            "others": others.tolist(),
            "loss": loss,
            "logP": logs.tolist(),
        })
        print(count, features, l2, "loss", loss)
    (GOLDEN / "logistic.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
