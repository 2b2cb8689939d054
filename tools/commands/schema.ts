/** Writes the JSON Schema of study files, tools/studies/schema.json: `npm run schema`, when an option has changed. */
import { fileURLToPath } from "node:url";
import { writeWhole } from "../../models/formats/files.ts";
import { studySchema } from "../../promptgen/study-schema.ts";

const path = fileURLToPath(new URL("../studies/schema.json", import.meta.url));
await writeWhole(path, `${JSON.stringify(studySchema(), null, 1)}\n`);
