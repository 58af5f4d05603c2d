// Two honest members with the real engine, replica and view, and what a third one, who lies, needs to know of
// them (peers.ts).
import assert from "node:assert/strict";
import {
  type Address,
  type Candidate,
  type SessionDelta,
  type SessionId,
  type SessionRecord,
  seededRandom,
} from "@holdfast/model";
import { answeredDelta, establishedDelta } from "@holdfast/model/testing";
import {
  type Actor,
  actorOf,
  MemoryNetwork,
  memoryJournal,
  type PeerIdentity,
  type Summary,
  type Transport,
} from "@holdfast/sync/testing";
import { SimulatedClock, SimulatedTime } from "../../simulation/clock.ts";
import { MEMORY_MS, SimulatedMember } from "../../simulation/member.ts";

export const LIAR = 2;
const SERVICE = "sctp/203.0.113.1:38412";
/** How long a fact of one honest member may take to the other, links that were refused meanwhile included. */
const CONVERGE_MS = 500;

/** peers.ts says what they do. */
export const KINDS = ["impersonator", "slanderer"] as const;
type Kind = (typeof KINDS)[number];

export class World {
  readonly time = new SimulatedTime();
  readonly network: MemoryNetwork;
  readonly honest: readonly [SimulatedMember, SimulatedMember];
  readonly liar: Transport;
  readonly actor: Actor;
  /** What the honest ones said last that they hold. */
  readonly summaries = new Map<number, Summary>();
  witness: SessionId = "";
  commit = "";
  /** The liar's own journal: where its next tick goes, per receiver. */
  readonly own = new Map<number, { tick: number; head: Uint8Array }>();
  readonly kind: Kind;
  #serial = 0;

  constructor(seed: number, kind: Kind) {
    this.kind = kind;
    const clock = new SimulatedClock(this.time);
    const random = seededRandom(seed);
    this.network = new MemoryNetwork({ clock, random, reconnectMs: 5, refusalPauseMs: 5, detectMs: 50 });
    const members: PeerIdentity[] = [0, 1, LIAR].map((number) => ({ number, name: `m${number}` }));
    const member = (identity: PeerIdentity) =>
      new SimulatedMember({
        identity,
        members: () => members,
        time: this.time,
        network: this.network,
        journals: memoryJournal,
        seed,
        fault: undefined,
      });
    this.honest = [member(members[0] as PeerIdentity), member(members[1] as PeerIdentity)];
    this.actor = actorOf(LIAR, clock.wallMs(), random);
    this.liar = this.network.transport(members[LIAR] as PeerIdentity);
  }

  async start(): Promise<void> {
    for (const member of this.honest) await member.start();
    this.liar.start({
      connected: ({ number }) => {
        this.own.set(number, { tick: 0, head: new Uint8Array(0) });
        this.liar.send(number, { kind: "hello", summary: this.truth() });
      },
      disconnected: () => {},
      dropped: () => {},
      message: ({ number }, message) => {
        if (message.kind === "hello" || message.kind === "summary")
          this.summaries.set(number, message.summary);
      },
    });
    await this.pass(200);
    this.witness = await this.establish(0);
    this.commit = commitText(this.honest[1].life?.view.get(this.witness));
    // Whoever wants to continue somebody's journal has to know where it ends.
    await this.pass(MEMORY_MS);
  }

  /** What an honest member without sessions would say of itself. */
  truth(): Summary {
    return { incarnation: this.actor, journals: [], connected: [0, 1], floors: [], caughtUp: true };
  }

  async pass(ms: number): Promise<void> {
    await this.time.run(this.time.nowMs + ms);
  }

  /** A new association at one honest member; fails when the other does not learn of it. */
  async establish(at: 0 | 1): Promise<SessionId> {
    const { view } = this.honest[at].life ?? assert.fail("a member is down");
    const record = view.apply(answered(at, ++this.#serial), { urgent: true });
    view.apply(establishedDelta(record), { urgent: true });
    const other = this.honest[1 - at]?.life?.view ?? assert.fail("a member is down");
    const endMs = this.time.nowMs + CONVERGE_MS;
    while (other.get(record.id)?.commit === undefined) {
      const about = `${this.kind}: m${1 - at} has not learned of a session of m${at}`;
      assert.ok(this.time.nowMs < endMs, about);
      await this.pass(5);
    }
    return record.id;
  }
}

export function commitText(record: SessionRecord | undefined): string {
  const { epoch, clientTag, candidate } = record?.commit ?? assert.fail("the witness is not established");
  return `${epoch} ${clientTag} ${candidate}`;
}

/** An association that a member began, up to the INIT-ACK. */
export function answered(member: number, serial: number): SessionDelta {
  const clientTag = 1 + member * 1_000_000 + serial;
  const source: Address = `10.${member}.${serial >> 8}.${serial & 0xff}`;
  const candidate: Candidate = {
    member,
    endpoint: "192.0.2.10",
    endpointPort: 38_412,
    natPort: 1_024 + ((serial * 8 + member) % 60_000),
    endpointTag: 77,
    endpointAddresses: [],
    echoed: false,
  };
  return answeredDelta({
    serviceId: SERVICE,
    clientPort: 5_000,
    clientTag,
    clients: [source],
    candidate,
    createdAtMs: 1_000,
    probedVips: 1 + (serial % 15),
  });
}
