/** Files as other tools name their tensors: wrappers' prefixes, heads of other models, configs without a model_type. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { wrapperOf } from "../../models/names.ts";
import { MODELS, modelType } from "../../models/registry.ts";
import { messageOf } from "../thrown.ts";
import { goldenCheckpoint, initialValues } from "./parity.ts";

// RoBERTa's other golden lies in several files
const FOLDERS = { bert: "bert", roberta: "eps/roberta", bart: "bart", gpt2: "gpt2" } as const;
const KINDS = ["bert", "roberta", "bart", "gpt2"] as const;
type Kind = (typeof KINDS)[number];
type Given = ReturnType<typeof goldenCheckpoint>;

const goldenOf = (kind: Kind) => ({ ...goldenCheckpoint(FOLDERS[kind]), where: kind });

/** The golden checkpoint of a kind with other names. */
function renamed(kind: Kind, rename: (name: string) => string): Given {
  const golden = goldenOf(kind);
  const tensors = new Map([...golden.tensors].map(([name, tensor]) => [rename(name), tensor]));
  return { ...golden, tensors };
}

/** All values of a model by name, and what it remarks; the sentence where it cannot be loaded. */
async function loaded(kind: Kind, checkpoint: Given) {
  const { parameters, buffers, remarks } = MODELS[kind].from(checkpoint).weights;
  const values = new Map<string, unknown>();
  for (const [name, t] of [...parameters, ...buffers]) values.set(name, await initialValues(t));
  return { values, remarks };
}

const BARE: Record<Kind, string> = {
  bert: "bert.",
  roberta: "roberta.",
  bart: "model.",
  gpt2: "transformer.",
};

for (const kind of KINDS) {
  test(`${kind}: one prefix before all names, in any number of wrappers, is taken off and said`, async () => {
    const whole = await loaded(kind, goldenOf(kind));
    assert.equal(whole.remarks, [], "the file as it is");
    const prefixes = [
      "model.",
      "module.",
      "_orig_mod.",
      "module._orig_mod.",
      "model.model.module.",
    ];
    for (const prefix of prefixes) {
      const found = await loaded(
        kind,
        renamed(kind, (name) => prefix + name),
      );
      assert.equal(found.values, whole.values, prefix);
      assert.equal(found.remarks, [
        `[weights] ${kind}: every name begins with ${JSON.stringify(prefix)}, which is taken off`,
      ]);
    }
    // a prefix before some names only, and one of nobody
    const some = renamed(kind, (name) => (/word|shared|wte/.test(name) ? `module.${name}` : name));
    assert.match(
      messageOf(() => MODELS[kind].from(some)),
      /missing: /,
    );
    const other = renamed(kind, (name) => `wrapper.${name}`);
    assert.match(
      messageOf(() => MODELS[kind].from(other)),
      /of no part of the model: \d+ names, such as wrapper\./,
    );
  });

  test(`${kind}: another model's tensors are left unread with one remark, a typo is an error`, async () => {
    const whole = await loaded(kind, goldenOf(kind));
    const golden = goldenOf(kind);
    const [tensor] = golden.tensors.values();
    const heads = [
      "classification_head.dense.weight",
      "qa_outputs.bias",
      "classifier.weight",
      "cls.species.bias",
    ];
    const more = new Map([...golden.tensors, ...heads.map((name) => [name, tensor] as const)]);
    const found = await loaded(kind, { ...golden, tensors: more });
    assert.equal(found.values, whole.values);
    const { name } = MODELS[kind];
    assert.equal(found.remarks, [
      `[weights] ${kind}: 4 of ${more.size} tensors are left unread, such as classification_head.dense.weight: no part of ${name} has such a name`,
    ]);
    const one = new Map([...golden.tensors, ["score.weight", tensor] as const]);
    assert.equal((await loaded(kind, { ...golden, tensors: one })).remarks, [
      `[weights] ${kind}: score.weight is left unread: no part of ${name} has such a name`,
    ]);
    const typo = `${BARE[kind]}extra.weight`;
    const wrong = new Map([...more, [typo, tensor] as const]);
    const message = messageOf(() => MODELS[kind].from({ ...golden, tensors: wrong }));
    assert.match(message, `unused: ${typo}`);
    assert.not.match(message, "classifier");
  });

  test(`${kind}: without a model_type its architecture tells, else the names`, () => {
    const { config, ...rest } = goldenOf(kind);
    const { model_type: _, architectures: __, ...bare } = config as Record<string, unknown>;
    const types = (prefix: string, remove: string) =>
      modelType({
        config: bare,
        tensors: new Map(
          [...rest.tensors].map(([name, t]) => [
            prefix + (name.startsWith(remove) ? name.slice(remove.length) : name),
            t,
          ]),
        ),
      });
    for (const prefix of ["", "module.", "_orig_mod.model."]) {
      assert.is(types(prefix, ""), kind, prefix);
      assert.is(types(prefix, BARE[kind]), kind, `${prefix} without ${BARE[kind]}`);
    }
    assert.is(modelType({ config: { ...bare, model_type: null }, tensors: rest.tensors }), kind);
    assert.is(modelType({ config: bare, tensors: new Map() }), undefined);
  });
}

test("BART's own names begin as a wrapper's do", () => {
  const names = MODELS.bart.names(goldenCheckpoint("bart"));
  const own = ["model.shared.weight", "model.encoder.layers.0.fc1.weight"];
  assert.is(wrapperOf(own, names), "");
  assert.is(
    wrapperOf(
      own.map((name) => `model.${name}`),
      names,
    ),
    "model.",
  );
  assert.is(wrapperOf([], names), "");
  assert.is(wrapperOf(["module.stranger"], names), "");
});

test.run();
