/** placeholder */
import { Client } from "./client.ts";
const worker = new Worker(new URL("./worker/main.ts", import.meta.url), { type: "module", name: "promptgen" });
const client = new Client(worker);
Object.assign(globalThis, { client });
client.listen((e) => console.log(JSON.stringify(e).slice(0, 300)));
