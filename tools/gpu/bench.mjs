/**
 * What a GPU can do, and how the engine's kernels and some prototypes do beside it, in one program.
 *
 *   node tools/gpu/bench.mjs [PART,PART] [--toggles a,b] [--disable c,d] [--backend vulkan|null] [--toy] [--json FILE]
 *
 * Parts: info launch bandwidth gemm skinny matrix rows attention; all of them by default.
 * --toy: small sizes, every result compared with the CPU's; for a software adapter. Times are medians, by timestamp queries.
 * The prototypes are made for measurement: sizes must be multiples of their tiles. Plain JavaScript on Dawn alone, so that it runs
 * where the engine does not.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { create, globals } from "webgpu";

const argv = process.argv.slice(2);
const flag = (name, fallback) => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : fallback);
const parts = (
  argv[0] && !argv[0].startsWith("--")
    ? argv[0]
    : "info,launch,bandwidth,gemm,skinny,matrix,rows,attention"
).split(",");
const toy = argv.includes("--toy");
const toggles = [
  "allow_unsafe_apis",
  "vulkan_enable_f16_on_nvidia",
  "use_vulkan_memory_model",
  ...flag("--toggles", "").split(",").filter(Boolean),
];
const disabled = ["timestamp_quantization", ...flag("--disable", "").split(",").filter(Boolean)];
const backend = flag("--backend", "");
const file = flag("--json", "");

Object.assign(globalThis, globals);
const gpu = create([
  ...(backend ? [`backend=${backend}`] : []),
  `enable-dawn-features=${toggles}`,
  `disable-dawn-features=${disabled}`,
]);
globalThis.keep = gpu;
const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
if (!adapter) throw new Error("no adapter");
const wanted = [
  "timestamp-query",
  "chromium-experimental-timestamp-query-inside-passes",
  "shader-f16",
  "subgroups",
  "subgroup-size-control",
  "chromium-experimental-subgroup-matrix",
];
const limits = {};
for (const k of [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
])
  limits[k] = adapter.limits[k];
const device = await adapter.requestDevice({
  requiredFeatures: wanted.filter((f) => adapter.features.has(f)),
  requiredLimits: limits,
});
let failed = 0;
device.addEventListener("uncapturederror", (e) => {
  if (failed++ < 5)
    console.error("ERROR", e.error.message.split("\n").slice(0, 4).join(" ").slice(0, 600));
});
const configs = [...(adapter.info.subgroupMatrixConfigs ?? [])].map(
  (c) => `${c.componentType}>${c.resultComponentType} ${c.M}x${c.N}x${c.K}`,
);
const out = {
  adapter: `${adapter.info.vendor} ${adapter.info.architecture} ${adapter.info.device} ${adapter.info.description}`,
  toggles,
  disabled,
  rows: [],
};
const say = (part, name, values) => {
  out.rows.push({ part, name, ...values });
  if (file) writeFileSync(file, JSON.stringify(out, null, 1)); // a part that runs out of time keeps its results
  console.log(
    part.padEnd(10),
    name.padEnd(52),
    Object.entries(values)
      .map(([k, v]) => `${k} ${typeof v === "number" ? +v.toPrecision(4) : v}`)
      .join("  "),
  );
};

// ---- plumbing
const U = GPUBufferUsage;
const buffer = (bytes) =>
  device.createBuffer({
    size: Math.ceil(bytes / 16) * 16,
    usage: U.STORAGE | U.COPY_SRC | U.COPY_DST | U.UNIFORM,
  });
function filled(data) {
  const b = buffer(data.byteLength);
  for (let at = 0; at < data.byteLength; at += 2 ** 24) {
    device.queue.writeBuffer(
      b,
      at,
      new Uint8Array(data.buffer, data.byteOffset + at, Math.min(2 ** 24, data.byteLength - at)),
    );
  }
  return b;
}
let seed = 1;
const random = (n, scale = 1) =>
  Float32Array.from({ length: n }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return ((seed >>> 8) / 2 ** 23 - 1) * scale;
  });
function half(x) {
  // f32 -> f16 bits, round to nearest even, normal numbers
  const out = new Uint16Array(x.length);
  const f = new Float32Array(1);
  const u = new Uint32Array(f.buffer);
  for (let i = 0; i < x.length; i++) {
    f[0] = x[i];
    const e = (u[0] >>> 23) & 255;
    if (e < 113) {
      out[i] = (u[0] >>> 16) & 0x8000;
      continue;
    }
    let h = (((e - 112) << 10) | ((u[0] >>> 13) & 1023)) >>> 0;
    const rest = u[0] & 8191;
    if (rest > 4096 || (rest === 4096 && h & 1)) h++;
    out[i] = h | ((u[0] >>> 16) & 0x8000);
  }
  return out;
}
async function read(b, n, from = 0) {
  const m = device.createBuffer({ size: n * 4, usage: U.COPY_DST | U.MAP_READ });
  const e = device.createCommandEncoder();
  e.copyBufferToBuffer(b, from * 4, m, 0, n * 4);
  device.queue.submit([e.finish()]);
  await m.mapAsync(1);
  const x = new Float32Array(m.getMappedRange().slice(0));
  m.destroy();
  return x;
}
const pipelines = new Map();
/** Sizes are parameters, so one pipeline serves many shapes. */
function pipeline(code, constants = {}, layout = "auto") {
  const key = `${JSON.stringify(constants)}${code}`;
  if (!pipelines.has(key)) pipelines.set(key, compile(code, constants, layout));
  return pipelines.get(key);
}
async function compile(code, constants, layout) {
  const t = performance.now();
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  let p;
  try {
    p = await device.createComputePipelineAsync({
      layout,
      compute: { module, entryPoint: "main", constants },
    });
  } catch (error) {
    await device.popErrorScope();
    throw new Error(String(error.message).slice(0, 400));
  }
  await device.popErrorScope();
  p.compileMs = performance.now() - t;
  return p;
}
const bind = (p, entries) =>
  device.createBindGroup({
    layout: p.getBindGroupLayout(0),
    entries: entries.flatMap((b, binding) =>
      b ? [{ binding, resource: b.buffer ? b : { buffer: b } }] : [],
    ),
  });
