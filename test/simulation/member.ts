// One member of the simulated cluster: the real view, replica and engine on a simulated clock, network and disk.
import { type Random, SessionView, seededRandom, silentLogger } from "@holdfast/model";
import {
  CARRIES_UNKNOWN,
  type EngineLink,
  type JournalFactory,
  MemoryDisk,
  type MemoryNetwork,
  type PeerIdentity,
  type PeerMessage,
  ReplicationEngine,
  SessionReplica,
  type ToEngine,
  type ToView,
  type Transport,
} from "@holdfast/sync/testing";
import { SimulatedClock, type SimulatedTime } from "./clock.ts";
import type { Fault } from "./faults.ts";
import { laterJournals } from "./later.ts";

/** Times of the simulated cluster: small, so that a seed is short. */
export const MEMORY_MS = 1_200;
export const IDLE_LIMIT_MS = 1_600;
export const MEMBER_NUMBER_COUNT = 8;
/** What a crash takes from the disk at most. */
const DISK_PERIOD_MS = 40;
/** Changes in a row that are damaged on their way. */
const CORRUPTION_COUNT = 4;

/** One life: from a start to a crash. */
export interface Life {
  readonly view: SessionView;
  readonly replica: SessionReplica;
  readonly engine: ReplicationEngine;
  readonly clock: SimulatedClock;
}

export interface MemberOptions {
  readonly identity: PeerIdentity;
  /** As the list is when it starts. */
  readonly members: () => readonly PeerIdentity[];
  readonly time: SimulatedTime;
  readonly network: MemoryNetwork;
  readonly journals: JournalFactory;
  readonly seed: number;
  readonly fault: Fault | undefined;
  /** It writes what others do not know. */
  readonly isLater?: boolean;
  readonly memoryMs?: number;
}

export class SimulatedMember {
  readonly identity: PeerIdentity;
  readonly disk = new MemoryDisk();
  readonly #options: MemberOptions;
  readonly #random: Random;
  #life: Life | undefined;
  #viewEnd: EngineLink<ToEngine, ToView> | undefined;
  #wallOffsetMs = 0;
  #corruption: number | undefined;
  #corruptionCount = 0;
  /** Called with every new life, before it starts. */
  onLife: (life: Life) => void = () => {};

  constructor(options: MemberOptions) {
    this.identity = options.identity;
    this.#options = options;
    this.#random = seededRandom(options.seed * 64 + options.identity.number);
  }

  get number(): number {
    return this.identity.number;
  }

  /** undefined while it is down. */
  get life(): Life | undefined {
    return this.#life;
  }

