// Reads a word. A worker that did not grow the memory itself may hold a view that is too short; code never does.
export function peek(at: usize): u32 {
  return load<u32>(at);
}
