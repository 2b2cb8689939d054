/**
 * The soak's workload: what programs do to a device over its life, in an order that the seed draws. Every value that comes back
 * is held against plain numbers.
 */
import { compile, type Output, type Result, read } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { EngineError, OutOfMemoryError } from "../../../engine/errors.ts";
import { add, sub } from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { reshape, slice } from "../../../engine/ops/shape.ts";
import { state, type Tensor, type TypedArray, tensor } from "../../../engine/tensor.ts";
import { assign } from "../../../engine/trace.ts";
import {
  type Draws,
  type Matrix,
  matrix,
  type Program,
  product,
  randomProgram,
  upload,
  zip,
} from "./programs.ts";

/** A wrong value, a call that hangs or fails, or memory that grows. */
export class SoakError extends Error {
  override name = "SoakError";
}

/** How often each thing was done. */
export type Counts = {
  devices: number;
  steps: number;
  calls: number;
  reads: number;
  shapes: number;
  values: number;
  late: number;
  reused: number;
  refused: number;
  ended: number;
};

export const noCounts = (): Counts => ({
  devices: 0,
  steps: 0,
  calls: 0,
  reads: 0,
  shapes: 0,
  values: 0,
  late: 0,
  reused: 0,
  refused: 0,
  ended: 0,
});

/** Runs whose plan is run twice more may be gone: a result is readable until the second run after it. */
const KEPT_RUNS = 2;
/** More time than any step takes. */
const PATIENCE_MS = 120_000;
const MOST_ROWS = 12;
const MOST_COLUMNS = 1500;
const LONG_LAUNCHES = 300;

type Function_ = {
  readonly program: Program;
  readonly run: (x: Tensor) => Promise<Output<Tensor[]>>;
  /** Calls by shape. */
  readonly calls: Map<string, number>;
};

/** A result that was not read yet: what it is, and which call of its plan made it. */
type Held = {
  readonly what: string;
  readonly results: readonly Result[];
  readonly want: readonly Matrix[];
  readonly calls: Map<string, number>;
  readonly plan: string;
  readonly call: number;
};

/** A state and what it holds. */
type Known = { readonly tensor: Tensor; now: Matrix };

const whole = (rows: number, columns: number, draws: Draws): Matrix =>
  matrix(rows, columns, () => draws.below(9) - 4);

const messageOf = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error);

/** One device from its opening to its end. */
export class Life {
  readonly #device: Device;
  readonly #budget: number;
  readonly #draws: Draws;
  readonly #counts: Counts;
  readonly #seen: Set<string>;
  readonly #functions: readonly Function_[];
  readonly #accumulators: readonly Known[];
  readonly #factor: Known;
  readonly #accumulate: readonly ((x: Tensor) => Promise<Output<Record<string, Tensor>>>)[];
  readonly #swap: () => Promise<Output<Record<string, Tensor>>>;
  readonly #project: (x: Tensor) => Promise<Output<Tensor>>;
  readonly #change: (x: Tensor) => Promise<Output<Tensor>>;
  readonly #longer: (x: Tensor) => Promise<Output<Tensor>>;
  readonly #longCalls = new Map<string, number>();
  readonly #stateCalls = new Map<string, number>();
  readonly #projectCalls = new Map<string, number>();
  #held: Held[] = [];

