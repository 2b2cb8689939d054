/** NumPy's file of one array, format 1.0, as `numpy.save` writes it. */

const MAGIC = "\x93NUMPY\x01\x00";
/** `numpy.save` leaves room for a first dimension of so many digits. */
const DIGITS = 21;
const BLOCK = 64;

/** The bytes of an f32 array in C order. Throws where the shape does not hold the values. */
export function npy(values: Float32Array, shape: readonly number[]): Uint8Array {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  if (size !== values.length) {
    throw new Error(
      `[npy] shape [${shape.join(", ")}] holds ${size} values and ${values.length} were given; give as many`,
    );
  }
  const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const room = shape.length === 0 ? "" : " ".repeat(Math.max(0, DIGITS - `${shape[0]}`.length));
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dimensions}), }${room}`;
  const fixed = MAGIC.length + 2; // two bytes say how long the header is
  const end = Math.ceil((fixed + text.length + 1) / BLOCK) * BLOCK;
  const header = `${text.padEnd(end - fixed - 1)}\n`;
  const bytes = new Uint8Array(end + 4 * size);
  const view = new DataView(bytes.buffer);
  bytes.set(Uint8Array.from(MAGIC, (c) => c.charCodeAt(0)));
  view.setUint16(MAGIC.length, header.length, true);
  bytes.set(new TextEncoder().encode(header), fixed);
  values.forEach((value, i) => {
    view.setFloat32(end + 4 * i, value, true);
  });
  return bytes;
}
