/** A plan as words in the workers' memory: its segments, its launches and their records. */
import { DTYPE } from "../../../kernels/codes.ts";
import { type CPUKernel, PANEL, type Params, type Selected } from "../../../kernels/manifest.ts";
import type { PlanLaunch, Region } from "../../plan.ts";
import type { Tensor } from "../../tensor.ts";
import { type Kernels, writeRecord } from "./module.ts";
import { header, launchRow, segmentRow } from "./protocol.ts";
import { type Segment, schedule } from "./schedule.ts";

/** The right operand of a product, packed in panels of eight columns; made anew when the state has changed. */
export type Panels = {
  readonly state: Tensor;
  readonly at: number;
  readonly bytes: number;
  readonly params: Params<"pack_panels">;
  readonly constants: Selected<"pack_panels">;
  /** The state's version that the panels hold; -1: none yet. */
  version: number;
};

/** How a parameter is packed; `key` is the same for the same packing. */
export type Pack = Omit<Panels, "at" | "version"> & { readonly key: string };

/** A launch and, for a product with a parameter, its packed right operand. */
export type CPULaunch = { readonly launch: PlanLaunch; readonly panels: Panels | undefined };

/** A product of more rows packs its right operand as it goes, a block at a time in cache: 4 to 8 % of its time at 256 rows. */
const FEW_ROWS = 96;

/**
 * Packing as a product goes costs a share of one in the number of its rows, and no memory. Panels are kept where these shares
 * come to more than this for the products of few rows that read a parameter.
 */
const WORTH = 0.1;

/** All panels of a plan that take no more bytes are kept: small models have the memory. */
const SMALL = 2 ** 26;

/** How the right operand of each launch is packed: of the parameters whose panels are worth their memory, or all if they are `small`. */
export function packsOf(launches: readonly PlanLaunch[], small = SMALL): (Pack | undefined)[] {
  const packs = launches.map(packOf);
  const nameOf = ({ state, key }: Pack) => `${state.node.id} ${key}`;
  const sizes = new Map(packs.flatMap((pack) => (pack ? [[nameOf(pack), pack.bytes]] : [])));
  if ([...sizes.values()].reduce((sum, bytes) => sum + bytes, 0) <= small) return packs;
  const written = new Set(
    launches.flatMap(({ inouts, outputs }) =>
      [...inouts, ...outputs].flatMap((r) => (r?.memory.kind === "state" ? [r.memory.state] : [])),
    ),
  );
  const reads = new Map<string, { count: number; share: number }>();
  launches.forEach(({ kernel, params }, i) => {
    const pack = packs[i];
    if (!pack || kernel !== "matmul" || params.M > FEW_ROWS) return;
    const { count, share } = reads.get(nameOf(pack)) ?? { count: 0, share: 0 };
    reads.set(nameOf(pack), { count: count + 1, share: share + 1 / params.M });
  });
  const isWorth = (pack: Pack): boolean => {
    const { count, share } = reads.get(nameOf(pack)) ?? { count: 0, share: 0 };
    // what a run changes is packed anew in each run, so that panels for one product gain nothing
    return share > WORTH && (count > 1 || !written.has(pack.state));
  };
  return packs.map((pack) => (pack && isWorth(pack) ? pack : undefined));
}

/**
 * How the right operand of a product would be packed; undefined where it is not one whole f32 parameter. One of f16 or bf16 is decoded and
 * packed as it goes however few the rows are: kept panels are f32, so that they would take more than the short form saves.
 */
function packOf(launch: PlanLaunch): Pack | undefined {
  if (launch.kernel !== "matmul") return undefined;
  const { params, constants, inputs } = launch;
  const b = inputs[1];
  if (b?.memory.kind !== "state" || constants.B_DTYPE !== DTYPE.f32) return undefined;
  if (params.bBatchStride !== 0 || b.byteOffset !== 0) return undefined;
  const { K, N, ldb, bOffset } = params;
  const selected = { TRANS_B: constants.TRANS_B };
  return {
    state: b.memory.state,
    bytes: Math.ceil(N / PANEL) * PANEL * K * 4,
    params: { K, N, ldb, bOffset },
    constants: selected,
    key: JSON.stringify([K, N, ldb, bOffset, selected]),
  };
}

/** The most words that the program of these launches and of `packs` packings can have. */
export function mostWords(
  launches: readonly PlanLaunch[],
  packs: number,
  { layouts }: Kernels,
): number {
  const row = launchRow.words + segmentRow.words;
  const packing = packs > 0 ? segmentRow.words + packs * (row + layouts.pack_panels.words) : 0;
  return launches.reduce(
    (sum, { kernel }) => sum + row + layouts[kernel].words,
    header.words + packing + 1,
  );
}

