// A real kube-apiserver on an etcd of its own, on the loopback, with two who may ask it: an administrator, and the controller
// with the rights that deploy/kubernetes gives it.
import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Connection,
  GATEWAY_RESOURCES,
  isConflict,
  KubernetesClient,
  type KubernetesObject,
  type Resource,
  VIP_POOLS,
} from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { parseAllDocuments } from "yaml";
import { type Binaries, kubernetesBinaries } from "./binaries.ts";
import { gatewayDefinitions } from "./gateway-definitions.ts";

const READY_LIMIT_MS = 120_000;
const CONTROLLER = "system:serviceaccount:holdfast:holdfast-controller";
const BASE = fileURLToPath(new URL("../../deploy/kubernetes/base/", import.meta.url));

export interface RealServer {
  readonly admin: Connection;
  readonly controller: Connection;
  readonly binaries: Binaries;
  /** From the start of etcd until the server was ready and had our definitions and rights, ms. */
  readonly readyAfterMs: number;
  /** The API server dies: kill -9. What it has stays in etcd. */
  kill(): Promise<void>;
  /** It is there again, at the same address. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export async function startRealServer(): Promise<RealServer> {
  const binaries = await kubernetesBinaries();
  const startedAtMs = performance.now();
  const directory = mkdtempSync(join(tmpdir(), "holdfast-kubernetes-"));
  const processes: ChildProcess[] = [];
  const start = (program: string, args: readonly string[]) => {
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    const last: string[] = [];
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      last.push(text);
      if (last.length > 50) last.shift();
    });
    processes.push(child);
    const isAlive = () => {
      if (child.exitCode !== null) throw new Error(`${program} has ended:\n${last.join("")}`);
    };
    return { child, isAlive };
  };
  const close = async () => {
    for (const child of processes.reverse()) await killed(child);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const [clientPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
    start(binaries.etcd, etcdArguments(directory, clientPort, peerPort));
    const serverArguments = apiServerArguments(directory, clientPort, port);
    let server = start(binaries.apiServer, serverArguments);
    const connection = (token: string): Connection => ({
      url: `https://127.0.0.1:${port}`,
      isUnverified: true,
      token: () => token,
      namespace: "default",
    });
    await answers(connection("admin"), server.isAlive);
    await install(connection("admin"));
    const readyAfterMs = performance.now() - startedAtMs;
    return {
      admin: connection("admin"),
      controller: connection("controller"),
      binaries,
      readyAfterMs,
      kill: () => killed(server.child),
      start: async () => {
        server = start(binaries.apiServer, serverArguments);
        await answers(connection("admin"), server.isAlive);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function killed(child: ChildProcess): Promise<void> {
  const isOver = child.exitCode !== null || child.signalCode !== null;
  const ended = isOver ? undefined : new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

async function answers(admin: Connection, isAlive: () => void): Promise<void> {
  await until(
    "the API server",
    async () => {
      isAlive();
      const client = new KubernetesClient(admin);
      try {
        await client.version();
        return (await client.list(namespaces)).items.some(({ metadata }) => metadata.name === "default");
      } finally {
        client.close();
      }
    },
    READY_LIMIT_MS,
    100,
  );
}

export function etcdArguments(directory: string, clientPort: number, peerPort: number): string[] {
  const [client, peer] = [`http://127.0.0.1:${clientPort}`, `http://127.0.0.1:${peerPort}`];
  return [
    `--data-dir=${join(directory, "etcd")}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    "--unsafe-no-fsync",
    "--log-level=error",
  ];
}

/** `address`: where it listens. */
export function apiServerArguments(
  directory: string,
  etcdPort: number,
  port: number,
  address = "127.0.0.1",
): string[] {
  const tokens = join(directory, "tokens.csv");
  const key = join(directory, "service-account.key");
  writeFileSync(tokens, `admin,admin,1,"system:masters"\ncontroller,${CONTROLLER},2\n`);
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(key, pair.privateKey.export({ type: "pkcs8", format: "pem" }));
  return [
    `--etcd-servers=http://127.0.0.1:${etcdPort}`,
    `--bind-address=${address}`,
    `--secure-port=${port}`,
    `--cert-dir=${join(directory, "certificates")}`,
    `--token-auth-file=${tokens}`,
    "--authorization-mode=RBAC",
    "--service-account-issuer=https://holdfast.test",
    `--service-account-key-file=${key}`,
    `--service-account-signing-key-file=${key}`,
    // The first family has to be the address's own.
    `--service-cluster-ip-range=${address.includes(":") ? "fd96::/108,10.96.0.0/16" : "10.96.0.0/16,fd96::/108"}`,
    "--disable-admission-plugins=ServiceAccount",
    "--v=0",
  ];
}

const kind = (
  group: string,
  version: string,
  plural: string,
  name: string,
  isNamespaced: boolean,
): Resource => ({
  group,
  version,
  plural,
  kind: name,
  isNamespaced,
});
const RBAC = "rbac.authorization.k8s.io";
const namespaces = kind("", "v1", "namespaces", "Namespace", false);
/** What is installed of the base: the rest wants a kubelet. */
const KINDS = [
  namespaces,
  kind("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false),
  kind(RBAC, "v1", "clusterroles", "ClusterRole", false),
  kind(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", false),
  kind(RBAC, "v1", "roles", "Role", true),
  kind(RBAC, "v1", "rolebindings", "RoleBinding", true),
  kind("", "v1", "serviceaccounts", "ServiceAccount", true),
  kind("apps", "v1", "deployments", "Deployment", true),
  kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true),
];

async function install(admin: Connection): Promise<void> {
  const client = new KubernetesClient(admin);
  try {
    const objects = ["namespace.yaml", "crds.yaml", "controller.yaml"].flatMap((file) =>
      parseAllDocuments(readFileSync(join(BASE, file), "utf8")).map(
        (document) => document.toJS() as KubernetesObject,
      ),
    );
    for (const object of [...objects.filter((each) => each !== null), ...(await gatewayDefinitions())]) {
      const resource = KINDS.find((each) => each.kind === object.kind);
      if (resource === undefined)
        throw new Error(`the base has a ${object.kind}, which this does not install`);
      await client.create(resource, object).catch((error: unknown) => {
        if (!isConflict(error)) throw error;
      });
    }
    await until(
      "the definitions",
      async () => {
        for (const resource of [VIP_POOLS, ...GATEWAY_RESOURCES]) await client.list(resource);
        return true;
      },
      READY_LIMIT_MS,
      50,
    );
  } finally {
    client.close();
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
