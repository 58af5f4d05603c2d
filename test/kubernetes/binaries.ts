// kube-apiserver and etcd for the long stage. From $KUBEBUILDER_ASSETS when they are there, else built from their Go modules,
// once, and kept by version below $HOLDFAST_CACHE (~/.cache/holdfast): a cold build takes ten minutes of processor time.
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export const KUBERNETES_VERSION = "1.36.3";
const ETCD_VERSION = "3.6.16";
const BUILD_LIMIT_MS = 3_600_000;

export interface Binaries {
  readonly apiServer: string;
  readonly etcd: string;
  /** Where they came from, and how long it took. */
  readonly how: string;
}

export async function kubernetesBinaries(): Promise<Binaries> {
  const startedAtMs = performance.now();
  const cache = cacheDirectory();
  for (const directory of [process.env["KUBEBUILDER_ASSETS"], cache]) {
    if (directory === undefined) continue;
    const [apiServer, etcd] = [join(directory, "kube-apiserver"), join(directory, "etcd")];
    if (existsSync(apiServer) && existsSync(etcd)) return { apiServer, etcd, how: `found in ${directory}` };
  }
  mkdirSync(cache, { recursive: true });
  await build(cache, "etcd", `go.etcd.io/etcd/server/v3@v${ETCD_VERSION}`, "go.etcd.io/etcd/server/v3", "");
  await build(
    cache,
    "kube-apiserver",
    `k8s.io/kubernetes@v${KUBERNETES_VERSION}`,
    "k8s.io/kubernetes/cmd/kube-apiserver",
    `-X k8s.io/component-base/version.gitVersion=v${KUBERNETES_VERSION}`,
  );
  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(0);
  return {
    apiServer: join(cache, "kube-apiserver"),
    etcd: join(cache, "etcd"),
    how: `built in ${seconds} s, kept in ${cache}`,
  };
}

/** kube-proxy, where the API server comes from. */
export async function kubeProxyBinary(): Promise<string> {
  const cache = cacheDirectory();
  for (const directory of [process.env["KUBEBUILDER_ASSETS"], cache]) {
    const file = join(directory ?? cache, "kube-proxy");
    if (existsSync(file)) return file;
  }
  mkdirSync(cache, { recursive: true });
  await build(
    cache,
    "kube-proxy",
    `k8s.io/kubernetes@v${KUBERNETES_VERSION}`,
    "k8s.io/kubernetes/cmd/kube-proxy",
    `-X k8s.io/component-base/version.gitVersion=v${KUBERNETES_VERSION}`,
  );
  return join(cache, "kube-proxy");
}

function cacheDirectory(): string {
  const top = process.env["HOLDFAST_CACHE"] ?? join(homedir(), ".cache/holdfast");
  return join(top, "kubernetes", KUBERNETES_VERSION);
}

/** A module of our own that requires theirs: what they replace by a path (`./staging/…`) is replaced by its version. */
async function build(
  cache: string,
  name: string,
  module: string,
  main: string,
  flags: string,
): Promise<void> {
  const target = join(cache, name);
  if (existsSync(target)) return;
  const work = mkdtempSync(join(cache, `${name}-`));
  const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=mod" };
  const go = (args: readonly string[]) =>
    run("go", args, { cwd: work, env, timeout: BUILD_LIMIT_MS, maxBuffer: 64 * 1024 * 1024 });
  try {
    const [path = "", version = ""] = module.split("@");
    writeFileSync(join(work, "go.mod"), "module holdfast.io/programs-for-tests\n\ngo 1.26\n");
    const { GoMod } = JSON.parse((await go(["mod", "download", "-json", module])).stdout) as {
      GoMod: string;
    };
    const staged = version.replace("v1.", "v0.");
    const replaces = [...readFileSync(GoMod, "utf8").matchAll(/^\s*(\S+) => \.\/staging\S*/gm)].map(
      ([, staging]) => `-replace=${staging}=${staging}@${staged}`,
    );
    await go(["mod", "edit", `-require=${path}@${version}`, ...replaces]);
    const made = join(work, name);
    await go(["build", "-trimpath", "-ldflags", `-s -w ${flags}`, "-o", made, main]);
    // Two runs at once make the same file.
    renameSync(made, target);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
