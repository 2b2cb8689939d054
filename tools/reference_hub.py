"""The cache layout of Python's huggingface_hub, and a check that both sides read each other's cache.

    python3 tools/reference_hub.py

Starts the Hub of test/models/hub/server.ts on this machine, lets huggingface_hub download from it
the files that models/hub/hub.ts takes of each repository, and writes what stands in the cache then to
test/golden/models/hub.json: for each repository the revision, and for each path the target of a
link, the text of a ref, or the size of a blob. Then downloads the same with models/hub/hub.ts, compares
the trees, reads that cache with huggingface_hub without a network, and Python's with models/hub/hub.ts.
Two runs write the same bytes.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "test/golden/models/hub.json"
JSON_TOKENIZER = ["tokenizer_config.json", "tokenizer.json"]

# repository -> revision and files: those of a model, no others
WANTED = {
    "tiny/whole": ("main", [*JSON_TOKENIZER, "config.json", "model.safetensors"]),
    "tiny/sharded": (
        "main",
        [
            *JSON_TOKENIZER,
            "config.json",
            "model.safetensors.index.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
        ],
    ),
    "tiny/pickled": ("main", ["vocab.json", "merges.txt", "config.json", "pytorch_model.bin"]),
    "tiny/pickled-shards": (
        "abcdef0123" * 4,
        [
            "vocab.txt",
            "config.json",
            "pytorch_model.bin.index.json",
            "pytorch_model-00001-of-00002.bin",
            "pytorch_model-00002-of-00002.bin",
        ],
    ),
    "legacy": ("main", [*JSON_TOKENIZER, "config.json", "model.safetensors"]),
}


def described(cache):
    """path -> link target, ref or size, without locks and tags."""
    found = {}
    for path in sorted(cache.rglob("*")):
        name = path.relative_to(cache).as_posix()
        if name.startswith(".locks") or name == "CACHEDIR.TAG":
            continue
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file() and "/refs/" in name:
            found[name] = path.read_text()
        elif path.is_file():
            found[name] = f"{path.stat().st_size} bytes"
    return found


def ours(cache, name, revision, **options):
    """The directory that models/hub/hub.ts gives."""
    given = json.dumps({"cacheDir": str(cache), "revision": revision, "token": False, **options})
    program = (
        'import { resolveModel } from "./models/hub.ts";'
        f"console.log(await resolveModel({json.dumps(name)}, {given}));"
    )
    command = ["npx", "node", "--input-type=module", "-e", program]
    run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return run.stdout.strip()


def main():
    server = subprocess.Popen(
        ["node_modules/.bin/node", "test/models/hub/server.ts"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        endpoint = server.stdout.readline().strip()
        golden, checked = {}, 0
        with tempfile.TemporaryDirectory() as folder:
            for name, (revision, files) in WANTED.items():
                theirs, mine = Path(folder, "theirs", name), Path(folder, "mine", name)
                for file in files:
                    hf_hub_download(
                        name,
                        file,
                        revision=revision,
                        cache_dir=theirs,
                        endpoint=endpoint,
                        token=False,
                    )
                golden[name] = {"revision": revision, "tree": described(theirs)}
                directory = ours(mine, name, revision, endpoint=endpoint)
                assert described(mine) == described(theirs), name
                read = snapshot_download(
                    name, revision=revision, cache_dir=mine, local_files_only=True
                )
                assert os.path.samefile(read, directory), (read, directory)
                for file in files:
                    path = hf_hub_download(
                        name, file, revision=revision, cache_dir=mine, local_files_only=True
                    )
                    assert os.path.samefile(path, Path(directory, file)), path
                assert not scan_cache_dir(mine).warnings
                nowhere = "http://127.0.0.1:9"
                assert Path(ours(theirs, name, revision, endpoint=nowhere, offline=True)).is_dir()
                checked += len(files)
    finally:
        server.kill()
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"{len(golden)} repositories, {checked} files: both libraries read each other's cache")


if __name__ == "__main__":
    main()
