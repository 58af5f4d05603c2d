// Starts the test peer (peer.c) on a host of the lab, collects its events, and reads its figures.

import type { ChildProcess } from "node:child_process";
import { EventEmitter } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Address } from "@holdfast/model";
import type { Host } from "../lab/host.ts";
import { until } from "../wait.ts";

const PROGRAM = fileURLToPath(new URL("../../build/peer", import.meta.url));

/** SCTP timers of a fixed-timer telecom stack, ms. */
export const TELECOM_TIMERS = { rtoInitial: 300, rtoMin: 100, rtoMax: 400, heartbeat: 500 } as const;

/**
 * SCTP timers as stacks are delivered (RFC 9260 §16; Linux and older ones have RTO.Initial 3 s), ms of the
 * stack's clock.
 */
export const STOCK_TIMERS = {
  rtoInitial: 1_000,
  rtoMin: 1_000,
  rtoMax: 60_000,
  heartbeat: 30_000,
  pathMaxRetrans: 5,
  assocMaxRetrans: 10,
  initMaxRetrans: 8,
  delayedSack: 200,
  heartbeatBurst: 4,
} as const;

export interface PeerOptions {
  readonly local: readonly Address[];
  readonly port: number;
  readonly rtoInitial?: number;
  readonly rtoMin?: number;
  readonly rtoMax?: number;
  readonly heartbeat?: number;
  readonly pathMaxRetrans?: number;
  readonly assocMaxRetrans?: number;
  readonly initMaxRetrans?: number;
  readonly delayedSack?: number;
  readonly noHeartbeat?: boolean;
  readonly noAsconf?: boolean;
  /**
   * The stack answers nothing that belongs to no association of its own: no ABORT for what a dead process
   * left.
   */
  readonly blackhole?: boolean;
  /** DATA must be authenticated (RFC 4895); both sides need it to have an effect in both directions. */
  readonly auth?: boolean;
  /** The stack's seconds in one of ours: it keeps stock timers, and a minute of them takes 60/clock s. */
  readonly clock?: number;
  /** Linux's choice of source addresses, by the route to the destination, in the place of the stack's own. */
  readonly sourceByRoute?: boolean;
  /** HEARTBEATs at once to unconfirmed paths. */
  readonly heartbeatBurst?: number;
  /**
   * Bytes that every path carries, without IP and SCTP headers, until ICMP says less. The interface's by
   * default.
   */
  readonly pathMtu?: number;
}

export interface ServerOptions extends PeerOptions {
  readonly echo?: boolean;
}

export interface ClientOptions extends PeerOptions {
  readonly remote: Address;
  readonly remotePort: number;
  /** Each has its own port: `port`, `port` + 1, … */
  readonly associations?: number;
  /** Sender number of the first association; unique among the clients of one endpoint. */
  readonly id?: number;
  /** Messages per second and association. */
  readonly rate?: number;
  readonly size?: number;
  /** New associations per second; all at once by default. */
  readonly startRate?: number;
  readonly reconnect?: boolean;
}

export interface PathState {
  readonly address: Address;
  readonly state: "active" | "inactive" | "unconfirmed" | "unknown";
  readonly rtoMs: number;
  readonly mtu: number;
}

/** One line of the peer. `atMs` is CLOCK_MONOTONIC, comparable with `monotonicMs()`. */
export interface PeerEvent {
  readonly event: string;
  readonly id?: number;
  readonly atMs?: number;
  readonly address?: string;
  readonly state?: string;
  readonly error?: number;
  readonly cause?: number;
  readonly paths?: readonly PathState[];
  readonly [field: string]: unknown;
}

/** What an endpoint received from one sender. */
export interface Receipt {
  readonly client: number;
  readonly received: number;
  readonly highest: number;
  readonly missing: number;
  readonly duplicates: number;
  readonly outOfOrder: number;
  readonly corrupt: number;
  readonly longestGapMs: number;
  readonly longestGapAtMs: number;
  readonly lastMs: number;
}

/** Times between the messages of one sender, ms. */
export interface Gaps {
  readonly client: number;
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The silence at its end counts. */
  readonly longestMs: number;
}

export interface AssociationFigures {
  readonly id: number;
  readonly port: number;
  readonly up: boolean;
  readonly ups: number;
  readonly lost: number;
  readonly restarts: number;
  readonly shutdowns: number;
  readonly cannotStart: number;
  readonly retries: number;
  readonly sent: number;
  /** Messages the peer's stack still holds; -1 when there is no association. */
  readonly unacknowledged: number;
  readonly echoes: number;
  readonly echoMissing: number;
  readonly longestEchoGapMs: number;
  readonly endedMs: number;
  readonly upMs: number;
}

const FLAGS: Readonly<Record<string, string>> = {
  port: "port",
  rtoInitial: "rto-initial",
  rtoMin: "rto-min",
  rtoMax: "rto-max",
  heartbeat: "heartbeat",
  pathMaxRetrans: "path-max-retrans",
  assocMaxRetrans: "assoc-max-retrans",
  initMaxRetrans: "init-max-retrans",
  delayedSack: "delayed-sack",
  noHeartbeat: "no-heartbeat",
  noAsconf: "no-asconf",
  auth: "auth",
  pathMtu: "path-mtu",
  blackhole: "blackhole",
  clock: "clock",
  sourceByRoute: "source-by-route",
  heartbeatBurst: "heartbeat-burst",
  echo: "echo",
  remote: "remote",
  remotePort: "remote-port",
  associations: "associations",
  id: "id",
  rate: "rate",
  size: "size",
  startRate: "start-rate",
  reconnect: "reconnect",
};

