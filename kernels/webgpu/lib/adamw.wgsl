// What a step makes of some elements of a parameter and of its moments, for adamw.wgsl, adamw_half.wgsl, adamw_pair.wgsl
// and adamw_table.wgsl, which have the operands and a Params with beta1, beta2 and eps; behind lib/value1.wgsl or lib/value4.wgsl.
struct Rates { clip: f32, lr: f32, c1: f32, c2: f32, decay: f32 }
struct Moved { param: Value, m: Value, v: Value }

fn moved(old: Moved, grad: Value, r: Rates) -> Moved {
  let g = grad * r.clip;
  let m = old.m + (1f - p.beta1) * (g - old.m);
  let v = old.v + (1f - p.beta2) * (g * g - old.v);
  let decayed = old.param - r.lr * r.decay * old.param;
  return Moved(decayed - r.lr * (m * r.c1) / (sqrt(v * r.c2) + p.eps), m, v);
}
