"""Goldens of NumPy's file of one array: test/golden/npy.json, the bytes that numpy.save writes.

    python3 tools/reference_npy.py

A list of {shape, values, base64}; values are f32.
"""

import base64
import io
import json

import numpy as np

from reference_core import GOLDEN

SHAPES = [(2, 3), (5,), (1, 1), (0, 4), (), (1000000, 0), (2, 3, 4), (1,) * 15, (2,) * 5]


def main() -> None:
    rng = np.random.default_rng(1)
    cases = []
    for shape in SHAPES:
        values = rng.standard_normal(shape).astype("<f4")
        file = io.BytesIO()
        np.save(file, values)
        text = base64.b64encode(file.getvalue()).decode()
        cases.append({"shape": shape, "values": [float(x) for x in values.ravel()], "base64": text})
    (GOLDEN / "npy.json").write_text(json.dumps(cases) + "\n")


main()
