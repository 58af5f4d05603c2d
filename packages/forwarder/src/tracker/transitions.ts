// What a chunk does to the phase of a generation: one table, direction × chunk × phase. Nothing else decides
// it.
//
// A cell is met only by a packet whose verification tag fits the generation (match.ts). The phases are the
// columns:
//   in  init           INIT was forwarded
//   ia  initAck        INIT-ACK was forwarded
//   ce  cookieEchoed   COOKIE-ECHO was forwarded
//   es  established    the endpoint has shown that it accepted the cookie
//   sh  shutdown       SHUTDOWN was forwarded
//   sa  shutdownAck    SHUTDOWN-ACK was forwarded
//   cl  closed         ended; packets pass through the linger
import { PHASES, type Phase } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";

export type Direction = "up" | "down";

/**
 * Chunks as the tracker tells them apart. `data` stands for everything that only refreshes: DATA, SACK,
 * HEARTBEAT, …
 */
export const TRACKED_CHUNKS = [
  "init",
  "initAck",
  "cookieEcho",
  "cookieAck",
  "data",
  "shutdown",
  "shutdownAck",
  "shutdownComplete",
  "abort",
  "error",
  "asconf",
] as const;
export type TrackedChunk = (typeof TRACKED_CHUNKS)[number];

/** What else a transition means for the session. */
export type Effect =
  | "none"
  /** COOKIE-ECHO: the candidate with this tag is the one that the client chose. */
  | "select"
  /** The endpoint has the association: this generation is in force. */
  | "commit"
  | "endShutdown"
  | "endAbort";

export interface Transition {
  /** false: the chunk has no business in this phase; the packet is dropped. */
  readonly forward: boolean;
  readonly phase: Phase;
  readonly effect: Effect;
}

/**
 * A cell in shorthand: `.` forward and stay, `-` drop, else the next phase; `?` in front selects a candidate,
 * `!` commits, `x` ends by ABORT, `z` ends by SHUTDOWN-COMPLETE.
 */
type Cell = "." | "-" | "x" | "z" | "sh" | "sa" | "ia" | "?ce" | "?." | "!es" | "!sh" | "!.";
type Row = readonly [in_: Cell, ia: Cell, ce: Cell, es: Cell, sh: Cell, sa: Cell, cl: Cell];

// biome-ignore format: a table is read by its columns
export const CELLS: Readonly<Record<Direction, Readonly<Record<TrackedChunk, Row>>>> = {
  up: {
    //                 in   ia     ce     es    sh    sa    cl
    // A new INIT makes or refreshes a generation; it never touches the one whose phase this is.
    init:             [".", ".",   ".",   ".",  ".",  ".",  "."],
    // Only in a collision (RFC 9260 §5.2.1): the client answers the endpoint's INIT.
    initAck:          [".", ".",   ".",   ".",  ".",  ".",  "-"],
    // After the end, and for an evicted embryo, no cookie revives anything.
    cookieEcho:       ["-", "?ce", "?.",  "?.", ".",  ".",  "-"],
    cookieAck:        ["-", ".",   ".",   ".",  ".",  ".",  "-"],
    data:             ["-", ".",   ".",   ".",  ".",  ".",  "."],
    // Before the endpoint has shown the association, a client's SHUTDOWN moves nothing.
    shutdown:         ["-", ".",   ".",   "sh", ".",  ".",  "."],
    // RFC 9260 §8.5.1 (E): in COOKIE-ECHOED it belongs to an earlier association; passed on, nothing moves.
    shutdownAck:      ["-", ".",   ".",   "sa", "sa", ".",  "."],
    // RFC 9260 §8.5.1 (C): discarded unless a SHUTDOWN-ACK is out; `sh` because that may have passed
    // elsewhere.
    shutdownComplete: ["-", "-",   "-",   "-",  "z",  "z",  "."],
    abort:            ["-", "x",   "x",   "x",  "x",  "x",  "."],
    // An ERROR never ends anything (RFC 9260 §3.3.10). Stale Cookie: the next INIT starts over by itself.
    error:            ["-", ".",   ".",   ".",  ".",  ".",  "."],
    asconf:           ["-", "-",   "-",   "-",  "-",  "-",  "-"],
  },
  down: {
    //                 in   ia     ce     es    sh    sa    cl
    init:             [".", ".",   ".",   ".",  ".",  ".",  "."],
    initAck:          ["ia", ".",  ".",   ".",  ".",  ".",  "-"],
    // Only in a collision: the endpoint answers the client's INIT-ACK. It is no proof that it has the
    // association.
    cookieEcho:       ["-", ".",   ".",   ".",  ".",  ".",  "-"],
    cookieAck:        ["-", "!es", "!es", "!.", "!.", "!.", "-"],
    data:             ["-", "!es", "!es", "!.", "!.", "!.", "."],
    shutdown:         ["-", "!sh", "!sh", "sh", ".",  ".",  "."],
    // RFC 9260 §5.2.4: answers a COOKIE-ECHO when the endpoint is still shutting the earlier association
    // down.
    shutdownAck:      ["-", ".",   ".",   "sa", "sa", ".",  "."],
    shutdownComplete: ["-", "-",   "-",   "-",  "z",  "z",  "."],
    // The endpoint refuses an INIT with its tag: only that generation dies.
    abort:            ["x", "x",   "x",   "x",  "x",  "x",  "."],
    error:            ["-", ".",   ".",   ".",  ".",  ".",  "."],
    asconf:           ["-", "-",   "-",   "-",  "-",  "-",  "-"],
  },
};

