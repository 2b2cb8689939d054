/** What a geometry may depend on besides the launch: facts of the adapter, never a clock. */
export type Adapter = {
  /** lavapipe, SwiftShader, ...: registers are fast there, workgroup memory is the slowest choice. */
  readonly software: boolean;
  /** 0 where the device lacks subgroups. */
  readonly subgroupSize: number;
  readonly maxWorkgroupStorage: number;
};

/** How one launch runs on WebGPU: which files, which override constants, how many workgroups. */
export type Geometry = {
  readonly file: string;
  readonly uses: readonly string[];
  readonly constants: Readonly<Record<string, number>>;
  /** One number is folded to two dimensions when it passes 65535. */
  readonly groups: number | readonly [number, number, number];
};

export type Numbers = Readonly<Record<string, number>>;
export type ChooseGeometry = (params: Numbers, constants: Numbers, adapter: Adapter) => Geometry;

/** One thread an item, 64 a workgroup; the count is the parameter `n`. */
const flat =
  (file: string, uses: readonly string[] = []): ChooseGeometry =>
  (params, constants) => ({ file, uses, constants, groups: Math.ceil(params.n / 64) });

/** A row is shared by LANES threads on hardware; on a software adapter each thread has a row of its own. */
const rows =
  (file: string, uses: readonly string[] = ["lib/reduce"]): ChooseGeometry =>
  (params, constants, adapter) => {
    const lanes = adapter.software ? 1 : 64;
    const perGroup = adapter.software ? 8 : 1;
    return {
      file,
      uses,
      constants: { ...constants, LANES: lanes, ROWS: perGroup },
      groups: Math.ceil(params.rows / perGroup),
    };
  };

/** Kernel name -> geometry. The engine knows the names only. */
export const kernels: Readonly<Record<string, ChooseGeometry>> = {
  fill: flat("fill"),
  copy_flat: flat("copy_flat"),
  softmax: rows("softmax"),
};
