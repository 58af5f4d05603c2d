// The command that labs run.
import { fileURLToPath } from "node:url";

/**
 * The command's main file: the sources', unless somebody names another one. A run of the tests does, since
 * what is shipped is a bundle, and starts in a third of the processor time.
 */
export const HOLDFAST_PROGRAM =
  process.env["LAB_PROGRAM"] ?? fileURLToPath(new URL("../../../cli/src/main.ts", import.meta.url));
