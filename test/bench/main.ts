// `npm run bench -- NAME [--json] [options]`: runs ./NAME.ts, whose `run` measures and prints.
import { existsSync, readdirSync } from "node:fs";

const [name, ...args] = process.argv.slice(2);
const here = new URL("./", import.meta.url);
const names = readdirSync(here)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts" && !file.endsWith(".test.ts"))
  .map((file) => file.slice(0, -3))
  .sort();

if (name === undefined || !/^[a-z-]+$/.test(name) || !existsSync(new URL(`${name}.ts`, here))) {
  console.error(`usage: npm run bench -- ${names.join("|")} [--json]`);
  process.exit(2);
}

interface Bench {
  run(options: { readonly json: boolean; readonly args: string[] }): Promise<void>;
}

const bench = (await import(new URL(`${name}.ts`, here).href)) as Bench;
await bench.run({ json: args.includes("--json"), args: args.filter((arg) => arg !== "--json") });
process.exit(0);
