/** The worker of the page: everything that computes. It answers the requests of protocol.ts, one after the other where they ask a model. */
import "../node/globals.ts";
import type { Device } from "../../../engine/device.ts";
import { openDevice } from "../../../engine/open.ts";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { type Benchmark, loadBenchmark } from "../../../promptgen/benchmark.ts";
import { methodOf } from "../../../promptgen/methods/index.ts";
import {
  bestPrompter,
  prepareOn,
  runOptions,
  savedPrompter,
  sourcesOf,
} from "../../../promptgen/run.ts";
import { disk } from "../node/disk.ts";
import {
  type Kind,
  type Opened,
  type PageEvent,
  type RelationShown,
  type Reply,
  type Request,
  type Requests,
  TRAINED_HERE,
  type TrainingShown,
  type TrainSettings,
} from "../protocol.ts";
import { Asker } from "./asking.ts";
import { Kept } from "./kept.ts";
import { Own } from "./own.ts";
import { fetchPack, type PackedRun } from "./pack.ts";
import { folderOf, lastAlpha, RUNS, Training } from "./training.ts";

const emit = (event: PageEvent): void => self.postMessage(event);

type DeviceName = Requests["open"]["take"]["device"];

/** Everything that is opened once. */
type Session = {
  readonly name: DeviceName;
  readonly device: Device;
  readonly benchmark: Benchmark;
  readonly runs: readonly PackedRun[];
  readonly asker: Asker;
  readonly own: Own;
};

let session: Promise<Session> | undefined;
let kept: Promise<Kept | undefined> | undefined;
let training: Training | undefined;
const rivals = new Map<string, Promise<Asker>>();
let start: Promise<unknown> | undefined;

const opened = (): Promise<Session> => {
  if (session) return session;
  throw new Error("[page] nothing is open yet; reload the page");
};

/** Fetches what training starts from, once. */
const fetchStart = (): Promise<unknown> => {
  start ??= fetchPack("start.pack").catch((error) => {
    start = undefined; // asked again, it is fetched again
    throw error;
  });
  return start;
};

/** What the browser keeps; undefined where it keeps nothing. */
const keeping = (): Promise<Kept | undefined> => {
  kept ??= Kept.open(RUNS).catch(() => undefined);
  return kept;
};

/** The prompter of a packed run, ready to be asked. */
async function askerOf(
  device: Device,
  benchmark: Benchmark,
  { key, options }: PackedRun,
): Promise<Asker> {
  const folder = new RunFolder(`/packed/${key}`);
  const full = runOptions(options);
  const saved = savedPrompter(methodOf(full.method), folder);
  const run = await prepareOn(benchmark, full, { saved });
  return new Asker(device, benchmark, await bestPrompter(run, device, folder));
}

async function openSession(name: DeviceName): Promise<Session> {
  const [{ runs = [] }, device] = await Promise.all([
    fetchPack("first.pack"),
    openDevice({ device: name }),
  ]);
  const [first] = runs;
  const benchmark = await loadBenchmark(await sourcesOf(runOptions(first.options)));
  const asker = await askerOf(device, benchmark, first);
  return { name, device, benchmark, runs, asker, own: new Own(device, emit, fetchStart) };
}

/** A training with these settings, on a device of its own: what it took is given back when another one takes its place. */
async function trainingOf({ kind, alpha, seed }: TrainSettings): Promise<Training> {
  const { name, benchmark, own } = await opened();
  const keeper = await keeping();
  if (kind === "world") await fetchStart();
  const run =
    kind === "own"
      ? await own.run({ kind, alpha, seed })
      : await prepareOn(benchmark, runOptions({ alpha, seed }, true));
  return new Training(await openDevice({ device: name }), run, kind, keeper, emit);
}

/** Ends the training that is there, if one is. */
async function endTraining(): Promise<void> {
  const ended = training;
  training = undefined;
  await ended?.end();
}

/** The settings of a kept run; undefined where there is none. */
async function keptSettings(): Promise<TrainSettings | undefined> {
  await keeping();
  const folder = folderOf("world");
  if (!folder.exists() || !folder.hasStarted()) return undefined;
  const { options } = await folder.readJson("run.json");
  const { alpha, seed } = Object(options);
  return { kind: "world", alpha: lastAlpha("world") ?? Number(alpha), seed: Number(seed) };
}

