"""Goldens of T5 from transformers: test/golden/models/t5/ and t5-v1_1/.

    python3 tools/reference_t5.py

t5/ is the first kind: ReLU, one table of words, the decoder's output times d_model^-0.5. t5-v1_1/ is the second: gated GELU, a head
of its own, another number of layers on either side. In both d_kv times num_heads is not d_model. Writes config.json,
model.safetensors and golden.safetensors there. Weights are random float32 numbers; the model runs with them in float64, without
dropout, with eager attention. Two runs write the same bytes. Tensors of the golden, B 3, S 17, T 9:

    input_ids, attention_mask   [B, S] U32   17, 11 and 6 live tokens, the second padded on the left, the third on the right
    decoder_input_ids, decoder_attention_mask, labels   [B, T]   9, 5 and 7 live tokens, padded on the right
    encoder.hidden.I, decoder.hidden.I   [B, S or T, d_model]   embeddings; behind each block, the last behind final_layer_norm too;
                                0 at padding
    logits, loss                [B, T, V], []   logits are 0 at padding; cross-entropy, mean over the labels
    grad.KEY                    of the loss, for each key of model.safetensors
    soft.decoder_inputs_embeds, soft.loss, soft.grad   from dense embeddings in place of the decoder's ids
    train.loss, train.norm, train.lr   [10] F64   as for the other models: lr 1e-3, weight decay 1e-2, which spares what transformers'
                                Trainer spares, relative_attention_bias among it
    act.NAME                    [T, V]   logits of the first text where feed_forward_proj is NAME
    unscaled                    [T, V]   t5/ only: logits of the first text with scale_decoder_outputs false
    dropouts                    [N] I32   elements of each tensor that passes through dropout while training, smallest first
    generate.ids                [B, N] I32   what greedy search writes about input_ids, from the start token to </s>; -1 behind it

buckets.json holds what T5Attention says for distances (key minus query) -LIMIT to LIMIT, [bidirectional, buckets, longest distance, [...]].
"""

import copy
import json

import torch
import torch.nn.functional as F
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention
from transformers.trainer import Trainer

from reference_core import IGNORED, MODELS, gradients, save, schedule, u32, weights

T5 = {
    "architectures": ["T5ForConditionalGeneration"],
    "model_type": "t5",
    "vocab_size": 37,
    "d_model": 16,
    "d_kv": 5,
    "d_ff": 24,
    "num_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 7,
    "dropout_rate": 0.0,
    "layer_norm_epsilon": 1e-6,
    "initializer_factor": 1.0,
    "feed_forward_proj": "relu",
    "is_encoder_decoder": True,
    "n_positions": 512,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 0,
    "use_cache": True,
}
T5_V1_1 = T5 | {
    "d_kv": 6,
    "num_heads": 2,
    "num_layers": 1,
    "num_decoder_layers": 2,
    "relative_attention_num_buckets": 11,
    "relative_attention_max_distance": 13,
    "layer_norm_epsilon": 1e-2,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}
ACTIVATIONS = ["relu", "gelu", "gelu_new", "silu"]
FIRST = 2  # the first id that is a word
SEEDS = (("t5", T5, 217), ("t5-v1_1", T5_V1_1, 38))  # of models that write texts of several words
NEW_TOKENS = 14
MARGIN = 1e-2  # least difference of the best two logits of a step
LIMIT = 300
# in the last three float32 and float64 differ
BUCKETS = [(32, 128), (32, 20), (8, 7), (11, 13), (4, 3), (5, 100), (9, 128), (20, 160), (17, 27)]


def make(config, generator):
    """A model with a spread that leaves no gradient small."""
    model = T5ForConditionalGeneration(T5Config(**config, attn_implementation="eager"))
    if config.get("tie_word_embeddings") is False:
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
    with torch.no_grad():
        for name, p in model.named_parameters():
            draw = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            if name == "decoder.final_layer_norm.weight":
                p.copy_(draw)  # of either sign: a tied model would repeat its last word for ever
            elif "layer_norm" in name:
                p.copy_(1 + 0.2 * draw)
            elif "relative_attention_bias" in name:
                p.copy_(draw)
            else:
                p.copy_((0.9 if "shared" in name else 0.25) * draw)
    return model.eval().double()


def padded(lengths, width):
    return (torch.arange(width)[None, :] < torch.tensor(lengths)[:, None]).long()


def cross_entropy(logits, labels):
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED)


def train(model, loss_of, lr, weight_decay, steps=10, clip=1.0):
    """AdamW; decay where transformers' Trainer has it."""
    model = copy.deepcopy(model)
    model.zero_grad()
    decayed = set(Trainer.get_decay_parameter_names(None, model))
    named = list(model.named_parameters())
    optimiser = torch.optim.AdamW(
        [
            {"params": [p for n, p in named if n in decayed], "weight_decay": weight_decay},
            {"params": [p for n, p in named if n not in decayed], "weight_decay": 0.0},
        ],
        lr=lr,
    )
    found = {"loss": [], "norm": [], "lr": []}
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule(step, lr)
        optimiser.zero_grad()
        loss = loss_of(model)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimiser.step()
        for name, value in (("loss", loss.item()), ("norm", norm.item()), ("lr", schedule(step, lr))):
            found[name].append(value)
    return {f"train.{name}": torch.tensor(v, dtype=torch.float64) for name, v in found.items()}


