"""Writes the goldens of the ops into test/golden/ops.

    python3 tools/golden.py              every op
    python3 tools/golden.py sum softmax  only these

Needs numpy alone. The same numpy gives the same bytes: each op's random numbers are seeded by its
name.
"""

import importlib.util
import sys
import time

from golden_core import GOLDENS, Golden

for module in ("golden_basic", "golden_nn"):
    if importlib.util.find_spec(module):
        __import__(module)

names = sys.argv[1:] or sorted(GOLDENS)
unknown = [n for n in names if n not in GOLDENS]
if unknown:
    sys.exit(f"no golden is called {', '.join(unknown)}; there are {', '.join(sorted(GOLDENS))}")
total = 0
for name in names:
    start = time.time()
    made = Golden(name)
    GOLDENS[name](made)
    size = made.write()
    total += size
    seconds = time.time() - start
    print(f"{name:<18}{len(made.cases):>4} cases {size / 1024:>8.1f} KiB {seconds:>6.1f} s")
print(f"{len(names)} goldens, {total / 1024:.1f} KiB")
