// Puts the engine together with its transport, store and journals. The same in the worker thread and, for
// tests, in the main one.
import { type Clock, type Logger, LoopDelay, type Random, systemClock, systemRandom } from "@holdfast/model";
import type { Revocation } from "../certificates/revocation.ts";
import type { MemberTls } from "../certificates/verify.ts";
import { ReplicationEngine } from "../engine/engine.ts";
import { automergeJournal, growMemory } from "../journal/automerge-segment.ts";
import type { EngineLink, ToEngine, ToView } from "../ports/link.ts";
import type { Store } from "../ports/store.ts";
import { FileStore } from "../store/file-store.ts";
import { MemoryDisk } from "../store/memory-store.ts";
import type { HostPort } from "../transport/settings.ts";
import { WsTransport } from "../transport/websocket.ts";
import type { HostCounters, HostOptions } from "./protocol.ts";

export interface EngineHost {
  /** Where the transport listens, ports filled in. */
  readonly bound: readonly HostPort[];
  counters(): HostCounters;
  /** Certificates for the links that begin from now on. */
  setTls(tls: MemberTls): void;
  setRevoked(list: readonly Revocation[]): void;
  /** Flushes, says goodbye to the peers, closes everything. */
  stop(): Promise<void>;
}

/** Errors: SYNC_LISTEN_FAILED, STORE_DIRECTORY_UNUSABLE. */
export async function hostEngine(
  options: HostOptions,
  link: EngineLink<ToView, ToEngine>,
  logger: Logger,
  clock: Clock = systemClock,
  random: Random = systemRandom(),
): Promise<EngineHost> {
  // Before anything is due: growing and compiling while ticks wait would stall them.
  growMemory();
  warmUp();
  let fileStore: FileStore | undefined;
  if (options.storeDirectory !== undefined)
    fileStore = await FileStore.open({
      directory: options.storeDirectory,
      clock,
      logger,
      changed: (state) => link.post({ kind: "store", state }),
    });
  const store: Store = fileStore ?? new MemoryDisk().open();
  const { clusterId, memberName, memberNumber, memberNumberCount, listen, members, tls, timing } = options;
  const transport = await WsTransport.open({
    clusterId,
    memberName,
    memberNumber,
    memberNumberCount,
    listen,
    members,
    ...(options.join !== undefined && { join: options.join }),
    tls,
    ...(options.revoked !== undefined && { revoked: options.revoked }),
    timing,
    ...(options.queueBytesMax !== undefined && { queueBytesMax: options.queueBytesMax }),
    clock,
    random,
    logger,
  });
  const own = { name: memberName, number: memberNumber };
  const others = members.filter((member) => member.name !== memberName);
  const engine = new ReplicationEngine({
    settings: {
      ...options.settings,
      member: own,
      members: [own, ...others.map(({ name, number }) => ({ name, number }))],
    },
    clock,
    random,
    logger,
    transport,
    store,
    journals: automergeJournal,
    link,
  });
  const delay = new LoopDelay();
  await engine.start();
  return {
    bound: transport.bound,
    counters: () => {
      const memory = process.memoryUsage();
      const counters: HostCounters = {
        transport: transport.counters(),
        store: fileStore?.counters(),
        loopDelayMaxMs: delay.quantileMs(1),
        loopDelayP999Ms: delay.quantileMs(0.999),
        heapBytes: memory.heapUsed,
        externalBytes: memory.external,
      };
      delay.reset();
      return counters;
    },
    setTls: (tls) => transport.setTls(tls),
    setRevoked: (list) => transport.setRevoked(list),
    stop: async () => {
      delay.close();
      await engine.stop();
      await transport.stop();
      await store.close();
    },
  };
}

/** Runs the journal's code until it is compiled: the first ticks of a cold engine take ten times as long. */
function warmUp(): void {
  const actor = "00".repeat(16);
  const writer = automergeJournal.open(actor, 0);
  const reader = automergeJournal.open(actor, 0);
  for (let tick = 0; tick < 200; tick++) {
    const change = writer.append(new Uint8Array(256).fill(tick));
    const verified = reader.verify(change.bytes);
    if (typeof verified !== "string") reader.apply(verified);
  }
  writer.free();
  reader.free();
}
