// npm run check: types, lint and format, package arrows, C and TypeScript layouts, generated documents, what
// merges leave. Everything is tried, also after a failure; the exit code says whether all was well.
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { DOCUMENTS, isCurrent } from "../documents/documents.ts";
import { checkArrows } from "./arrows.ts";
import { checkTidy } from "./tidy.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

/** Runs a program of node_modules; what it prints when it fails. */
async function program(name: string, args: readonly string[]): Promise<string[]> {
  try {
    await run(`${root}node_modules/.bin/${name}`, args, { cwd: root, maxBuffer: 64 * 1024 * 1024 });
    return [];
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { stdout?: string; stderr?: string };
    return [`${stdout}${stderr}`.trim() || String(error)];
  }
}

/** The TypeScript side of the BPF layouts is what the compiled object's types say. */
async function layouts(): Promise<string[]> {
  const object = `${root}packages/forwarder/build/holdfast.bpf.o`;
  const generated = `${root}packages/forwarder/src/fast-path/bpf/abi.ts`;
  if (!existsSync(object)) return [`${object} is not built: run 'npm run setup'`];
  const { abiText } = (await import("../../packages/forwarder/src/fast-path/bpf/abi/generate.ts")) as {
    abiText: (object: Buffer) => string;
  };
  return withoutLayout(abiText(readFileSync(object))) === withoutLayout(readFileSync(generated, "utf8"))
    ? []
    : [
        "bpf/abi.ts differs from the object's types: run 'node packages/forwarder/src/fast-path/bpf/abi/generate.ts'",
      ];
}

/** The formatter may break lines elsewhere. */
function withoutLayout(text: string): string {
  return text.replace(/\s+/g, "").replaceAll(",}", "}");
}

async function documents(): Promise<string[]> {
  const files = Object.keys(DOCUMENTS);
  const current = await Promise.all(files.map(isCurrent));
  return files
    .filter((_, index) => current[index] !== true)
    .map((file) => `${file} is old: run 'node test/documents/main.ts'`);
}

/** What a merge has left, in any file of the repository. */
async function conflicts(): Promise<string[]> {
  const args = ["grep", "--no-index", "--exclude-standard", "-nIE", "^(<{7}|>{7}) ", "--", "."];
  const found = await run("git", args, { cwd: root }).catch((error: { code?: number; stdout?: string }) => {
    // Nothing is found.
    if (error.code === 1 && error.stdout === "") return { stdout: "" };
    throw error;
  });
  return found.stdout.split("\n").filter((line) => line !== "");
}

const checks: readonly (readonly [name: string, check: () => Promise<string[]>])[] = [
  ["types", () => program("tsc", [])],
  ["types of the console", () => program("tsc", ["-p", "packages/console"])],
  ["lint and format", () => program("biome", ["check", "--error-on-warnings", "--max-diagnostics=50"])],
  ["package arrows", async () => checkArrows(root)],
  ["tidy", () => checkTidy(root)],
  ["layouts of C and TypeScript", layouts],
  ["generated documents", documents],
  ["no conflicts of merges", conflicts],
];

const results = await Promise.all(
  checks.map(async ([name, check]) => {
    const startedAt = performance.now();
    const findings = await check().catch((error: unknown) => [String(error)]);
    return { name, findings, seconds: (performance.now() - startedAt) / 1000 };
  }),
);
let failed = 0;
for (const { name, findings, seconds } of results) {
  console.log(`${findings.length === 0 ? "ok    " : "FAILED"}  ${name} (${seconds.toFixed(1)} s)`);
  for (const finding of findings) console.log(finding.replace(/^/gm, "    "));
  failed += findings.length === 0 ? 0 : 1;
}
process.exitCode = failed === 0 ? 0 : 1;
