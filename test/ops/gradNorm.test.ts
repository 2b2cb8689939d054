import { gradNorm } from "../../engine/ops/adamw.ts";
import { opcheck } from "../opcheck.ts";

type Options = { gradients: number; maxNorm: number };

opcheck<Options>("gradNorm", (inputs, { gradients, maxNorm }) =>
  gradNorm(inputs.slice(0, gradients), inputs.slice(gradients), maxNorm),
);
