/**
 * Writes ONNX models: a graph builder and as much of protobuf's wire format as onnx.proto3 needs for float graphs.
 * The numbers below are field numbers of that file.
 */
const varint = (n: number): Buffer => {
  const bytes: number[] = [];
  for (let rest = n; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
};
const integer = (field: number, n: number): Buffer => Buffer.concat([varint(field * 8), varint(n)]);
const bytes = (field: number, data: Uint8Array): Buffer =>
  Buffer.concat([varint(field * 8 + 2), varint(data.length), data]);
const text = (field: number, s: string): Buffer => bytes(field, Buffer.from(s));
const message = (field: number, parts: readonly Buffer[]): Buffer =>
  bytes(field, Buffer.concat(parts));
const float = (field: number, x: number): Buffer => {
  const four = Buffer.alloc(4);
  four.writeFloatLE(x);
  return Buffer.concat([varint(field * 8 + 5), four]);
};

/** `{ float }`, `{ int }` or `{ ints }`; integers are not negative. */
type Attribute = { float: number } | { int: number } | { ints: readonly number[] };

function attribute(name: string, value: Attribute): Buffer {
  const parts = [text(1, name)];
  if ("float" in value) parts.push(float(2, value.float), integer(20, 1));
  else if ("int" in value) parts.push(integer(3, value.int), integer(20, 2));
  else parts.push(...value.ints.map((n) => integer(8, n)), integer(20, 7));
  return message(5, parts);
}

/** TensorProto.DataType */
const FLOAT = 1;
const INT64 = 7;

/** A float graph of opset 20 under construction. Values are their names. */
export class Graph {
  #nodes: Buffer[] = [];
  #initializers: Buffer[] = [];
  #inputs: Buffer[] = [];
  #names = 0;

  #value(field: number, name: string, shape: readonly number[]): Buffer {
    const dims = shape.map((n) => message(1, [integer(1, n)]));
    return message(field, [
      text(1, name),
      message(2, [message(1, [integer(1, FLOAT), message(2, dims)])]),
    ]);
  }

  input(name: string, shape: readonly number[]): string {
    this.#inputs.push(this.#value(11, name, shape));
    return name;
  }

  /** Data that is part of the model. */
  initializer(data: Float32Array | readonly number[], shape?: readonly number[]): string {
    const name = `w${this.#names++}`;
    const floats = data instanceof Float32Array;
    const raw = floats ? data : BigInt64Array.from(data, BigInt);
    this.#initializers.push(
      message(5, [
        ...(shape ?? [data.length]).map((n) => integer(1, n)),
        integer(2, floats ? FLOAT : INT64),
        text(8, name),
        bytes(9, new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength)),
      ]),
    );
    return name;
  }

  /** Applies an operator that has one output. */
  op(
    type: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
  ): string {
    const output = `t${this.#names++}`;
    this.#nodes.push(
      message(1, [
        ...inputs.map((name) => text(1, name)),
        text(2, output),
        text(3, output),
        text(4, type),
        ...Object.entries(attributes).map(([name, value]) => attribute(name, value)),
      ]),
    );
    return output;
  }

  /** The serialised model, whose result is `output`. */
  model(output: string, shape: readonly number[]): Uint8Array {
    return Buffer.concat([
      integer(1, 9), // IR version
      message(8, [text(1, ""), integer(2, 20)]), // the standard operators
      message(7, [
        ...this.#nodes,
        text(2, "bench"),
        ...this.#initializers,
        ...this.#inputs,
        this.#value(12, output, shape),
      ]),
    ]);
  }
}