  /** @param seen shapes of all lives */
  constructor(device: Device, budget: number, draws: Draws, counts: Counts, seen: Set<string>) {
    this.#device = device;
    this.#budget = budget;
    this.#draws = draws;
    this.#counts = counts;
    this.#seen = seen;
    this.#functions = Array.from({ length: 10 }, () => {
      const program = randomProgram(draws);
      return { program, run: compile(device, program.engine), calls: new Map<string, number>() };
    });
    const known = (name: string, rows: number, columns: number): Known => {
      const now = whole(rows, columns, draws);
      return { tensor: state(name, Float32Array.from(now.data), [rows, columns]), now };
    };
    this.#accumulators = [known("a", 4, 33), known("b", 4, 33), known("c", 4, 64)];
    this.#factor = known("p", 16, 24);
    this.#accumulate = this.#accumulators.map(({ tensor: w }) =>
      compile(device, (x: Tensor) => {
        assign(w, add(w, x));
        return {
          whole: w,
          rows: slice(w, 0, 1, 3),
          flat: reshape(w, [1, w.size]),
          less: sub(w, x),
        };
      }),
    );
    const [a, b] = this.#accumulators;
    this.#swap = compile(device, () => {
      assign(a.tensor, b.tensor);
      assign(b.tensor, a.tensor);
      return { a: a.tensor, last: slice(b.tensor, 0, 3, 4) };
    });
    this.#longer = compile(device, (x: Tensor) => {
      let y = x;
      for (let i = 0; i < LONG_LAUNCHES; i++) y = add(y, 1);
      return y;
    });
    this.#project = compile(device, (x: Tensor) => matmul(x, this.#factor.tensor));
    this.#change = compile(device, (x: Tensor) => {
      assign(this.#factor.tensor, sub(x, this.#factor.tensor));
      return this.#factor.tensor;
    });
  }

  /** One random thing. */
  async step(): Promise<void> {
    const kind = this.#draws.below(20);
    await this.#inTime(`step of kind ${kind}`, this.#one(kind));
    this.#counts.steps++;
    const { bytes } = this.#device.stats;
    if (bytes > this.#budget) {
      throw new SoakError(`${bytes} bytes are in use, the budget is ${this.#budget}`);
    }
  }

  async #one(kind: number): Promise<void> {
    if (kind < 5) return this.#call();
    if (kind < 9) return this.#burst();
    if (kind < 11) return this.#uncompiled(1 + this.#draws.below(12));
    if (kind < 14) return this.#states();
    if (kind < 15) return this.#write();
    if (kind < 16) return this.#readStates();
    if (kind < 18) return this.#late();
    if (kind < 19) return this.#packed();
    return this.#tooLarge();
  }

  async #inTime<T>(what: string, work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new SoakError(`${what} hangs`)), PATIENCE_MS);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A shape from a few, from all or from the large ones. */
  #input(large = false): Matrix {
    const draws = this.#draws;
    const rows = large ? MOST_ROWS : 1 + draws.below(MOST_ROWS);
    const some = draws.below(3) === 0 ? 64 : 1 + draws.below(MOST_COLUMNS);
    const columns = large ? MOST_COLUMNS - draws.below(100) : some;
    this.#seen.add(`${rows} ${columns}`);
    return whole(rows, columns, draws);
  }

  #same(what: string, got: TypedArray, want: Matrix): void {
    this.#counts.values += got.length;
    const { data } = want;
    if (got.length !== data.length) {
      throw new SoakError(`${what} has ${got.length} values, right are ${data.length}`);
    }
    for (let i = 0; i < data.length; i++) {
      if (got[i] === data[i]) continue;
      throw new SoakError(`${what} is ${got[i]} at ${i} of ${data.length}, right is ${data[i]}`);
    }
  }

  #count(calls: Map<string, number>, plan: string): number {
    const call = (calls.get(plan) ?? 0) + 1;
    calls.set(plan, call);
    this.#counts.calls++;
    return call;
  }

  /** Calls a random program on a random matrix. */
  async #start(large = false): Promise<Held> {
    const f = this.#draws.pick(this.#functions);
    const x = this.#input(large);
    const plan = `${x.rows}, ${x.columns}`;
    const call = this.#count(f.calls, plan);
    const what = `${f.program.name} of [${plan}], call ${call}`;
    const want = f.program.plain(x);
    return { what, results: await f.run(upload(x)), want, calls: f.calls, plan, call };
  }

  #mayBeGone({ calls, plan, call }: Held): boolean {
    return (calls.get(plan) ?? 0) - call >= KEPT_RUNS;
  }

  /** Calls what takes long. */
  async #long(): Promise<Held> {
    const plan = "long";
    const call = this.#count(this.#longCalls, plan);
    const x = whole(MOST_ROWS, MOST_COLUMNS, this.#draws);
    const want = [{ ...x, data: x.data.map((v) => v + LONG_LAUNCHES) }];
    const results = [await this.#longer(upload(x))];
    return { what: `long, call ${call}`, results, want, calls: this.#longCalls, plan, call };
  }

  /** Reads all results of a call. One whose memory was reused says so; before that it must be there. */
  async #check(held: Held): Promise<void> {
    const { what, results, want } = held;
    for (const [i, result] of results.entries()) {
      let got: TypedArray;
      try {
        got = await result.read();
      } catch (error) {
        const reused = error instanceof EngineError && /was reused by run/.test(error.message);
        if (!reused || !this.#mayBeGone(held)) throw new SoakError(`${what}: ${messageOf(error)}`);
        this.#counts.reused++;
        continue;
      }
      this.#same(`${what}, result ${i}`, got, want[i]);
    }
  }

  /** Reads now, later, or never. */
  async #dispose(held: Held): Promise<void> {
    const when = this.#draws.below(4);
    if (when < 2) await this.#check(held);
    else if (when === 2) this.#held.push(held);
    if (this.#held.length > 40) this.#held.splice(this.#draws.below(40), 1);
  }

  async #call(): Promise<void> {
    await this.#dispose(await this.#start());
  }

  /** Several calls at once, of the same plans and of others, while uncompiled tensors and states are read. */
  async #burst(): Promise<void> {
    const draws = this.#draws;
    const many = draws.below(6) === 0;
    // behind long runs wait more calls than memory has room for
    const long = Array.from({ length: many ? 5 : 0 }, () => this.#long());
    if (many) await Promise.race(long);
    const calls = Array.from({ length: 2 + draws.below(many ? 30 : 8) }, () => this.#start(many));
    const others = [
      ...(draws.below(2) ? [this.#uncompiled(1 + draws.below(4))] : []),
      ...(draws.below(2) ? [this.#readStates()] : []),
    ];
    const all = await Promise.all([...long, ...calls]);
    await Promise.all([...all.map((held) => this.#dispose(held)), ...others]);
  }

  /** Reads of tensors that nobody compiled, all at once; some share a plan. */
  async #uncompiled(count: number): Promise<void> {
    const draws = this.#draws;
    const shapes = Array.from({ length: 1 + draws.below(3) }, () => this.#input());
    const reads = Array.from({ length: count }, async () => {
      const { program } = draws.pick(this.#functions);
      const { rows, columns } = draws.pick(shapes);
      const x = whole(rows, columns, draws);
      const got = await read(this.#device, program.engine(upload(x)));
      for (const [i, want] of program.plain(x).entries()) {
        this.#same(`a read of ${program.name} of [${rows}, ${columns}], ${i}`, got[i], want);
      }
      this.#counts.reads++;
    });
    await Promise.all(reads);
  }

  /** Calls that change states; several of one function run in the order of the calls. */
  async #states(): Promise<void> {
    const draws = this.#draws;
    if (draws.below(4) === 0) {
      const [a, b] = this.#accumulators;
      const call = this.#count(this.#stateCalls, "swap");
      const want = [a.now, matrix(1, b.now.columns, (_, j) => b.now.data[3 * b.now.columns + j])];
      [a.now, b.now] = [b.now, a.now];
      const results = Object.values(await this.#swap());
      const held = { what: "exchanged states", results, want, calls: this.#stateCalls };
      return this.#dispose({ ...held, plan: "swap", call });
    }
    const index = draws.below(this.#accumulators.length);
    const known = this.#accumulators[index];
    const { rows, columns } = known.now;
    const plan = `accumulate ${index}`;
    const calls = Array.from({ length: 1 + draws.below(4) }, async () => {
      const x = whole(rows, columns, draws);
      const old = known.now;
      known.now = zip(old, x, (p, q) => p + q);
      const want = [
        old,
        matrix(2, columns, (i, j) => old.data[(i + 1) * columns + j]),
        old,
        zip(old, x, (p, q) => p - q),
      ];
      const call = this.#count(this.#stateCalls, plan);
      const results = Object.values(await this.#accumulate[index](upload(x)));
      return { what: `${plan}, call ${call}`, results, want, calls: this.#stateCalls, plan, call };
    });
    for (const held of await Promise.all(calls)) await this.#dispose(held);
  }

  async #write(): Promise<void> {
    const known = this.#draws.pick([...this.#accumulators, this.#factor]);
    known.now = whole(known.now.rows, known.now.columns, this.#draws);
    this.#device.write(known.tensor, Float32Array.from(known.now.data));
  }

  async #readStates(): Promise<void> {
    const all = [...this.#accumulators, this.#factor];
    const want = all.map(({ now }) => now);
    const got = await read(
      this.#device,
      all.map(({ tensor: t }) => t),
    );
    for (const [i, values] of got.entries()) this.#same(`state ${i}`, values, want[i]);
    this.#counts.reads++;
  }

  /** Results of calls that lie some time back. */
  async #late(): Promise<void> {
    const draws = this.#draws;
    const count = Math.min(this.#held.length, 1 + draws.below(4));
    const chosen = Array.from({ length: count }, () =>
      this.#held.splice(draws.below(this.#held.length), 1),
    );
    this.#counts.late += count;
    await Promise.all(chosen.flat().map((held) => this.#check(held)));
  }

  /** A parameter that products read in another form changes between them. */
  async #packed(): Promise<void> {
    const draws = this.#draws;
    const x = whole(1 + draws.below(40), 16, draws);
    const call = this.#count(this.#projectCalls, `${x.rows}`);
    const want = [product(x, this.#factor.now)];
    const results = [await this.#project(upload(x))];
    const held = { what: `a product with p, call ${call}`, results, want };
    await this.#dispose({ ...held, calls: this.#projectCalls, plan: `${x.rows}`, call });
    if (draws.below(2) === 0) return;
    const y = whole(16, 24, draws);
    const old = this.#factor.now;
    this.#factor.now = zip(y, old, (p, q) => p - q);
    const changed = await this.#change(upload(y));
    this.#count(this.#projectCalls, "change");
    this.#same("p before its change", await changed.read(), old);
  }

  /** What cannot fit is refused, and hurts nobody. */
  async #tooLarge(): Promise<void> {
    const size = Math.ceil(this.#budget / 4) + this.#draws.below(100);
    const x = tensor(new Float32Array(size), [size]);
    try {
      await read(this.#device, [add(x, 1)]);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      this.#counts.refused++;
      return;
    }
    throw new SoakError(`${4 * size} bytes were not refused, the budget is ${this.#budget}`);
  }

  /** Ends the device amid its work. All that is out ends with its value or the sentence, and so does all that comes behind. */
  async end(): Promise<void> {
    const draws = this.#draws;
    const ends = async (what: string, work: Promise<unknown>): Promise<void> => {
      try {
        await this.#inTime(what, work);
      } catch (error) {
        const { cause } = error instanceof SoakError ? error : { cause: error };
        const said = `${messageOf(error)} ${messageOf(cause)}`;
        if (!/the device was destroyed/.test(said)) throw error;
        this.#counts.ended++;
      }
    };
    const work = [
      ...Array.from({ length: draws.below(6) }, () =>
        ends(
          "a call",
          this.#start().then((held) => this.#check(held)),
        ),
      ),
      ends("reads", this.#uncompiled(draws.below(6))),
      ends("reading states", this.#readStates()),
      ...this.#held.splice(0, draws.below(4)).map((held) => ends("late", this.#check(held))),
    ];
    for (let turns = draws.below(4); turns > 0; turns--) await new Promise(setImmediate);
    this.#device.destroy();
    await Promise.all(work);
    const before = this.#counts.ended;
    const [a] = this.#accumulators;
    const readable = this.#held.filter((held) => !this.#mayBeGone(held));
    const after: (() => unknown)[] = [
      () => this.#start(),
      () => read(this.#device, [add(a.tensor, 1)]),
      () => read(this.#device, [a.tensor]),
      () => this.#device.write(a.tensor, Float32Array.from(a.now.data)),
      () => this.#device.synchronize(),
      ...readable.map((held) => () => this.#check(held)),
    ];
    for (const work of after) {
      await ends("a call on a device that was destroyed", (async () => work())());
    }
    if (this.#counts.ended - before !== after.length) {
      throw new SoakError("a device that was destroyed answered a call");
    }
    this.#device.destroy(); // again
  }
}
