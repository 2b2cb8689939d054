// AdamW with decoupled decay, in place:
//   g = grad * clip; m += (1 - beta1)(g - m); v += (1 - beta2)(g^2 - v)
//   param -= lr * decay * param; param -= lr * (m * c1) / (sqrt(v * c2) + eps)
// update = [clip, ok, _, _, lr, c1 = 1 / (1 - beta1^t), c2 = 1 / (1 - beta2^t), ...]: ok == 0 writes nothing.
// A task does GRAIN elements; memory is what it waits for.
// Numerics: f32 throughout; eps is added outside the root, after the bias correction.
import { loadPart, madd, nmadd, storePart } from "./lib/simd";

@unmanaged export class Adamw {
  n: u32; beta1: f32; beta2: f32; eps: f32; weightDecay: f32;
  grad: usize; update: usize;
  param: usize; m: usize; v: usize;
}

const GRAIN: u32 = 8192;

export function adamw_tasks(p: Adamw): u32 {
  return p.n / GRAIN + u32(p.n % GRAIN > 0);
}

/** The moving average, a share nearer to x. */
// @ts-ignore: decorator
@inline
function nearer(mean: v128, x: v128, share: v128): v128 {
  return madd(share, f32x4.sub(x, mean), mean);
}

/** param - lr * (m * c1) / (sqrt(v * c2) + eps), after decay */
// @ts-ignore: decorator
@inline
function stepped(
  param: v128, m: v128, v: v128, lr: v128, decay: v128, c1: v128, c2: v128, eps: v128,
): v128 {
  const root = f32x4.add(f32x4.sqrt(f32x4.mul(v, c2)), eps);
  const step = f32x4.div(f32x4.mul(lr, f32x4.mul(m, c1)), root);
  return f32x4.sub(nmadd(decay, param, param), step);
}

export function adamw(p: Adamw, task: u32, scratch: usize): void {
  if (load<f32>(p.update, 4) == 0) return;
  const clip = v128.load32_splat(p.update);
  const lr = v128.load32_splat(p.update, 16);
  const c1 = v128.load32_splat(p.update, 20);
  const c2 = v128.load32_splat(p.update, 24);
  const eps = f32x4.splat(p.eps);
  const share1 = f32x4.splat(1 - p.beta1);
  const share2 = f32x4.splat(1 - p.beta2);
  const decay = f32x4.mul(lr, f32x4.splat(p.weightDecay));
  const at = (task * GRAIN) << 2;
  const count = min<u32>(GRAIN, p.n - task * GRAIN);
  let grad = p.grad + at;
  let param = p.param + at;
  let m = p.m + at;
  let v = p.v + at;
  const end = grad + ((count & ~3) << 2);
  for (; grad < end; grad += 16, param += 16, m += 16, v += 16) {
    const g = f32x4.mul(v128.load(grad), clip);
    const m1 = nearer(v128.load(m), g, share1);
    const v1 = nearer(v128.load(v), f32x4.mul(g, g), share2);
    v128.store(m, m1);
    v128.store(v, v1);
    v128.store(param, stepped(v128.load(param), m1, v1, lr, decay, c1, c2, eps));
  }
  const part = count & 3;
  if (part) {
    const zero = f32x4.splat(0);
    const g = f32x4.mul(loadPart(grad, part, zero), clip);
    const m1 = nearer(loadPart(m, part, zero), g, share1);
    const v1 = nearer(loadPart(v, part, zero), f32x4.mul(g, g), share2);
    storePart(m, m1, part);
    storePart(v, v1, part);
    const old = loadPart(param, part, zero);
    storePart(param, stepped(old, m1, v1, lr, decay, c1, c2, eps), part);
  }
}
