"""Goldens of torch.save: its files as they are, and pickles that ask for what no state dict needs.

    python3 tools/reference_pytorch.py

Writes test/golden/pytorch. Two runs give the same bytes. `state.safetensors` holds the tensors of
every `state*.bin` and of the shards, contiguous; files under `refused` hold something else than a
state dict of dense tensors; `state-legacy-*` are in the format of before PyTorch 1.6. Needs 4.3 GB in the system's temporary folder for a moment: `large.json`
keeps the parts of a zip64 file that are not zero. Nothing in `malicious.json` is run here.
"""

import base64
import builtins
import collections
import io
import json
import os
import pickle
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parent.parent / "test" / "golden" / "pytorch"

BLOCK = 4096  # bytes, the grain in which zeros of the large file are left out


class Block(torch.nn.Module):
    """Tied, frozen, nested: its state dict is an OrderedDict with _metadata."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(7, 4)
        self.norm = torch.nn.LayerNorm(4)
        self.decoder = torch.nn.Linear(4, 7)
        self.decoder.weight = self.embedding.weight
        self.register_buffer("position_ids", torch.arange(9).expand(1, -1))
        self.batch_norm = torch.nn.BatchNorm1d(4)


def kinds(generator):
    """A tensor of each dtype that safetensors has too, with its edges."""
    edge = torch.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1.5, 65504, 6e-8])
    made = {
        f"float.{str(dtype)[6:]}": edge.to(dtype)
        for dtype in [torch.float32, torch.float64, torch.float16, torch.bfloat16]
    }
    made |= {
        f"float.{str(dtype)[6:]}": torch.arange(256).to(torch.uint8).view(dtype)
        for dtype in [
            torch.float8_e4m3fn,
            torch.float8_e5m2,
            torch.float8_e4m3fnuz,
            torch.float8_e5m2fnuz,
            torch.float8_e8m0fnu,
        ]
    }
    for dtype in [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8]:
        info = torch.iinfo(dtype)
        made[f"int.{str(dtype)[6:]}"] = torch.tensor([info.min, 0, 1, info.max], dtype=dtype)
    for dtype, signed in [
        (torch.uint16, torch.int16),
        (torch.uint32, torch.int32),
        (torch.uint64, torch.int64),
    ]:
        made[f"int.{str(dtype)[6:]}"] = torch.tensor([0, 1, -1], dtype=signed).view(dtype)
    made["bool"] = torch.tensor([[True, False, True]])
    made["complex"] = torch.randn(3, 2, dtype=torch.complex64, generator=generator)
    return made


def views(generator):
    """Every way in which a tensor may lie in its storage."""
    base = torch.randn(3, 4, 5, generator=generator)
    wide = torch.arange(24, dtype=torch.int64).reshape(4, 6)
    return {
        "base": base,
        "tied": base,
        "transposed": base.permute(2, 0, 1),
        "rows": base[1:],
        "column": base[:, 1:3, ::2],
        "half.transposed": base.half().transpose(0, 2),
        "bf16.slice": base.bfloat16()[2, 1],
        "bool.transposed": (base > 0).transpose(0, 1),
        "int.transposed": wide.t(),
        "int.last": wide[3, 5],
        "expanded": wide[:, :1].expand(4, 6),
        "overlapping": torch.arange(10.0).unfold(0, 2, 2),
        "parameter": torch.nn.Parameter(base[0].clone()),
        "frozen": torch.nn.Parameter(base[0].t().clone(), requires_grad=False),
        "scalar": torch.tensor(2.5),
        "count": torch.tensor(3),
        "empty": torch.zeros(0, 3),
        "empty.middle": torch.zeros(2, 0, 4, dtype=torch.float16),
        "ones": torch.ones(1, 1, 1),
        "name with é, 日本, '\" and spaces": torch.tensor([1.0]),
        "": torch.tensor([2.0]),
    }


def states():
    generator = torch.Generator().manual_seed(5)
    torch.manual_seed(7)
    block = Block()
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.normal_(generator=generator)
    attributed = torch.nn.Parameter(torch.arange(3.0))
    attributed.note = "kept by _rebuild_parameter_with_state"
    return {
        "kinds": kinds(generator),
        "views": views(generator),
        "module": block.state_dict(),
        "attributed": {"parameter": attributed},
        "nothing": {},
    }


class NamedInOrder(type):
    def __instancecheck__(cls, value):
        return isinstance(value, builtins.str)


class OrderedNames(str, metaclass=NamedInOrder):
    """str, but a number (a storage's address, which no two runs share) becomes "0", "1", ..."""

    seen: dict = {}

    def __new__(cls, value=""):
        if isinstance(value, int):
            return builtins.str(cls.seen.setdefault(value, len(cls.seen)))
        return builtins.str(value)


def save_legacy(state, path, protocol=2):
    """torch.save in the format of before PyTorch 1.6, storages named by their order."""
    OrderedNames.seen = {}
    torch.serialization.str = OrderedNames
    try:
        with open(path, "wb") as file:
            torch.save(
                state, file, pickle_protocol=protocol, _use_new_zipfile_serialization=False
            )
    finally:
        del torch.serialization.str
    for key, tensor in torch.load(path, weights_only=False).items():
        same = torch.equal(tensor.nan_to_num(), state[key].nan_to_num())
        assert same and tensor.dtype == state[key].dtype, key


def legacy_states(generator):
    """What the format holds: no dtype without a storage class, and as its own torch.load reads it."""
    plain = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.bool]
    plain += [torch.int64, torch.int32, torch.int16, torch.int8]
    some = torch.randn(5, 3, generator=generator)
    many = {f"layer.{i}.weight": torch.full((3,), float(i)) for i in range(40)}
    return {
        "dtypes": {str(dtype)[6:]: (4 * some).abs().to(dtype) for dtype in plain},
        "views": views(generator),
        "nothing": {},
        "many": collections.OrderedDict(many),
    }


