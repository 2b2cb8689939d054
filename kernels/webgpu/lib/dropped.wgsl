// Dropout of Values, behind lib/dropout.wgsl.

// v, rescaled, where it stays, else 0; n: the number of its first element.
fn dropped(v: Value, n: u32) -> Value {
  let uniforms = value_uniform(dropout_block(n / 4u), n);
  return select(Value(), v * p.rescale, uniforms < Value(p.keep));
}
