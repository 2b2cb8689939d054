// control = [min(1, maxNorm / (norm + 1e-6)), ok, norm, 0], norm = sqrt(sum of partials.x),
// ok = nothing was not finite
// One task. maxNorm == 0 clips nothing.
// Numerics: f64 sums; a sum of squares beyond f32 is not ok either.
@unmanaged export class GradNorm {
  rows: u32; count: u32; maxNorm: f32;
  partials: usize; control: usize;
}

export function grad_norm_tasks(p: GradNorm): u32 {
  return 1;
}

export function grad_norm(p: GradNorm, task: u32, scratch: usize): void {
  let both = f64x2.splat(0);
  for (let i: u32 = 0; i < p.count; i++) {
    both = f64x2.add(both, f64x2.promote_low_f32x4(v128.load64_zero(p.partials + (i << 3))));
  }
  const sum = <f32>f64x2.extract_lane(both, 0);
  const ok = f64x2.extract_lane(both, 1) == 0 && sum < <f32>Infinity;
  const norm = sqrt<f32>(sum);
  const clip: f32 = p.maxNorm > 0 ? min<f32>(1, p.maxNorm / (norm + 1e-6)) : 1;
  store<f32>(p.control, ok ? clip : 0);
  store<f32>(p.control, ok ? 1 : 0, 4);
  store<f32>(p.control, norm, 8);
  store<f32>(p.control, 0, 12);
}
