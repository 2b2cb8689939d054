"""Golden of TensorBoard's event files, test/golden/tensorboard.json, and a check of those of a run.

    python3 tools/reference_tensorboard.py          writes the golden
    python3 tools/reference_tensorboard.py RUN ...  reads the event files of runs, and compares them with steps.bin and log.jsonl

The golden is what tensorboard's own writer makes of some events: a list of {wallTime, step, base64} with fileVersion, session or
scalars; base64 is the record with its length and checksums. It is read back by tensorboard before it is written. RUN is the folder of
a training: a run's, or a relation's where relations are trained one after the other.
"""

import base64
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

GOLDEN = Path(__file__).resolve().parent.parent / "test" / "golden" / "tensorboard.json"
ALL = {"scalars": 0}  # keep every value

EVENTS = [
    {"wallTime": 1700000000.25, "step": 0, "fileVersion": "brain.Event:2"},
    {"wallTime": 1700000000.5, "step": 41, "session": "start"},
    {"wallTime": 1700000001.0, "step": 0, "scalars": {"evaluation/devAccuracy": 61.5}},
    {"wallTime": 1700000001.125, "step": 1, "scalars": {"step/object": 2.7182817459106445, "step/none": -0.0}},
    {"wallTime": 1700000002.0, "step": 127, "scalars": {"step/object": 0.0}},
    {"wallTime": 1700000003.0, "step": 128, "scalars": {"step/object": 1e-45, "step/rate": 3.4028234663852886e38}},
    {"wallTime": 1700000004.0, "step": 2**31, "scalars": {"step/Größe 語": -1.5}},
    {"wallTime": 1700000005.0, "step": 2**40 + 3, "scalars": {f"step/{'x' * 200}": 0.1, "b": 7.0, "c": 8.0}},
]  # fmt: skip


def event_of(one):
    event = Event(wall_time=one["wallTime"], step=one["step"])
    if "fileVersion" in one:
        event.file_version = one["fileVersion"]
    elif "session" in one:
        event.session_log.status = SessionLog.START
    else:
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in one["scalars"].items()]
        event.summary.CopyFrom(Summary(value=values))
    return event


class Kept:
    def __init__(self):
        self.bytes = b""

    def write(self, data):
        self.bytes += data


def record(event):
    kept = Kept()
    RecordWriter(kept).write(event.SerializeToString(deterministic=True))
    return kept.bytes


def write_golden():
    records = [record(event_of(one)) for one in EVENTS]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.out.tfevents.0"
        path.write_bytes(b"".join(records))
        read = [Event.FromString(data) for data in RawEventFileLoader(str(path)).Load()]
    assert read == [event_of(one) for one in EVENTS]
    made = [{**one, "base64": base64.b64encode(data).decode()} for one, data in zip(EVENTS, records)]
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n")


def steps_of(folder):
    with open(folder / "steps.bin", "rb") as file:
        columns = json.loads(file.readline())["columns"]
        values = np.frombuffer(file.read(), "<f4")
    return columns, values.reshape(-1, len(columns))


def wanted_of(folder):
    """What steps.bin and log.jsonl hold: tag -> [(step, value)]."""
    found = {}
    columns, values = steps_of(folder)
    for i, name in enumerate(columns):
        known = [(s + 1, float(row[i])) for s, row in enumerate(values) if np.isfinite(row[i])]
        if known:
            found[f"step/{name}"] = known
    for line in (folder / "log.jsonl").read_text().splitlines():
        row = json.loads(line)
        for name, value in row.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name not in ("step", "epoch"):
                found.setdefault(f"evaluation/{name}", []).append((row["step"], value))
    return found


def raw_of(folder):
    """Every value that stands in the files, whatever a reader forgets at a START."""
    found = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for data in RawEventFileLoader(str(path)).Load():
            event = Event.FromString(data)
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def check(folder):
    reader = EventAccumulator(str(folder), size_guidance=ALL)
    reader.Reload()
    seen = {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
    wanted = wanted_of(folder)
    for what, found in (("tensorboard", seen), ("the files", raw_of(folder))):
        assert set(found) == set(wanted), (what, set(found) ^ set(wanted))
        for tag, want in wanted.items():
            got = sorted(found[tag])
            assert [step for step, _ in got] == [step for step, _ in want], (what, tag, got, want)
            a, b = np.float32([v for _, v in got]), np.float32([v for _, v in want])
            assert tag == "step/factsPerSecond" or np.array_equal(a, b), (what, tag, a, b)
    files = len(list(folder.glob("events.out.tfevents.*")))
    values = sum(len(list_) for list_ in wanted.values())
    print(f"{folder}: {values} values of {len(wanted)} tags in {files} files are what steps.bin and log.jsonl hold")


if len(sys.argv) == 1:
    write_golden()
for name in sys.argv[1:]:
    check(Path(name))