  async start(): Promise<void> {
    const { identity, members, time, network, journals, fault, memoryMs = MEMORY_MS } = this.#options;
    const clock = new SimulatedClock(time, this.#random.below(1_000_000), this.#wallOffsetMs);
    const view = fault?.view?.() ?? new SessionView();
    const link = linkPair(clock);
    const toView = fault?.toView;
    const toEngine = fault?.toEngine;
    const engineEnd: EngineLink<ToView, ToEngine> =
      toView === undefined
        ? link.engine
        : through(link.engine, (message) => toView(message, identity.number));
    const viewEnd: EngineLink<ToEngine, ToView> =
      toEngine === undefined
        ? link.view
        : through(link.view, (message) => toEngine(message, identity.number), fault?.echo);
    const mayWrite = () => replica.state?.offered.includes(CARRIES_UNKNOWN) === true;
    const own =
      this.#options.isLater === true ? laterJournals(journals, this.#options.seed, mayWrite) : journals;
    const engine = new ReplicationEngine({
      settings: {
        member: identity,
        capabilities: identity.capabilities ?? [],
        members: members(),
        memoryMs,
        segmentTickMax: 24,
        segmentDeltaMax: 64,
        summaryPeriodMs: memoryMs / 2,
        maintenancePeriodMs: memoryMs / 5,
        startWaitMs: 1_000,
        // A member that has lost what it allocated waits for everybody who may know it.
        allocateWaitMs: Number.POSITIVE_INFINITY,
      },
      clock,
      random: this.#random,
      logger: silentLogger,
      transport: this.#corrupting(network.transport(identity)),
      store: this.disk.open(),
      journals: fault?.journals?.(own) ?? own,
      link: engineEnd,
    });
    const replica: SessionReplica = new SessionReplica({
      view,
      link: viewEnd,
      clock,
      yieldTurn: (action) => clock.after(0, action),
      memoryMs,
      release: "peer",
      ownersOf: () => [],
    });
    this.#life = { view, replica, engine, clock };
    this.#viewEnd = viewEnd;
    clock.every(DISK_PERIOD_MS, () => this.disk.settle());
    this.onLife(this.#life);
    await engine.start();
  }

  /** The list is another one. */
  relist(members: readonly PeerIdentity[]): void {
    if (this.#life === undefined) return;
    const listed = members.map(({ name, number }) => ({ name, number, addresses: [] }));
    this.#viewEnd?.post({ kind: "members", listing: { members: listed } });
  }

  /** Stops between two instructions. */
  crash(disk: "kept" | "lost"): void {
    this.#life?.clock.stop();
    this.#life?.engine.abandon();
    this.#life = undefined;
    if (disk === "kept") this.disk.crash();
    else this.disk.wipe();
  }

  /** Flips a bit of the next change that this member sends. */
  corruptNext(noise: number): void {
    this.#corruption = noise;
    this.#corruptionCount = CORRUPTION_COUNT;
  }

  #corrupting(transport: Transport): Transport {
    const send = (peer: number, message: PeerMessage): boolean => {
      if (this.#corruption === undefined || message.kind !== "tick") return transport.send(peer, message);
      const change = message.change.slice();
      const bit = (change.length - 1) * 8 - (this.#corruption % Math.min(change.length * 4, 400));
      change[bit >> 3] = (change[bit >> 3] as number) ^ (1 << (bit & 7));
      this.#corruptionCount--;
      if (this.#corruptionCount === 0) this.#corruption = undefined;
      return transport.send(peer, { ...message, change });
    };
    return {
      start: (handlers) => transport.start(handlers),
      peers: () => transport.peers(),
      send,
      queuedBytes: (peer) => transport.queuedBytes(peer),
      setMembers: (listing) => transport.setMembers(listing),
      refuse: (peer, reason) => transport.refuse(peer, reason),
      stop: () => transport.stop(),
    };
  }

  jump(byMs: number): void {
    this.#wallOffsetMs += byMs;
    this.#life?.clock.jump(byMs);
  }
}

interface LinkPair {
  readonly engine: EngineLink<ToView, ToEngine>;
  readonly view: EngineLink<ToEngine, ToView>;
}

/** Both ends in one thread, messages one event later, as plain data like structured clone would leave it. */
function linkPair(clock: SimulatedClock): LinkPair {
  let toView: ((message: ToView) => void) | undefined;
  let toEngine: ((message: ToEngine) => void) | undefined;
  const early: ToView[] = [];
  return {
    engine: {
      post: (message) => {
        clock.after(0, () => (toView === undefined ? early.push(message) : toView(message)));
      },
      listen: (listener) => {
        toEngine = listener;
      },
    },
    view: {
      post: (message) => {
        clock.after(0, () => toEngine?.(message));
      },
      listen: (listener) => {
        toView = listener;
        for (const message of early.splice(0)) listener(message);
      },
    },
  };
}

/** A link end whose posted messages a fault changes, swallows (undefined) or answers itself (`echo`). */
function through<Out, In>(
  link: EngineLink<Out, In>,
  change: (message: Out) => Out | undefined,
  echo?: (message: Out) => In | undefined,
): EngineLink<Out, In> {
  let listener: ((message: In) => void) | undefined;
  return {
    post(message) {
      const answer = echo?.(message);
      if (answer !== undefined) {
        listener?.(answer);
        return;
      }
      const changed = change(message);
      if (changed !== undefined) link.post(changed);
    },
    listen(given) {
      listener = given;
      link.listen(given);
    },
  };
}
