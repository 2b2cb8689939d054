"""Goldens below the models: AdamW, Philox, the safetensors format and float16 rounding."""

import json
import struct

import numpy as np
import torch
from safetensors import SafetensorError, TensorSpec, deserialize, serialize
from safetensors.torch import save_file

from reference_core import is_norm, save, schedule


def optim_golden(folder):
    """AdamW on four tensors for 12 steps; a step's gradient is the mean of two micro-batches."""
    generator = torch.Generator().manual_seed(13)
    shapes = {"dense.weight": (5, 7), "dense.bias": (5,), "LayerNorm.weight": (9,), "table": (67,)}
    steps, lr, decay, clip = 12, 1e-2, 1e-2, 1.0
    start = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    scale = torch.tensor(
        [0.5, 0.02, 3.0, 0.03, 0.2, 0.01, 1.0, 0.04, 0.05, 8.0, 0.02, 0.6]
    )  # clipped or not
    micro = {
        name: torch.randn(steps, 2, *shape, generator=generator)
        * scale.reshape(-1, 1, *[1] * len(shape))
        for name, shape in shapes.items()
    }
    parameters = {name: torch.nn.Parameter(value.double()) for name, value in start.items()}
    groups = [
        {
            "params": [parameters[name]],
            "weight_decay": 0.0 if name.endswith("bias") or is_norm(name) else decay,
        }
        for name in shapes
    ]
    optimiser = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8)
    after, norms, rates = {name: [] for name in shapes}, [], []
    for step in range(steps):
        rates.append(schedule(step, lr, 4, steps))
        for group in optimiser.param_groups:
            group["lr"] = rates[-1]
        for name, p in parameters.items():
            p.grad = micro[name][step].double().mean(0)
        norms.append(torch.nn.utils.clip_grad_norm_(list(parameters.values()), clip).item())
        optimiser.step()
        for name, p in parameters.items():
            after[name].append(p.detach().clone())
    assert min(norms) < clip < max(norms)
    golden = {
        "norm": torch.tensor(norms, dtype=torch.float64),
        "lr": torch.tensor(rates, dtype=torch.float64),
    }
    for name in shapes:
        golden |= {
            f"start.{name}": start[name],
            f"grad.{name}": micro[name],
            f"after.{name}": torch.stack(after[name]),
        }
        state = optimiser.state[parameters[name]]
        golden |= {f"m.{name}": state["exp_avg"], f"v.{name}": state["exp_avg_sq"]}
    save(folder / "adamw.safetensors", golden)
    sgd_golden(folder, start, {name: value.mean(1) for name, value in micro.items()})
    return {"norm": golden["norm"]}


SGD_KINDS = {
    "plain": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.05},
}


def sgd_golden(folder, start, gradients):
    """SGD of three kinds on the same tensors and gradients, clipped to a norm of 1, with rates that change."""
    golden = {}
    for kind, options in SGD_KINDS.items():
        parameters = {name: torch.nn.Parameter(value.double()) for name, value in start.items()}
        optimiser = torch.optim.SGD(list(parameters.values()), lr=0.1, **options)
        for step in range(6):
            optimiser.param_groups[0]["lr"] = 0.3 / (step + 1)
            for name, p in parameters.items():
                p.grad = gradients[name][step].double()
            torch.nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
            optimiser.step()
        golden |= {f"{kind}.{name}": p.detach() for name, p in parameters.items()}
    save(folder / "sgd.safetensors", golden)


def philox4x32(counter, key, rounds=10):
    """Philox4x32 (Salmon et al. 2011): four 32-bit words from a counter of four, a key of two."""
    c, k = [int(x) for x in counter], [int(x) for x in key]
    for _ in range(rounds):
        high0, low0 = divmod(0xD2511F53 * c[0], 1 << 32)
        high1, low1 = divmod(0xCD9E8D57 * c[2], 1 << 32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % (1 << 32), (k[1] + 0xBB67AE85) % (1 << 32)]
    return c


