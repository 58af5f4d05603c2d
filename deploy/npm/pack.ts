// Makes the npm package `holdfast`: all workspaces that the daemon and its command need in one package of
// plain JavaScript, since Node strips types only outside node_modules. Prints the file's name. Beside it, and
// in it, stands the list of everything that it is built of and tested with (CycloneDX): NAME.cdx.json.
//
//   npm run pack [-- DIRECTORY]      DIRECTORY: where the .tgz goes; build/ by default
import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildConsole } from "../../packages/console/build.ts";

const TOP = fileURLToPath(new URL("../..", import.meta.url));
/** testkit is for development. */
const PACKAGES = [
  "sctp",
  "model",
  "forwarder",
  "sync",
  "coordinator",
  "announcer",
  "api",
  "kubernetes",
  "node",
  "cli",
];
const LEFT_OUT = /(\.test\.ts|\.property\.test\.ts|compliance(\.ts|\/)|\/testing\/)/;

interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string>>;
}

const manifests = new Map(
  PACKAGES.map((name) => [
    name,
    JSON.parse(readFileSync(join(TOP, "packages", name, "package.json"), "utf8")) as Manifest,
  ]),
);

/** The source file that `@holdfast/NAME[/SUBPATH]` means. */
function sourceOf(specifier: string): string {
  const [, name = "", ...rest] = specifier.split("/");
  const subpath = rest.length === 0 ? "." : `./${rest.join("/")}`;
  const exported = manifests.get(name)?.exports ?? {};
  for (const [key, target] of Object.entries(exported)) {
    const [before = "", after] = key.split("*");
    if (key === subpath) return join("packages", name, target);
    if (after !== undefined && subpath.startsWith(before) && subpath.endsWith(after))
      return join(
        "packages",
        name,
        target.replace("*", subpath.slice(before.length, subpath.length - after.length)),
      );
  }
  throw new Error(`no package exports ${specifier}`);
}

/** JavaScript with imports that work inside the one package. `file` is relative to the top. */
function translate(file: string): string {
  return stripTypeScriptTypes(readFileSync(join(TOP, file), "utf8"))
    .replace(/"(@holdfast\/[^"]+)"/g, (_, specifier: string) => {
      const path = relative(dirname(file), sourceOf(specifier));
      return `"${path.startsWith(".") ? path : `./${path}`}"`;
    })
    .replace(/("\.{1,2}\/[^"\n]*)\.ts"/g, '$1.js"');
}

/** What package-lock.json says of the packages that run, without those that build and test. */
function softwareBill(version: string): string {
  const words = ["sbom", "--sbom-format=cyclonedx", "--package-lock-only", "--omit=dev"];
  const bill = JSON.parse(
    execFileSync("npm", [...words, "--workspace=@holdfast/cli", "--workspace=@holdfast/node"], {
      cwd: TOP,
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024,
    }),
  );
  // npm names it after the directory.
  Object.assign(bill.metadata.component, { name: "holdfast", version, purl: `pkg:npm/holdfast@${version}` });
  return `${JSON.stringify(bill, undefined, 2)}\n`;
}

const target = resolve(process.argv[2] ?? join(TOP, "build"));
const work = mkdtempSync(join(tmpdir(), "holdfast-pack-"));
try {
  for (const name of PACKAGES) {
    for (const file of globSync(`packages/${name}/src/**/*.ts`, { cwd: TOP }).filter(
      (f) => !LEFT_OUT.test(f),
    )) {
      const out = join(work, file.replace(/\.ts$/, ".js"));
      mkdirSync(dirname(out), { recursive: true });
      writeFileSync(out, translate(file));
    }
    cpSync(join(TOP, "packages", name, "package.json"), join(work, "packages", name, "package.json"));
  }
  mkdirSync(join(work, "packages/forwarder/build"), { recursive: true });
  cpSync(
    join(TOP, "packages/forwarder/build/holdfast.bpf.o"),
    join(work, "packages/forwarder/build/holdfast.bpf.o"),
  );
  cpSync(await buildConsole(), join(work, "packages/console/build"), { recursive: true });
  mkdirSync(join(work, "bin"));
  writeFileSync(
    join(work, "bin/holdfast.js"),
    '#!/usr/bin/env node\nimport "../packages/cli/src/main.js";\n',
    { mode: 0o755 },
  );
  for (const file of ["README.md", "LICENSE"]) cpSync(join(TOP, file), join(work, file));
  cpSync(join(TOP, "deploy/systemd"), join(work, "deploy/systemd"), { recursive: true });
  const dependencies: Record<string, string> = {};
  for (const { dependencies: wanted } of manifests.values())
    for (const [name, range] of Object.entries(wanted ?? {}))
      if (!name.startsWith("@holdfast/")) dependencies[name] = range;
  const { version, license } = manifests.get("cli") as Manifest;
  writeFileSync(
    join(work, "package.json"),
    JSON.stringify(
      {
        name: "holdfast",
        version,
        license,
        description: "A load balancer for SCTP that does not lose an association when one of its nodes dies",
        type: "module",
        bin: { holdfast: "bin/holdfast.js" },
        engines: { node: ">=22.18" },
        os: ["linux"],
        dependencies,
      },
      undefined,
      2,
    ),
  );
  const bill = softwareBill(version);
  writeFileSync(join(work, "sbom.cdx.json"), bill);
  mkdirSync(target, { recursive: true });
  const file = execFileSync("npm", ["pack", "--silent", "--pack-destination", target], {
    cwd: work,
    encoding: "utf8",
  }).trim();
  const packed = join(target, file.split("\n").at(-1) ?? "");
  writeFileSync(packed.replace(/\.tgz$/, ".cdx.json"), bill);
  console.log(packed);
} finally {
  rmSync(work, { recursive: true, force: true });
}