const uniforms = (...values) => {
  const v = new ArrayBuffer(Math.max(16, Math.ceil(values.length / 4) * 16));
  const d = new DataView(v);
  values.forEach((x, i) =>
    Number.isInteger(x) ? d.setUint32(i * 4, x, true) : d.setFloat32(i * 4, x, true),
  );
  return filled(new Uint8Array(v));
};
const query = device.features.has("timestamp-query")
  ? device.createQuerySet({ type: "timestamp", count: 2 })
  : undefined;
const resolved = query && device.createBuffer({ size: 256, usage: U.QUERY_RESOLVE | U.COPY_SRC });
/** GPU time of one round of `steps` ([pipeline, bind group, x, y, z]), us: median of samples of `repeat` rounds in one pass. */
async function time(steps, { repeat, samples = toy ? 3 : 9 } = {}) {
  const once = async (rounds) => {
    const e = device.createCommandEncoder();
    const pass = e.beginComputePass(
      query
        ? {
            timestampWrites: {
              querySet: query,
              beginningOfPassWriteIndex: 0,
              endOfPassWriteIndex: 1,
            },
          }
        : {},
    );
    for (let r = 0; r < rounds; r++) {
      for (const [p, g, x, y = 1, z = 1] of steps) {
        pass.setPipeline(p);
        pass.setBindGroup(0, g);
        pass.dispatchWorkgroups(x, y, z);
      }
    }
    pass.end();
    const m = device.createBuffer({ size: 16, usage: U.COPY_DST | U.MAP_READ });
    if (query) {
      e.resolveQuerySet(query, 0, 2, resolved, 0);
      e.copyBufferToBuffer(resolved, 0, m, 0, 16);
    }
    const t = performance.now();
    device.queue.submit([e.finish()]);
    await m.mapAsync(1);
    const wall = (performance.now() - t) * 1e3;
    const q = new BigUint64Array(m.getMappedRange().slice(0));
    m.destroy();
    return query ? Number(q[1] - q[0]) / 1e3 : wall;
  };
  await once(1);
  const first = await once(1);
  const rounds =
    repeat ?? Math.max(1, Math.min(200, Math.round((toy ? 1e3 : 4e3) / Math.max(first, 1))));
  const all = [];
  for (let i = 0; i < samples; i++) all.push((await once(rounds)) / rounds);
  all.sort((a, b) => a - b);
  return all[all.length >> 1];
}
const attempt = async (part, name, f) => {
  try {
    await f();
  } catch (error) {
    say(part, name, { error: String(error.message ?? error).slice(0, 300) });
  }
};

// ---- info
if (parts.includes("info")) {
  console.log(
    out.adapter,
    "| subgroups",
    adapter.info.subgroupMinSize,
    adapter.info.subgroupMaxSize,
  );
  out.features = [...adapter.features];
  out.limits = limits;
  out.matrixConfigs = configs;
  console.log("features:", out.features.join(" "));
  console.log("limits:", JSON.stringify(limits));
  console.log("matrix units:", configs.join("; ") || "none");
}

// ---- launch: host cost of encoding, GPU cost of a dispatch with and without a dependency
if (parts.includes("launch")) {
  const n = toy ? 2048 : 16000;
  const code = `@group(0) @binding(0) var<uniform> p: vec4u;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) i: vec3u) { if (i.x < p.x) { y[i.x] = a[i.x] + 1f; } }`;
  const shared = device.createBindGroupLayout({
    entries: ["uniform", "read-only-storage", "storage"].map((type, binding) => ({
      binding,
      visibility: 4,
      buffer: { type },
    })),
  });
  const layout = device.createPipelineLayout({ bindGroupLayouts: [shared] });
  const p = await pipeline(code, {}, layout);
  const q = await pipeline(code.replace("+ 1f", "+ 2f"), {}, layout);
  const params = filled(new Uint32Array(64 * n).fill(256));
  const buffers = Array.from({ length: 512 }, () => buffer(1024));
  for (const [name, from, to] of [
    ["chain: each reads the one before", (i) => i % 512, (i) => (i + 1) % 512],
    ["no dependency for 256 dispatches", (i) => i % 256, (i) => 256 + (i % 256)],
  ]) {
    const t = performance.now();
    const groups = Array.from({ length: n }, (_, i) =>
      device.createBindGroup({
        layout: shared,
        entries: [
          { buffer: params, offset: i * 256, size: 256 },
          { buffer: buffers[from(i)] },
          { buffer: buffers[to(i)] },
        ].map((resource, binding) => ({ binding, resource })),
      }),
    );
    const made = ((performance.now() - t) * 1e3) / n;
    for (const chunks of [1, 32]) {
      const encode = [],
        submit = [],
        wall = [];
      for (let round = 0; round < 6; round++) {
        const t0 = performance.now();
        let sub = 0;
        for (let c = 0; c < chunks; c++) {
          const e = device.createCommandEncoder();
          const pass = e.beginComputePass();
          let current;
          for (let i = (c * n) / chunks; i < ((c + 1) * n) / chunks; i++) {
            const pipe = i & 1 ? p : q;
            if (pipe !== current) pass.setPipeline((current = pipe));
            pass.setBindGroup(0, groups[i]);
            pass.dispatchWorkgroups(4);
          }
          pass.end();
          const cb = e.finish();
          const t1 = performance.now();
          device.queue.submit([cb]);
          sub += performance.now() - t1;
        }
        const t2 = performance.now();
        await device.queue.onSubmittedWorkDone();
        const t3 = performance.now();
        encode.push(t2 - t0 - sub);
        submit.push(sub);
        wall.push(t3 - t0);
      }
      const mid = (x) => (1e3 * x.slice(1).sort((a, b) => a - b)[2]) / n;
      say("launch", `${name}, ${chunks} submits`, {
        bind_us: made,
        encode_us: mid(encode),
        submit_us: mid(submit),
        wall_us: mid(wall),
      });
    }
    const few = groups.slice(0, 256).map((g, i) => [i & 1 ? p : q, g, 4]);
    say("launch", `${name}, GPU time a dispatch`, {
      gpu_us: (await time(few, { repeat: 8 })) / 256,
    });
  }
}

