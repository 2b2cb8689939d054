"""BERT-base-cased and BART-large at their real size with random weights, and what PyTorch makes of them.

    python3 tools/reference_fullsize.py make FOLDER      FOLDER/{bert,bart}: checkpoints by transformers
    python3 tools/reference_fullsize.py golden FOLDER    FOLDER/{bert,bart,step}*.safetensors: results
    python3 tools/reference_fullsize.py load FOLDER HOW  loads FOLDER/bart once; prints time and memory
    python3 tools/reference_fullsize.py evict FOLDER     takes the file of FOLDER/bart out of the page cache

Everything is float32 and seeded. The step is that of reference_promptgen.py: every fact alone,
without padding, masks or a cache. HOW: `sum` (load_file, then the sum of each tensor), `clone`
(load_file, then a copy of each tensor) or `model` (from_pretrained, then the sum of each tensor).
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file
from transformers import BartConfig, BartForConditionalGeneration, BertConfig, BertForMaskedLM

import reference_promptgen as plain
from reference_core import is_norm, randomise, save, u32

# config.json of google-bert/bert-base-cased and facebook/bart-large, as far as it decides shapes
BERT = {
    "vocab_size": 28996,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
BART = {
    "vocab_size": 50265,
    "d_model": 1024,
    "encoder_layers": 12,
    "decoder_layers": 12,
    "encoder_attention_heads": 16,
    "decoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "decoder_ffn_dim": 4096,
    "max_position_embeddings": 1024,
    "bos_token_id": 0,
    "pad_token_id": 1,
    "eos_token_id": 2,
    "forced_bos_token_id": None,
    "num_labels": 3,
}
# ids of the real vocabularies
SPECIAL = {
    "bart": {"bos": 0, "pad": 1, "eos": 2, "mask": 50264},
    "bert": {"pad": 0, "cls": 101, "sep": 102, "mask": 103, "none": 7330},
}
WORDS = 18543  # pairs that the real vocabularies share
M, N, ALPHA = 10, 5, 0.3
EOS_BIAS = 8.15  # of </s> in final_logits_bias, so that a segment ends early
MARGIN = 1e-3
SEED = 2022
SPREAD = {"bert": {"matrix": 0.04, "embedding": 0.1}, "bart": {"matrix": 0.015, "embedding": 0.1}}


def make(folder):
    for name, kind, config in (
        ("bert", BertForMaskedLM, BertConfig(**BERT)),
        ("bart", BartForConditionalGeneration, BartConfig(**BART)),
    ):
        if (folder / name / "model.safetensors").exists():
            continue
        generator = torch.Generator().manual_seed(SEED)
        model = randomise(kind(config), generator, **SPREAD[name]).float()
        if name == "bart":
            with torch.no_grad():
                model.final_logits_bias[0, SPECIAL["bart"]["eos"]] = EOS_BIAS
        shutil.rmtree(folder / f"{name}.part", ignore_errors=True)
        model.save_pretrained(folder / f"{name}.part", max_shard_size="8GB")
        (folder / f"{name}.part").rename(folder / name)


def eager(kind, path):
    model = kind.from_pretrained(path, attn_implementation="eager", dtype=torch.float32)
    return model.eval().requires_grad_(False)


def rounded(model, dtype):
    """Matrices and the table of words as the nearest values of `dtype`, in float32."""
    for name, p in model.named_parameters():
        small = "position" in name or "token_type" in name
        if name.endswith("weight") and not is_norm(name) and not small:
            p.copy_(p.to(dtype).float())
    return model


def texts(generator, lengths, low, high):
    """Random ids [B, T] with 0 behind each text, and the mask."""
    width = max(lengths)
    mask = (torch.arange(width)[None, :] < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(low, high, (len(lengths), width), generator=generator)
    return ids, mask


def bert_golden(folder):
    generator = torch.Generator().manual_seed(SEED + 1)
    ids, mask = texts(generator, [14, 9], 1000, BERT["vocab_size"])
    labels = torch.where(mask == 1, ids, -100)
    ids = torch.where(mask == 1, ids, SPECIAL["bert"]["pad"])
    ids[:, 4] = SPECIAL["bert"]["mask"]
    for storage in ("f32", "f16", "bf16"):
        model = eager(BertForMaskedLM, folder / "bert")
        if storage != "f32":
            rounded(model, torch.float16 if storage == "f16" else torch.bfloat16)
        out = model(input_ids=ids, attention_mask=mask, labels=labels)
        golden = {"ids": u32(ids), "mask": u32(mask), "labels": labels.int()}
        golden |= {"logits": out.logits, "loss": out.loss}
        save(folder / f"bert.{storage}.safetensors", golden)


def bart_golden(folder):
    generator = torch.Generator().manual_seed(SEED + 2)
    ids, mask = texts(generator, [16, 11], 100, 50000)
    ids = torch.where(mask == 1, ids, SPECIAL["bart"]["pad"])
    labels = torch.randint(100, 50000, (2, 12), generator=generator)
    labels[1, 9:] = -100
    model = eager(BartForConditionalGeneration, folder / "bart")
    decoder_ids = model.prepare_decoder_input_ids_from_labels(labels)
    out = model(input_ids=ids, attention_mask=mask, labels=labels)
    golden = {"ids": u32(ids), "mask": u32(mask), "decoder_ids": u32(decoder_ids)}
    golden |= {"labels": labels.int(), "logits": out.logits, "loss": out.loss}
    save(folder / "bart.f32.safetensors", golden)


class Table:
    """A table whose rows for one list of ids are gathered once: the plain step asks at every slot."""

    def __init__(self, weight):
        self.weight, self.gathered = weight, {}

    def __getitem__(self, ids):
        if not torch.is_tensor(ids):
            return self.weight[ids]
        key = (ids.data_ptr(), ids.numel(), ids.stride())
        if key not in self.gathered:
            self.gathered[key] = self.weight[ids]
        return self.gathered[key]


def facts_and_pairs():
    """Two facts as reference_promptgen.py has them, and the pairs [V, 2] with (</s>, [SEP]) last."""
    generator = torch.Generator().manual_seed(SEED + 3)

    def draw(low, high, count):
        return low + torch.randperm(high - low, generator=generator)[:count]

    bart = draw(4, SPECIAL["bart"]["mask"], WORDS).sort().values
    bert = draw(1000, BERT["vocab_size"], WORDS)
    end = torch.tensor([[SPECIAL["bart"]["eos"], SPECIAL["bert"]["sep"]]])
    pairs = torch.cat([torch.stack([bart, bert], 1), end])
    facts = []
    for bart_pieces, bert_pieces, words in ((2, 3, 6), (4, 2, 4)):
        subject, other = draw(100, 50000, bart_pieces).tolist(), draw(100, 50000, words).tolist()
        ids = SPECIAL["bart"]
        encoder = [ids["bos"], *subject, *other, ids["mask"], ids["eos"]]
        pieces = draw(1000, BERT["vocab_size"], bert_pieces + 1).tolist()
        facts.append((encoder, subject, pieces[1:], pieces[0]))
    return facts, pairs


def use_real_ids():
    bart, bert = SPECIAL["bart"], SPECIAL["bert"]
    plain.BOS, plain.BART_PAD, plain.EOS, plain.BART_MASK = (
        bart[k] for k in ("bos", "pad", "eos", "mask")
    )
    plain.BERT_PAD, plain.CLS, plain.SEP, plain.BERT_MASK, plain.NONE = (
        bert[k] for k in ("pad", "cls", "sep", "mask", "none")
    )
    plain.M, plain.N = M, N


def step_golden(folder):
    use_real_ids()
    facts, pairs = facts_and_pairs()
    bart = eager(BartForConditionalGeneration, folder / "bart").requires_grad_(True)
    for storage in ("f32", "f16", "bf16"):
        bert = eager(BertForMaskedLM, folder / "bert")
        if storage != "f32":
            rounded(bert, torch.float16 if storage == "f16" else torch.bfloat16)
        writer = SimpleNamespace(
            model=SimpleNamespace(
                shared=SimpleNamespace(weight=Table(bart.model.shared.weight)),
                encoder=bart.model.encoder,
                decoder=bart.model.decoder,
            ),
            final_logits_bias=bart.final_logits_bias,
        )
        words = Table(bert.get_input_embeddings().weight)

        def read(**given):
            return bert(**given)

        read.get_input_embeddings = lambda words=words: SimpleNamespace(weight=words)
        result = plain.step(writer, read, pairs, facts)
        first, second = plain.terms(result)
        loss = first + ALPHA * second
        bart.zero_grad()
        loss.backward()
        lengths = [[len(part) for part in segments] for segments in result["segments"]]
        report = f"slots {lengths}, margin {plain.smallest_margin(result):.1e}"
        print(f"step {storage}: loss {loss.item():.6f}, {report}", file=sys.stderr, flush=True)
        live = torch.zeros(len(facts), M + N, dtype=torch.int64)
        distributions = torch.zeros(len(facts), M + N, len(pairs))
        for row, segments in enumerate(result["segments"]):
            for start, part in zip((0, M), segments, strict=True):
                for slot, distribution in enumerate(part):
                    distributions[row, start + slot] = distribution.detach()
                    live[row, start + slot] = 1
        golden = {
            "common": u32(pairs),
            "live": u32(live),
            "distributions": distributions,
            "mask_logits": torch.stack(result["logits"]),
            "none_mask_logits": torch.stack(result["none_logits"]),
            "loss_object": first,
            "loss_none": second,
            "loss": loss,
        }
        for name, p in bart.named_parameters():
            if storage == "f32" or p.ndim == 1:  # vectors tell of every layer
                golden[f"grad.{name}"] = p.grad
        path = folder / f"step.{storage}.safetensors"
        save(path.with_suffix(".part"), golden)
        path.with_suffix(".part").rename(path)
    settings = {"m": M, "n": N, "alpha": ALPHA, "floor": plain.FLOOR, **SPECIAL}
    keys = ("encoder", "bart", "bert", "object")
    settings["facts"] = [dict(zip(keys, fact, strict=True)) for fact in facts]
    (folder / "step.json").write_text(json.dumps(settings) + "\n")


def memory(key):
    """A line of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    return 0


