// Which package may import which: the architecture's table, held by reading every import. An import of an npm
// package must stand in the importing package's own package.json.
import { globSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, relative, resolve } from "node:path";

/** docs/architecture.md, Packages. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  sctp: [],
  model: [],
  forwarder: ["sctp", "model"],
  sync: ["model"],
  coordinator: ["model"],
  announcer: ["model"],
  api: [],
  node: ["sctp", "model", "forwarder", "sync", "coordinator", "announcer", "api"],
  kubernetes: ["api"],
  cli: ["api"],
  console: ["api"],
  testkit: ["sctp", "model"],
};

/** The files of the command that are the node itself (docs/decisions/0080), and the controller. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  "packages/cli/src/commands/node.ts": ["node"],
  // What prepares a host, and nothing of the data plane.
  "packages/cli/src/commands/agent.ts": ["node"],
  "packages/cli/src/main.ts": ["node"],
  "packages/cli/src/commands/controller.ts": ["kubernetes", "node"],
};

/** Packages that a browser loads: nothing in them, tests apart, may need Node. */
const FOR_BROWSERS = ["api", "console"];
/** What of them needs Node all the same; nothing of theirs may import it. */
const NEEDS_NODE = ["packages/api/src/node.ts", "@holdfast/api/node"];

/** It reads what the package generates for itself. */
const MAY_REACH_IN = ["test/check/main.ts"];

/** Tests, and what only tests import, may use these; what they test may not. */
const TESTS_MAY_IMPORT = ["testkit"];
const TEST_FILE =
  /\.(test|property\.test|lab\.test|long\.test)\.ts$|\/testing\/|\/compliance|\/arbitrary\.ts$/;
const TEST_PACKAGES = ["fast-check"];

const IMPORT =
  /(?:^|[\s;}])(?:import|export)\s(?:[^"';]*?\sfrom\s)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;

export function importsOf(text: string): string[] {
  const plain = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  return [...plain.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? "");
}

/** Tests that span packages see what these export, "./testing" included: a package's folders are its own. */
function testsArrows(root: string): string[] {
  const wrong: string[] = [];
  for (const file of globSync("test/**/*.ts", { cwd: root }).sort()) {
    if (MAY_REACH_IN.includes(file)) continue;
    for (const specifier of importsOf(readFileSync(resolve(root, file), "utf8")))
      if (
        specifier.startsWith(".") &&
        relative(root, resolve(root, dirname(file), specifier)).startsWith("packages/")
      )
        wrong.push(`${file}: '${specifier}' reaches into a package: export it for './testing'`);
  }
  return wrong;
}

/** What is wrong, one line each; empty when all is well. `root`: of the repository. */
export function checkArrows(root: string): string[] {
  const wrong: string[] = testsArrows(root);
  for (const file of globSync("packages/*/src/**/*.{ts,tsx}", { cwd: root }).sort()) {
    const owner = file.split("/")[1] ?? "";
    const manifest = JSON.parse(readFileSync(resolve(root, "packages", owner, "package.json"), "utf8")) as {
      dependencies?: Record<string, string>;
      devDependencies?: Record<string, string>;
      peerDependencies?: Record<string, string>;
    };
    const declared = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.peerDependencies };
    const isTest = TEST_FILE.test(file);
    const allowed = [
      ...(MAY_IMPORT[owner] ?? []),
      ...(EXCEPTIONS[file] ?? []),
      ...(isTest ? TESTS_MAY_IMPORT : []),
    ];
    for (const specifier of importsOf(readFileSync(resolve(root, file), "utf8"))) {
      const loadedByBrowsers = FOR_BROWSERS.includes(owner) && !isTest && !NEEDS_NODE.includes(file);
      if (specifier.startsWith("node:")) {
        if (loadedByBrowsers) wrong.push(`${file}: a browser has no '${specifier}'`);
        continue;
      }
      const target = specifier.startsWith(".")
        ? relative(root, resolve(root, dirname(file), specifier))
        : specifier;
      if (loadedByBrowsers && NEEDS_NODE.includes(target))
        wrong.push(`${file}: '${specifier}' is not for browsers`);
      if (specifier.startsWith(".")) {
        if (!target.startsWith(`packages/${owner}/`))
          wrong.push(`${file}: '${specifier}' reaches out of its package`);
        continue;
      }
      const ours = /^@holdfast\/([a-z]+)/.exec(specifier)?.[1];
      if (ours !== undefined) {
        if (ours === owner) wrong.push(`${file}: imports its own package by name`);
        else if (!allowed.includes(ours)) wrong.push(`${file}: ${owner} may not import ${ours}`);
        continue;
      }
      const name = specifier.startsWith("@")
        ? specifier.split("/").slice(0, 2).join("/")
        : (specifier.split("/")[0] ?? "");
      if (builtinModules.includes(name)) wrong.push(`${file}: write 'node:${name}'`);
      else if (declared[name] === undefined && !(isTest && TEST_PACKAGES.includes(name)))
        wrong.push(`${file}: '${name}' is not in packages/${owner}/package.json`);
    }
  }
  return wrong;
}
