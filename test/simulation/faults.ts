// Deliberate faults: each is a mistake that somebody could make, put between the real parts. The simulation is good for
// something only if it finds every one of them.
import { decodeSession, type End, type SessionDelta, type SessionRecord, SessionView } from "@holdfast/model";
import {
  BatchWriter,
  CARRIES_UNKNOWN,
  type ChangeRefusal,
  type DeltaBatch,
  decodePayload,
  encodePayload,
  type JournalFactory,
  readBatch,
  type Segment,
  type ToEngine,
  type ToView,
  type VerifiedChange,
} from "@holdfast/sync/testing";

export interface Fault {
  readonly name: string;
  /** It shows when a partition outlasts everything; the test tries only such seeds. */
  readonly needsLongPartition?: boolean;
  /** A seed that is known to show it, where that is none of the first; the test begins there. */
  readonly seed?: number;
  readonly view?: () => SessionView;
  readonly journals?: (real: JournalFactory) => JournalFactory;
  /** Changes or swallows what the view's side posts. */
  readonly toEngine?: (message: ToEngine, member: number) => ToEngine | undefined;
  readonly toView?: (message: ToView, member: number) => ToView | undefined;
  /** Answers for the engine. */
  readonly echo?: (message: ToEngine) => ToView | undefined;
  /** Changes an end that the workload is about to write. */
  readonly end?: (end: End) => End;
  /** The member whose slot an allocator uses. */
  readonly slot?: (member: number) => number;
  /** Keeps a freed NAT port from being used again while its session is remembered. */
  readonly ignoresTombstones?: boolean;
  /** Two members that see one INIT from different sources name two sessions. */
  readonly namesBySource?: boolean;
}

/** A view whose every way to join is the faulty one. */
abstract class FaultyView extends SessionView {
  override joinRemoteBytes(bytes: Uint8Array) {
    const decoding = decodeSession(bytes);
    return "malformed" in decoding ? undefined : this.joinRemote(decoding.delta);
  }
}

class LastWriterView extends FaultyView {
  override joinRemote(delta: SessionDelta) {
    if (delta.serviceId !== undefined) this.forget(delta.id);
    return super.joinRemote(delta);
  }
}

/** Takes what a commit says even when it knows a later one: the phase of a session falls back. */
class FirstCommitView extends FaultyView {
  override joinRemote(delta: SessionDelta) {
    const known: SessionRecord | undefined = this.known(delta.id);
    if (known?.commit === undefined || delta.commit === undefined) return super.joinRemote(delta);
    const { commit: _ignored, ...rest } = delta;
    return super.joinRemote(rest);
  }
}

function filterBatch(batch: DeltaBatch, keep: (delta: SessionDelta, i: number) => boolean): DeltaBatch {
  const writer = new BatchWriter();
  let i = 0;
  for (const bytes of readBatch(batch)) {
    const decoding = decodeSession(bytes);
    // What later versions say is left alone: these faults are older than it.
    if (!("delta" in decoding) || keep(decoding.delta, i++)) writer.add(bytes);
  }
  return writer.take();
}

function onlyKnown(batch: DeltaBatch): DeltaBatch {
  const writer = new BatchWriter();
  for (const bytes of readBatch(batch)) if ("delta" in decodeSession(bytes)) writer.add(bytes);
  return writer.take();
}

function wrapped(real: JournalFactory, change: (segment: Segment) => Segment): JournalFactory {
  return { open: (actor, number) => change(real.open(actor, number)) };
}

/** A segment that does everything as the real one, but for what `over` replaces. */
function like(segment: Segment, over: Partial<Pick<Segment, "append" | "verify" | "apply">>): Segment {
  return {
    get actor() {
      return segment.actor;
    },
    get number() {
      return segment.number;
    },
    get ticks() {
      return segment.ticks;
    },
    get head() {
      return segment.head;
    },
    append: over.append ?? ((payload) => segment.append(payload)),
    verify: over.verify ?? ((change) => segment.verify(change)),
    apply: over.apply ?? ((change) => segment.apply(change)),
    changes: (from, to) => segment.changes(from, to),
    free: () => segment.free(),
  };
}

