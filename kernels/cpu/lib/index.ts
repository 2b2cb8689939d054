// Strided arrays of up to five axes, right-aligned: sizes d1..d4 of the last four axes (the first one
// has what is left) and strides s0..s4 of an operand, each a run of u32 in memory. Elements are
// 32-bit words, copied as they are.

// Whether the last `rank` strides are those of a row-major array.
export function inOrder(d: usize, s: usize, rank: u32): bool {
  let stride: u32 = 1;
  for (let k = 4; k >= 5 - <i32>rank; k--) {
    if (load<u32>(s + (k << 2)) != stride) return false;
    if (k > 0) stride *= load<u32>(d + ((k - 1) << 2));
  }
  return true;
}

// Elements first .. first + count - 1 of a walk over all axes, the last one fastest: from `from` with
// strides s to `to` with strides t. Divides once, then steps.
export function move(
  to: usize, t: usize, from: usize, s: usize, d: usize, first: u32, count: u32,
): void {
  const d4 = load<u32>(d, 12);
  const d3 = load<u32>(d, 8);
  const d2 = load<u32>(d, 4);
  const d1 = load<u32>(d);
  const s4 = load<u32>(s, 16);
  const t4 = load<u32>(t, 16);
  const row = first / d4;
  let at = first - row * d4;
  let q = row / d3;
  let at3 = row - q * d3;
  let at2 = q;
  q /= d2;
  at2 -= q * d2;
  let at1 = q;
  q /= d1;
  at1 -= q * d1;
  // where the current row begins
  let x = offset(s, q, at1, at2, at3);
  let y = offset(t, q, at1, at2, at3);
  const s3 = load<u32>(s, 12);
  const t3 = load<u32>(t, 12);
  while (true) {
    const length = min(d4 - at, count);
    moveRow(to + ((y + at * t4) << 2), t4, from + ((x + at * s4) << 2), s4, length);
    count -= length;
    if (count == 0) return;
    at = 0;
    x += s3;
    y += t3;
    if (++at3 < d3) continue;
    at3 = 0;
    if (++at2 == d2) {
      at2 = 0;
      if (++at1 == d1) {
        at1 = 0;
        q++;
      }
    }
    x = offset(s, q, at1, at2, 0);
    y = offset(t, q, at1, at2, 0);
  }
}

// Elements first .. first + count - 1 of the walk, one after the other, to `to`.
export function gather(
  to: usize, from: usize, s: usize, d: usize, first: u32, count: u32, work: usize,
): void {
  let stride: u32 = 1;
  for (let k = 4; k >= 0; k--) {
    store<u32>(work + (k << 2), stride);
    if (k > 0) stride *= load<u32>(d + ((k - 1) << 2));
  }
  move(to - (first << 2), work, from, s, d, first, count);
}

@inline function offset(s: usize, at0: u32, at1: u32, at2: u32, at3: u32): u32 {
  return (
    at0 * load<u32>(s) +
    at1 * load<u32>(s, 4) +
    at2 * load<u32>(s, 8) +
    at3 * load<u32>(s, 12)
  );
}

@inline function moveRow(to: usize, t: u32, from: usize, s: u32, count: u32): void {
  if (t == 1 && s == 1) {
    copyWords(to, from, count);
  } else if (t == 1 && s == 0) {
    fillWords(to, v128.load32_splat(from), count);
  } else {
    const source = (<usize>s) << 2;
    const step = (<usize>t) << 2;
    for (; count > 0; count--) {
      store<u32>(to, load<u32>(from));
      to += step;
      from += source;
    }
  }
}

export function copyWords(to: usize, from: usize, count: u32): void {
  if (count >= 1024) {
    memory.copy(to, from, count << 2);
    return;
  }
  for (; count >= 16; count -= 16) {
    const a = v128.load(from);
    const b = v128.load(from, 16);
    const c = v128.load(from, 32);
    const d = v128.load(from, 48);
    v128.store(to, a);
    v128.store(to, b, 16);
    v128.store(to, c, 32);
    v128.store(to, d, 48);
    to += 64;
    from += 64;
  }
  for (; count >= 4; count -= 4) {
    v128.store(to, v128.load(from));
    to += 16;
    from += 16;
  }
  for (; count > 0; count--) {
    store<u32>(to, load<u32>(from));
    to += 4;
    from += 4;
  }
}

export function fillWords(to: usize, word: v128, count: u32): void {
  for (; count >= 16; count -= 16) {
    v128.store(to, word);
    v128.store(to, word, 16);
    v128.store(to, word, 32);
    v128.store(to, word, 48);
    to += 64;
  }
  for (; count >= 4; count -= 4) {
    v128.store(to, word);
    to += 16;
  }
  for (; count > 0; count--) {
    v128.store_lane<u32>(to, word, 0);
    to += 4;
  }
}
