// `holdfast`: see program.ts for the commands, exit.ts for the exit codes.
import { main } from "./program.ts";

process.exitCode = await main(process.argv.slice(2));
