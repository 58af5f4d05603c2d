// An authority and certificates for the members of a lab, made by the product's own command. Labs do not
// meet: all that have the same members get copies of the same.
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runSync } from "../lab/shell.ts";
import { HOLDFAST_PROGRAM } from "./program.ts";

/** Whoever runs many test files, each a process of its own, names a directory for what they share. */
const SHARED = "LAB_CERTIFICATES";

let own: string | undefined;

/** This process's, when nobody named one. */
function ownDirectory(): string {
  if (own !== undefined) return own;
  const made = mkdtempSync(join(tmpdir(), "holdfast-certificates-"));
  process.once("exit", () => rmSync(made, { recursive: true, force: true }));
  own = made;
  return made;
}

/**
 * Fills `directory`: authority.crt, authority.key, members.json and cluster.secret, and NAME.crt and
 * NAME.key of each member; its number is its place among the names. The cluster is called "lab".
 */
export function makeCertificates(directory: string, names: readonly string[]): void {
  const shared = process.env[SHARED] ?? ownDirectory();
  const kept = join(shared, names.join("+"));
  if (!existsSync(kept)) {
    mkdirSync(shared, { recursive: true });
    const made = mkdtempSync(join(shared, "new-"));
    issueAll(made, names);
    try {
      renameSync(made, kept);
    } catch (error) {
      // Another process was faster.
      if (!existsSync(kept)) throw error;
      rmSync(made, { recursive: true });
    }
  }
  cpSync(kept, directory, { recursive: true });
}

function issueAll(directory: string, names: readonly string[]): void {
  const holdfast = (...words: string[]) =>
    runSync(process.execPath, [
      "--disable-warning=ExperimentalWarning",
      HOLDFAST_PROGRAM,
      "certificates",
      ...words,
    ]);
  holdfast("init", "--cluster", "lab", "--directory", directory);
  for (const [number, name] of names.entries())
    holdfast("issue", name, "--number", String(number), "--directory", directory);
}
