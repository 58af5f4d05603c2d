// The configuration parser: any text is a configuration or a coded error.

import { readFileSync } from "node:fs";
import type { Random } from "@holdfast/model";
import { HoldfastError } from "@holdfast/model";
import { parseConfiguration } from "@holdfast/node/testing";
import { mutate } from "../mutate.ts";
import { Target } from "../target.ts";

const EXAMPLES = [
  "deploy/examples/cluster.yaml",
  "deploy/examples/single.yaml",
  "deploy/docker/holdfast.yaml",
];
const TOKENS = [
  "{",
  "}",
  "[",
  "]",
  ":",
  "- ",
  "&a ",
  "*a",
  "<<: ",
  "!!js ",
  "|\n",
  "null",
  "1e999",
  "-1",
  "'",
  '"',
  "\t",
  "# ",
  "---\n",
  "__proto__: 1\n",
  "~",
  "0x10",
  ".nan",
  "2001:db8::/200",
] as const;

export class ConfigurationTarget extends Target {
  override readonly name = "configuration";
  readonly #examples = EXAMPLES.map((file) => readFileSync(new URL(`../../../${file}`, import.meta.url)));
  #accepted = 0;
  #refused = 0;

  override once(random: Random): void {
    const example = this.#examples[random.below(this.#examples.length)] as Buffer;
    let text = Buffer.from(example).toString();
    if (random.below(2) === 0) {
      const lines = text.split("\n");
      for (let i = random.below(4); i >= 0; i--) {
        const at = random.below(lines.length);
        const line = lines[at] ?? "";
        const column = random.below(line.length + 1);
        const token = TOKENS[random.below(TOKENS.length)] as string;
        const kind = random.below(4);
        if (kind === 0) lines.splice(at, 1);
        else if (kind === 1) lines.splice(at, 0, lines[random.below(lines.length)] ?? "");
        else lines[at] = line.slice(0, column) + token + (random.below(2) === 0 ? line.slice(column) : "");
      }
      text = lines.join("\n");
    } else {
      text = Buffer.from(mutate(random, Buffer.from(text), example)).toString("utf8");
    }
    this.last = Buffer.from(text);
    try {
      parseConfiguration(text, "fuzz.yaml");
      this.#accepted++;
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      this.#refused++;
    }
  }

  override figures() {
    return { accepted: this.#accepted, refused: this.#refused };
  }
}