/** Believes any bytes that are long enough: no hash, no writer, no place in the chain. */
function believe(segment: Segment, bytes: Uint8Array): VerifiedChange | ChangeRefusal {
  const verified = segment.verify(bytes);
  if (typeof verified !== "string") return verified;
  // The payload of a damaged chunk, found where it would be in a sound one.
  const at = payloadStart(bytes);
  return {
    bytes,
    hash: verified === "wrong-hash" ? bytes.slice(4, 36) : bytes.slice(0, 32),
    payload: bytes.subarray(at, bytes.length - 2),
    tick: segment.ticks,
  };
}

/** After the value's type and length: the last literal run before the payload. */
function payloadStart(bytes: Uint8Array): number {
  // action column (1, 0x7f, 1) then 0x7f and the length's LEB128.
  for (let i = 12; i + 4 < bytes.length; i++) {
    if (bytes[i] === 1 && bytes[i + 1] === 0x7f && bytes[i + 2] === 1 && bytes[i + 3] === 0x7f) {
      let at = i + 4;
      while (((bytes[at] ?? 0) & 0x80) !== 0) at++;
      return at + 1;
    }
  }
  return bytes.length;
}

export const FAULTS: readonly Fault[] = [
  { name: "a time-out that absorbs", needsLongPartition: true, end: (end) => ({ ...end, absorbing: true }) },
  { name: "a shared slot", slot: () => 0 },
  {
    name: "a forgotten tombstone",
    seed: 20,
    toEngine: (message) =>
      message.kind === "exported"
        ? { ...message, deltas: filterBatch(message.deltas, (delta) => delta.end === undefined) }
        : message,
  },
  {
    name: "tombstones forgotten while a member is missing",
    needsLongPartition: true,
    seed: 40,
    toView: (message) =>
      message.kind === "state" ? { kind: "state", state: { ...message.state, missing: [] } } : message,
  },
  {
    name: "an applied change that was not verified",
    journals: (real) =>
      wrapped(real, (segment) => like(segment, { verify: (bytes) => believe(segment, bytes) })),
  },
  {
    name: "a base advanced too early",
    journals: (real) =>
      wrapped(real, (segment) =>
        like(segment, {
          append: (payload) => {
            const entries = decodePayload(payload) ?? [];
            return segment.append(
              encodePayload(
                entries.map((entry) =>
                  entry.kind === "header" ? { ...entry, base: segment.number } : entry,
                ),
              ),
            );
          },
        }),
      ),
  },
  {
    name: "a lost re-emission",
    toEngine: (message) =>
      message.kind === "exported"
        ? { ...message, deltas: filterBatch(message.deltas, (_delta, i) => i % 3 !== 0) }
        : message,
  },
  {
    name: "what later versions say is not written again",
    toEngine: (message) =>
      message.kind === "exported" ? { ...message, deltas: onlyKnown(message.deltas) } : message,
  },
  {
    name: "a writer that does not ask what the others can read",
    toView: (message) =>
      message.kind === "state"
        ? { kind: "state", state: { ...message.state, offered: [CARRIES_UNKNOWN] } }
        : message,
  },
  { name: "a join that takes the last writer", view: () => new LastWriterView() },
  { name: "a join that keeps the first commit", view: () => new FirstCommitView() },
  {
    name: "a release that nobody has acknowledged",
    toEngine: (message) => message,
    echo: (message) =>
      message.kind === "release" ? { kind: "released", token: message.token, ok: true } : undefined,
  },
  { name: "a session named by its source", namesBySource: true },
  { name: "a NAT port used again too soon", needsLongPartition: true, seed: 96, ignoresTombstones: true },
];
