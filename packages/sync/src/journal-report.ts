// What a member's journals say, for `holdfast journal`: reads the store's directory beside a running daemon
// and changes nothing in it.
import {
  type AnyKind,
  type DeltaOf,
  HoldfastError,
  kindOfBytes,
  type SessionEnvelope,
  type SessionId,
} from "@holdfast/model";
import { counterOf, documentActorOf, memberOf } from "./journal/actor.ts";
import { verifyChange } from "./journal/change.ts";
import { decodePayload } from "./journal/payload.ts";
import type { Actor } from "./ports/journals.ts";
import type { StoredSegment } from "./ports/store.ts";
import { readStore } from "./store/read.ts";

export interface SegmentReport {
  readonly segment: number;
  readonly sealed: boolean;
  readonly ticks: number;
  readonly bytes: number;
  readonly deltas: number;
  /** Entries and deltas of later versions: carried, and not read here. */
  readonly unknown: number;
  /** Different sessions that the segment mentions. */
  readonly sessions: number;
  /** Segments below it are retired, as far as this one says so. */
  readonly base: number | undefined;
  /** The first tick that does not verify, and why; nothing behind it counts. */
  readonly refused: { readonly tick: number; readonly reason: string } | undefined;
}

export interface JournalEntry {
  readonly actor: Actor;
  readonly segment: number;
  readonly tick: number;
  readonly delta: DeltaOf<SessionEnvelope>;
}

export interface JournalReport {
  readonly directory: string;
  /** What was torn or corrupt, in words. */
  readonly damaged: readonly string[];
  readonly values: readonly { readonly name: string; readonly bytes: number }[];
  readonly journals: readonly {
    readonly actor: Actor;
    /** Number of the member that wrote it. */
    readonly member: number;
    /** Which life of the member; greater is later. */
    readonly incarnation: number;
    readonly segments: readonly SegmentReport[];
  }[];
  /** Sessions that the join of all journals shows, and how many of them have ended. */
  readonly sessionCount: number;
  readonly endedCount: number;
  /** Every delta of the session that was asked about, in the order of journals, and what they join to. */
  readonly session:
    | { readonly record: SessionEnvelope | undefined; readonly entries: readonly JournalEntry[] }
    | undefined;
}

/** Errors: STORE_DIRECTORY_UNUSABLE when there is no store. */
export async function journalReport(
  storeDirectory: string,
  options: { readonly session?: SessionId } = {},
): Promise<JournalReport> {
  const state = await readStore(storeDirectory).catch((cause: unknown) => {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new HoldfastError("STORE_DIRECTORY_UNUSABLE", { directory: storeDirectory, reason }, { cause });
  });
  const records = new Map<SessionId, { readonly kind: AnyKind; readonly record: SessionEnvelope }>();
  const entries: JournalEntry[] = [];
  const byActor = new Map<Actor, SegmentReport[]>();
  for (const stored of state.segments) {
    const report = readSegment(stored, (tick, kind, delta) => {
      const known: SessionEnvelope = records.get(delta.id)?.record ?? kind.empty(delta.id);
      records.set(delta.id, { kind, record: kind.join(known, delta) });
      if (delta.id === options.session)
        entries.push({ actor: stored.actor, segment: stored.segment, tick, delta });
    });
    const known = byActor.get(stored.actor);
    if (known === undefined) byActor.set(stored.actor, [report]);
    else known.push(report);
  }
  let endedCount = 0;
  for (const { kind, record } of records.values()) if (kind.isEnded(record)) endedCount++;
  return {
    directory: storeDirectory,
    damaged: state.damaged,
    values: [...state.values].map(([name, value]) => ({ name, bytes: value.length })),
    journals: [...byActor].map(([actor, segments]) => ({
      actor,
      member: memberOf(actor),
      incarnation: counterOf(actor),
      segments,
    })),
    sessionCount: records.size,
    endedCount,
    session:
      options.session === undefined ? undefined : { record: records.get(options.session)?.record, entries },
  };
}

function readSegment(
  stored: StoredSegment,
  onDelta: (tick: number, kind: AnyKind, delta: DeltaOf<SessionEnvelope>) => void,
): SegmentReport {
  const documentActor = documentActorOf(stored.actor, stored.segment);
  const sessions = new Set<SessionId>();
  let head: Uint8Array = new Uint8Array(0);
  let base: number | undefined;
  let deltas = 0;
  let unknown = 0;
  let bytes = 0;
  let ticks = 0;
  let refused: SegmentReport["refused"];
  for (const change of stored.changes) {
    const verified = verifyChange(change, documentActor, ticks, head);
    const payload = typeof verified === "string" ? undefined : decodePayload(verified.payload);
    if (typeof verified === "string" || payload === undefined) {
      refused = { tick: ticks, reason: typeof verified === "string" ? verified : "payload" };
      break;
    }
    for (const entry of payload) {
      if (entry.kind === "base" || entry.kind === "header") base = Math.max(base ?? 0, entry.base);
      if (entry.kind === "unknown") unknown++;
      if (entry.kind !== "delta") continue;
      const kind = kindOfBytes(entry.bytes);
      const decoded = kind?.decode(entry.bytes);
      if (kind === undefined || decoded === undefined || !("delta" in decoded)) {
        unknown++;
        continue;
      }
      deltas++;
      sessions.add(decoded.delta.id);
      onDelta(ticks, kind, decoded.delta);
    }
    bytes += change.length;
    head = verified.hash;
    ticks++;
  }
  return {
    segment: stored.segment,
    sealed: stored.sealed,
    ticks,
    bytes,
    deltas,
    unknown,
    sessions: sessions.size,
    base,
    refused,
  };
}
