// Many Services and a controller in a process of its own, as it runs in a pod: how long a start takes,
// and what memory.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  ENDPOINT_SLICES,
  type EndpointSlice,
  type KubernetesObject,
  type KubernetesService,
  type Resource,
  SERVICES,
  TestApiServer,
  VIP_POOLS,
} from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { parseAllDocuments } from "yaml";
import { CLASS, NAMESPACE, pod, RESOURCES, startMembers } from "./world.ts";

const PROGRAM = fileURLToPath(new URL("../../packages/cli/bin/holdfast.js", import.meta.url));
const BASE = fileURLToPath(new URL("../../deploy/kubernetes/base/controller.yaml", import.meta.url));
const LIMIT_MS = 300_000;
const ENDPOINTS_EACH = 2;

export interface StartFigures {
  /** From the start of the process until every Service had been looked at. */
  readonly inStepMs: number;
  /** Of its main thread: with a processor, and waiting for one. */
  readonly processorMs: number;
  readonly waitedMs: number;
  /** Resident, when it had nothing left to do. */
  readonly rssMib: number;
  /** What V8 had in use of it then, garbage included. */
  readonly heapMib: number;
  /** Services created, replaced and removed at the members. */
  readonly changes: number;
  /** Writes at the API server, events not among them. */
  readonly writes: number;
}

/**
 * A first start, which makes all of them; one that writes down who owns the new VIPs, if the first did
 * not live to see it; and another one, which finds all done.
 */
export async function startsWith(
  count: number,
): Promise<{ readonly first: StartFigures; readonly again: StartFigures }> {
  const server = await TestApiServer.start(RESOURCES);
  const members = await startMembers(1);
  const directory = mkdtempSync(join(tmpdir(), "holdfast-controller-"));
  try {
    fill(server, count);
    const kubeconfig = join(directory, "kubeconfig");
    const cluster = { name: "test", cluster: { server: server.url } };
    const context = { name: "test", context: { cluster: "test", user: "test" } };
    writeFileSync(
      kubeconfig,
      JSON.stringify({ "current-context": "test", clusters: [cluster], contexts: [context], users: [] }),
    );
    const start = () => measured(server, count, kubeconfig, members[0]?.url as string);
    const first = await start();
    await start();
    return { first, again: await start() };
  } finally {
    await Promise.all(members.map((member) => member.stop()));
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

function fill({ store }: TestApiServer, count: number): void {
  const make = (resource: Resource, object: KubernetesObject) =>
    store.create(resource, resource.isNamespaced ? NAMESPACE : undefined, object);
  const pool = (name: string, range: string, more: object) =>
    make(VIP_POOLS, { metadata: { name }, spec: { ranges: [range], ...more } } as KubernetesObject);
  pool("big", "10.64.0.0/16", { default: true });
  pool("other", "10.65.0.0/16", {});
  const ports = [{ name: "n2", port: 38412, protocol: "SCTP" as const }];
  for (let index = 0; index < count; index++) {
    const name = `s${index}`;
    make(SERVICES, {
      metadata: { namespace: NAMESPACE, name, annotations: { "holdfast.io/secondary-pools": "other" } },
      spec: { type: "LoadBalancer", loadBalancerClass: CLASS, ports },
    } as KubernetesService);
    const endpoints = Array.from({ length: ENDPOINTS_EACH }, (_, each) =>
      pod(`10.${80 + each}.${index >> 8}.${index & 255}`),
    );
    make(ENDPOINT_SLICES, {
      metadata: {
        namespace: NAMESPACE,
        name: `${name}-four`,
        labels: { "kubernetes.io/service-name": name },
      },
      addressType: "IPv4",
      ports,
      endpoints,
    } as EndpointSlice);
  }
}

async function measured(
  server: TestApiServer,
  count: number,
  kubeconfig: string,
  member: string,
): Promise<StartFigures> {
  const port = await freePort();
  const writesBefore = writesOf(server);
  const startedAtMs = performance.now();
  const args = ["controller", "--kubeconfig", kubeconfig, "--member", member];
  const child = spawn(process.execPath, [PROGRAM, ...args, "--listen", `127.0.0.1:${port}`], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...podEnvironment(), NODE_COMPILE_CACHE: join(kubeconfig, "..", "compiled") },
  });
  let log = "";
  let inStepMs: number | undefined;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log += text;
    if (inStepMs === undefined && log.includes("every Service was looked at"))
      inStepMs = performance.now() - startedAtMs;
  });
  try {
    await until(
      "every Service to be looked at",
      () => {
        if (child.exitCode !== null) throw new Error(`the controller has ended:\n${log}`);
        return inStepMs !== undefined;
      },
      LIMIT_MS,
    );
    await until(
      "nothing to be left",
      async () => {
        const metrics = await metricsOf(port);
        const isAll = metrics.get("holdfast_controller_services") === count;
        return isAll && metrics.get("holdfast_controller_queue_size") === 0;
      },
      LIMIT_MS,
    );
    const metrics = await metricsOf(port);
    const change = (verb: string) =>
      metrics.get(`holdfast_controller_member_changes{verb="${verb}"}`) ?? Number.NaN;
    return {
      inStepMs: Math.round(inStepMs as number),
      ...processorOf(child.pid as number),
      rssMib: rssMibOf(child.pid as number),
      heapMib: Math.round((metrics.get("nodejs_heap_size_used_bytes") ?? 0) / 2 ** 20),
      changes: change("create") + change("replace") + change("remove"),
      writes: writesOf(server) - writesBefore,
    };
  } finally {
    await ended(child);
  }
}

/** What the chart gives the controller's container. */
function podEnvironment(): Record<string, string> {
  const deployment = parseAllDocuments(readFileSync(BASE, "utf8"))
    .map((document) => document.toJS() as Deployment)
    .find(({ kind }) => kind === "Deployment");
  const env = deployment?.spec.template.spec.containers[0]?.env ?? [];
  return Object.fromEntries(env.map(({ name, value }) => [name, value]));
}

interface Deployment {
  readonly kind: string;
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly containers: readonly {
          readonly env?: readonly { readonly name: string; readonly value: string }[];
        }[];
      };
    };
  };
}

function writesOf({ requests }: TestApiServer): number {
  return [...requests]
    .filter(([name]) => /^(POST|PUT|PATCH) (services|vippools)$/.test(name))
    .reduce((sum, [, count]) => sum + count, 0);
}

async function metricsOf(port: number): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  const lines = (await answer.text()).split("\n").filter((line) => !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

function rssMibOf(pid: number): number {
  const [, kib = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1024);
}

/** Of the main thread: schedstat has nanoseconds with a processor, and in the run queue. */
function processorOf(pid: number): { readonly processorMs: number; readonly waitedMs: number } {
  const [ran = 0, waited = 0] = readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ").map(Number);
  return { processorMs: Math.round(ran / 1e6), waitedMs: Math.round(waited / 1e6) };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const exited = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  await exited;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const listener = createServer().once("error", reject);
    listener.listen(0, "127.0.0.1", () => {
      const { port } = listener.address() as { port: number };
      listener.close(() => resolve(port));
    });
  });
}
