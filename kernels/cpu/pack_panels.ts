// panels of B' (K x N) = B or B^T, as lib/gemm.ts multiplies them: panel j holds the columns
// 8 j .. 8 j + 7, [k][8], zero padded in N. A task packs some panels.
import { packB, PANEL_BYTES } from "./lib/gemm";

@unmanaged export class PackPanels {
  K: u32; N: u32; ldb: u32; bOffset: u32;
  TRANS_B: u32;
  b: usize; panels: usize;
}

/** Elements a task packs. */
const GRAIN: u32 = 32768;

/** Panels a task packs: a multiple of 4, which read whole cache lines. */
@inline function share(p: PackPanels): u32 {
  return max(1, GRAIN / (32 * max(p.K, 1))) * 4;
}

@inline function count(p: PackPanels): u32 {
  return (p.N + 7) >> 3;
}

export function pack_panels_tasks(p: PackPanels): u32 {
  return (count(p) + share(p) - 1) / share(p);
}

export function pack_panels(p: PackPanels, task: u32, scratch: usize): void {
  const first = task * share(p);
  const n = first << 3;
  const columns = min(p.N - n, share(p) << 3);
  const stride = p.K * PANEL_BYTES;
  const ld = <usize>p.ldb << 2;
  const b = p.b + (p.bOffset << 2) + (p.TRANS_B ? n * ld : n << 2);
  packB(p.panels + first * stride, stride, b, ld, p.TRANS_B, 0, columns, p.K);
}
