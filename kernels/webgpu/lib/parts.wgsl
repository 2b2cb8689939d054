// Value i of a product whose parts lie in the kernel's `parts`, each of `size` Values: the sum of parts first .. first + count - 1.
// In their order, which depends on the shape alone: the same bits on every run and every GPU. Four are loaded before the first
// is added, for latency is what this waits for; a part past the last adds zero.
fn part(z: u32, count: u32, at: u32, size: u32) -> Value {
  let x = parts[min(z, count - 1u) * size + at];
  return select(Value(), x, z < count);
}

fn joined(first: u32, count: u32, i: u32, size: u32) -> Value {
  let at = first * size + i;
  var sum = Value();
  for (var z = 0u; z < count; z += 4u) {
    let x0 = part(z, count, at, size);
    let x1 = part(z + 1u, count, at, size);
    let x2 = part(z + 2u, count, at, size);
    let x3 = part(z + 3u, count, at, size);
    sum = (((sum + x0) + x1) + x2) + x3;
  }
  return sum;
}