// ---- bandwidth
if (parts.includes("bandwidth")) {
  const n = toy ? 2 ** 20 : 2 ** 27; // floats
  const x = buffer(n * 4),
    y = buffer(n * 4);
  for (const [type, width] of [
    ["f32", 1],
    ["vec4f", 4],
  ]) {
    for (const each of [1, 4]) {
      await attempt("bandwidth", `copy ${type} x ${each}`, async () => {
        const p = await pipeline(`@group(0) @binding(0) var<storage, read> x: array<${type}>;
@group(0) @binding(1) var<storage, read_write> y: array<${type}>;
@compute @workgroup_size(256) fn main(@builtin(workgroup_id) w: vec3u, @builtin(num_workgroups) g: vec3u, @builtin(local_invocation_index) l: u32) {
  let base = (w.x + w.y * g.x) * ${256 * each}u + l;
  ${Array.from({ length: each }, (_, k) => `let v${k} = x[base + ${k * 256}u];`).join(" ")}
  ${Array.from({ length: each }, (_, k) => `y[base + ${k * 256}u] = v${k};`).join(" ")} }`);
        const groups = folded(n / width / 256 / each);
        const us = await time([[p, bind(p, [x, y]), ...groups]]);
        say("bandwidth", `copy ${type} x ${each}`, { us, GBps: (8 * n) / us / 1e3 });
      });
    }
  }
  x.destroy();
  y.destroy();
}

// ---- products in f32
/**
 * C (or, with split > 1, one partial C for each z) = A' B'. a, b: "k" where k is contiguous ([rows, K]), "r" where rows are ([K, rows]).
 * A workgroup owns TM x TN, a thread RM x RN in named registers; TK of k are staged at a time, the next loads go out before the sums.
 */
