// One member of a benchmark's cluster, a process of its own. Commands come over IPC; see cluster.ts.
import { monitorEventLoopDelay } from "node:perf_hooks";
import { type SessionRecord, SessionView, silentLogger, systemClock } from "@holdfast/model";
import { type ConfiguredMember, type MemberTls, type Sync, startSync } from "@holdfast/sync";
import { LastWriterMap } from "./last-writer.ts";
import { type Listeners, listen } from "./listeners.ts";
import {
  ageMs,
  answered,
  ended,
  established,
  Histogram,
  SessionQueue,
  stampOf,
  verified,
} from "./workload.ts";

export interface MemberOptions {
  readonly kind: "crdt" | "last-writer";
  readonly number: number;
  readonly members: readonly ConfiguredMember[];
  readonly tls: MemberTls | "plain";
  readonly storeDirectory: string | undefined;
  /** With what a daemon hangs on its table: flows and catalogue. */
  readonly whole: boolean;
}

export interface RunResult {
  readonly created: number;
  readonly wallMs: number;
  /** Processor time over wall time. */
  readonly cores: number;
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  readonly lagCount: number;
  readonly releaseP50Ms: number;
  readonly releaseP99Ms: number;
  readonly releaseTimeouts: number;
  readonly sentBytes: number;
  readonly loopP999Ms: number;
  readonly loopMaxMs: number;
}

export type Command =
  | { readonly name: "start"; readonly options: MemberOptions }
  | { readonly name: "connected"; readonly count: number }
  | { readonly name: "preload"; readonly count: number }
  | { readonly name: "size" }
  | { readonly name: "run"; readonly perSecond: number; readonly seconds: number; readonly live: number }
  | { readonly name: "stalls" }
  | { readonly name: "memory" }
  | { readonly name: "metrics" }
  | { readonly name: "stop" };

/** The table under test: replicated, or the plain map. */
interface Table {
  readonly size: number;
  get(id: string): SessionRecord | undefined;
  apply(delta: Parameters<SessionView["apply"]>[0], urgent: boolean): SessionRecord;
  released(id: string): Promise<boolean>;
  connected(): number;
  sentBytes(): Promise<number>;
  metrics(): Promise<unknown>;
  ready(): boolean;
  stop(): Promise<void>;
}

/** No stop of the loop longer than this while preloading, so that members do not lose each other. */
const PRELOAD_SLICE = 250;
const TICK_MS = 5;
const ESTABLISH_AFTER_TICKS = 2;
/** Every how many-th session is asked whether the others hold it. */
const RELEASE_SAMPLE = 8;

let table: Table;
let own = 0;
let listeners: Listeners | undefined;
let serial = 0;
const living = new SessionQueue();
const lag = new Histogram();
const loop = monitorEventLoopDelay({ resolution: 1 });

const onRemote = (record: { readonly generations: SessionRecord["generations"] }) => {
  const stamp = stampOf(record);
  if (stamp !== undefined) lag.add(ageMs(stamp));
};

