// Many short test files in this one process: what they all load is loaded once. Tells its parent what came of
// it.
import { run } from "node:test";
import { collected } from "./file.ts";

const files = process.argv.slice(2);
process.send?.(await collected(run({ files, isolation: "none" }), "the batch"));