function gemmCode({ a, b, TM, TN, TK, RM, RN, prefetch = true, outer = "vec4f" }) {
  const tx = TN / RN,
    ty = TM / RM,
    threads = tx * ty,
    K4 = TK / 4;
  const list = (n, f) => Array.from({ length: n }, (_, i) => f(i)).join("\n");
  // staged as [row][k / 4] with one vec4 of padding, or as [k][row / 4]
  const size = (mode, T) => (mode === "k" ? T * (K4 + 1) : TK * (T / 4));
  const per = (T) => Math.max(1, (T * K4) / threads);
  const guard = (T) => (T * K4 < threads ? `if (t < ${T * K4}u) ` : "");
  const place = (mode, T, i) => {
    const at = `(t + ${i * threads}u)`;
    return mode === "k"
      ? {
          row: `${at} / ${K4}u`,
          k: `${at} % ${K4}u`,
          smem: `(${at} / ${K4}u) * ${K4 + 1}u + ${at} % ${K4}u`,
        }
      : { row: `${at} % ${T / 4}u`, k: `${at} / ${T / 4}u`, smem: `${at}` };
  };
  const load = (name, mode, T, first) =>
    list(per(T), (i) => {
      const { row, k } = place(mode, T, i);
      return mode === "k"
        ? `${guard(T)}{ ${name}n${i} = ${name}[(${first} + ${row}) * (p.K / 4u) + (k0 / 4u + ${k})]; }`
        : `${guard(T)}{ ${name}n${i} = ${name}[(k0 + ${k}) * (p.${name === "a" ? "M" : "N"} / 4u) + ${first} / 4u + ${row}]; }`;
    });
  const keep = (name, mode, T) =>
    list(per(T), (i) => `${guard(T)}{ ${name}s[${place(mode, T, i).smem}] = ${name}n${i}; }`);
  // rows of a thread: strided where k is contiguous (no bank conflicts), in fours where rows are
  const rowOf = (mode, lanes, lane, i) =>
    mode === "k"
      ? `${lane} + ${i * lanes}u`
      : `${lane} * 4u + ${Math.floor(i / 4) * lanes * 4 + (i % 4)}u`;
  const fetch = (name, mode, T, R, lanes, lane) =>
    mode === "k"
      ? list(R, (i) => `let ${name}v${i} = ${name}s[(${lane} + ${i * lanes}u) * ${K4 + 1}u + kk];`)
      : list(4, (c) =>
          list(
            R / 4,
            (g) =>
              `let ${name}w${g}_${c} = ${name}s[(kk * 4u + ${c}u) * ${T / 4}u + ${lane} + ${g * lanes}u];`,
          ),
        );
  const value = (name, mode, i, c) =>
    mode === "k"
      ? `${name}v${i}.${"xyzw"[c]}`
      : `${name}w${Math.floor(i / 4)}_${c}.${"xyzw"[i % 4]}`;
  const vectorB = b === "r"; // four neighbouring columns in one register
  const sums = vectorB
    ? list(4, (c) =>
        list(RM, (i) =>
          list(
            RN / 4,
            (g) => `s${i}_${g} = fma(vec4f(${value("a", a, i, c)}), bw${g}_${c}, s${i}_${g});`,
          ),
        ),
      )
    : list(4, (c) =>
        list(RM, (i) =>
          list(
            RN,
            (j) => `s${i}_${j} = fma(${value("a", a, i, c)}, ${value("b", b, j, c)}, s${i}_${j});`,
          ),
        ),
      );
  const store = vectorB
    ? list(RM, (i) =>
        list(
          RN / 4,
          (g) =>
            `{ let at = z * p.M * (p.N / 4u) + (m0 + ${rowOf(a, ty, "ly", i)}) * (p.N / 4u) + n0 / 4u + lx + ${g * tx}u; y[at] = s${i}_${g}; }`,
        ),
      )
    : list(RM, (i) =>
        list(
          RN,
          (j) =>
            `{ let at = z * p.M * p.N + (m0 + ${rowOf(a, ty, "ly", i)}) * p.N + n0 + lx + ${j * tx}u; y[at] = s${i}_${j}; }`,
        ),
      );
  return {
    threads,
    bytes: 16 * (size(a, TM) + size(b, TN)),
    code: `struct P { M: u32, N: u32, K: u32, chunk: u32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<${vectorB ? "vec4f" : "f32"}>;
var<workgroup> as: array<vec4f, ${size(a, TM)}>;
var<workgroup> bs: array<vec4f, ${size(b, TN)}>;
@compute @workgroup_size(${threads}) fn main(@builtin(workgroup_id) w: vec3u, @builtin(local_invocation_index) t: u32) {
  let m0 = w.y * ${TM}u; let n0 = w.x * ${TN}u; let z = w.z;
  let lx = t % ${tx}u; let ly = t / ${tx}u;
  ${list(RM, (i) => list(vectorB ? RN / 4 : RN, (j) => `var s${i}_${j} = ${vectorB ? "vec4f()" : "0f"};`))}
  ${list(per(TM), (i) => `var an${i} = vec4f();`)}
  ${list(per(TN), (i) => `var bn${i} = vec4f();`)}
  var k0 = z * p.chunk;
  let last = min(k0 + p.chunk, p.K);
  ${prefetch ? `${load("a", a, TM, "m0")}\n${load("b", b, TN, "n0")}` : ""}
  while (k0 < last) {
    ${prefetch ? "" : `${load("a", a, TM, "m0")}\n${load("b", b, TN, "n0")}`}
    ${keep("a", a, TM)}
    ${keep("b", b, TN)}
    workgroupBarrier();
    k0 += ${TK}u;
    ${prefetch ? `if (k0 < last) {\n${load("a", a, TM, "m0")}\n${load("b", b, TN, "n0")}\n}` : ""}
    for (var kk = 0u; kk < ${K4}u; kk++) {
      ${fetch("a", a, TM, RM, ty, "ly")}
      ${fetch("b", b, TN, RN, tx, "lx")}
      ${sums}
    }
    workgroupBarrier();
  }
  ${store}
}`
      .replaceAll(/\bas\[/g, "sa[")
      .replaceAll("bs[", "sb[")
      .replace("> as:", "> sa:")
      .replace("> bs:", "> sb:"),
  };
}
const reduceCode = `struct P { n4: u32, N4: u32, splits: u32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> x: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) g: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = g.y * groups.x * 64u + g.x; // 4096 x 4096 needs more workgroups than one dimension has
  if (i >= p.n4) { return; }
  var s = bias[i % p.N4];
  for (var z = 0u; z < p.splits; z++) { s += x[z * p.n4 + i]; }
  y[i] = s;
}`;
/** Workgroups in two dimensions, each within what a device allows. */
function folded(groups) {
  const rows = Math.ceil(groups / 65535);
  return [Math.ceil(groups / rows), rows];
}
/** Largest difference of sampled elements from a product in f64. */
function difference(got, A, B, { M, N, K, a, b }, count = 300) {
  let worst = 0;
  for (let q = 0; q < count; q++) {
    const i = (q * 7919) % M,
      j = (q * 104729 + (q >> 3)) % N;
    let s = 0;
    for (let k = 0; k < K; k++)
      s += A[a === "k" ? i * K + k : k * M + i] * B[b === "k" ? j * K + k : k * N + j];
    worst = Math.max(worst, Math.abs(s - got[i * N + j]));
  }
  return worst;
}
const engineTile = (m, n, batch = 1) =>
  m > 64 && Math.ceil(m / 64) * Math.ceil(n / 64) * batch >= 128
    ? ["tile_64x64", 64, 64]
    : ["tile_32x32", 32, 32];
const kernelFile = (name) =>
  readFileSync(new URL(`../../kernels/webgpu/${name}.wgsl`, import.meta.url), "utf8");
/** The engine's parameters of a product, by the names of the kernel's struct; that of batches is 1. */
function productParams(code, { M, N, K, a, b }) {
  const fields = /struct Params\s*\{([^}]*)\}/.exec(code)[1].replace(/\/\/.*$/gm, "");
  const values = { M, N, K, lda: a === "r" ? M : K, ldb: b === "k" ? K : N, ldc: N };
  Object.assign(values, { batch: 1, alpha: 1 });
  const names = [...fields.matchAll(/(\w+)\s*:\s*(u32|f32)/g)];
  const words = new DataView(new ArrayBuffer(Math.ceil(names.length / 4) * 16));
  names.forEach(([, name, type], i) => {
    if (type === "f32") words.setFloat32(4 * i, values[name] ?? 0, true);
    else words.setUint32(4 * i, values[name] ?? 0, true);
  });
  return filled(new Uint8Array(words.buffer));
}
async function product(part, shape, variants) {
  const { M, N, K, a, b } = shape;
  const A = random(M * K),
    B = random(N * K);
  // several copies of the weights, so that no run finds them in the cache (50 MB on an H100)
  const copies = toy ? 1 : Math.max(1, Math.min(24, Math.ceil(150e6 / (N * K * 4))));
  const fa = filled(A),
    bias = buffer(N * 4);
  const fb = Array.from({ length: copies }, () => filled(B));
  const flops = 2 * M * N * K;
  const label = `${a === "r" ? "T" : "N"}${b === "k" ? "T" : "N"} ${M}x${N}x${K}`;
  const check = async (y, scale = 1) => {
    const d = difference(await read(y, M * N), A, B, shape) / Math.sqrt(K);
    return toy || d > 1e-4 * scale ? { difference: d } : {};
  };
  // the engine's kernel as it is
  const engine = [
    engineTile(M, N),
    ["tile_32x32", 32, 32],
    ["tile_64x64", 64, 64],
  ];
  for (const [index, [tile, rows, columns]] of engine.entries()) {
    if (index > 0 && tile === engine[0][0]) continue;
    await attempt(part, `${label} engine ${tile}`, async () => {
      const code = engineCode(tile);
      const y = buffer(M * N * 4),
        spare = buffer(256),
        spare2 = buffer(256);
      const p = await pipeline(code, { TRANS_A: a === "r" ? 1 : 0, TRANS_B: b === "k" ? 1 : 0 });
      const params = productParams(code, shape);
      const layout = p.getBindGroupLayout(0);
      const used = [params, fa, null, spare, spare, y, spare2];
      const groups = fb.map((w) =>
        bindUsed(
          p,
          layout,
          used.map((u, i) => (i === 2 ? w : u)),
          code,
        ),
      );
      const us =
        (await time(groups.map((g) => [p, g, Math.ceil(N / columns), Math.ceil(M / rows)]))) /
        copies;
      say(part, `${label} engine ${tile}${index === 0 ? " (chosen)" : ""}`, {
        us,
        tflops: flops / us / 1e6,
        ...(await check(y)),
      });
      y.destroy();
    });
  }
  if (shape.gelu) {
    // are the sums still in registers when the epilogue is large? Then this takes as long as without it
    for (const ACTIVATION of [0, 1]) {
      await attempt(part, `${label} engine ${engine[0][0]} ACTIVATION ${ACTIVATION}`, async () => {
        const [tile, rows, columns] = engine[0];
        const code = engineCode(tile);
        const y = buffer(M * N * 4),
          pre = buffer(M * N * 4);
        const p = await pipeline(code, {
          TRANS_A: a === "r" ? 1 : 0,
          TRANS_B: b === "k" ? 1 : 0,
          ACTIVATION,
        });
        const params = productParams(code, shape);
        const g = bindUsed(
          p,
          p.getBindGroupLayout(0),
          [params, fa, fb[0], bias, bias, y, pre],
          code,
        );
        const us = await time([[p, g, Math.ceil(N / columns), Math.ceil(M / rows)]]);
        say(part, `${label} engine ${tile} ACTIVATION ${ACTIVATION}`, {
          us,
          tflops: flops / us / 1e6,
        });
        y.destroy();
        pre.destroy();
      });
    }
  }
  for (const v of variants) {
    const name = `${label} new ${v.TM}x${v.TN}x${v.TK} ${v.RM}x${v.RN}${v.prefetch === false ? " plain" : ""} split ${v.split ?? 1}`;
    await attempt(part, name, async () => {
      const split = v.split ?? 1;
      if (M % v.TM || N % v.TN || K % (split * v.TK)) return;
      if (split * M * N * 4 > limits.maxStorageBufferBindingSize) return;
      const { code, threads, bytes } = gemmCode({ ...v, a, b });
      if (
        threads > limits.maxComputeInvocationsPerWorkgroup ||
        bytes > limits.maxComputeWorkgroupStorageSize
      )
        return;
      const y = buffer(M * N * 4),
        part1 = split > 1 ? buffer(split * M * N * 4) : y;
      const p = await pipeline(code);
      const params = uniforms(M, N, K, K / split);
      const steps = fb.map((w) => [p, bind(p, [params, fa, w, part1]), N / v.TN, M / v.TM, split]);
      const alone = split > 1 ? (await time(steps)) / copies : 0;
      let all = steps;
      if (split > 1) {
        const r = await pipeline(reduceCode);
        const g = bind(r, [uniforms((M * N) / 4, N / 4, split), part1, bias, y]);
        all = steps.flatMap((s) => [s, [r, g, ...folded((M * N) / 256)]]);
      }
      const us = (await time(all)) / copies;
      say(part, name, {
        us,
        tflops: flops / us / 1e6,
        ...(split > 1 ? { without_reduce_us: alone } : {}),
        threads,
        smem: bytes,
        ...(await check(y)),
      });
      y.destroy();
      if (split > 1) part1.destroy();
    });
  }
  for (const x of [fa, bias, ...fb]) x.destroy();
}
/** An automatic layout has only what a kernel uses: leaves out the others. */
function bindUsed(p, layout, buffers, code) {
  const body = code.slice(code.indexOf("fn a_at"));
  const names = ["p", "a", "b", "bias", "residual", "c", "pre"];
  // constants fold branches away only after layout is made, so all that the text mentions is there
  const entries = buffers.flatMap((b, binding) =>
    new RegExp(`\\b${names[binding]}(\\[|\\.)`).test(body)
      ? [{ binding, resource: { buffer: b } }]
      : [],
  );
  return device.createBindGroup({ layout, entries });
}

