// What matmul_end.wgsl does to the elements of a product one by one, behind lib/matmul_one.wgsl and lib/dropout.wgsl.
fn value_gelu(v: Value) -> Value { return gelu(v); }

// GELU'(v); NaN for NaN
fn value_slope(v: Value) -> Value { return select(gelu_derivative(v), v, is_nan(v)); }

// v, rescaled, where it stays, else 0; n: its number
fn dropped(v: Value, n: u32) -> Value { return select(0f, v * p.rescale, stays(n)); }
