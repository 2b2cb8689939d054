"""Golden of AutoPrompt's search from transformers: test/golden/models/autoprompt/.

    python3 tools/reference_autoprompt.py
    python3 tools/reference_autoprompt.py FIRST LAST     looks for seeds to use

Writes config.json, model.safetensors, settings.json and golden.safetensors there. Weights are random float32 numbers; the model
runs with them in float64. Every fact is read alone, as `[CLS] subject [T]1 .. [T]k [MASK] . [SEP]` without padding, and every
trigger is tried one after the other. Two runs write the same bytes.

settings.json has the ids of the special tokens, k, the number of candidates, rows in a batch, and `iterations`: for each the
`position` (from 0), and the places in the list of facts that the `slope` and the `trial` batches are made of. Tensors of the
golden, V words, I iterations, C candidates:

    subjects, lengths      [F, 4] U32, [F] U32   the facts' subjects, 0 behind their length
    objects                [F] U32
    allowed                [V] U32      1 for the words that may be triggers
    triggers               [I + 1, k] U32   before the first iteration and behind each
    loss, norm             [I]          mean over the slope batches of their mean loss, and norm of the mean gradient
    candidates             [I, C] U32   by falling -(E . gradient)
    falls                  [I, C]       -(E . gradient), of the sum of the batches' gradients
    current, scores        [I], [I, C]  log-likelihoods summed over the trial facts
    accepted               [I] I32      place of the candidate that is taken, -1 for none
    first_order            [I, V]       what each word in place of the trigger changes the sum of the batches' losses by, to first
                                        order: a central difference of losses, without any gradient

Five or more candidates are taken; in one or more iterations none is.
"""

import json
import sys

import torch
import torch.nn.functional as F

from reference_core import BERT_CONFIG, MODELS, make_bert, save, save_model, u32

BERT = BERT_CONFIG | {
    "vocab_size": 53,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
}
PAD, CLS, SEP, MASK, PERIOD = 0, 2, 3, 4, 5
FIRST_WORD = 6
K, CANDIDATES, FACTS, ROWS = 3, 20, 18, 6
ITERATIONS = 9
SIZES = (6, 4)  # facts of the two batches that are drawn, of ROWS rows each
FALL_MARGIN, SCORE_MARGIN = 1e-4, 1e-3
SEED = 6