/** Events kept; a soak makes more, and the oldest go. */
const EVENT_COUNT_MAX = 200_000;
/** Lines of answers: a thousand associations that are asked often would push all else out. */
const ANSWERS: ReadonlySet<string> = new Set([
  "association",
  "receipt",
  "paths",
  "pathsEnd",
  "stats",
  "statsEnd",
]);

export class Peer extends EventEmitter<{ event: [PeerEvent] }> {
  readonly host: Host;
  readonly role: "server" | "client";
  /** What happened; lines that only answer a question are not among them. */
  readonly events: PeerEvent[] = [];
  readonly #counts = new Map<string, number>();
  readonly #child: ChildProcess;
  #exited = false;
  #asked = Promise.resolve();

  constructor(host: Host, role: "server" | "client", options: ServerOptions | ClientOptions) {
    super();
    this.host = host;
    this.role = role;
    const words = ["--role", role, "--local", options.local.join(",")];
    for (const [key, value] of Object.entries({ ...TELECOM_TIMERS, ...options })) {
      const flag = FLAGS[key];
      if (flag === undefined || value === undefined || value === false) continue;
      words.push(`--${flag}`);
      if (value !== true) words.push(String(value));
    }
    this.#child = host.spawn(PROGRAM, words, { stdio: ["pipe", "pipe", "ignore"] });
    this.#child.once("exit", () => {
      this.#exited = true;
    });
    this.#child.stdin?.on("error", () => {}); // a killed peer closes its pipe
    if (this.#child.stdout === null) throw new Error("the peer has no stdout");
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const event = JSON.parse(line) as PeerEvent;
      this.#counts.set(event.event, this.count(event.event) + 1);
      if (!ANSWERS.has(event.event)) this.events.push(event);
      if (this.events.length > EVENT_COUNT_MAX) this.events.splice(0, EVENT_COUNT_MAX / 2);
      this.emit("event", event);
    });
  }

  get running(): boolean {
    return !this.#exited;
  }

  async ready(): Promise<this> {
    await until(`${this.role} on ${this.host.name} to start`, () => {
      this.#complain();
      return this.events.some((event) => event.event === "ready");
    });
    return this;
  }

  /** Throws what the peer said before it gave up. */
  #complain(): void {
    const error = this.events.find((event) => event.event === "error");
    if (error !== undefined) throw new Error(`peer: ${JSON.stringify(error)}`);
  }

  command(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  count(event: string): number {
    return this.#counts.get(event) ?? 0;
  }

  /** Lines between the command and its `…End`, one question at a time. */
  #ask(command: string, end: string): Promise<PeerEvent[]> {
    const answer = this.#asked.then(
      () =>
        new Promise<PeerEvent[]>((resolve, reject) => {
          const lines: PeerEvent[] = [];
          const timer = setTimeout(() => {
            this.off("event", listen);
            reject(new Error(`no answer to '${command}' from ${this.role} on ${this.host.name}`));
          }, 30_000);
          const listen = (event: PeerEvent) => {
            lines.push(event);
            if (event.event !== end) return;
            clearTimeout(timer);
            this.off("event", listen);
            resolve(lines);
          };
          this.on("event", listen);
          this.command(command);
        }),
    );
    this.#asked = answer.then(
      () => {},
      () => {},
    );
    return answer;
  }

  async receipts(): Promise<Receipt[]> {
    const lines = await this.#ask("stats", "statsEnd");
    return lines.filter((line) => line.event === "receipt") as unknown as Receipt[];
  }

  /**
   * Server: the gaps since the last call, by sender; the first call begins to keep them, and returns nothing.
   */
  async gaps(): Promise<Gaps[]> {
    const lines = await this.#ask("gaps", "gapsEnd");
    return lines.filter((line) => line.event === "gaps") as unknown as Gaps[];
  }

  async serverFigures(): Promise<{
    ups: number;
    lost: number;
    restarts: number;
    shutdowns: number;
    living: number;
  }> {
    const lines = await this.#ask("stats", "statsEnd");
    return lines.find((line) => line.event === "stats") as never;
  }

  async associations(): Promise<AssociationFigures[]> {
    const lines = await this.#ask("stats", "statsEnd");
    return lines.filter((line) => line.event === "association") as unknown as AssociationFigures[];
  }

  /** Paths of each living association, by its id. */
  async paths(): Promise<Map<number, readonly PathState[]>> {
    const lines = await this.#ask("paths", "pathsEnd");
    const paths = new Map<number, readonly PathState[]>();
    for (const line of lines) {
      if (line.event === "paths" && line.id !== undefined) paths.set(line.id, line.paths ?? []);
    }
    return paths;
  }

  /** Client: all associations up. */
  async established(count: number, limitMs = 30_000): Promise<void> {
    await until(
      `${count} associations of ${this.host.name}`,
      () => {
        this.#complain();
        return this.count("up") >= count;
      },
      limitMs,
    );
  }

  /** Client: stop the numbers and wait until the stack holds nothing unacknowledged. Returns the figures. */
  async settle(limitMs = 60_000): Promise<AssociationFigures[]> {
    this.command("hold");
    return until(
      `${this.host.name} to settle`,
      async () => {
        const figures = await this.associations();
        return figures.every((f) => !f.up || f.unacknowledged === 0) && figures;
      },
      limitMs,
      50,
    );
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.#exited) return Promise.resolve();
    return new Promise((resolve) => {
      this.#child.once("exit", () => resolve());
      this.#child.kill(signal);
    });
  }
}

export function startServer(host: Host, options: ServerOptions): Promise<Peer> {
  return new Peer(host, "server", options).ready();
}

export function startClient(host: Host, options: ClientOptions): Promise<Peer> {
  return new Peer(host, "client", options).ready();
}
