import { test } from "uvu";
import * as assert from "uvu/assert";
import { describeAlive, mostAlive } from "../../engine/devices/alive.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { softmax } from "../../engine/ops/softmax.ts";
import { makePlan, type Plan } from "../../engine/plan.ts";
import { apply1, inputOp, type Tensor } from "../../engine/tensor.ts";
import { planOf } from "../../tools/gpu/count.ts";

const input = (shape: number[]): Tensor =>
  apply1(inputOp, [], { spec: { shape, dtype: "f32" as const } });

test("of a chain by hand: what is alive when that is most, who made it, and who wants it last", () => {
  const [x, w] = [input([64, 64]), input([64, 64])];
  const first = matmul(x, w);
  const third = matmul(matmul(first, w), w);
  const plan = makePlan([add(softmax(third), first)], [], [x, w]);
  assert.equal(
    plan.launches.map(({ op }) => op),
    ["matmul", "matmul", "matmul", "softmax", "add"],
  );
  const { launch, bytes, lives } = mostAlive(plan);
  assert.is(launch, 2, "the third product is made of the second, and the first waits for the sum");
  assert.is(bytes, 3 * 64 * 64 * 4);
  assert.is(lives.length, 3);
  const said = describeAlive(plan, 2).split("\n");
  assert.match(
    said[0],
    /^plan of 5 launches: 3 slots, 0\.05 MB; 0\.05 MB are alive at launch 2 matmul$/,
  );
  assert.match(
    said[1],
    /0\.02 MB {2}f32\[64, 64\] {2}made by 0 matmul, wanted until (4 add|the result)$/,
  );
  assert.match(said[3], /0\.02 MB {2}1 more$/);
});

/** Bytes that are alive at a launch, asked of each life in turn. */
const aliveAt = ({ lives }: Pick<Plan, "lives">, at: number): number =>
  lives.reduce((sum, { first, last, bytes }) => sum + (first <= at && at <= last ? bytes : 0), 0);

test("of a whole training step: the most is the most of all launches, and no two lives meet in a slot", async () => {
  const plan = await planOf({ size: "toy" });
  const { launch, bytes } = mostAlive(plan);
  const all = plan.launches.map((_, i) => aliveAt(plan, i));
  assert.is(bytes, Math.max(...all));
  assert.is(launch, all.indexOf(bytes));
  assert.ok(bytes <= plan.slots.reduce((sum, n) => sum + n, 0));
  for (const [slot, own] of Map.groupBy(plan.lives, (life) => life.slot)) {
    own.forEach((life, i) => {
      assert.ok(life.bytes <= plan.slots[slot]);
      if (i > 0) assert.ok(life.first > own[i - 1].last, `slot ${slot}`);
    });
  }
  plan.launches.forEach(({ inputs, inouts, outputs }, i) => {
    for (const region of [...inputs, ...inouts, ...outputs]) {
      if (region?.memory.kind !== "slot") continue;
      const { index } = region.memory;
      const here = plan.lives.find((l) => l.slot === index && l.first <= i && i <= l.last);
      assert.ok(here && region.byteOffset + region.byteLength <= here.bytes, `launch ${i}`);
    }
  });
});

test.run();
