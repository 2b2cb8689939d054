// What a step with the gradient `given` makes of the moments at i, and what the parameter becomes there, for adamw.wgsl, adamw_half.wgsl
// and adamw_table.wgsl, which have the operands; behind lib/value1.wgsl or lib/value4.wgsl.
fn updated(i: u32, given: Value) -> Value {
  let lr = scalars[0];
  let g = given * control[0];
  let m1 = m[i] + (1f - p.beta1) * (g - m[i]);
  let v1 = v[i] + (1f - p.beta2) * (g * g - v[i]);
  m[i] = m1;
  v[i] = v1;
  let decayed = param[i] - lr * p.weightDecay * param[i];
  return decayed - lr * (m1 * scalars[1]) / (sqrt(v1 * scalars[2]) + p.eps);
}
