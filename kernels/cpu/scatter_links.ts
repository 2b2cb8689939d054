// For each r of `rows` ids: links[r] = the next row with the same id (rows if there is none), and
// heads[r] = 1 where the id occurs for the first time. The rows of one id are thus a list in rising
// order, and no sort is needed.
// One pass over the rows, with a hash table in scratch that finds the last row with an id so far.
// Ids are shared out among the tasks by their hash, so that each table stays small; a task that gets
// more different ids than its table holds looks for the others one by one.
// Numerics: integers only.
const GRAIN: u32 = 65536; // rows a task
const SLOTS: u32 = 262144; // 1 MiB

@unmanaged export class ScatterLinks {
  rows: u32;
  ids: usize;
  links: usize;
  heads: usize;
}

export function scatter_links_tasks(p: ScatterLinks): u32 {
  return (p.rows + GRAIN - 1) / GRAIN;
}

export function scatter_links(p: ScatterLinks, task: u32, scratch: usize): void {
  const rows = p.rows;
  const ids = p.ids;
  const links = p.links;
  const heads = p.heads;
  const tasks = scatter_links_tasks(p);
  let slots: u32 = 64;
  while (slots < SLOTS && slots < 2 * rows) slots <<= 1;
  const shift = clz(slots) + 1; // a hash's highest bits are its slot
  let free = slots - (slots >> 2);
  memory.fill(scratch, 0, slots << 2); // a slot holds a row + 1
  for (let r: u32 = 0; r < rows; r++) {
    const at = r << 2;
    const id = load<u32>(ids + at);
    const hash = mix(id);
    if (tasks > 1 && (hash & 0xffff) % tasks != task) continue;
    store<u32>(links + at, rows);
    let slot = hash >> shift;
    let last: u32 = 0;
    while ((last = load<u32>(scratch + (slot << 2))) != 0) {
      if (load<u32>(ids + ((last - 1) << 2)) == id) break;
      slot = (slot + 1) & (slots - 1);
    }
    if (last != 0 || free > 0) {
      if (last == 0) free--;
      store<u32>(scratch + (slot << 2), r + 1);
    } else {
      last = r;
      while (last > 0 && load<u32>(ids + ((last - 1) << 2)) != id) last--;
    }
    store<u32>(heads + at, last == 0 ? 1 : 0);
    if (last != 0) store<u32>(links + ((last - 1) << 2), r);
  }
}

// Spreads neighbouring ids: every bit of the id reaches the high and the low ones.
@inline function mix(id: u32): u32 {
  let h = id * 0x9e3779b1;
  h ^= h >> 15;
  h *= 0x85ebca77;
  return h ^ (h >> 13);
}
