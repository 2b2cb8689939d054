// Weights stored as f16 or bf16 travel in u32 words, element 2i in the low half. Decoding is exact:
// both formats are subsets of f32 (an adapter may flush f16 subnormals).
const DTYPE_F32: u32 = 0u;
const DTYPE_F16: u32 = 1u;
const DTYPE_BF16: u32 = 2u;

// word -> (element 2i, element 2i + 1)
fn decode_pair(word: u32, dtype: u32) -> vec2f {
  if (dtype == DTYPE_F16) { return unpack2x16float(word); }
  return vec2f(bitcast<f32>(word << 16u), bitcast<f32>(word & 0xffff0000u));
}

// element `index` of an array whose word index / (elements a word) is `word`
fn decode_one(word: u32, index: u32, dtype: u32) -> f32 {
  if (dtype == DTYPE_F32) { return bitcast<f32>(word); }
  let pair = decode_pair(word, dtype);
  return select(pair.x, pair.y, (index & 1u) == 1u);
}

// the word that holds element `index`
fn decode_word(index: u32, dtype: u32) -> u32 {
  if (dtype == DTYPE_F32) { return index; }
  return index >> 1u;
}
