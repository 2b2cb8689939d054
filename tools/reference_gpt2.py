"""Golden of GPT-2 from transformers: test/golden/models/gpt2/.

    python3 tools/reference_gpt2.py

Writes config.json, model.safetensors and golden.safetensors there. Weights are random float32 numbers; the model runs with
them in float64, without dropout, with eager attention. Two runs write the same bytes. Tensors of the golden, B 3, T 9:

    input_ids, attention_mask   [B, T] U32   9, 5 and 7 live tokens, padded on the right; positions 0, 1, ..., T-1
    labels                      [B, T] I32   the token that follows, -100 for none
    logits, loss                [B, T, V], []   logits are 0 at padding; cross-entropy, mean over the labels
    hidden.0; .1; .2            [B, T, n_embd]   embeddings; behind the first block; behind ln_f; 0 at padding
    grad.KEY                    of the loss, for each key of model.safetensors
    soft.inputs_embeds, soft.loss, soft.grad   from dense embeddings in place of the ids, and the gradient for them
    generate.prompts, generate.mask   [B, P] U32   prompts of 6, 2 and 4 tokens, padded on the left
    generate.ids                [B, N] U32   what greedy search writes behind them; pad_token_id behind the end
    generate.eos                [] U32       the token that ends it: one text ends by it, the others by their length
"""

import json

import torch
import torch.nn.functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from reference_core import IGNORED, MODELS, gradients, save, u32, weights

CONFIG = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": 61,
    "n_positions": 32,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 3,
    "n_inner": None,
    "activation_function": "gelu_new",
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02,
    "bos_token_id": 60,
    "eos_token_id": 60,
}
PAD = 0
NEW_TOKENS = 14
MARGIN = 1e-2  # least difference of the best two logits of a step


def make(generator):
    """A model with a spread that leaves no gradient small."""
    model = GPT2LMHeadModel(GPT2Config(**CONFIG, attn_implementation="eager"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            draw = torch.randn(p.shape, generator=generator, dtype=torch.float32)
            if name.endswith("bias"):
                p.copy_(0.15 * draw)
            elif ".ln_" in name:
                p.copy_(1 + 0.2 * draw)
            else:
                p.copy_((0.4 if ".wte." in name or ".wpe." in name else 0.3) * draw)
    return model.eval().double()


def padded(lengths, width, left=False):
    """Mask [B, width]: 1 for the first (or last) lengths[b] places of row b."""
    places = torch.arange(width)[None, :]
    places = places.flip(-1) if left else places
    return (places < torch.tensor(lengths)[:, None]).long()


def cross_entropy(logits, labels):
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED)


def forward(model, generator):
    mask = padded([9, 5, 7], 9)
    ids = torch.where(mask == 1, torch.randint(1, 60, mask.shape, generator=generator), PAD)
    labels = torch.full_like(ids, IGNORED)
    labels[:, :-1] = torch.where(mask[:, 1:] == 1, ids[:, 1:], IGNORED)
    out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    loss = cross_entropy(out.logits, labels)
    own = model(input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, IGNORED)).loss
    assert abs(own.item() - loss.item()) < 1e-5, "the model's own loss shifts the labels itself"
    loss.backward()
    live = mask[..., None]

    mixture = torch.softmax(2 * torch.randn(*mask.shape, 61, generator=generator).double(), -1)
    embeds = (mixture @ model.transformer.wte.weight).detach().float().double().requires_grad_()
    soft_loss = cross_entropy(model(inputs_embeds=embeds, attention_mask=mask).logits, labels)
    (soft_grad,) = torch.autograd.grad(soft_loss, embeds)
    return {
        "input_ids": u32(ids),
        "attention_mask": u32(mask),
        "labels": labels.int(),
        "logits": out.logits * live,
        "loss": loss,
        **{f"hidden.{i}": hidden * live for i, hidden in enumerate(out.hidden_states)},
        **gradients(model),
        "soft.inputs_embeds": embeds,
        "soft.loss": soft_loss,
        "soft.grad": soft_grad,
    }


def greedy(model, generator):
    mask = padded([6, 2, 4], 6, left=True)
    prompts = torch.where(mask == 1, torch.randint(1, 60, mask.shape, generator=generator), PAD)

    def write(eos):
        out = model.generate(
            prompts,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
            pad_token_id=PAD,
            eos_token_id=eos,
            return_dict_in_generate=True,
            output_logits=True,
        )
        return out.sequences[:, mask.shape[1] :], torch.stack(out.logits, 1)

    free, _ = write(CONFIG["eos_token_id"])
    eos = next(
        token
        for token in free[1, 3:-1].tolist()
        if token not in free[0] and token not in free[2] and token not in free[1, :3]
    )
    ids, logits = write(eos)
    best = logits.topk(2, -1).values
    assert (best[..., 0] - best[..., 1])[ids != PAD].min() > MARGIN, "a step is nearly a draw"
    assert (ids == eos).sum() == 1 and (ids[1] == PAD).any(), "one text ends early"
    assert all(len(set(row.tolist())) > 2 for row in free), "no text repeats one token"
    return {
        "generate.prompts": u32(prompts),
        "generate.mask": u32(mask),
        "generate.ids": u32(ids),
        "generate.eos": torch.tensor(eos).to(torch.uint32),
    }


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(43)
    model = make(generator)
    folder = MODELS / "gpt2"
    golden = {**greedy(model, generator), **forward(model, generator)}
    save(folder / "golden.safetensors", golden)
    save(folder / "model.safetensors", weights(model))
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    print("loss", golden["loss"].item(), "soft", golden["soft.loss"].item())
    print("greedy", golden["generate.ids"].tolist(), "eos", golden["generate.eos"].item())


if __name__ == "__main__":
    main()
