import { readFileSync } from "node:fs";

/** Version of Holdfast, as in the packages. */
export const HOLDFAST_VERSION: string = (
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }
).version;
