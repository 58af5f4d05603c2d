// Another revision of this repository, checked out into a temporary folder, with its npm packages and its BPF
// programs.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const HERE = fileURLToPath(new URL("../../../", import.meta.url));
const OUTPUT_LINES = 15;
const GIT_OUTPUT_BYTES_MAX = 1 << 30;

export interface OtherBuild {
  /** As it was asked for. */
  readonly revision: string;
  readonly directory: string;
  /** The address of one of its modules, by the path from the top; undefined when it has none there. */
  module(path: string): string | undefined;
  close(): void;
}

/** A revision that cannot be had or built; the message is for the operator. */
export class OtherBuildError extends Error {}

interface LockedPackage {
  readonly version?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly peer?: boolean;
  readonly link?: boolean;
}

/** Throws OtherBuildError: no such revision, no repository, a step of its build that fails. */
export function otherBuild(revision: string, repository = HERE): OtherBuild {
  const commit = commitOf(revision, repository);
  const directory = mkdtempSync(join(tmpdir(), "holdfast-build-"));
  const close = () => rmSync(directory, { recursive: true, force: true });
  try {
    const archive = execFileSync("git", ["-C", repository, "archive", "--format=tar", commit], {
      maxBuffer: GIT_OUTPUT_BYTES_MAX,
    });
    step(revision, "unpacking it", "tar", ["-x", "-C", directory], directory, archive);
    packages(revision, directory, repository);
    for (const script of ["packages/forwarder/build.sh", "packages/testkit/build.sh"]) {
      if (existsSync(join(directory, script))) step(revision, script, "bash", [script], directory);
    }
  } catch (error) {
    close();
    throw error;
  }
  return {
    revision,
    directory,
    module: (path) => {
      const file = join(directory, path);
      return existsSync(file) ? pathToFileURL(file).href : undefined;
    },
    close,
  };
}

function commitOf(revision: string, repository: string): string {
  const asked = ["-C", repository, "rev-parse", "--verify", "--quiet", "--end-of-options"];
  const { status, stdout } = spawnSync("git", [...asked, `${revision}^{commit}`]);
  if (status === 0) return stdout.toString().trim();
  throw new OtherBuildError(
    `there is no revision '${revision}' in ${repository}: name a commit, a tag or a branch of this clone; ` +
      "a shallow clone gets its history by 'git fetch --unshallow'",
  );
}

/** Ours where they are of the versions that its lock file names: only its own workspaces lie elsewhere. */
function packages(revision: string, directory: string, repository: string): void {
  const manifest = join(directory, "package.json");
  if (!existsSync(manifest)) throw new OtherBuildError(`revision '${revision}' has no package.json`);
  const ours = join(repository, "node_modules");
  if (!hasPackages(join(directory, "package-lock.json"), ours)) {
    // What only checks and tests need stays away, an own Node among it: this one runs both builds.
    const words = ["install", "--omit=dev", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"];
    step(revision, "its npm packages", "npm", words, directory);
    return;
  }
  const theirs = join(directory, "node_modules");
  mkdirSync(join(theirs, "@holdfast"), { recursive: true });
  for (const name of readdirSync(ours)) {
    if (name !== "@holdfast") symlinkSync(join(ours, name), join(theirs, name));
  }
  for (const name of readdirSync(join(directory, "packages")))
    symlinkSync(join(directory, "packages", name), join(theirs, "@holdfast", name));
}

function hasPackages(lockFile: string, ours: string): boolean {
  if (!existsSync(lockFile) || !existsSync(ours)) return false;
  const { packages } = JSON.parse(readFileSync(lockFile, "utf8")) as {
    readonly packages: Readonly<Record<string, LockedPackage>>;
  };
  return Object.entries(packages).every(([path, { version, dev, optional, peer, link }]) => {
    if (!path.startsWith("node_modules/") || dev || optional || peer || link) return true;
    const manifest = join(ours, path.slice("node_modules/".length), "package.json");
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === version;
  });
}

function step(
  revision: string,
  what: string,
  program: string,
  words: readonly string[],
  cwd: string,
  input?: Buffer,
): void {
  const { status, stdout, stderr, error } = spawnSync(program, words, { cwd, ...(input && { input }) });
  if (status === 0) return;
  const output = error === undefined ? `${stdout}${stderr}`.trim() : error.message;
  const end = output.split("\n").slice(-OUTPUT_LINES).join("\n");
  throw new OtherBuildError(`revision '${revision}' cannot be built: ${what} failed:\n${end}`);
}
