// Writes the documents that are made of the source: `node test/documents/main.ts`.
import { writeFileSync } from "node:fs";
import { DOCUMENTS, documentUrl } from "./documents.ts";

for (const [file, text] of Object.entries(DOCUMENTS)) {
  writeFileSync(documentUrl(file), await text());
  console.log(`wrote ${file}`);
}
