// What products multiply: their operands as they are. See lib/operand_f16.wgsl.
fn operand(v: vec4f) -> vec4f { return v; }
