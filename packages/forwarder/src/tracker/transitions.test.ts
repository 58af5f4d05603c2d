import assert from "node:assert/strict";
import { test } from "node:test";
import { PHASES, type Phase } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import {
  CELLS,
  type Direction,
  TRACKED_CHUNKS,
  TRANSITIONS,
  type TrackedChunk,
  trackedChunkOf,
  trackPacket,
} from "./transitions.ts";

// Every cell once more, in words, from docs/sctp.md §2: what is not listed here is "forward, stay, no
// effect". "drop" | "PHASE" | "PHASE+effect" | "+effect"
const EXPECTED: Record<Direction, Partial<Record<TrackedChunk, Partial<Record<Phase, string>>>>> = {
  up: {
    initAck: { closed: "drop" },
    cookieEcho: {
      init: "drop",
      initAck: "cookieEchoed+select",
      cookieEchoed: "+select",
      established: "+select",
      closed: "drop",
    },
    cookieAck: { init: "drop", closed: "drop" },
    data: { init: "drop" },
    shutdown: { init: "drop", established: "shutdown" },
    shutdownAck: { init: "drop", established: "shutdownAck", shutdown: "shutdownAck" },
    shutdownComplete: {
      init: "drop",
      initAck: "drop",
      cookieEchoed: "drop",
      established: "drop",
      shutdown: "closed+endShutdown",
      shutdownAck: "closed+endShutdown",
    },
    abort: {
      init: "drop",
      initAck: "closed+endAbort",
      cookieEchoed: "closed+endAbort",
      established: "closed+endAbort",
      shutdown: "closed+endAbort",
      shutdownAck: "closed+endAbort",
    },
    error: { init: "drop" },
  },
  down: {
    initAck: { init: "initAck", closed: "drop" },
    cookieEcho: { init: "drop", closed: "drop" },
    cookieAck: {
      init: "drop",
      initAck: "established+commit",
      cookieEchoed: "established+commit",
      established: "+commit",
      shutdown: "+commit",
      shutdownAck: "+commit",
      closed: "drop",
    },
    data: {
      init: "drop",
      initAck: "established+commit",
      cookieEchoed: "established+commit",
      established: "+commit",
      shutdown: "+commit",
      shutdownAck: "+commit",
    },
    shutdown: {
      init: "drop",
      initAck: "shutdown+commit",
      cookieEchoed: "shutdown+commit",
      established: "shutdown",
    },
    shutdownAck: { init: "drop", established: "shutdownAck", shutdown: "shutdownAck" },
    shutdownComplete: {
      init: "drop",
      initAck: "drop",
      cookieEchoed: "drop",
      established: "drop",
      shutdown: "closed+endShutdown",
      shutdownAck: "closed+endShutdown",
    },
    abort: {
      init: "closed+endAbort",
      initAck: "closed+endAbort",
      cookieEchoed: "closed+endAbort",
      established: "closed+endAbort",
      shutdown: "closed+endAbort",
      shutdownAck: "closed+endAbort",
    },
    error: { init: "drop" },
  },
};

test("every cell of direction × chunk × phase is what the rules say", () => {
  let cells = 0;
  for (const direction of ["up", "down"] as const) {
    for (const chunk of TRACKED_CHUNKS) {
      for (const phase of PHASES) {
        const { forward, phase: next, effect } = TRANSITIONS[direction][chunk][phase];
        const told = !forward
          ? "drop"
          : `${next === phase ? "" : next}${effect === "none" ? "" : `+${effect}`}`;
        const expected = chunk === "asconf" ? "drop" : (EXPECTED[direction][chunk]?.[phase] ?? "");
        assert.equal(told, expected, `${direction} ${chunk} in ${phase}`);
        cells += 1;
      }
    }
  }
  assert.equal(cells, 2 * TRACKED_CHUNKS.length * PHASES.length);
});

test("laws: phases never fall, nothing but a COOKIE-ECHO selects, the client never commits, closed stays closed", () => {
  const rank = (phase: Phase) => PHASES.indexOf(phase);
  for (const direction of ["up", "down"] as const) {
    for (const chunk of TRACKED_CHUNKS) {
      for (const phase of PHASES) {
        const transition = TRANSITIONS[direction][chunk][phase];
        assert.ok(rank(transition.phase) >= rank(phase));
        if (transition.effect === "select") assert.equal(`${direction} ${chunk}`, "up cookieEcho");
        if (transition.effect === "commit") {
          assert.equal(direction, "down");
          assert.ok(chunk !== "initAck" && chunk !== "abort" && chunk !== "error" && chunk !== "cookieEcho");
        }
        if (transition.phase === "closed" && phase !== "closed") assert.match(transition.effect, /^end/);
        assert.equal(CELLS[direction][chunk].length, PHASES.length);
      }
    }
  }
});

test("a packet is all of its chunks: an end behind a SACK is seen, a chunk that must not pass drops it whole", () => {
  assert.deepEqual(trackPacket("up", [CHUNK.SACK, CHUNK.ABORT], "established"), {
    forward: true,
    phase: "closed",
    selects: false,
    commits: false,
    end: "endAbort",
  });
  assert.equal(trackPacket("up", [CHUNK.SACK, CHUNK.ASCONF], "established").forward, false);
  const bundled = trackPacket("up", [CHUNK.COOKIE_ECHO, CHUNK.DATA], "initAck");
  assert.deepEqual([bundled.phase, bundled.selects], ["cookieEchoed", true]);
  const answer = trackPacket("down", [CHUNK.COOKIE_ACK, CHUNK.SACK, CHUNK.DATA], "cookieEchoed");
  assert.deepEqual([answer.phase, answer.commits], ["established", true]);
  // Stale Cookie beside nothing else: no commit.
  assert.equal(trackPacket("down", [CHUNK.ERROR], "cookieEchoed").commits, false);
  assert.equal(trackedChunkOf(0x3f), "data");
});