/** The engine's product on tiles of this size, aligned to fours. */
const engineCode = (tile) =>
  ["matmul_tile", `lib/${tile}`, "lib/matmul_sums", "lib/matmul_four", "lib/store_four", "lib/decode", "lib/gelu"]
    .map(kernelFile)
    .join("\n");

if (parts.includes("gemm")) {
  const big = [
    { TM: 128, TN: 128, TK: 8, RM: 8, RN: 8 },
    { TM: 128, TN: 128, TK: 16, RM: 8, RN: 8 },
    { TM: 128, TN: 128, TK: 16, RM: 8, RN: 8, prefetch: false },
    { TM: 128, TN: 64, TK: 16, RM: 8, RN: 8 },
    { TM: 128, TN: 64, TK: 16, RM: 8, RN: 4 },
    { TM: 64, TN: 64, TK: 16, RM: 8, RN: 4 },
    { TM: 64, TN: 64, TK: 16, RM: 4, RN: 4 },
    { TM: 64, TN: 64, TK: 32, RM: 4, RN: 4, split: 2 },
    { TM: 128, TN: 64, TK: 16, RM: 8, RN: 4, split: 2 },
    { TM: 128, TN: 128, TK: 16, RM: 8, RN: 8, split: 4 },
  ];
  const shapes = toy
    ? [
        { M: 128, N: 128, K: 128, a: "k", b: "k", gelu: true },
        { M: 128, N: 128, K: 64, a: "k", b: "r" },
        { M: 128, N: 128, K: 64, a: "r", b: "r" },
      ]
    : [
        { M: 4096, N: 4096, K: 4096, a: "k", b: "k" }, // the headline
        { M: 1536, N: 768, K: 768, a: "k", b: "k" },
        { M: 1536, N: 3072, K: 768, a: "k", b: "k", gelu: true },
        { M: 1536, N: 768, K: 3072, a: "k", b: "r" }, // BERT
        { M: 512, N: 1024, K: 1024, a: "k", b: "k" },
        { M: 512, N: 1024, K: 4096, a: "k", b: "r" }, // BART's encoder
        { M: 1024, N: 1024, K: 704, a: "r", b: "r" },
        { M: 4096, N: 1024, K: 704, a: "r", b: "r" }, // gradients of weights
      ];
  for (const shape of shapes) await product("gemm", shape, big);
}
if (parts.includes("skinny")) {
  const base = [
    { TM: 32, TN: 32, TK: 32, RM: 4, RN: 4 },
    { TM: 32, TN: 64, TK: 32, RM: 4, RN: 4 },
    { TM: 32, TN: 64, TK: 32, RM: 8, RN: 4 },
    { TM: 32, TN: 128, TK: 16, RM: 4, RN: 4 },
    { TM: 32, TN: 32, TK: 64, RM: 4, RN: 4 },
  ];
  const splits = toy ? [1, 2] : [1, 2, 4, 8, 16];
  const shapes = toy
    ? [
        { M: 32, N: 128, K: 128, a: "k", b: "k" },
        { M: 32, N: 128, K: 128, a: "k", b: "r" },
      ]
    : [
        { M: 32, N: 1024, K: 1024, a: "k", b: "k" },
        { M: 32, N: 1024, K: 1024, a: "k", b: "r" },
        { M: 32, N: 3072, K: 1024, a: "k", b: "k" },
        { M: 32, N: 4096, K: 1024, a: "k", b: "k" },
        { M: 32, N: 1024, K: 4096, a: "k", b: "k" },
        { M: 32, N: 18560, K: 1024, a: "k", b: "k" },
        { M: 32, N: 1024, K: 18432, a: "k", b: "r" },
      ];
  for (const shape of shapes)
    await product(
      "skinny",
      shape,
      base.flatMap((v) => splits.map((split) => ({ ...v, split }))),
    );
}