def write_legacy(values):
    generator = torch.Generator().manual_seed(13)
    torch.manual_seed(17)
    module = Block()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=generator)
    states = legacy_states(generator) | {"module": module.state_dict()}
    for name, state in states.items():
        save_legacy(state, OUT / f"state-legacy-{name}.bin")
        for key, tensor in state.items():
            values[f"legacy-{name}:{key}"] = tensor.detach().contiguous().clone()
    for protocol in [3, 4, 5]:
        state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}
        save_legacy(state, OUT / f"state-legacy-protocol{protocol}.bin", protocol)
        values |= {f"legacy-protocol{protocol}:{key}": tensor for key, tensor in state.items()}


def write_states():
    values = {}
    for name, state in states().items():
        torch.save(state, OUT / f"state-{name}.bin")
        for key, tensor in state.items():
            values[f"{name}:{key}"] = tensor.detach().contiguous().clone()
    many = collections.OrderedDict(
        (f"layer.{i}.weight", torch.full((3,), float(i))) for i in range(40)
    )
    torch.save(many, OUT / "state-many.bin")  # beyond 256 memo entries: LONG_BINPUT
    values |= {f"many:{key}": tensor for key, tensor in many.items()}
    for protocol in [3, 4, 5]:
        state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1, 2])}
        torch.save(state, OUT / f"state-protocol{protocol}.bin", pickle_protocol=protocol)
        values |= {f"protocol{protocol}:{key}": tensor for key, tensor in state.items()}
    shards = [
        {"embedding": torch.arange(8.0).reshape(4, 2), "norm.weight": torch.ones(2)},
        {"decoder": torch.arange(6, dtype=torch.float16).reshape(2, 3).t()},
    ]
    index = {"metadata": {"total_size": 52}, "weight_map": {}}
    for i, shard in enumerate(shards):
        file = f"pytorch_model-{i + 1:05d}-of-{len(shards):05d}.bin"
        torch.save(shard, OUT / file)
        index["weight_map"] |= dict.fromkeys(shard, file)
        values |= {f"shards:{key}": tensor.contiguous() for key, tensor in shard.items()}
    text = json.dumps(index, indent=2, sort_keys=True)
    (OUT / "pytorch_model.bin.index.json").write_text(text + "\n")
    write_legacy(values)
    save_file(values, OUT / "state.safetensors")