async function start(options: MemberOptions): Promise<void> {
  own = options.number;
  const addresses = options.members.find((member) => member.number === own)?.addresses ?? [];
  const common = {
    clusterId: "bench",
    memberName: `m${own}`,
    memberNumber: own,
    memberNumberCount: 8,
    listen: addresses,
    members: options.members,
    tls: options.tls,
    clock: systemClock,
    logger: silentLogger,
  };
  if (options.kind === "last-writer") {
    table = await LastWriterMap.open(common, onRemote);
    return;
  }
  const view = new SessionView();
  if (options.whole) listeners = listen(view, own);
  const sync: Sync = await startSync({ ...common, storeDirectory: options.storeDirectory, view });
  view.subscribe((change) => {
    if (change.origin === "remote" && change.previous === undefined && change.record !== undefined)
      onRemote(change.record);
  });
  table = {
    get size() {
      return view.size - view.endedCount;
    },
    get: (id) => view.get(id),
    apply: (delta, urgent) => sync.table.apply(delta, { urgent }),
    released: (id) => sync.replication.released(id),
    connected: () => sync.connected().length,
    sentBytes: async () => (await sync.metrics()).host?.transport.sentBytes ?? 0,
    metrics: () => sync.metrics(),
    ready: () => sync.ready(),
    stop: () => sync.stop(),
  };
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function preload(count: number): Promise<void> {
  for (let made = 0; made < count; made++) {
    const record = table.apply(answered(own, serial++), false);
    living.push(record.id);
    table.apply(verified(table.apply(established(record), false)), false);
    if (made % PRELOAD_SLICE === PRELOAD_SLICE - 1) await pause(25);
  }
}

async function run(perSecond: number, seconds: number, live: number): Promise<RunResult> {
  lag.clear();
  const release = new Histogram();
  let releaseTimeouts = 0;
  const sentBefore = await table.sentBytes();
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  loop.enable();
  loop.reset();
  let created = 0;
  const recent: string[][] = [];
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsedMs = performance.now() - startedMs;
      if (elapsedMs >= seconds * 1_000) {
        clearInterval(timer);
        resolve();
        return;
      }
      const batch: string[] = [];
      for (const due = Math.floor((elapsedMs / 1_000) * perSecond); created < due; created++) {
        const record = table.apply(answered(own, serial++), true);
        batch.push(record.id);
        living.push(record.id);
        if (created % RELEASE_SAMPLE === 0) {
          const askedMs = performance.now();
          void table.released(record.id).then((ok) => {
            release.add(performance.now() - askedMs);
            if (!ok) releaseTimeouts++;
          });
        }
      }
      recent.push(batch);
      if (recent.length > ESTABLISH_AFTER_TICKS) {
        for (const id of recent.shift() ?? []) {
          const record = table.get(id);
          if (record !== undefined) table.apply(verified(table.apply(established(record), true)), false);
        }
      }
      while (living.size > live) {
        const record = table.get(living.shift() ?? "");
        if (record !== undefined) table.apply(ended(record), false);
      }
    }, TICK_MS);
  });
  const wallMs = performance.now() - startedMs;
  const cpu = process.cpuUsage(cpuBefore);
  loop.disable();
  return {
    created,
    wallMs,
    cores: (cpu.user + cpu.system) / 1_000 / wallMs,
    lagP50Ms: lag.percentile(0.5),
    lagP99Ms: lag.percentile(0.99),
    lagMaxMs: lag.max,
    lagCount: lag.count,
    releaseP50Ms: release.percentile(0.5),
    releaseP99Ms: release.percentile(0.99),
    releaseTimeouts,
    sentBytes: (await table.sentBytes()) - sentBefore,
    loopP999Ms: loop.percentile(99.9) / 1e6,
    loopMaxMs: loop.max / 1e6,
  };
}

async function handle(command: Command): Promise<unknown> {
  switch (command.name) {
    case "start": {
      const startedMs = performance.now();
      await start(command.options);
      return performance.now() - startedMs;
    }
    case "connected": {
      const endMs = performance.now() + 90_000;
      while (table.connected() < command.count || !table.ready()) {
        if (performance.now() > endMs) throw new Error("not connected and ready within 90 s");
        await pause(5);
      }
      return undefined;
    }
    case "preload":
      return preload(command.count);
    case "size":
      return table.size;
    case "run":
      return run(command.perSecond, command.seconds, command.live);
    case "stalls": {
      const result = { p999Ms: loop.percentile(99.9) / 1e6, maxMs: loop.max / 1e6 };
      loop.enable();
      loop.reset();
      return result;
    }
    case "memory": {
      globalThis.gc?.();
      return { ...process.memoryUsage(), size: table.size, flowCount: listeners?.flowCount ?? 0 };
    }
    case "metrics":
      return table.metrics();
    case "stop":
      await table.stop();
      return undefined;
  }
}

process.on("message", ({ token, command }: { token: number; command: Command }) => {
  handle(command).then(
    (result) => process.send?.({ token, result }),
    (error: unknown) =>
      process.send?.({
        token,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      }),
  );
});
process.on("disconnect", () => process.exit());