const NEXT: Readonly<Record<string, Phase>> = {
  ia: "initAck",
  ce: "cookieEchoed",
  es: "established",
  sh: "shutdown",
  sa: "shutdownAck",
};

function transitionOf(cell: Cell, phase: Phase): Transition {
  if (cell === "-") return { forward: false, phase, effect: "none" };
  if (cell === "x") return { forward: true, phase: "closed", effect: "endAbort" };
  if (cell === "z") return { forward: true, phase: "closed", effect: "endShutdown" };
  const mark = cell[0] === "?" || cell[0] === "!" ? cell[0] : "";
  const rest = cell.slice(mark.length);
  const effect: Effect = mark === "?" ? "select" : mark === "!" ? "commit" : "none";
  return { forward: true, phase: rest === "." ? phase : (NEXT[rest] as Phase), effect };
}

function build(direction: Direction): Readonly<Record<TrackedChunk, Readonly<Record<Phase, Transition>>>> {
  const rows = TRACKED_CHUNKS.map((chunk) => {
    const cells = CELLS[direction][chunk];
    const row = PHASES.map((phase, column) => [phase, transitionOf(cells[column] as Cell, phase)]);
    return [chunk, Object.fromEntries(row)];
  });
  return Object.fromEntries(rows);
}

/** TRANSITIONS[direction][chunk][phase] */
export const TRANSITIONS = { up: build("up"), down: build("down") } as const;

const TRACKED = new Map<number, TrackedChunk>([
  [CHUNK.INIT, "init"],
  [CHUNK.INIT_ACK, "initAck"],
  [CHUNK.COOKIE_ECHO, "cookieEcho"],
  [CHUNK.COOKIE_ACK, "cookieAck"],
  [CHUNK.SHUTDOWN, "shutdown"],
  [CHUNK.SHUTDOWN_ACK, "shutdownAck"],
  [CHUNK.SHUTDOWN_COMPLETE, "shutdownComplete"],
  [CHUNK.ABORT, "abort"],
  [CHUNK.ERROR, "error"],
  [CHUNK.ASCONF, "asconf"],
  [CHUNK.ASCONF_ACK, "asconf"],
]);

export function trackedChunkOf(type: number): TrackedChunk {
  return TRACKED.get(type) ?? "data";
}

/**
 * What a whole packet does: its chunks one after the other. The first that must not pass drops the packet.
 */
export interface PacketTransition {
  readonly forward: boolean;
  readonly phase: Phase;
  readonly selects: boolean;
  readonly commits: boolean;
  readonly end: "endShutdown" | "endAbort" | undefined;
}

export function trackPacket(direction: Direction, types: readonly number[], phase: Phase): PacketTransition {
  const rows = TRANSITIONS[direction];
  let now = phase;
  let selects = false;
  let commits = false;
  let end: PacketTransition["end"];
  for (const type of types) {
    const transition = rows[trackedChunkOf(type)][now];
    if (!transition.forward) return { forward: false, phase, selects: false, commits: false, end: undefined };
    now = transition.phase;
    switch (transition.effect) {
      case "select":
        selects = true;
        break;
      case "commit":
        commits = true;
        break;
      case "endAbort":
      case "endShutdown":
        end = transition.effect;
        break;
      case "none":
        break;
    }
  }
  return { forward: true, phase: now, selects, commits, end };
}
