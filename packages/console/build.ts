// Builds the page: `node packages/console/build.ts [--if-needed]` writes build/: console.js, console.css, index.html,
// icon.svg, and the hash of what they were made of.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const TOP = fileURLToPath(new URL("./", import.meta.url));
const OUT = join(TOP, "build");
const STAMP = join(OUT, "sources.sha256");

/** Of what the page looks like: its own sources. */
export function pageHash(): string {
  return hashOf(["src/**/*.{ts,tsx,css,html,svg}"]);
}

/** Of everything that it is made of. */
function sourcesHash(): string {
  return hashOf(["src/**/*.{ts,tsx,css,html,svg}", "../api/src/**/*.ts", "build.ts", "package.json"]);
}

function hashOf(files: string[]): string {
  const hash = createHash("sha256");
  for (const file of globSync(files, { cwd: TOP }).sort())
    if (!file.endsWith(".test.ts"))
      hash
        .update(file)
        .update("\0")
        .update(readFileSync(join(TOP, file)));
  return hash.digest("hex");
}

/** Writes the page, unless it stands there already. */
export async function buildConsole(): Promise<string> {
  const hash = sourcesHash();
  if (existsSync(STAMP) && readFileSync(STAMP, "utf8") === hash) return OUT;
  mkdirSync(OUT, { recursive: true });
  await build({
    entryPoints: { console: join(TOP, "src/main.tsx") },
    outdir: OUT,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022", "chrome109", "firefox115", "safari16.4"],
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "warning",
    legalComments: "none",
    // The image is built without what tsconfig.json extends; everything that matters stands here.
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  });
  for (const file of ["index.html", "icon.svg"]) copyFileSync(join(TOP, "src", file), join(OUT, file));
  writeFileSync(STAMP, hash);
  return OUT;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await buildConsole());