// ---- products on the matrix units: f16 operands, f32 sums
function matrixCode({ SM, SN, FM, FN, TK, direct, b, size = 32 }) {
  const TM = SM * FM * 16,
    TN = SN * FN * 16,
    threads = SM * SN * size;
  const list = (n, f) => Array.from({ length: n }, (_, i) => f(i)).join("\n");
  const row = TK / 8 + 1; // 16-byte words of a staged row, one of padding
  const per = (T) => (T * TK) / 8 / threads;
  // staged [row][k] for both; B [K, N] is staged as [k][n]
  const brow = b === "k" ? row : TN / 8 + 1;
  const bsize = b === "k" ? TN * row : TK * brow;
  const bOrder = b === "k" ? "col_major" : "row_major";
  const stage = `${list(per(TM), (i) => `{ let q = t + ${i * threads}u; sa[(q / ${TK / 8}u) * ${row}u + q % ${TK / 8}u] = a[(m0 + q / ${TK / 8}u) * (p.K / 8u) + k0 / 8u + q % ${TK / 8}u]; }`)}
    ${
      b === "k"
        ? list(
            per(TN),
            (i) =>
              `{ let q = t + ${i * threads}u; sb[(q / ${TK / 8}u) * ${row}u + q % ${TK / 8}u] = b[(n0 + q / ${TK / 8}u) * (p.K / 8u) + k0 / 8u + q % ${TK / 8}u]; }`,
          )
        : list(
            per(TN),
            (i) =>
              `{ let q = t + ${i * threads}u; sb[(q / ${TN / 8}u) * ${brow}u + q % ${TN / 8}u] = b[(k0 + q / ${TN / 8}u) * (p.N / 8u) + n0 / 8u + q % ${TN / 8}u]; }`,
          )
    }
    workgroupBarrier();`;
  const left = (i) =>
    direct
      ? `subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&a, (m0 + sm * ${FM * 16}u + ${i * 16}u) * (p.K / 8u) + (k0 + kk) / 8u, p.K / 8u)`
      : `subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&sa, (sm * ${FM * 16}u + ${i * 16}u) * ${row}u + kk / 8u, ${row}u)`;
  const right = (j) =>
    direct
      ? b === "k"
        ? `subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, col_major>(&b, (n0 + sn * ${FN * 16}u + ${j * 16}u) * (p.K / 8u) + (k0 + kk) / 8u, p.K / 8u)`
        : `subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&b, (k0 + kk) * (p.N / 8u) + (n0 + sn * ${FN * 16}u + ${j * 16}u) / 8u, p.N / 8u)`
      : b === "k"
        ? `subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, ${bOrder}>(&sb, (sn * ${FN * 16}u + ${j * 16}u) * ${row}u + kk / 8u, ${row}u)`
        : `subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, ${bOrder}>(&sb, kk * ${brow}u + (sn * ${FN * 16}u + ${j * 16}u) / 8u, ${brow}u)`;
  return {
    TM,
    TN,
    threads,
    bytes: direct ? 0 : 16 * (TM * row + bsize),
    code: `enable f16; enable subgroups; enable chromium_experimental_subgroup_matrix;
diagnostic(off, chromium.subgroup_matrix_uniformity);
struct P { M: u32, N: u32, K: u32, chunk: u32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> a: array<vec4u>;
@group(0) @binding(2) var<storage, read> b: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
${direct ? "" : `var<workgroup> sa: array<vec4u, ${TM * row}>;\nvar<workgroup> sb: array<vec4u, ${bsize}>;`}
@compute @workgroup_size(${threads}) fn main(@builtin(workgroup_id) w: vec3u, @builtin(local_invocation_index) t: u32, @builtin(subgroup_id) sg: u32) {
  let m0 = w.y * ${TM}u; let n0 = w.x * ${TN}u;
  let sm = sg / ${SN}u; let sn = sg % ${SN}u;
  ${list(FM, (i) => list(FN, (j) => `var c${i}_${j} = subgroup_matrix_result<f32, 16, 16>();`))}
  let last = min((w.z + 1u) * p.chunk, p.K);
  for (var k0 = w.z * p.chunk; k0 < last; k0 += ${TK}u) {
    ${direct ? "" : stage}
    for (var kk = 0u; kk < ${TK}u; kk += 16u) {
      ${list(FM, (i) => `let l${i} = ${left(i)};`)}
      ${list(FN, (j) => `{ let r = ${right(j)};\n${list(FM, (i) => `c${i}_${j} = subgroupMatrixMultiplyAccumulate(l${i}, r, c${i}_${j});`)} }`)}
    }
    ${direct ? "" : "workgroupBarrier();"}
  }
  ${list(FM, (i) => list(FN, (j) => `subgroupMatrixStore<row_major>(&y, w.z * p.M * p.N + (m0 + sm * ${FM * 16}u + ${i * 16}u) * p.N + n0 + sn * ${FN * 16}u + ${j * 16}u, c${i}_${j}, p.N);`))}
}`,
  };
}
if (parts.includes("matrix")) {
  if (!device.features.has("chromium-experimental-subgroup-matrix"))
    say("matrix", "no matrix units", { configs: configs.join("; ") });
  else {
    const variants = [
      { SM: 2, SN: 2, FM: 2, FN: 2, TK: 32 },
      { SM: 2, SN: 2, FM: 4, FN: 2, TK: 32 },
      { SM: 2, SN: 2, FM: 4, FN: 4, TK: 32 },
      { SM: 2, SN: 2, FM: 4, FN: 4, TK: 64 },
      { SM: 2, SN: 4, FM: 4, FN: 2, TK: 32 },
      { SM: 2, SN: 4, FM: 4, FN: 4, TK: 32 },
      { SM: 4, SN: 2, FM: 2, FN: 4, TK: 64 },
      { SM: 2, SN: 2, FM: 2, FN: 2, TK: 32, direct: true },
      { SM: 2, SN: 2, FM: 4, FN: 4, TK: 32, direct: true },
    ];
    const thin = [
      { SM: 1, SN: 4, FM: 2, FN: 1, TK: 64 },
      { SM: 1, SN: 2, FM: 2, FN: 2, TK: 64 },
      { SM: 1, SN: 4, FM: 2, FN: 1, TK: 64, direct: true },
      { SM: 1, SN: 2, FM: 2, FN: 1, TK: 64, direct: true },
    ];
    const shapes = toy
      ? [
          { M: 256, N: 256, K: 128, b: "k" },
          { M: 256, N: 256, K: 128, b: "r" },
        ]
      : [
          { M: 4096, N: 4096, K: 4096, b: "k" },
          { M: 1536, N: 768, K: 768, b: "k" },
          { M: 1536, N: 3072, K: 768, b: "k" },
          { M: 1536, N: 768, K: 3072, b: "r" },
          { M: 512, N: 1024, K: 1024, b: "k" },
          { M: 512, N: 1024, K: 4096, b: "r" },
          { M: 32, N: 1024, K: 1024, b: "k" },
          { M: 32, N: 4096, K: 1024, b: "k" },
          { M: 32, N: 1024, K: 4096, b: "k" },
        ];
    for (const { M, N, K, b } of shapes) {
      const A = random(M * K),
        B = random(N * K);
      const ha = half(A),
        hb = half(B);
      const back = (h) =>
        Float32Array.from(
          h,
          (x) =>
            (x & 0x8000 ? -1 : 1) *
            (1024 + (x & 1023)) *
            2 ** (((x >> 10) & 31) - 25) *
            ((x & 0x7fff) === 0 ? 0 : 1),
        );
      const exactA = back(ha),
        exactB = back(hb);
      const copies = toy ? 1 : Math.max(1, Math.min(24, Math.ceil(150e6 / (N * K * 2))));
      const fa = filled(ha),
        fb = Array.from({ length: copies }, () => filled(hb));
      for (const v of M <= 64 ? thin : variants) {
        for (const split of M <= 64 ? [1, 2, 4, 8, 16] : [1, 2]) {
          const { code, TM, TN, threads, bytes } = matrixCode({ ...v, b });
          const name = `${b === "k" ? "NT" : "NN"} ${M}x${N}x${K} units ${TM}x${TN}x${v.TK}${v.direct ? " direct" : ""} ${v.SM}x${v.SN} subgroups split ${split}`;
          if (
            M % TM ||
            N % TN ||
            K % (split * v.TK) ||
            bytes > limits.maxComputeWorkgroupStorageSize ||
            threads > limits.maxComputeInvocationsPerWorkgroup
          )
            continue;
          await attempt("matrix", name, async () => {
            const p = await pipeline(code);
            const y = buffer(split * M * N * 4);
            const params = uniforms(M, N, K, K / split);
            const us =
              (await time(fb.map((w) => [p, bind(p, [params, fa, w, y]), N / TN, M / TM, split]))) /
              copies;
            const d =
              split === 1
                ? difference(await read(y, M * N), exactA, exactB, { M, N, K, a: "k", b }) /
                  Math.sqrt(K)
                : 0;
            say("matrix", name, {
              us,
              tflops: (2 * M * N * K) / us / 1e6,
              threads,
              smem: bytes,
              ...(toy || d > 1e-3 ? { difference: d } : {}),
            });
            y.destroy();
          });
        }
      }
      for (const x of [fa, ...fb]) x.destroy();
    }
  }
}

