"""The pairs of models that people train, at their real size with random weights, and PyTorch's side of training them.

    python3 tools/reference_pairs.py make FOLDER PAIR             FOLDER/{PAIR,PAIR-still,bert}, FOLDER/data
    python3 tools/reference_pairs.py losses FOLDER PAIR BATCH     ten steps of the batches in FOLDER/PAIR.BATCH.json

PAIR: `bart-base` or `bart-large`, beside bert-base-cased. Nothing is downloaded: the two vocabularies have the sizes of the real ones
and share as many words, of made-up syllables, and so do the facts. `-still` is the same model without dropout, for losses that
can be compared.

The step is written with the caches of transformers, one batch at a time, and needs no mask in BART: all facts of a batch have as many
pieces. It prints one JSON line a step, {"object", "none", "norm"}, and one with "peak", the largest resident set in bytes.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import BartConfig, BartForConditionalGeneration, BertConfig, BertForMaskedLM

from reference_core import is_norm, randomise
from reference_fullsize import BART, BERT, SEED, SPREAD, memory

PAIRS = {
    "bart-base": BART
    | {
        "d_model": 768,
        "encoder_layers": 6,
        "decoder_layers": 6,
        "encoder_attention_heads": 12,
        "decoder_attention_heads": 12,
        "encoder_ffn_dim": 3072,
        "decoder_ffn_dim": 3072,
    },
    "bart-large": BART,
}
DROPOUTS = ("dropout", "attention_dropout", "activation_dropout")
SPREAD_OF_BART = {"matrix": 0.015, "embedding": 0.04}  # slots far from saturation, so that they have gradients
END_BIAS = -30.0  # of </s>, so that no segment ends early
COMMON = 18543  # words that both vocabularies have, as the real ones
RELATION = "P17"
# pieces of a subject, and how many training facts have them: twenty batches of eight, three buckets as with the real facts
TRAIN = ((5, 80), (10, 40), (23, 40))
ASKED = ((5, 8), (10, 8), (23, 8))  # of dev and of test facts


def syllables():
    return [c + v for c in "bcdfghjklmnprstvwz" for v in "aeiou"]


def vocabularies():
    """BART's merges and tokens, BERT's tokens, and the words that both have as one token behind a blank."""
    parts = syllables()
    letters = sorted({part[0] for part in parts})
    merges = [("Ġ", "."), *(("Ġ", c) for c in letters), *((p[0], p[1]) for p in parts)]
    merges += [(f"Ġ{p[0]}", p[1]) for p in parts]
    merges += [(f"Ġ{a}", b) for a in parts for b in parts]
    room = BART["vocab_size"] - 5 - 256 - len(merges)  # five special tokens
    longer = ((f"Ġ{a}{b}", c) for c in parts for a in parts for b in parts)
    merges += [pair for pair, _ in zip(longer, range(room), strict=False)]
    # the bytes as byte-level BPE spells them
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    shown = [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *shown, *(a + b for a, b in merges), "<mask>"]
    assert len(tokens) == len(set(tokens)) == BART["vocab_size"]
    behind = [t[1:] for t in tokens if t.startswith("Ġ") and len(t) > 3]  # words of two syllables or three
    words = behind[: COMMON - len(letters) - 1]  # letters and the period are common too
    bert = ["[PAD]", *(f"[unused{i}]" for i in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    bert += [".", "None", *letters, *words, *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
    more = (f"##{a}{b}{c}" for c in parts for a in parts for b in parts)
    bert += [t for t, _ in zip(more, range(BERT["vocab_size"] - len(bert)), strict=False)]
    assert len(bert) == len(set(bert)) == BERT["vocab_size"]
    return merges, tokens, bert, words


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf8")


def make_data(folder, words):
    """Facts of one relation: the first word of a subject has three pieces, the others one each."""
    generator = torch.Generator().manual_seed(SEED + 7)
    long = [w for w in words if len(w) == 6]
    objects = words[:40]

    def draw(some):
        return some[torch.randint(len(some), (1,), generator=generator).item()]

    def facts(kinds):
        rows = []
        for pieces, count in kinds:
            for _ in range(count):
                subject = " ".join([draw(long), *(draw(words) for _ in range(pieces - 3))])
                rows.append(json.dumps({"sub_label": subject, "obj_label": draw(objects)}))
        return rows

    write_lines(folder / "autoprompt_data" / RELATION / "train.jsonl", facts(TRAIN))
    write_lines(folder / "autoprompt_data" / RELATION / "dev.jsonl", facts(ASKED))
    write_lines(folder / "LAMA-TREx" / f"{RELATION}.jsonl", facts(ASKED))
    relation = {"relation": RELATION, "template": "[X] is in [Y] .", "label": "place", "type": "N-1"}
    write_lines(folder / "relation_metainfo" / "LAMA_relations.jsonl", [json.dumps(relation)])
    write_lines(folder / "common_vocabs" / "common_vocab_cased.txt", words)


def write_model(folder, model, files):
    """With transformers, and the tokenizer's files; whole or not at all."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part, max_shard_size="8GB")
    for name, text in files.items():
        (part / name).write_text(text, encoding="utf8")
    part.rename(folder)