def load(folder, how):
    """Prints one JSON line: seconds, those of its CPUs, bytes of tensors, of memory before and at most."""
    before = memory("VmRSS:")
    start, busy = time.perf_counter(), time.process_time()
    if how == "model":
        model = BartForConditionalGeneration.from_pretrained(folder / "bart", dtype=torch.float32)
        tensors = dict(model.named_parameters())
    else:
        tensors = load_file(folder / "bart" / "model.safetensors")
        if how == "clone":
            tensors = {name: t.clone() for name, t in tensors.items()}
    if how != "clone":
        total = sum(t.sum().item() for t in tensors.values())
        assert total == total
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    report = {"seconds": seconds, "busy": busy, "bytes": size}
    print(json.dumps(report | {"before": before, "peak": memory("VmHWM:")}))


def evict(folder):
    with open(folder / "bart" / "model.safetensors", "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    command, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(int(os.environ.get("FULLSIZE_THREADS", "2")))
    folder.mkdir(parents=True, exist_ok=True)
    if command == "make":
        make(folder)
    elif command == "golden":
        for what in (bert_golden, bart_golden, step_golden):
            print(what.__name__, file=sys.stderr, flush=True)
            with torch.set_grad_enabled(what is step_golden):
                what(folder)
    elif command == "load":
        load(folder, sys.argv[3])
    elif command == "evict":
        evict(folder)
    else:
        sys.exit(f"[fullsize] {command} is unknown; use make, golden, load or evict")
