// Three members as processes on the loopback, driven over IPC.
import { type ChildProcess, fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ConfiguredMember,
  createAuthority,
  issueMemberCertificate,
  type MemberTls,
} from "@holdfast/sync";
import type { Command, MemberOptions } from "./member.ts";

const HOST = "127.0.0.1";
/** No command takes longer. */
const COMMAND_LIMIT_MS = 180_000;

export class BenchMember {
  readonly number: number;
  readonly process: ChildProcess;
  #token = 0;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();

  constructor(number: number) {
    this.number = number;
    this.process = fork(new URL("./member.ts", import.meta.url), {
      execArgv: ["--expose-gc", ...(process.env["BENCH_NODE_ARGS"] ?? "").split(" ").filter(Boolean)],
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.process.on("message", (message: { token: number; result?: unknown; error?: string }) => {
      const waiter = this.#waiting.get(message.token);
      this.#waiting.delete(message.token);
      if (message.error === undefined) waiter?.resolve(message.result);
      else waiter?.reject(new Error(`member ${number}: ${message.error}`));
    });
    this.process.on("exit", () => {
      for (const waiter of this.#waiting.values()) waiter.reject(new Error(`member ${number} ended`));
      this.#waiting.clear();
    });
  }

  call<Result>(command: Command): Promise<Result> {
    const token = ++this.#token;
    return new Promise<Result>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${command.name} took too long`)), COMMAND_LIMIT_MS);
      const settle =
        <Value>(then: (value: Value) => void) =>
        (value: Value) => {
          clearTimeout(timer);
          then(value);
        };
      this.#waiting.set(token, {
        resolve: settle(resolve as (result: unknown) => void),
        reject: settle(reject),
      });
      this.process.send({ token, command });
    });
  }

  kill(): Promise<void> {
    return new Promise((resolve) => {
      if (this.process.exitCode !== null || this.process.signalCode !== null) {
        resolve();
        return;
      }
      this.process.once("exit", () => resolve());
      this.process.kill("SIGKILL");
    });
  }
}

export class BenchCluster {
  readonly kind: MemberOptions["kind"];
  readonly members: BenchMember[] = [];
  readonly #configured: readonly ConfiguredMember[];
  readonly #tls: readonly (MemberTls | "plain")[];
  readonly #directory: string;
  readonly #stored: boolean;
  readonly #whole: boolean;

  static async open(
    kind: MemberOptions["kind"],
    options: { readonly count?: number; readonly stored?: boolean; readonly whole?: boolean } = {},
  ): Promise<BenchCluster> {
    const count = options.count ?? 3;
    const ports = await freePorts(count);
    const authority = await createAuthority({ clusterId: "bench" });
    const tls: MemberTls[] = [];
    for (let number = 0; number < count; number++) {
      const pair = await issueMemberCertificate(authority, {
        clusterId: "bench",
        memberName: `m${number}`,
        memberNumber: number,
        addresses: [HOST],
      });
      tls.push({ ...pair, authorityPem: authority.certificatePem });
    }
    const configured = ports.map(
      (port, number): ConfiguredMember => ({
        name: `m${number}`,
        number,
        addresses: [{ host: HOST, port }],
      }),
    );
    const directory = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
    const cluster = new BenchCluster(kind, configured, tls, directory, options);
    try {
      for (let number = 0; number < count; number++) await cluster.startMember(number);
      await cluster.connected();
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  constructor(
    kind: MemberOptions["kind"],
    configured: readonly ConfiguredMember[],
    tls: readonly (MemberTls | "plain")[],
    directory: string,
    options: { readonly stored?: boolean; readonly whole?: boolean },
  ) {
    this.kind = kind;
    this.#configured = configured;
    this.#tls = tls;
    this.#directory = directory;
    this.#stored = options.stored ?? true;
    this.#whole = options.whole ?? false;
  }

  /** Starts a member, or starts it again; resolves when it listens. */
  async startMember(number: number, options: { readonly forgetStore?: boolean } = {}): Promise<BenchMember> {
    const storeDirectory = this.#stored ? join(this.#directory, `m${number}`) : undefined;
    if (options.forgetStore === true && storeDirectory !== undefined)
      await rm(storeDirectory, { recursive: true, force: true });
    const member = new BenchMember(number);
    this.members[number] = member;
    await member.call({
      name: "start",
      options: {
        kind: this.kind,
        number,
        members: this.#configured,
        tls: this.#tls[number] as MemberTls | "plain",
        storeDirectory,
        whole: this.#whole,
      },
    });
    return member;
  }

  async connected(): Promise<void> {
    await this.all<void>({ name: "connected", count: this.members.length - 1 });
  }

  all<Result>(command: Command): Promise<Result[]> {
    return Promise.all(this.members.map((member) => member.call<Result>(command)));
  }

  /** Resolves when every member shows `count` living sessions. */
  async settled(count: number, limitMs = 60_000): Promise<void> {
    const endMs = performance.now() + limitMs;
    for (;;) {
      const sizes = await this.all<number>({ name: "size" });
      if (sizes.every((size) => size === count)) return;
      if (performance.now() > endMs) throw new Error(`sizes ${sizes.join(", ")} instead of ${count}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    await rm(this.#directory, { recursive: true, force: true });
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((resolve) => {
          const server = createServer().listen(0, HOST, () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}
