// The releases of docs/releases.md, and the build of one of them from git's history.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type OtherBuild, OtherBuildError, otherBuild } from "../bench/baseline/other-build.ts";

const REPOSITORY = fileURLToPath(new URL("../../", import.meta.url));
/** A row of the table whose release has a commit; the newest commit cannot name itself. */
const ROW = /^\|\s*(\d+\.\d+\.\d+)\s*\|\s*`([0-9a-f]{40})`\s*\|/gm;

export interface Release {
  readonly name: string;
  readonly commit: string;
}

/** In the order of the table. */
export function releasesOf(text: string): Release[] {
  return [...text.matchAll(ROW)].map(([, name = "", commit = ""]) => ({ name, commit }));
}

/** Those of docs/releases.md that have a commit, at least one. */
export function releases(): Release[] {
  const all = releasesOf(readFileSync(`${REPOSITORY}docs/releases.md`, "utf8"));
  if (all.length === 0) throw new Error("docs/releases.md names no release with a commit");
  return all;
}

/** Throws, with what to do, where the clone has no such commit. */
export function buildOf({ name, commit }: Release, repository = REPOSITORY): OtherBuild {
  try {
    return otherBuild(commit, repository);
  } catch (error) {
    if (!(error instanceof OtherBuildError)) throw error;
    throw new Error(`release ${name} of docs/releases.md cannot be built: ${error.message}`, {
      cause: error,
    });
  }
}