const NOTHING: TrainingShown = {
  state: "none",
  kind: "world",
  step: 0,
  steps: 0,
  alpha: 0.3,
  seed: 1,
  left: undefined,
  best: undefined,
  kept: false,
  message: "",
};

const shownTraining = (): TrainingShown => training?.shown ?? NOTHING;

const handlers: {
  readonly [K in Kind]: (take: Requests[K]["take"]) => Promise<Requests[K]["give"]>;
} = {
  async open({ device }): Promise<Opened> {
    const begun = performance.now();
    session ??= openSession(device);
    const { device: own, benchmark, runs } = await session;
    const [first, ...others] = runs;
    return {
      device: own.description,
      isolated: self.crossOriginIsolated,
      relations: benchmark.relations.map(shownRelation),
      rivals: others.map(({ key, row, summary, bytes }) => ({ key, row, summary, bytes })),
      prompter: {
        seed: Number(first.options.seed),
        alpha: Number(first.options.alpha),
        bytes: first.bytes,
      },
      seconds: (performance.now() - begun) / 1000,
    };
  },

  async ask(question) {
    return (await opened()).asker.written(question);
  },

  async rival({ key, question }) {
    const { device, benchmark, runs } = await opened();
    if (key === TRAINED_HERE) {
      if (!training) throw new Error("[page] nothing was trained here yet; see Train");
      return training.answers(question);
    }
    const run = runs.find((one) => one.key === key);
    if (!run) throw new Error(`[page] there is no method ${key}; reload the page`);
    const known =
      rivals.get(key) ?? fetchPack(run.file).then(() => askerOf(device, benchmark, run));
    rivals.set(key, known);
    known.catch(() => rivals.delete(key)); // asked again, it is fetched again
    return (await known).answers(question);
  },

  async trained() {
    let message = "";
    try {
      const settings = training ? undefined : await keptSettings();
      if (settings) {
        training = await trainingOf(settings);
        await training.look();
      }
    } catch (error) {
      message = `What an earlier visit has left cannot be read and was let go: ${sentence(error)}`;
      await endTraining();
      disk.remove(folderOf("world").path);
    }
    return {
      shown: Object.assign({}, shownTraining(), message === "" ? {} : { message }),
      series: training?.series ?? {
        steps: [],
        object: [],
        none: [],
        entropy: [],
        topProbability: [],
      },
      evaluations: training?.evaluations ?? [],
    };
  },

  async start(settings) {
    await endTraining();
    await keeping();
    disk.remove(folderOf(settings.kind).path);
    training = await trainingOf(settings);
    training.go();
    return training.shown;
  },

  async pause() {
    await training?.pause();
    return shownTraining();
  },

  async resume({ once, alpha }) {
    training?.go({ once, alpha });
    return shownTraining();
  },

  async forget() {
    const kind = training?.kind ?? "world";
    await endTraining();
    disk.remove(folderOf(kind).path);
    await (await keeping())?.settled();
    return NOTHING;
  },

  async facts(facts) {
    return (await opened()).own.facts(facts);
  },
  async cost(wanted) {
    return (await opened()).own.cost(wanted);
  },
  async prepare(wanted) {
    await training?.pause();
    return (await opened()).own.prepare(wanted);
  },
};

function shownRelation({
  id,
  label,
  template,
  type,
  train,
  dev,
  test,
}: Benchmark["relations"][number]): RelationShown {
  const facts = Object.entries({ test, dev, train }).flatMap(([split, own]) =>
    own.map(({ subject, object }) => ({ subject, object, split })),
  );
  return { id, label, template, type, facts };
}

const sentence = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Requests that ask a model wait for each other; those that steer do not. */
let turn: Promise<unknown> = Promise.resolve();
const STEERING: ReadonlySet<Kind> = new Set(["pause", "resume"]);

async function answer(request: Request): Promise<void> {
  const { id, kind, take } = request;
  const run = handlers[kind] as (take: unknown) => Promise<unknown>;
  const work = () => run(take);
  const result = STEERING.has(kind) ? work() : turn.then(work);
  if (!STEERING.has(kind)) turn = result.catch(() => undefined);
  let reply: Reply;
  try {
    reply = { id, give: await result };
  } catch (error) {
    reply = { id, error: sentence(error) };
  }
  self.postMessage(reply);
}

self.onmessage = ({ data }: MessageEvent<Request>) => {
  answer(data);
};
self.onunhandledrejection = ({ reason }: PromiseRejectionEvent) => {
  emit({ event: "lost", error: sentence(reason) });
};
