/**
 * The numbers of a file's tensors, converted: float32 from F64, F16 and BF16, and back to the 16-bit ones. Knows bytes and
 * dtypes, no file.
 */
import { ModelError } from "../errors.ts";

/** Bytes of an element, by the dtypes that can be read as numbers. */
export const FLOAT_BYTES = { F32: 4, F16: 2, BF16: 2, F64: 8 };

/** The same bytes at a start that `width` divides; copied only if need be (Buffer.slice would not). */
function aligned(data: Uint8Array, width: number): Uint8Array {
  return data.byteOffset % width === 0 ? data : new Uint8Array(data);
}

const table: { values?: Float32Array } = {}; // float16 bits -> value, made on first use

function halfTable(): Float32Array {
  table.values ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 0x3ff;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
  return table.values;
}

/**
 * The values of whole elements of a tensor.
 *
 * @throws `[safetensors] toFloat32 ...` for an integer or other dtype
 */
export function decode(dtype: string, data: Uint8Array): Float32Array {
  const { buffer, byteOffset } = aligned(data, FLOAT_BYTES[dtype as keyof typeof FLOAT_BYTES] ?? 1);
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer, byteOffset, data.length / 4);
    case "F64":
      return new Float32Array(new Float64Array(buffer, byteOffset, data.length / 8));
    case "F16": {
      const halves = new Uint16Array(buffer, byteOffset, data.length / 2);
      const decoded = halfTable();
      const values = new Float32Array(halves.length);
      for (let i = 0; i < halves.length; i++) values[i] = decoded[halves[i]];
      return values;
    }
    case "BF16": {
      const halves = new Uint16Array(buffer, byteOffset, data.length / 2);
      const bits = new Uint32Array(halves.length);
      for (let i = 0; i < halves.length; i++) bits[i] = halves[i] << 16;
      return new Float32Array(bits.buffer);
    }
    default:
      throw new ModelError(
        `[safetensors] toFloat32 reads F32, F16, BF16 and F64, got ${dtype}: view the entry's bytes as integers instead`,
      );
  }
}

/**
 * float32 -> float16 bits, rounded to nearest, ties to even. 65520 and above gives infinity, NaN
 * gives a quiet NaN.
 */
export function encodeFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const encoded = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const sign = (bits[i] >>> 16) & 0x8000;
    const magnitude = bits[i] & 0x7fffffff;
    if (magnitude > 0x7f800000) encoded[i] = sign | 0x7e00;
    else if (magnitude >= 0x477ff000) encoded[i] = sign | 0x7c00;
    else if (magnitude >= 0x38800000) {
      // Normal: 13 bits of the fraction go; the exponent's bias changes from 127 to 15.
      encoded[i] = sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
    } else {
      // Subnormal: a whole number of 2^-24; adding and taking 2^52 rounds to it, ties to even.
      encoded[i] = sign | (Math.abs(values[i]) * 2 ** 24 + 2 ** 52 - 2 ** 52);
    }
  }
  return encoded;
}

/** float32 -> bfloat16 bits, rounded to nearest, ties to even. */
export function encodeBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const encoded = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const b = bits[i];
    const noNumber = (b & 0x7fffffff) > 0x7f800000;
    encoded[i] = noNumber ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return encoded;
}

const RUN = 2 ** 12; // values that are looked at together

/** The bits of the exponent, by how values are kept. */
const EXPONENT = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 };

/**
 * The place of the first value that is NaN or infinite, whose exponent is all ones; -1 where all are finite.
 *
 * @param storage what the values are: float32, or the bits of 16-bit ones
 */
export function firstNotFinite(
  values: Float32Array | Uint16Array,
  storage: keyof typeof EXPONENT,
): number {
  const ones = EXPONENT[storage];
  const high = ones & ~(ones >> 1); // of 2 or more; weights seldom are
  const { buffer, byteOffset, length } = values;
  const bits = storage === "f32" ? new Int32Array(buffer, byteOffset, length) : values;
  for (let first = 0; first < length; first += RUN) {
    const end = Math.min(length, first + RUN);
    let seen = 0;
    let i = first;
    for (; i + 8 <= end; i += 8) {
      seen |= bits[i] | bits[i + 1] | bits[i + 2] | bits[i + 3];
      seen |= bits[i + 4] | bits[i + 5] | bits[i + 6] | bits[i + 7];
    }
    for (; i < end; i++) seen |= bits[i];
    if ((seen & high) === 0) continue;
    for (let k = first; k < end; k++) if ((bits[k] & ones) === ones) return k;
  }
  return -1;
}
