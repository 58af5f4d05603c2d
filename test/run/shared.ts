// What labs of a run share, whichever process makes them.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BUNDLE = fileURLToPath(new URL("../../deploy/bundle.ts", import.meta.url));

/**
 * Labs run the command as it is shipped, a bundle: it starts in a third of the processor time of the sources.
 * Labs of the same members have the same certificates.
 */
export function shareLabs(): void {
  const command = ["--disable-warning=ExperimentalWarning", BUNDLE];
  process.env["LAB_PROGRAM"] ??= execFileSync(process.execPath, command, {
    encoding: "utf8",
  }).trim();
  if (process.env["LAB_CERTIFICATES"] === undefined) {
    const directory = mkdtempSync(join(tmpdir(), "holdfast-certificates-"));
    process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
    process.env["LAB_CERTIFICATES"] = directory;
  }
}
