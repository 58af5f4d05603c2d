// The command in few files: `node deploy/bundle.ts` writes packages/cli/build/: main.js, the threads'
// programs, and what they share; `node deploy/bundle.ts DIRECTORY` makes a tree of it with everything
// that it needs to run, for the image. A checkout runs its sources; a process that reads eight files
// instead of a thousand starts in a third of the processor time.
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { isBuiltin } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const TOP = fileURLToPath(new URL("../", import.meta.url));
const BUNDLE = "packages/cli/build";

/** Programs of their own: of the process and its threads, and what threads load by its place. */
const ENTRIES = [
  "packages/cli/src/main.ts",
  "packages/sync/src/worker/engine-worker.ts",
  "packages/coordinator/src/probe-thread/thread.ts",
  "packages/forwarder/src/fast-path/bpf/sign-of-life.ts",
  "packages/node/src/cluster/probe-credentials.ts",
];
/** Modules that look for files beside themselves: native code, pages. */
const LEFT_OUTSIDE = ["koffi", "@fastify/swagger-ui"];
/** What bundled modules read from beside themselves. */
const WASM = "node_modules/@automerge/automerge/dist/mjs/wasm_bindgen_output/nodejs/automerge_wasm_bg.wasm";
/** What our own code reads, at its place in the tree. */
const READ = [
  "packages/cli/package.json",
  "packages/node/package.json",
  "packages/forwarder/build/holdfast.bpf.o",
  "packages/console/build",
];

/** What CommonJS modules find in a module. */
const BANNER = `import { createRequire as holdfastRequire } from "node:module";
import { dirname as holdfastDirectory } from "node:path";
import { fileURLToPath as holdfastPath } from "node:url";
const require = holdfastRequire(import.meta.url);
const __filename = holdfastPath(import.meta.url);
const __dirname = holdfastDirectory(__filename);`;

/** Stands for what is not to be replaced again. */
const HERE = "import.meta.HERE";

/** Our own files find what lies beside their sources, and programs where they are bundled. */
const places: Plugin = {
  name: "places",
  setup({ onLoad }) {
    onLoad({ filter: /\/packages\/[a-z]+\/src\/.*\.ts$/ }, ({ path }) => {
      const place = entryAt(path) ?? relative(join(TOP, BUNDLE), path);
      const text = readFileSync(path, "utf8")
        .replace(/new URL\("([^"]+\.ts)", import\.meta\.url\)/g, (_, file: string) => {
          const program = entryAt(join(dirname(path), file));
          if (program === undefined) throw new Error(`${path} loads ${file}: name it among ENTRIES`);
          return `new URL("./${program}", ${HERE})`;
        })
        .replaceAll("import.meta.url", `new URL("./${place}", ${HERE}).href`)
        .replaceAll(HERE, "import.meta.url");
      return { contents: text, loader: "ts" };
    });
  },
};

/**
 * Node's own modules, asked for as CommonJS asks. Whoever imports one gets all of its exports read at once,
 * and some of them are whole modules that nobody wanted: behind `WebSocket` of node:http are undici's.
 */
const builtins: Plugin = {
  name: "builtins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[a-z_:/0-9]+$/ }, ({ path, kind }) =>
      kind !== "require-call" && isBuiltin(path) ? { path, namespace: "builtin" } : undefined,
    );
    onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
    }));
  },
};

const programOf = (entry: string) => `${basename(entry, ".ts")}.js`;

/** The program that a source file becomes; undefined when it becomes none. */
function entryAt(path: string): string | undefined {
  const entry = relative(TOP, path);
  return ENTRIES.includes(entry) ? programOf(entry) : undefined;
}

/**
 * Writes packages/cli/build of a tree, this one by default. Returns the file that Node runs. Daemons may
 * start and run from there meanwhile, and load more of it any time: what is the same keeps its name, and is
 * not written again; what is new is there as a whole.
 */
export async function bundle(tree = TOP): Promise<string> {
  const directory = join(tree, BUNDLE);
  mkdirSync(directory, { recursive: true });
  const { metafile, outputFiles } = await build({
    metafile: true,
    write: false,
    absWorkingDir: TOP,
    entryPoints: ENTRIES.map((entry) => join(TOP, entry)),
    outdir: directory,
    entryNames: "[name]",
    chunkNames: "shared-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22",
    external: LEFT_OUTSIDE,
    banner: { js: BANNER },
    legalComments: "none",
    logLevel: "warning",
    plugins: [places, builtins],
    // The image is built without what tsconfig.json extends.
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
  });
  const files = new Map<string, Uint8Array>(
    outputFiles.map(({ path, contents }) => [basename(path), contents]),
  );
  files.set(basename(WASM), readFileSync(join(TOP, WASM)));
  files.set("licenses.txt", Buffer.from(licensesOf(Object.keys(metafile.inputs))));
  for (const [name, contents] of files) writeWhole(join(directory, name), contents);
  for (const file of readdirSync(directory))
    if (!files.has(file) && !BESIDE.test(file)) rmSync(join(directory, file));
  return join(directory, programOf(ENTRIES[0] as string));
}

/** What somebody else is writing. */
const BESIDE = /\.\d+$/;

function writeWhole(file: string, contents: Uint8Array): void {
  if (existsSync(file) && readFileSync(file).equals(contents)) return;
  const beside = `${file}.${process.pid}`;
  writeFileSync(beside, contents);
  renameSync(beside, file);
}

/** What their licenses want said of the modules that went into it. */
function licensesOf(inputs: readonly string[]): string {
  const modules = new Set<string>();
  for (const input of inputs) {
    const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(input) ?? [];
    if (name !== undefined && !name.startsWith("@holdfast/"))
      modules.add(input.slice(0, input.indexOf(name) + name.length));
  }
  const places = [...modules].map((module) => join(TOP, module)).sort();
  return places.map(licenseOf).join("\n");
}

function licenseOf(module: string): string {
  const manifest = JSON.parse(readFileSync(join(module, "package.json"), "utf8"));
  const texts = readdirSync(module).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
  const said = texts.map((file) => readFileSync(join(module, file), "utf8")).join("\n");
  return `${manifest.name} ${manifest.version}, ${manifest.license}\n\n${said}`;
}

/** Makes a tree that runs without this one. */
async function ship(target: string): Promise<void> {
  await bundle(target);
  for (const path of READ) cpSync(join(TOP, path), join(target, path), { recursive: true });
  for (const name of closureOf(LEFT_OUTSIDE))
    cpSync(join(TOP, "node_modules", name), join(target, "node_modules", name), { recursive: true });
  // Texts for people, and headers for compilers.
  for (const part of ["doc", "vendor", "README.md", "CHANGELOG.md"])
    rmSync(join(target, "node_modules/koffi", part), { recursive: true, force: true });
}

/** The modules with all that they depend on, as far as it is installed. */
function closureOf(names: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (name: string) => {
    const manifest = join(TOP, "node_modules", name, "package.json");
    if (found.has(name) || !existsSync(manifest)) return;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(manifest, "utf8")) as {
      dependencies?: Record<string, string>;
      optionalDependencies?: Record<string, string>;
    };
    for (const wanted of [...Object.keys(dependencies), ...Object.keys(optionalDependencies)]) visit(wanted);
  };
  for (const name of names) visit(name);
  return [...found].sort();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , target] = process.argv;
  if (target === undefined) console.log(await bundle());
  else await ship(resolve(target));
}
