// `holdfast controller`: elects a leader among its replicas, and leads while it is one.
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import { hostname } from "node:os";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type MemberAddress, Members } from "@holdfast/api";
import { KubernetesClient } from "./client/client.ts";
import type { Connection } from "./client/connection.ts";
import { ELECTION_TIMES, Election, type ElectionTimes } from "./client/election.ts";
import { Controller, type ControllerTimes } from "./controller/controller.ts";
import { Events } from "./events.ts";
import { createMetrics } from "./metrics.ts";
import { membersOnNodes, type NodesOptions } from "./nodes/open.ts";

export { ConnectionError, findConnection } from "./client/connection.ts";
export { nodeAddresses, runIdentity } from "./nodes/identity.ts";
export { type NodesOptions, prepareAuthority } from "./nodes/open.ts";

export interface RunOptions {
  readonly connection: Connection;
  readonly members: readonly MemberAddress[];
  readonly cluster: string;
  readonly classes: readonly string[];
  readonly allowsAnyAddress: boolean;
  /** Of the Lease; undefined: that of the connection. */
  readonly leaseNamespace?: string | undefined;
  readonly leaseName: string;
  /** `HOST:PORT` for probes and metrics. */
  readonly listen: string;
  /** Members on this Kubernetes' own nodes; undefined: they are elsewhere. */
  readonly nodes?: NodesOptions | undefined;
  readonly identity?: string;
  readonly log?: (entry: LogEntry) => void;
  readonly times?: Partial<ControllerTimes>;
  readonly electionTimes?: ElectionTimes;
}

export interface LogEntry {
  readonly level: "info" | "warn";
  readonly message: string;
}

export interface RunningController {
  readonly isLeader: boolean;
  readonly isReady: boolean;
  /** Of probes and metrics. */
  readonly port: number;
  /** Gives the lease back; what is served goes on. */
  stop(): Promise<void>;
}

export async function startController(options: RunOptions): Promise<RunningController> {
  const { connection, cluster, classes, allowsAnyAddress, log = logLine } = options;
  const identity = options.identity ?? `${hostname()}_${randomBytes(4).toString("hex")}`;
  const client = new KubernetesClient(connection);
  const warn = (message: string) => log({ level: "warn", message });
  const members = new Members(options.members, (from, to, error) =>
    warn(`member ${from} does not answer (${error.message}): ${to} is asked`),
  );
  const events = new Events({
    client,
    component: "holdfast-controller",
    instance: identity,
    onFailure: (error) => warn(`an event was not written: ${String(error)}`),
  });
  let controller: Controller | undefined;
  const namespace = options.leaseNamespace ?? connection.namespace;
  const nodes = membersOnNodes(options.nodes, { client, members, events, namespace, log: warn });
  const metrics = createMetrics({
    isLeader: () => election.isLeader,
    controller: () => controller,
    eventsDropped: () => events.dropped,
  });
  const lead = () => {
    log({ level: "info", message: `${identity} leads` });
    const next = new Controller({
      ...{ client, members, events, cluster, classes, allowsAnyAddress },
      log: (message) => {
        metrics.failed(
          message.slice(0, message.indexOf(":")).includes("/") ? "services" : (message.split(":")[0] ?? ""),
        );
        warn(message);
      },
      ...(options.times !== undefined && { times: options.times }),
    });
    controller = next;
    nodes.start();
    next.start().then(
      () => inStep(log, next, events),
      (error: unknown) => warn(String(error)),
    );
  };
  const election = new Election({
    client,
    namespace,
    name: options.leaseName,
    identity,
    times: options.electionTimes ?? ELECTION_TIMES,
    onElected: lead,
    onLost: async () => {
      log({ level: "info", message: `${identity} leads no more` });
      await Promise.all([controller?.stop(), nodes.stop()]);
      controller = undefined;
    },
    onFailure: (error) => {
      metrics.failed("lease");
      warn(`lease: ${String(error)}`);
    },
  });
  const isReady = () => (election.isLeader ? controller?.isReady === true : election.holder !== "");
  const server = await serve(options.listen, isReady, () => metrics.registry.metrics());
  election.start();
  let stopping: Promise<void> | undefined;
  const stop = async () => {
    await election.stop();
    await events.flushed();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    client.close();
  };
  return {
    get isLeader() {
      return election.isLeader;
    },
    get isReady() {
      return isReady();
    },
    port: (server.address() as { port: number }).port,
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}

/** Runs until SIGTERM or SIGINT; the exit code. */
export async function runController(options: RunOptions): Promise<number> {
  // Small instead of fast, as its container is: V8 would let the heap double before it looks through it.
  setFlagsFromString("--optimize-for-size");
  const running = await startController(options);
  await new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
  });
  await running.stop();
  return 0;
}

/** Alive is who answers: an API server or members that are away are no reason to be started anew. */
async function serve(
  listen: string,
  isReady: () => boolean,
  metrics: () => Promise<string>,
): Promise<Server> {
  const at = listen.lastIndexOf(":");
  const server = createServer((request, response) => {
    const answer = (status: number, text: string, type = "text/plain; charset=utf-8") => {
      response.writeHead(status, { "content-type": type });
      response.end(text);
    };
    switch (request.url) {
      case "/healthz":
        return answer(200, "ok\n");
      case "/readyz":
        return isReady() ? answer(200, "ok\n") : answer(503, "not ready\n");
      case "/metrics":
        return void metrics().then(
          (text) => answer(200, text, "text/plain; version=0.0.4"),
          (error: unknown) => answer(500, String(error)),
        );
      default:
        return answer(404, "there are /healthz, /readyz and /metrics\n");
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(
      { host: listen.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(listen.slice(at + 1)) },
      resolve,
    );
  });
  return server;
}

function logLine(entry: LogEntry): void {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`);
}

/**
 * What the start leaves, parsed lists above all, is given back: V8 would keep the pages until it wants them. A
 * first start has thousands of events to write, which leave as much.
 */
function inStep(log: (entry: LogEntry) => void, { counts }: Controller, events: Events): void {
  collect();
  log({ level: "info", message: `every Service was looked at: ${JSON.stringify(counts)}` });
  void events.flushed().then(collect);
}

function collect(): void {
  setFlagsFromString("--expose-gc");
  const gc: unknown = runInNewContext("gc");
  if (typeof gc === "function") gc();
}
