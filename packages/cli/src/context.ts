// What every command gets: where to write, whom to ask.
import type { ApiClient } from "@holdfast/api";
import type { OutputFormat } from "./output/table.ts";

export interface Context {
  /** Standard output, a whole text at a time; a line break is added. */
  readonly print: (text: string) => void;
  readonly warn: (text: string) => void;
  readonly client: () => ApiClient;
  readonly format: () => OutputFormat;
  readonly nowMs: () => number;
}

export function printJson(context: Context, value: unknown): void {
  context.print(JSON.stringify(value, undefined, 2));
}