def make(folder, pair):
    merges, tokens, bert, words = vocabularies()
    if not (folder / "data" / "common_vocabs").exists():
        make_data(folder / "data", words)
    generator = torch.Generator().manual_seed(SEED)
    if not (folder / "bert").exists():
        model = randomise(BertForMaskedLM(BertConfig(**BERT)), generator, **SPREAD["bert"]).float()
        files = {"vocab.txt": "".join(f"{t}\n" for t in bert)}
        write_model(folder / "bert", model, files | {"tokenizer_config.json": '{"do_lower_case": false}'})
    if not (folder / pair).exists():
        config = BartConfig(**PAIRS[pair], **dict.fromkeys(DROPOUTS, 0.1))
        model = randomise(BartForConditionalGeneration(config), generator, **SPREAD_OF_BART).float()
        with torch.no_grad():
            model.final_logits_bias[0, config.eos_token_id] = END_BIAS
        files = {
            "vocab.json": json.dumps({token: i for i, token in enumerate(tokens)}),
            "merges.txt": "".join(f"{a} {b}\n" for a, b in merges),
        }
        write_model(folder / pair, model, files)
    still = folder / f"{pair}-still"
    if not still.exists():
        part = folder / f"{pair}-still.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(folder / pair, part, copy_function=os.link)
        config = json.loads((part / "config.json").read_text())
        (part / "config.json").unlink()  # not through the link into the other folder's
        (part / "config.json").write_text(json.dumps(config | dict.fromkeys(DROPOUTS, 0.0)))
        part.rename(still)


def step(bart, bert, batch, given):
    """The two terms of the loss for facts of equal lengths."""
    m, n = given["m"], given["n"]
    rows = len(batch["objects"])
    classes = torch.tensor(given["generator"])
    table = bart.model.shared.weight
    written = table[classes]  # [C, d]
    bias = bart.final_logits_bias[0, classes]
    encoded = bart.model.encoder(input_ids=torch.tensor(batch["encoder"])).last_hidden_state
    out = bart.model.decoder(
        input_ids=torch.tensor(batch["prefix"]), encoder_hidden_states=encoded, use_cache=True
    )
    distributions = []
    for slot in range(m + n):
        logits = out.last_hidden_state[:, -1] @ written.T + bias
        assert (logits.argmax(-1) != len(classes) - 1).all(), "a segment ends early"
        distributions.append(torch.softmax(logits, -1))
        if slot == m + n - 1:
            break
        fed = [(distributions[-1] @ written)[:, None]]
        if slot == m - 1:
            fed.append(table[given["bartMask"]].expand(rows, 1, -1))
        out = bart.model.decoder(
            inputs_embeds=torch.cat(fed, 1),
            encoder_hidden_states=encoded,
            past_key_values=out.past_key_values,
            use_cache=True,
        )
    words = bert.get_input_embeddings().weight
    soft = torch.stack(distributions, 1) @ words[torch.tensor(given["reader"])]  # [B, m+n, h]

    def one(token):
        return words[token].expand(rows, 1, -1)

    tail = [soft[:, :m], one(given["mask"]), soft[:, m:], one(given["sep"])]

    def read(pieces):
        """log P of the objects; every row has as many pieces, so that nothing is masked."""
        subject = words[torch.tensor(pieces)]
        hidden = bert.bert(inputs_embeds=torch.cat([one(given["cls"]), subject, *tail], 1))
        logits = bert.cls(hidden.last_hidden_state[:, 1 + len(pieces[0]) + m])
        picked = torch.log_softmax(logits, -1)
        return picked.gather(1, torch.tensor(batch["objects"])[:, None])[:, 0]

    own, none = read(batch["own"]), read(batch["none"])
    return -own.mean(), torch.clamp(none, min=given["floor"]).mean()


def losses(folder, pair, size):
    given = json.loads((folder / f"{pair}.{size}.json").read_text())
    bart = BartForConditionalGeneration.from_pretrained(folder / f"{pair}-still", dtype=torch.float32)
    bart.train()
    bert = BertForMaskedLM.from_pretrained(folder / "bert", dtype=torch.float32)
    bert.eval().requires_grad_(False)
    named = [(name, p) for name, p in bart.named_parameters() if p.requires_grad]
    flat = [p for name, p in named if name.endswith("bias") or is_norm(name)]
    kept = {id(p) for p in flat}
    groups = [
        {"params": [p for _, p in named if id(p) not in kept], "weight_decay": given["weightDecay"]},
        {"params": flat, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999), eps=1e-8)
    for batch, lr in zip(given["batches"], given["rates"], strict=True):
        for group in optimizer.param_groups:
            group["lr"] = lr
        first, second = step(bart, bert, batch, given)
        (first + given["alpha"] * second).backward()
        # float32 loses small squares beside the sum of millions of others
        norm = sum(p.grad.double().square().sum() for _, p in named if p.grad is not None).sqrt()
        if norm > 1.0:
            for _, p in named:
                if p.grad is not None:
                    p.grad.mul_(float(1.0 / (norm + 1e-6)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        line = {"object": first.item(), "none": second.item(), "norm": norm.item()}
        print(json.dumps(line), flush=True)
    print(json.dumps({"peak": memory("VmHWM:")}), flush=True)


if __name__ == "__main__":
    command, folder, pair = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    torch.set_num_threads(int(os.environ.get("FULLSIZE_THREADS", "2")))
    folder.mkdir(parents=True, exist_ok=True)
    if command == "make":
        make(folder, pair)
    elif command == "losses":
        losses(folder, pair, sys.argv[4])
    else:
        sys.exit(f"[fullsize] {command} is unknown; use make or losses")