def philox_golden(path):
    """The known-answer vectors of Random123 (kat_vectors), which the Philox above must give."""
    published = [
        (
            "00000000 00000000 00000000 00000000",
            "00000000 00000000",
            "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        ),
        (
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ]
    vectors = []
    for counter, key, output in published:
        words = [[int(word, 16) for word in line.split()] for line in (counter, key)]
        assert " ".join(f"{word:08x}" for word in philox4x32(*words)) == output, counter
        vectors.append({"counter": counter.split(), "key": key.split(), "output": output.split()})
    document = {"source": "Random123 kat_vectors, philox4x32 with 10 rounds", "vectors": vectors}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n")


def raw_file(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def every_dtype(path):
    """One tensor of each dtype that the library writes, [2, 4] of bytes that no other has."""
    names = (
        "bool int8 uint8 int16 uint16 int32 uint32 int64 uint64 float16 float32 float64 bfloat16 "
        "float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu "
        "float4_e2m1fn_x2 complex64"
    ).split()
    keep, specs = [], {}
    for i, name in enumerate(names):
        packed = getattr(torch, name)
        values = torch.arange(8 * packed.itemsize, dtype=torch.uint8) + 10 * i
        keep.append(values % 2 if name == "bool" else values)
        specs[name] = TensorSpec(
            dtype=name, shape=[2, 4], data_ptr=keep[-1].data_ptr(), data_len=keep[-1].numel()
        )
    path.write_bytes(serialize(specs))


def six_bits(path):
    """The two dtypes that the library reads but does not write."""
    header = {
        "three": {"dtype": "F6_E3M2", "shape": [2, 4], "data_offsets": [0, 6]},
        "two": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [6, 9]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    file = raw_file(text + b" " * (-len(text) % 8), bytes(range(9)))
    assert [name for name, _ in deserialize(file)] == ["three", "two"]
    path.write_bytes(file)


def verdicts(path):
    """Headers, how many bytes follow, and whether the library takes such a file."""

    def one(dtype, shape, begin, end, **more):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end], **more}

    big = 2**64 - 1
    cases = [
        ({}, 0),
        ({}, 1),
        ({"__metadata__": {}}, 0),
        ({"__metadata__": {"a": "b"}}, 0),
        ({"__metadata__": {"a": 1}}, 0),
        ({"__metadata__": []}, 0),
        ({"__metadata__": "a"}, 0),
        ({"": one("U8", [1], 0, 1)}, 1),
        ({"a": one("U8", [1], 0, 1, more=3)}, 1),
        ({"a": {"dtype": "U8", "shape": [1]}}, 1),
        ({"a": {"shape": [1], "data_offsets": [0, 1]}}, 1),
        ({"a": {"dtype": "U8", "data_offsets": [0, 1]}}, 1),
        ({"a": None}, 0),
        ({"a": one("U8", [1], 0, 1), "b": one("U8", [0], 0, 0), "c": one("U8", [0], 1, 1)}, 1),
        ({"a": one("U8", [1], 0, 1), "b": one("U8", [1], 0, 1)}, 1),
        ({"a": one("U8", [1], 0, 1), "b": one("U8", [1], 2, 3)}, 3),
        ({"a": one("U8", [1], 1, 2)}, 2),
        ({"a": one("U8", [1], 0, 1)}, 2),
        ({"a": one("U8", [1], 0, 1)}, 0),
        ({"a": one("U8", [1], 1, 0)}, 1),
        ({"a": one("U8", [-1], 0, 1)}, 1),
        ({"a": one("U8", [0.5], 0, 1)}, 1),
        ({"a": one("U8", ["1"], 0, 1)}, 1),
        ({"a": one("U8", [[1]], 0, 1)}, 1),
        ({"a": one("U8", [big], 0, 1)}, 1),
        ({"a": one("U8", [big, big], 0, 1)}, 1),
        ({"a": one("U8", [2**40, 2**40], 0, 0)}, 0),
        ({"a": one("F32", [], 0, 4)}, 4),
        ({"a": one("F32", [], 0, 3)}, 3),
        ({"a": one("f32", [1], 0, 4)}, 4),
        ({"a": one("F31", [1], 0, 4)}, 4),
        ({"a": one(5, [1], 0, 4)}, 4),
        *(({"a": one(dtype, [8], 0, size)}, size) for dtype in DTYPES for size in SIZES),
        *(({"a": one(dtype, [3], 0, 2)}, 2) for dtype in ("F4", "F6_E2M3", "F6_E3M2", "F16")),
        (b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
        (b'{"__metadata__":{"a":"\\udfff"}}', 0),
        (b'{"\xff":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   \n\t', 1),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}\0', 1),
        (b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}', 1),
        (b'{"a":' + 200 * b"[" + 200 * b"]" + b"}", 0),
        (b"[]", 0),
        (b"null", 0),
        (b"", 0),
    ]

    def accepted(header, size):
        try:
            deserialize(raw_file(header, bytes(size)))
        except SafetensorError:
            return False
        return True

    rows = [
        {
            "header": (h if isinstance(h, bytes) else json.dumps(h).encode()).decode("latin1"),
            "bytes": size,
            "accepted": accepted(h, size),
        }
        for h, size in cases
    ]
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f"[\n{lines}\n]\n")


SIZES = (3, 4, 6, 8, 16, 32, 64)
DTYPES = (
    "BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ I16 U16 F16 "
    "BF16 I32 U32 F32 C64 F64 I64 U64"
).split()


def safetensors_golden(folder):
    """Files of the Python library: every dtype, a scalar, an empty tensor, names in byte order."""
    folder.mkdir(parents=True, exist_ok=True)
    edge = [
        0.0,
        -0.0,
        1.0,
        -2.5,
        65504.0,
        6.103515625e-05,
        5.960464477539063e-08,
        0.333251953125,
        float("inf"),
    ]
    tensors = {
        "f32": torch.tensor([[1.5, -2.25, 3e-8], [0.1, 1e30, -0.0]]),
        "f64": torch.tensor([0.1, -1e300], dtype=torch.float64),
        "f16": torch.tensor(edge, dtype=torch.float16),
        "bf16": torch.tensor([1.0, -0.1, 3e38, 1e-40, 0.0], dtype=torch.bfloat16),
        "i64": torch.tensor([-1, 1 << 40]),
        "u64": torch.tensor([7, 1 << 40], dtype=torch.uint64),
        "i32": torch.tensor([[-7], [8]], dtype=torch.int32),
        "u32": torch.tensor([4294967295, 1], dtype=torch.uint32),
        "i16": torch.tensor([-300, 300], dtype=torch.int16),
        "u16": torch.tensor([65535], dtype=torch.uint16),
        "i8": torch.tensor([-128, 127, 0], dtype=torch.int8),
        "u8": torch.tensor([0, 255, 3], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        'quote " back\\slash \t tab': torch.tensor([1.0]),
        "Ġword": torch.tensor([2.0]),
        "\uff5e": torch.tensor([3.0]),
        "\U0001f600": torch.tensor([4.0]),
    }
    texts = {
        "alpha": 'a "quoted" line\n, Ünï, \u2028'
    }  # one: the library writes several in any order
    save_file(tensors, folder / "dtypes.safetensors", metadata=texts)
    narrow = {
        "e5m2": torch.tensor([1.0, -2.0]).to(torch.float8_e5m2),
        "e4m3": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn),
        "complex": torch.tensor([1 + 2j]),
        "double": torch.tensor([1.5], dtype=torch.float64),
    }
    save_file(narrow, folder / "rare.safetensors")
    save_file({"only": torch.arange(3, dtype=torch.float32)}, folder / "plain.safetensors")

    every_dtype(folder / "every.safetensors")
    six_bits(folder / "sixbits.safetensors")
    verdicts(folder / "verdicts.json")

    # float32 -> float16, to nearest, ties to even: halfway points, their neighbours, the limits.
    halves = np.arange(0, 0x7C00, 97, dtype=np.uint16).view(np.float16).astype(np.float32)
    above = np.nextafter(halves.astype(np.float16), np.float16(np.inf)).astype(np.float32)
    middle = np.where(np.isfinite(above), (halves + above) / 2, halves).astype(np.float32)
    special = np.array(
        [65504, 65519.996, 65520, 1e9, 2**-24, 2**-25, 1.0000001 * 2**-25, 2**-26, 1e-40, 0],
        np.float32,
    )
    source = np.concatenate(
        [
            middle,
            np.nextafter(middle, np.float32(0)),
            np.nextafter(middle, np.float32(1e9)),
            special,
        ]
    )
    source = np.concatenate([source, -source, [np.float32(np.inf), np.float32(-np.inf)]]).astype(
        np.float32
    )
    with np.errstate(over="ignore"):
        rounded = source.astype(np.float16)
    save_file(
        {"f32": torch.from_numpy(source), "f16": torch.from_numpy(rounded)},
        folder / "rounding.safetensors",
    )
