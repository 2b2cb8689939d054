/** The libraries that the benchmark can run beside the engine. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type Peer = {
  /** The program in this folder that does the work. */
  script: string;
  /** npm packages with their versions. */
  packages: Readonly<Record<string, string>>;
  /** Whether it also runs on a GPU. */
  gpu: boolean;
};

export const peers: Readonly<Record<string, Peer>> = {
  "jax-js": { script: "jax.ts", packages: { "@jax-js/jax": "0.1.25" }, gpu: true },
  "onnxruntime-web": {
    script: "ort.ts",
    packages: { "onnxruntime-web": "1.30.0" },
    gpu: false,
  },
  "tfjs-wasm": {
    script: "tfjs.ts",
    packages: { "@tensorflow/tfjs-core": "4.22.0", "@tensorflow/tfjs-backend-wasm": "4.22.0" },
    gpu: false,
  },
  numpy: { script: "numpy_peer.py", packages: {}, gpu: false },
};

function installed(folder: string, name: string): string | undefined {
  const manifest = join(folder, "node_modules", name, "package.json");
  return existsSync(manifest) ? JSON.parse(readFileSync(manifest, "utf8")).version : undefined;
}

/** Installs what the named peers lack into `folder`, at exactly the versions above. */
export function install(folder: string, names: readonly string[]): void {
  const missing = names
    .flatMap((name) => Object.entries(peers[name].packages))
    .filter(([name, version]) => installed(folder, name) !== version)
    .map(([name, version]) => `${name}@${version}`);
  if (missing.length === 0) return;
  mkdirSync(folder, { recursive: true });
  const manifest = join(folder, "package.json");
  if (!existsSync(manifest)) writeFileSync(manifest, '{ "private": true }\n');
  console.error(`installing ${missing.join(", ")} into .bench/ ...`);
  const flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--save-exact"];
  const npm = spawnSync("npm", ["install", ...flags, ...missing], { cwd: folder });
  if (npm.status !== 0) throw new Error(`[bench] npm could not install a peer: ${npm.stderr}`);
}