def make_case(seed):
    generator = torch.Generator().manual_seed(seed)
    model = make_bert(BERT, generator, matrix=0.25, embedding=0.5).requires_grad_(False)

    def draw(count):
        return torch.randint(FIRST_WORD, BERT["vocab_size"], (count,), generator=generator).tolist()

    facts = [(draw(1 + i % 4), draw(1)[0]) for i in range(FACTS)]
    out = {*range(PERIOD), *(o for _, o in facts[: FACTS // 2]), *draw(6)}
    allowed = [int(word not in out) for word in range(BERT["vocab_size"])]
    assert sum(allowed) > CANDIDATES
    iterations = []
    for _ in range(ITERATIONS):
        orders = [torch.randperm(FACTS, generator=generator).tolist() for _ in range(2)]
        batches = [[order[: SIZES[0]], order[SIZES[0] : sum(SIZES)]] for order in orders]
        position = int(torch.randint(K, (1,), generator=generator))
        iterations.append({"position": position, "slope": batches[0], "trial": batches[1]})
    return model, facts, allowed, iterations


def log_likelihood(model, fact, triggers):
    """log P(object) of one fact with trigger embeddings [k, d]."""
    subject, target = fact
    table = model.get_input_embeddings().weight
    head = torch.stack([table[i] for i in (CLS, *subject)])
    tail = torch.stack([table[i] for i in (MASK, PERIOD, SEP)])
    rows = torch.cat([head, triggers, tail])
    logits = model(inputs_embeds=rows[None]).logits[0, len(head) + K]
    return F.log_softmax(logits, -1)[target]


def summed_loss(model, facts, batches, triggers):
    """The sum over batches of their mean -log P."""
    return sum(
        -torch.stack([log_likelihood(model, facts[i], triggers) for i in batch]).mean()
        for batch in batches
    )


def iterate(model, facts, allowed, ids, drawn):
    table = model.get_input_embeddings().weight
    embeds = torch.stack([table[i] for i in ids]).requires_grad_()
    loss = summed_loss(model, facts, drawn["slope"], embeds)
    (gradient,) = torch.autograd.grad(loss, embeds)
    falls = [-torch.dot(row, gradient[drawn["position"]]).item() for row in table]
    words = [word for word, may in enumerate(allowed) if may]
    ranked = sorted(words, key=lambda word: -falls[word])
    best = ranked[:CANDIDATES]
    gaps = [falls[a] - falls[b] for a, b in zip(ranked[:CANDIDATES], ranked[1:], strict=False)]

    chosen = [i for batch in drawn["trial"] for i in batch]
    tried = [ids, *([*ids[: drawn["position"]], w, *ids[drawn["position"] + 1 :]] for w in best)]
    with torch.no_grad():
        current, *scores = (
            sum(
                log_likelihood(model, facts[i], torch.stack([table[t] for t in sequence])).item()
                for i in chosen
            )
            for sequence in tried
        )
    top = max(scores)
    least = float("-inf") if MASK in ids else current
    accepted = scores.index(top) if top > least else -1
    # a candidate that is the trigger there is scores what the triggers do
    others = [score for score, word in zip(scores, best, strict=True) if word != ids[drawn["position"]]]
    order = sorted([*others, current], reverse=True)
    return {
        "loss": loss.item() / len(drawn["slope"]),
        "norm": gradient.norm().item() / len(drawn["slope"]),
        "candidates": best,
        "falls": [falls[word] for word in best],
        "current": current,
        "scores": scores,
        "accepted": accepted,
        "triggers": tried[1 + accepted],
        "fall_margin": min(gaps),
        "score_margin": min(order[0] - order[1], abs(max(others) - current)),
    }


def first_order(model, facts, ids, drawn, step=1e-4):
    """For each word v: (L(t + h (E[v] - E[t])) - L(t - h (E[v] - E[t]))) / 2h."""
    table = model.get_input_embeddings().weight
    triggers = torch.stack([table[i] for i in ids])
    found = []
    for row in table:
        toward = torch.zeros_like(triggers)
        toward[drawn["position"]] = row - triggers[drawn["position"]]
        with torch.no_grad():
            up, down = (
                summed_loss(model, facts, drawn["slope"], triggers + sign * step * toward).item()
                for sign in (1, -1)
            )
        found.append((up - down) / (2 * step))
    return found


def search(seed):
    model, facts, allowed, iterations = make_case(seed)
    ids = [MASK] * K
    results = []
    for drawn in iterations:
        results.append(iterate(model, facts, allowed, ids, drawn))
        ids = results[-1]["triggers"]
    return model, facts, allowed, iterations, results


def problems(results):
    taken = [result["accepted"] >= 0 for result in results]
    return [
        what
        for what, is_so in (
            ("fewer than five are taken", sum(taken) < 5),
            ("one is taken in each", all(taken)),
            ("the first is always taken", all(r["accepted"] <= 0 for r in results)),
            ("a rank is nearly a draw", min(r["fall_margin"] for r in results) < FALL_MARGIN),
            ("a choice is nearly a draw", min(r["score_margin"] for r in results) < SCORE_MARGIN),
        )
        if is_so
    ]


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if len(sys.argv) == 3:
        for seed in range(int(sys.argv[1]), int(sys.argv[2])):
            *_, results = search(seed)
            print(seed, problems(results), [r["accepted"] for r in results], flush=True)
        return
    model, facts, allowed, iterations, results = search(SEED)
    assert not problems(results), problems(results)
    triggers = [[MASK] * K, *(result["triggers"] for result in results)]
    orders = []
    for drawn, before, result in zip(iterations, triggers, results, strict=False):
        orders.append(first_order(model, facts, before, drawn))
        words = sorted((w for w, may in enumerate(allowed) if may), key=lambda w: orders[-1][w])
        assert words[:CANDIDATES] == result["candidates"], "the gradient ranks as the differences"
    folder = MODELS / "autoprompt"
    save_model(folder, BERT, model)
    ids = {"pad": PAD, "cls": CLS, "sep": SEP, "mask": MASK, "period": PERIOD}
    settings = {"ids": ids, "k": K, "candidates": CANDIDATES, "rows": ROWS, "iterations": iterations}
    (folder / "settings.json").write_text(json.dumps(settings) + "\n")
    golden = {
        "subjects": u32(torch.tensor([s + [PAD] * (4 - len(s)) for s, _ in facts])),
        "lengths": u32(torch.tensor([len(s) for s, _ in facts])),
        "objects": u32(torch.tensor([o for _, o in facts])),
        "allowed": u32(torch.tensor(allowed)),
        "triggers": u32(torch.tensor(triggers)),
        "candidates": u32(torch.tensor([result["candidates"] for result in results])),
        "accepted": torch.tensor([result["accepted"] for result in results]).int(),
        "first_order": torch.tensor(orders, dtype=torch.float64),
    }
    for name in ("loss", "norm", "falls", "current", "scores"):
        golden[name] = torch.tensor([r[name] for r in results], dtype=torch.float64)
    save(folder / "golden.safetensors", golden)
    for result in results:
        print(result["accepted"], f"{result['current']:.4f}")


if __name__ == "__main__":
    main()