def greedy(model, ids, mask):
    out = model.generate(
        ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        use_cache=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    best = torch.stack(out.logits, 1).topk(2, -1).values
    written = out.sequences
    ended = (written[:, 1:] == model.config.eos_token_id).cumsum(-1)
    live = F.pad(ended - (written[:, 1:] == model.config.eos_token_id).long(), (1, 0)) == 0
    margin = (best[..., 0] - best[..., 1])[live[:, 1:]].min()
    assert margin > MARGIN, f"a step is nearly a draw: {margin}"
    written = torch.where(live, written, -1)
    assert all(len(set(row) - {-1}) > 4 for row in written.tolist()), "no text repeats few words"
    assert (written == -1).any() and (written != -1).all(-1).any(), "one text ends early, not all"
    return written


def dropouts(config, run):
    """What passes through dropout in a step of training."""
    other = T5ForConditionalGeneration(
        T5Config(**(config | {"dropout_rate": 0.1}), attn_implementation="eager")
    ).double()
    found, plain = [], F.dropout

    def noted(x, p=0.5, training=True, inplace=False):
        found.append(x.numel())
        return plain(x, p, training, inplace)

    F.dropout = noted
    run(other.train())
    F.dropout = plain
    return torch.tensor(sorted(found), dtype=torch.int32)


def golden(config, seed):
    generator = torch.Generator().manual_seed(seed)
    model = make(config, generator)
    vocabulary = config["vocab_size"]
    mask, decoder_mask = padded([17, 11, 6], 17), padded([9, 5, 7], 9)
    mask[1] = mask[1].flip(0)

    def draw(live):
        return torch.randint(FIRST, vocabulary, live.shape, generator=generator)

    ids = torch.where(mask == 1, draw(mask), 0)
    labels = torch.where(decoder_mask == 1, draw(decoder_mask), IGNORED)
    decoder_ids = torch.cat([torch.zeros(3, 1, dtype=torch.long), labels[:, :-1]], 1)
    decoder_ids = torch.where(decoder_mask == 1, decoder_ids, 0)

    def run(m, **decoder):
        return m(
            input_ids=ids,
            attention_mask=mask,
            decoder_attention_mask=decoder_mask,
            use_cache=False,
            output_hidden_states=True,
            **(decoder or {"decoder_input_ids": decoder_ids}),
        )

    out = run(model)
    loss = cross_entropy(out.logits, labels)
    own = model(input_ids=ids, attention_mask=mask, labels=labels).loss
    assert abs(own.item() - loss.item()) < 1e-5, "the model's own loss is the same"
    assert torch.equal(out.encoder_hidden_states[-1], out.encoder_last_hidden_state)
    loss.backward()
    found = {
        "input_ids": u32(ids),
        "attention_mask": u32(mask),
        "decoder_input_ids": u32(decoder_ids),
        "decoder_attention_mask": u32(decoder_mask),
        "labels": labels.int(),
        "logits": out.logits * decoder_mask[..., None],
        "loss": loss,
        **{f"encoder.hidden.{i}": h * mask[..., None] for i, h in enumerate(out.encoder_hidden_states)},
        **{
            f"decoder.hidden.{i}": h * decoder_mask[..., None]
            for i, h in enumerate(out.decoder_hidden_states)
        },
        **gradients(model),
    }
    mixture = torch.softmax(
        2 * torch.randn(*decoder_mask.shape, vocabulary, generator=generator), -1
    )
    embeds = (mixture.double() @ model.shared.weight).detach().float().double().requires_grad_()
    soft_loss = cross_entropy(run(model, decoder_inputs_embeds=embeds).logits, labels)
    (soft_grad,) = torch.autograd.grad(soft_loss, embeds)
    found |= {
        "soft.decoder_inputs_embeds": embeds,
        "soft.loss": soft_loss,
        "soft.grad": soft_grad,
        **train(model, lambda m: cross_entropy(run(m).logits, labels), 1e-3, 1e-2),
        "dropouts": dropouts(config, run),
        "generate.ids": greedy(model, ids, mask).int(),
    }

    def changed(**fields):
        other = T5ForConditionalGeneration(
            T5Config(**(config | fields), attn_implementation="eager")
        ).double()
        if config.get("tie_word_embeddings") is False:
            other.lm_head.weight = torch.nn.Parameter(torch.empty_like(other.shared.weight))
        other.load_state_dict(model.state_dict())
        return run(other.eval()).logits[0]

    gated = "gated-" if config["feed_forward_proj"].startswith("gated-") else ""
    for name in ACTIVATIONS:
        found[f"act.{gated}{name}"] = changed(feed_forward_proj=gated + name)
    if config is T5:
        model.config.scale_decoder_outputs = False
        found["unscaled"] = run(model).logits[0]
        model.config.scale_decoder_outputs = True
    return model, found


def buckets():
    distances = torch.arange(-LIMIT, LIMIT + 1)
    return [
        [both, count, longest,
         T5Attention._relative_position_bucket(distances, both, count, longest).tolist()]
        for count, longest in BUCKETS
        for both in (True, False)
    ]


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, config, seed in SEEDS:
        model, found = golden(config, seed)
        folder = MODELS / name
        save(folder / "golden.safetensors", found)
        save(folder / "model.safetensors", weights(model))
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        print(name, "loss", found["loss"].item(), found["train.loss"].tolist())
        print(found["generate.ids"].tolist())
    rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in buckets())
    (MODELS / "t5" / "buckets.json").write_text(f"[\n{rows}\n]\n")


if __name__ == "__main__":
    main()