// ---- rows: the engine's kernels with other numbers of lanes
if (parts.includes("rows")) {
  const shape = (name, rows, cols) => ({ name, rows, cols });
  const list = toy
    ? [shape("softmax", 32, 1024)]
    : [
        shape("softmax", 32, 18544),
        shape("softmax_backward", 32, 18544),
        shape("topk", 32, 18544),
        shape("layernorm", 32, 1024),
        shape("layernorm", 1472, 768),
      ];
  for (const { name, rows, cols } of list) {
    for (const lanes of [64, 128, 256, 512, 1024]) {
      if (lanes > limits.maxComputeInvocationsPerWorkgroup || (name === "topk" && lanes > 256))
        continue;
      await attempt("rows", `${name} ${rows}x${cols} lanes ${lanes}`, async () => {
        const lib = name === "topk" ? ["lib/nan"] : ["lib/reduce", "lib/value4"];
        const code = [kernelFile(name), ...lib.map(kernelFile)].join("\n");
        const x = filled(random(rows * cols)),
          y = buffer(rows * cols * 4),
          z = buffer(rows * cols * 4),
          w = buffer(cols * 4);
        const params = uniforms(rows, cols, name === "topk" ? 1 : 1e-5 + 0.5, 0);
        const buffers = {
          softmax: [params, x, y],
          softmax_backward: [params, x, z, y],
          topk: [params, x, buffer(rows * 16), buffer(rows * 16)],
          layernorm: [params, x, buffer(256), w, w, y, z, buffer(rows * 16)],
        }[name];
        const p = await pipeline(code, { LANES: lanes, ROWS: 1 });
        const us = await time([[p, bind(p, buffers), rows]]);
        say("rows", `${name} ${rows}x${cols} lanes ${lanes}`, {
          us,
          GBps: (8 * rows * cols) / us / 1e3,
        });
      });
    }
  }
  // AdamW: one tensor, then as many as BART has of 1 M
  await attempt("rows", "adamw 16M", async () => {
    const n = toy ? 2 ** 16 : 2 ** 24;
    const code = [kernelFile("adamw"), kernelFile("lib/value4")].join("\n");
    const p = await pipeline(code);
    const params = uniforms(n, 0.9, 0.999, 1e-8, 1e-2);
    const g = bind(p, [
      params,
      filled(random(n)),
      filled(new Float32Array([1e-5, 1, 1, 0])),
      filled(new Float32Array([1, 1, 1, 0])),
      buffer(4 * n),
      buffer(4 * n),
      buffer(4 * n),
    ]);
    const groups = folded(n / 256);
    const us = await time([[p, g, ...groups]]);
    say("rows", `adamw ${n}`, { us, GBps: (28 * n) / us / 1e3 });
  });
  for (const lanes of [64, 256, 1024]) {
    if (lanes > limits.maxComputeInvocationsPerWorkgroup) continue;
    await attempt("rows", `grad_norm lanes ${lanes}`, async () => {
      const count = toy ? 2000 : 199000;
      const p = await pipeline([kernelFile("grad_norm"), kernelFile("lib/reduce")].join("\n"), {
        LANES: lanes,
        ROWS: 1,
      });
      const params = uniforms(1, count, 1.5);
      const us = await time([[p, bind(p, [params, filled(random(2 * count)), buffer(16)]), 1]]);
      say("rows", `grad_norm ${count} lanes ${lanes}`, { us });
    });
  }
}

