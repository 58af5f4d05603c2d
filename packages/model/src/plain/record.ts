// The replicated record of one TCP connection or one exchange of datagrams: an envelope as all sessions have
// it, and a body that never changes but for what has been seen of its life. Its id is drawn by who made it,
// so that two members that make a flow of one client's packets make two records; which of them counts,
// `comparePlain` says at every member.
import { type Address, NO_ADDRESS } from "../address.ts";
import { PROTOCOL_TCP } from "../service.ts";
import { NEVER } from "../session/envelope.ts";
import type { DeltaOf } from "../session/kind.ts";
import { compareText } from "../session/order.ts";
import type { End, EndCause, SessionEnvelope, SessionId } from "../session/record.ts";

/**
 * What has been seen, as bits that are only ever set; a join takes all of both.
 * TCP: both ends have spoken (the handshake is done), FINs that the other side acknowledged, and with PROXY
 * protocol that the endpoint has its header.
 * UDP: the endpoint has spoken; the client has spoken after that.
 */
export const MARK = { answered: 1, finUp: 2, finDown: 4, lively: 8, introduced: 16 } as const;
export const MARKS_MAX = 0xffff;

/** Of its end `epochSeen` is the marks that it saw; `phaseSeen` says nothing. */
export interface PlainRecord extends SessionEnvelope {
  /** On which the client came; the endpoint sees it as the client, … */
  readonly vip: Address;
  /** … unless this one is there. Never the VIP itself. */
  readonly source?: Address;
  readonly client: Address;
  readonly endpoint: Address;
  readonly endpointPort: number;
  readonly natPort: number;
  /** Number of the member that allocated the NAT port. */
  readonly member: number;
  /** TCP, as in PlainTcp of the fast path; 0 of UDP. */
  readonly windowScale: number;
  /** TCP: bytes before the client's own (PROXY protocol), −32,768 … 32,767. */
  readonly shift: number;
  readonly marks: number;
}

/** What the endpoint sees as the client. */
export function sourceOf({ source, vip }: Pick<PlainRecord, "source" | "vip">): Address {
  return source ?? vip;
}

/** What may change of a record. */
export type PlainNews = Partial<Pick<PlainRecord, "marks" | "activity" | "end">>;

export const PLAIN_PHASES = ["opening", "established", "closing", "timeWait", "closed"] as const;
export type PlainPhase = (typeof PLAIN_PHASES)[number];

/** Whether an end is in force. */
export function isPlainEnded({ end, marks, activity }: PlainRecord): boolean {
  if (end === undefined) return false;
  return end.absorbing || (end.activitySeen >= activity && (marks & ~end.epochSeen) === 0);
}

export function plainPhase(record: PlainRecord): PlainPhase {
  if (isPlainEnded(record)) return "closed";
  const { marks } = record;
  if (record.protocol !== PROTOCOL_TCP) return marks & MARK.lively ? "established" : "opening";
  const fins = marks & (MARK.finUp | MARK.finDown);
  if (fins === (MARK.finUp | MARK.finDown)) return "timeWait";
  if (fins !== 0) return "closing";
  return marks & MARK.answered ? "established" : "opening";
}

/** The record that knows nothing. */
export function emptyPlain(id: SessionId): PlainRecord {
  return {
    ...{ id, protocol: PROTOCOL_TCP, serviceId: "", clientPort: 0, createdAtMs: NEVER, activity: 0 },
    ...{ vip: NO_ADDRESS, client: NO_ADDRESS, endpoint: NO_ADDRESS, endpointPort: 0, natPort: 0, member: 0 },
    ...{ windowScale: 0, shift: 0, marks: 0, end: undefined },
  };
}

/** Joins what `delta` says into `record`; `record` itself when nothing is new. */
export function joinPlain(record: PlainRecord, delta: DeltaOf<PlainRecord>): PlainRecord {
  // Ids are drawn: two records of one id say the same but for their lives. Whichever is whole gives the rest.
  const isNamed = record.serviceId !== "";
  const base = isNamed || delta.serviceId === undefined ? record : { ...record, ...delta };
  const marks = record.marks | (delta.marks ?? 0);
  const activity = Math.max(record.activity, delta.activity ?? 0);
  const createdAtMs = Math.min(record.createdAtMs, delta.createdAtMs ?? NEVER);
  const end = joinPlainEnds(record.end, delta.end);
  const isSame =
    base === record &&
    marks === record.marks &&
    activity === record.activity &&
    createdAtMs === record.createdAtMs &&
    end === record.end;
  return isSame ? record : { ...base, marks, activity, createdAtMs, end };
}

/** As joinEnds of the envelope, of ends that saw a set of marks instead of a commit and its phase. */
function joinPlainEnds(a: End | undefined, b: End | undefined): End | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const order = Number(a.absorbing) - Number(b.absorbing) || compareText(a.cause, b.cause);
  const [stays, other] = order >= 0 ? [a, b] : [b, a];
  const epochSeen = stays.epochSeen | other.epochSeen;
  const activitySeen = Math.max(stays.activitySeen, other.activitySeen);
  return epochSeen === stays.epochSeen && activitySeen === stays.activitySeen
    ? stays
    : { ...stays, epochSeen, activitySeen };
}

/** An end that saw all that is known of the record; `absorbing`: it was witnessed. */
export function plainEnd({ marks, activity }: PlainRecord, cause: EndCause, absorbing: boolean): End {
  const epochSeen = absorbing ? MARKS_MAX : marks;
  return { cause, absorbing, epochSeen, phaseSeen: "init", activitySeen: activity };
}

/**
 * Of two living records of one client's address and port, which one its packets belong to. TCP: the younger,
 * since a client that opens a connection has given the older up. UDP: the older, which others may know
 * already.
 */
export function comparePlain(a: PlainRecord, b: PlainRecord): number {
  const living = Number(isPlainEnded(a)) - Number(isPlainEnded(b));
  const older = a.createdAtMs - b.createdAtMs;
  return living || (a.protocol === PROTOCOL_TCP ? -older : older) || compareText(a.id, b.id);
}