class Rich(torch.Tensor):
    pass


def write_refused():
    torch.manual_seed(11)
    state = torch.nn.Linear(2, 2).state_dict()
    for tensor in state.values():
        tensor.fill_(1)
    nested = {"epoch": 3, "state_dict": state, "best": 0.5, "args": [1, 2], "name": "run"}
    complexes = torch.zeros(2, dtype=torch.complex64)
    refused = {
        "nested": nested,
        "list": [torch.zeros(2)],
        "tensor": torch.zeros(2),
        "number": {"weight": torch.zeros(2), "step": 7},
        "module": torch.nn.Linear(2, 2),
        "sparse": {"weight": torch.eye(2).to_sparse()},
        "quantized": {"weight": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)},
        "subclass": {"weight": torch.ones(2).as_subclass(Rich)},
        "meta": {"weight": torch.ones(2, device="meta")},
        "double": {"weight": torch.zeros(2, dtype=torch.complex128)},
        "conjugated": {"weight": complexes.conj()},
        "expanded": {"weight": torch.zeros(1).expand(2**40)},
        "set": {"weight": torch.zeros(2), "names": {"a"}},
        "storage": {"weight": torch.zeros(2).untyped_storage()},
        "optimizer": torch.optim.Adam(torch.nn.Linear(2, 2).parameters()).state_dict(),
    }
    (OUT / "refused").mkdir(exist_ok=True)
    for name, value in refused.items():
        torch.save(value, OUT / "refused" / f"{name}.bin")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), OUT / "refused" / "torchscript.bin")


class Call:
    """Pickled as a call of `function` with `args`; the pickle of it is never loaded."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


class Pickler(pickle.Pickler):
    """torch.save's own pickling, without a storage."""

    def persistent_id(self, value):
        return None


def write_malicious():
    command = "touch executed"
    asked = {
        "os.system": Call(os.system, command),
        "eval": Call(eval, f"__import__('os').system('{command}')"),
        "exec": Call(exec, f"import os; os.system('{command}')"),
        "getattr": Call(getattr, os, "system"),
        "import": Call(__import__, "os"),
        "open": Call(open, "executed", "w"),
        "subprocess": Call(__import__("subprocess").Popen, ["touch", "executed"]),
        "torch.load": Call(torch.load, "executed"),
        "torch.hub": Call(torch.hub.load, "executed", "executed"),
        "pickle": Call(pickle.loads, b"N."),
    }
    files = {}
    for name, value in asked.items():
        for protocol in range(6):
            try:
                data = io.BytesIO()
                Pickler(data, protocol).dump({"weight": value})
            except (TypeError, pickle.PicklingError):
                continue  # a module in the arguments
            files[f"{name}, protocol {protocol}"] = base64.b64encode(data.getvalue()).decode()
    (OUT / "malicious.json").write_text(json.dumps(files, indent=1) + "\n")


def write_large():
    """A zip64 file: a tensor behind one of 4.3 GB, as [offset, base64] of what is not zero."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.bin"
        torch.save({"zeros": torch.zeros(1_080_000_000), "behind": torch.arange(5.0)}, path)
        size, parts = path.stat().st_size, []
        assert size > 2**32
        with open(path, "rb") as file:
            for at in range(0, size, BLOCK):
                block = file.read(BLOCK)
                if block.count(0) == len(block):
                    continue
                text = base64.b64encode(block.rstrip(b"\0")).decode()
                parts.append([at, text])
    (OUT / "large.json").write_text(json.dumps({"size": size, "parts": parts}, indent=1) + "\n")


def main():
    OUT.mkdir(exist_ok=True)
    write_states()
    write_refused()
    write_malicious()
    write_large()


if __name__ == "__main__":
    main()