// ---- attention of one decoding step: the engine's kernel, and a workgroup for each (batch, head)
if (parts.includes("attention")) {
  const heads = 16,
    batch = toy ? 2 : 32,
    dim = 64,
    chunks = dim / 4;
  const stepCode = (
    keysMax,
  ) => `struct P { keys: u32, heads: u32, kBatch: u32, kRow: u32, scale: f32 }
@group(0) @binding(0) var<uniform> p: P;
@group(0) @binding(1) var<storage, read> q: array<vec4f>;
@group(0) @binding(2) var<storage, read> k: array<vec4f>;
@group(0) @binding(3) var<storage, read> v: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> o: array<f32>;
var<workgroup> s: array<f32, ${keysMax}>;
// 64 lanes: scores by key, then one component of the head a lane. Few keys: the maximum and sum are computed by every lane.
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) w: vec3u, @builtin(local_invocation_index) lane: u32) {
  let b = w.x / p.heads; let head = (w.x % p.heads) * ${chunks}u;
  let q0 = b * p.heads * ${chunks}u + head;
  let k0 = b * p.kBatch + head;
  for (var j = lane; j < p.keys; j += 64u) {
    var d = 0f;
    ${Array.from({ length: chunks }, (_, c) => `d += dot(q[q0 + ${c}u], k[k0 + j * p.kRow + ${c}u]);`).join(" ")}
    s[j] = d * p.scale;
  }
  workgroupBarrier();
  var top = -3.4e38f;
  for (var j = 0u; j < p.keys; j++) { top = max(top, s[j]); }
  var sum = 0f; var y = 0f;
  for (var j = 0u; j < p.keys; j++) {
    let e = exp(s[j] - top);
    sum += e;
    y += e * v[k0 + j * p.kRow + lane / 4u][lane % 4u];
  }
  o[b * p.heads * ${dim}u + (w.x % p.heads) * ${dim}u + lane] = y / sum;
}`;
  for (const keys of toy ? [8] : [8, 22, 64]) {
    const q = filled(random(batch * heads * dim)),
      k = filled(random(keys * batch * heads * dim)),
      v = filled(random(keys * batch * heads * dim));
    const o1 = buffer(batch * heads * dim * 4),
      o2 = buffer(batch * heads * dim * 4),
      row = heads * chunks;
    await attempt("attention", `engine keys ${keys}`, async () => {
      const p = await pipeline(kernelFile("attention"), {
        LANES: 1,
        PAIRS: 64,
        MASK: 0,
        CAUSAL: 0,
      });
      const params = uniforms(
        1,
        keys,
        heads,
        batch * heads,
        chunks,
        row,
        batch * row,
        row,
        batch * row,
        keys,
        0,
        keys - 1,
        0.125,
      );
      const g = bind(p, [
        params,
        q,
        k,
        v,
        buffer(256),
        o1,
        buffer(batch * heads * 8),
        buffer(batch * heads * (keys + 4) * 4),
      ]);
      say("attention", `engine keys ${keys}`, {
        us: await time([[p, g, 1, Math.ceil((batch * heads) / 64)]]),
      });
    });
    await attempt("attention", `workgroup a head, keys ${keys}`, async () => {
      const p = await pipeline(stepCode(64));
      const g = bind(p, [uniforms(keys, heads, row, batch * row, 0.125), q, k, v, o2]);
      const us = await time([[p, g, batch * heads]]);
      const [x, y] = [await read(o1, batch * heads * dim), await read(o2, batch * heads * dim)];
      say("attention", `workgroup a head, keys ${keys}`, {
        us,
        difference: x.reduce((m, a, i) => Math.max(m, Math.abs(a - y[i])), 0),
      });
    });
  }
}

if (file) writeFileSync(file, JSON.stringify(out, null, 1));
console.log(failed ? `${failed} errors` : "no errors");
process.exit(0);
