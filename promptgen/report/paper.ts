/**
 * Figures of the PromptGen paper (per cent, precision at 1 with BERT-base-cased), for the columns beside ours. They are
 * copied from print and know nothing of what is measured here.
 *
 * Table 4's PromptGen column does not average to Table 1's row (56.9 / 53.4 / 44.7 / 50.2 against 54.8 / 55.3 / 44.0 /
 * 51.0); its entry for P264, 5.6, is probably a misprint of 45.6. The figures stand here as printed.
 */

/** Names of the rows of Table 1, which are also the names under which results are reported. */
export const METHODS = [
  "Manual",
  "LPAQA",
  "Gao et al. (2021)",
  "AutoPrompt (5 [T]s)",
  "OptiPrompt (5 [V]s)",
  "OptiPrompt (10 [V]s)",
  "OptiPrompt (manual)",
  "PromptGen",
] as const;

export type Method = (typeof METHODS)[number];

/** Mean over the relations of a type, and over all. */
export type PaperMeans = {
  readonly "1-1": number;
  readonly "N-1": number;
  readonly "N-M": number;
  readonly All: number;
};

/** Table 1: test accuracy. */
export const TABLE_1: Readonly<Record<Method, PaperMeans>> = {
  Manual: { "1-1": 68.0, "N-1": 32.4, "N-M": 24.7, All: 31.1 },
  LPAQA: { "1-1": 65.0, "N-1": 35.9, "N-M": 27.9, All: 34.1 },
  "Gao et al. (2021)": { "1-1": 22.5, "N-1": 12.7, "N-M": 8.5, All: 11.4 },
  "AutoPrompt (5 [T]s)": { "1-1": 58.0, "N-1": 46.5, "N-M": 34.0, All: 42.2 },
  "OptiPrompt (5 [V]s)": { "1-1": 49.6, "N-1": 53.1, "N-M": 39.4, All: 47.6 },
  "OptiPrompt (10 [V]s)": { "1-1": 60.7, "N-1": 53.2, "N-M": 39.2, All: 48.1 },
  "OptiPrompt (manual)": { "1-1": 59.6, "N-1": 54.1, "N-M": 40.1, All: 48.6 },
  PromptGen: { "1-1": 54.8, "N-1": 55.3, "N-M": 44.0, All: 51.0 },
};

/** Table 2: PromptGen by alpha, with the accuracy when "None" stands for the subject. */
export const TABLE_2: readonly (PaperMeans & {
  readonly alpha: number;
  readonly None: number;
})[] = [
  { alpha: 0.0, "1-1": 53.9, "N-1": 53.9, "N-M": 43.1, All: 49.7, None: 48.1 },
  { alpha: 0.2, "1-1": 53.4, "N-1": 53.5, "N-M": 43.3, All: 49.6, None: 0.0 },
  { alpha: 0.3, "1-1": 54.8, "N-1": 55.3, "N-M": 44.0, All: 51.0, None: 0.0 },
  { alpha: 0.4, "1-1": 39.4, "N-1": 49.3, "N-M": 38.4, All: 44.9, None: 0.0 },
];

/** Columns of Table 4. */
export const TABLE_4_METHODS = [
  "Manual",
  "LPAQA",
  "AutoPrompt (5 [T]s)",
  "OptiPrompt (manual)",
  "PromptGen",
] as const satisfies readonly Method[];

/** One relation of Table 4: id, type, test facts after the filter, accuracy of each column. */
export type PaperRelation = {
  readonly id: string;
  readonly type: string;
  readonly facts: number;
  readonly accuracy: readonly number[];
};

const LINES = `
P1376 1-1 233 73.8 67.8 56.2 56.7 61.6
P36 1-1 702 62.1 62.1 59.7 61.3 52.2
P103 N-1 977 72.2 72.2 79.7 86.8 86.9
P127 N-1 687 34.8 32.5 44.3 49.6 54.0
P131 N-1 881 23.3 22.8 28.9 41.4 40.3
P136 N-1 931 0.8 16.8 55.3 63.6 68.4
P138 N-1 642 61.4 59.5 70.7 73.4 76.1
P140 N-1 473 0.6 59.8 60.5 76.5 80.9
P159 N-1 967 32.4 35.6 35.7 37.4 37.6
P17 N-1 930 31.3 39.8 51.0 57.8 54.2
P176 N-1 973 85.5 81.5 87.5 87.3 91.6
P19 N-1 944 21.1 21.1 19.5 20.6 22.8
P20 N-1 953 27.9 27.9 29.8 33.8 35.8
P264 N-1 429 9.6 6.3 4.2 45.5 5.6
P276 N-1 958 41.5 41.5 43.0 47.1 46.5
P279 N-1 964 30.7 14.7 54.9 64.7 65.6
P30 N-1 975 25.4 16.9 78.6 86.3 89.1
P361 N-1 932 23.6 31.4 37.0 46.4 41.1
P364 N-1 856 44.5 43.9 45.0 51.3 54.6
P37 N-1 966 54.6 56.8 52.7 58.6 62.9
P407 N-1 877 64.2 65.2 68.4 71.0 68.2
P413 N-1 952 0.5 23.7 41.7 44.0 51.5
P449 N-1 880 20.9 9.1 33.1 36.0 39.8
P495 N-1 909 28.7 32.2 35.8 40.8 37.7
P740 N-1 936 8.9 13.7 13.1 15.0 17.3
P1001 N-M 701 70.5 72.8 80.5 85.2 87.0
P101 N-M 696 9.9 5.3 12.1 14.1 19.4
P106 N-M 958 0.6 0.0 13.6 35.7 31.3
P108 N-M 383 6.8 5.7 7.8 11.2 12.5
P1303 N-M 949 7.6 18.0 23.1 23.6 45.8
P1412 N-M 969 65.0 64.7 71.5 76.1 77.1
P178 N-M 591 62.9 59.4 64.3 67.9 68.6
P190 N-M 992 2.2 1.7 2.4 3.1 3.9
P27 N-M 966 0.0 41.5 45.8 47.1 46.5
P31 N-M 922 36.7 36.7 53.6 64.9 68.9
P39 N-M 892 8.0 16.1 27.2 42.8 69.6
P463 N-M 225 67.1 57.3 64.0 64.0 73.8
P47 N-M 920 13.7 13.7 19.2 22.2 21.2
P527 N-M 976 11.2 10.6 22.1 34.8 38.7
P530 N-M 996 2.8 3.9 2.8 3.3 2.8
P937 N-M 954 29.8 39.1 34.4 43.3 48.2
`;

/** Table 4, in the paper's order. */
export const TABLE_4: readonly PaperRelation[] = LINES.trim()
  .split("\n")
  .map((line) => {
    const [id = "", type = "", facts, ...accuracy] = line.split(" ");
    return { id, type, facts: Number(facts), accuracy: accuracy.map(Number) };
  });
