// The documents that are made of the source. `main.ts` writes them, documents.test.ts and `npm run check`
// compare.
import { readFileSync } from "node:fs";
import { apiText } from "./api.ts";
import { configurationText } from "./configuration.ts";
import { errorsText } from "./errors.ts";
import { metricsText } from "./metrics.ts";
import { performanceDocuments } from "./performance.ts";

export const DOCUMENTS: Readonly<Record<string, () => string | Promise<string>>> = {
  "docs/errors.md": errorsText,
  "docs/configuration.md": configurationText,
  "docs/api.md": apiText,
  "docs/metrics.md": metricsText,
  ...performanceDocuments(),
};

const root = new URL("../../", import.meta.url);

export function documentUrl(file: string): URL {
  return new URL(file, root);
}

/** true: the file says what the source says. */
export async function isCurrent(file: string): Promise<boolean> {
  const text = await DOCUMENTS[file]?.();
  try {
    return readFileSync(documentUrl(file), "utf8") === text;
  } catch {
    return false;
  }
}
