// `holdfast`: see program.ts for the commands, exit.ts for the exit codes.
import { holdHangUps } from "@holdfast/node/hang-ups";
import { keepCompiled } from "./compile-cache.ts";

if (process.argv.includes("run")) holdHangUps();
keepCompiled();
// What is imported before the cache is on would be compiled at every start.
const { main } = await import("./program.ts");
process.exitCode = await main(process.argv.slice(2));