/** A plan in the order in which the CPU runs it; addresses come later, by `write`. */
export class Program {
  readonly launches: readonly CPULaunch[];
  readonly panels: readonly Panels[];
  readonly #segments: readonly Segment[];
  readonly #kernels: Kernels;
  readonly #records: readonly number[];
  readonly words: number;

  /** `apart`: every launch is a segment of its own, so that it can be timed. */
  constructor(
    launches: readonly CPULaunch[],
    kernels: Kernels,
    apart: boolean,
    more: readonly Panels[] = [],
  ) {
    this.launches = launches;
    this.#kernels = kernels;
    const used = launches.flatMap(({ panels }) => (panels ? [panels] : []));
    this.panels = [...new Set([...used, ...more])];
    this.#segments = schedule(
      launches.map((l) => l.launch),
      apart,
    );
    const count = this.panels.length + launches.length;
    const segments = this.#first + this.#segments.length;
    const tables = header.words + segments * segmentRow.words + count * launchRow.words;
    let at = 2 * Math.ceil(tables / 2); // records lie where 8 divides the address
    const names: CPUKernel[] = [
      ...this.panels.map(() => "pack_panels" as const),
      ...this.#segments.flatMap((s) => s.launches.map((i) => launches[i].launch.kernel)),
    ];
    this.#records = names.map((name) => {
      const record = at;
      at += this.#kernels.layouts[name].words;
      return record;
    });
    this.words = at;
  }

  /** Whether the first segment packs. */
  get #first(): number {
    return this.panels.length > 0 ? 1 : 0;
  }

  /** A program that packs and does nothing else. */
  static packing(panels: Panels, kernels: Kernels): Program {
    return new Program([], kernels, false, [panels]);
  }

  /** Launches in the order in which they run. */
  get order(): PlanLaunch[] {
    return this.#segments.flatMap((s) => s.launches.map((i) => this.launches[i].launch));
  }

  /** The program's words, given where the operands are. */
  write(
    address: (region: Region) => number,
    stateAt: (state: Tensor) => number,
  ): Uint32Array<ArrayBuffer> {
    const words = new Uint32Array(this.words);
    const packs = this.panels.length;
    const count = packs + this.launches.length;
    words[header.packs] = packs;
    words[header.segments] = this.#first + this.#segments.length;
    words[header.launches] = count;
    words[header.shared] = this.#segments.filter((s) => !s.serial).length;
    const rows = header.words + words[header.segments] * segmentRow.words;
    let row = 0;
    const push = (
      kernel: CPUKernel,
      params: Readonly<Record<string, number>>,
      constants: Readonly<Record<string, number>>,
      operands: readonly number[],
    ): void => {
      const at = rows + row * launchRow.words;
      const record = this.#records[row++];
      words[at + launchRow.kernel] = this.#kernels.names.indexOf(kernel);
      words[at + launchRow.record] = 4 * record;
      const layout = this.#kernels.layouts[kernel];
      const view = new DataView(words.buffer, 4 * record, 4 * layout.words);
      writeRecord(kernel, layout, params, constants, operands, view);
    };
    const segment = (i: number, first: number, end: number, serial: boolean): void => {
      const at = header.words + i * segmentRow.words;
      words[at + segmentRow.first] = first;
      words[at + segmentRow.end] = end;
      words[at + segmentRow.serial] = serial ? 1 : 0;
    };
    if (packs > 0) segment(0, 0, packs, false);
    this.panels.forEach((p) => {
      push("pack_panels", p.params, p.constants, [stateAt(p.state), p.at]);
    });
    const maybe = (r: Region | null): number => (r ? address(r) : 0);
    this.#segments.forEach(({ launches, serial }, i) => {
      segment(this.#first + i, row, row + launches.length, serial);
      for (const index of launches) {
        const { launch, panels } = this.launches[index];
        const { inputs, inouts, outputs, uniform } = launch;
        const state = uniform === undefined ? [] : [uniform];
        const operands = [...inputs, ...inouts, ...outputs, ...state].map(maybe);
        if (launch.kernel === "matmul") operands.push(panels?.at ?? 0);
        // the unpacked parameter may be gone
        if (panels) operands[1] = 0;
        push(launch.kernel, launch.params, launch.constants, operands);
      }
    });
    return words;
  }
}
