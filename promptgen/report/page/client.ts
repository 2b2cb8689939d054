/**
 * The program of the page: the switch of light and dark, and the browser of facts. `client` is written into the page as text, so
 * that it may use nothing that stands outside of it; what it shows is set as text, never as markup.
 */
import type { PackedAnswer, PackedFacts } from "./facts.ts";

export function client(): void {
  const PAGE = 20;

  const byId = (id: string): HTMLElement => {
    const found = document.getElementById(id);
    if (found === null) throw new Error(`the page has no ${id}`);
    return found;
  };

  const make = (
    name: string,
    attributes: Record<string, string>,
    ...children: (Node | string)[]
  ) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  // light and dark
  const theme = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = (): boolean => {
    const own = document.documentElement.dataset.theme;
    return own === undefined ? system.matches : own === "dark";
  };
  const name = (): void => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  };
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    name();
  });
  system.addEventListener("change", name);
  name();
  theme.hidden = false;

  // what a link points at is opened, and all is for print
  const open = (): void => {
    const target = location.hash === "" ? null : document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  addEventListener("hashchange", open);
  open();
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll<HTMLDetailsElement>("details.more"))
      one.open = true;
  });

  const unpack = async (): Promise<PackedFacts> => {
    const bytes = Uint8Array.from(atob(byId("facts-data").textContent ?? ""), (c) =>
      c.charCodeAt(0),
    );
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Response(stream).json();
  };

  const browse = ({ rows, relations, texts, facts }: PackedFacts): void => {
    const form = byId("facts-form");
    const list = byId("facts-list");
    const status = byId("facts-status");
    const [relation, row, outcome] = ["relation", "row", "outcome"].map(
      (key) => byId(`facts-${key}`) as HTMLSelectElement,
    );
    const search = byId("facts-search") as HTMLInputElement;
    const [before, after] = ["before", "after"].map(
      (key) => byId(`facts-${key}`) as HTMLButtonElement,
    );
    let first = 0;

    const marks = ["\u2715", "\u25d0", "\u2713"];
    const words = ["wrong", "right, but with a filler too", "right"];
    const classes = ["wrong", "leak", "right"];
    const markOf = (answer: PackedAnswer | null): HTMLElement =>
      answer === null
        ? make("span", { class: "mark" }, "\u2013")
        : make("span", { class: `mark ${classes[answer[1]]}` }, marks[answer[1]]);

    const fits = (fact: PackedFacts["facts"][number]): boolean => {
      const [at, subject, object, answers] = fact;
      if (relation.value !== "" && at !== Number(relation.value)) return false;
      const text = search.value.trim().toLowerCase();
      const own = `${texts[subject]}\n${texts[object]}`.toLowerCase();
      if (text !== "" && !own.includes(text)) return false;
      if (outcome.value === "") return true;
      const asked = row.value === "" ? answers : [answers[Number(row.value)]];
      return asked.some((answer) => {
        if (answer === null) return false;
        if (outcome.value === "right") return answer[1] > 0;
        if (outcome.value === "wrong") return answer[1] === 0;
        return answer[1] === 1;
      });
    };

    const detail = ([at, subject, object, answers]: PackedFacts["facts"][number]): HTMLElement => {
      const heads = ["row", "prompt in words", "five most probable answers", "rank", "log P"];
      const body = answers.flatMap((answer, i) => {
        if (row.value !== "" && Number(row.value) !== i) return [];
        const { title, seed } = rows[i];
        const head = make("th", { scope: "row" }, title);
        if (seed !== undefined) head.append(" ", make("small", {}, `seed ${seed}`));
        if (answer === null)
          return [make("tr", {}, head, make("td", { colspan: "4" }, "not asked"))];
        const [prompt, how, rank, logP, top] = answer;
        const answersOf = make("ol", {});
        for (let t = 0; t < top.length; t += 2) {
          const isObject = top[t] === object;
          const word = make(isObject ? "strong" : "span", {}, texts[top[t]]);
          answersOf.append(make("li", {}, word, " ", make("small", {}, top[t + 1].toFixed(3))));
        }
        const mark = markOf(answer);
        mark.setAttribute("aria-hidden", "true");
        head.prepend(mark, " ", make("span", { class: "unseen" }, `${words[how]}: `));
        return [
          make(
            "tr",
            {},
            head,
            make("td", {}, make("code", {}, texts[prompt])),
            make("td", {}, answersOf),
            make("td", { class: "n" }, String(rank)),
            make("td", { class: "n" }, logP.toFixed(2)),
          ),
        ];
      });
      const table = make(
        "table",
        {},
        make(
          "thead",
          {},
          make(
            "tr",
            {},
            ...heads.map((head, i) => make("th", { scope: "col", class: i > 2 ? "n" : "" }, head)),
          ),
        ),
        make("tbody", {}, ...body),
      );
      return make(
        "div",
        {
          class: "scroll",
          tabindex: "0",
          role: "region",
          "aria-label": `Answers about ${texts[subject]}, ${relations[at][1]}`,
        },
        table,
      );
    };

    const entry = (fact: PackedFacts["facts"][number]): HTMLElement => {
      const [at, subject, object, answers] = fact;
      const right = answers.filter((answer) => answer !== null && answer[1] > 0).length;
      const strip = make("span", { class: "strip", "aria-hidden": "true" }, ...answers.map(markOf));
      const summary = make(
        "summary",
        {},
        make("span", { class: "fact" }, make("b", {}, texts[subject]), " \u2192 ", texts[object]),
        " ",
        make("small", {}, relations[at].join(" ")),
        " ",
        strip,
        make("span", { class: "unseen" }, `, ${right} of ${answers.length} rows right`),
      );
      const details = make("details", {}, summary);
      details.addEventListener("toggle", () => {
        if (details.children.length === 1) details.append(detail(fact));
      });
      return make("li", {}, details);
    };

    const show = (): void => {
      const found = facts.filter(fits);
      first = Math.min(first, Math.max(0, found.length - 1));
      first -= first % PAGE;
      const shown = found.slice(first, first + PAGE);
      list.replaceChildren(...shown.map(entry));
      const range = shown.length === 0 ? "" : `, ${first + 1} to ${first + shown.length} shown`;
      status.textContent = `${found.length} of ${facts.length} facts${range}`;
      before.disabled = first === 0;
      after.disabled = first + PAGE >= found.length;
    };

    const anew = (): void => {
      first = 0;
      show();
    };
    form.addEventListener("input", anew);
    form.addEventListener("submit", (event) => event.preventDefault());
    const turn = (pages: number) => () => {
      first = Math.max(0, first + pages * PAGE);
      show();
      byId("facts").scrollIntoView();
      status.focus();
    };
    before.addEventListener("click", turn(-1));
    after.addEventListener("click", turn(1));
    show();
    form.hidden = false;
    byId("facts-pages").hidden = false;
  };

  unpack().then(browse, () => {
    byId("facts-status").textContent =
      "This browser cannot unpack the facts; they stand in facts.jsonl and facts.csv of each run.";
  });
}
