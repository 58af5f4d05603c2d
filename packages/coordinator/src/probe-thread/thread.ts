// The probe thread: membership with real sockets and a real clock, away from the main loop, so that a busy event
// loop or a long garbage collection over there is not a death. It also beats the data plane's sign of life.
import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { deadAfterMs } from "../configuration.ts";
import { createMembership, type MembershipEvent, viewOf } from "../membership/state.ts";
import { nextTickAtMs, step } from "../membership/step.ts";
import { decode } from "../wire/decode.ts";
import { encode } from "../wire/encode.ts";
import type { Refusal } from "../wire/message.ts";
import type { Command, Notice, Report, SignOfLife, SignOfLifeModule, ThreadData } from "./messages.ts";
import { ProbeSockets } from "./sockets.ts";

/** The data plane's sign of life is beaten this often; it is stale after a death verdict (150 ms). */
const BEAT_PERIOD_MS = 20;
/** Without a change the main thread gets a view this often, for its figures. */
const VIEW_PERIOD_MS = 500;
/** The goodbye is repeated, since a datagram may be lost. */
const LEAVE_COUNT = 3;
const LEAVE_SPACING_MS = 20;

assert(parentPort !== null, "the probe thread is a worker");
const port = parentPort;
const data = workerData as ThreadData;
const pulse = new Int32Array(data.mainPulse);
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;

const membership = createMembership({ ...data, nowMs: nowMs() });
const refused: Partial<Record<Refusal, number>> = {};
let received = 0;
let lastPulse = Atomics.load(pulse, 0);
let pulsedAtMs = nowMs();
let epoch = 0;
let appliedEpoch = 0;
let changed = true;
let notices: Notice[] = [];
let viewedAtMs = 0;
let signOfLife: SignOfLife | undefined;
let timer: NodeJS.Timeout | undefined;
let closing = false;

const sockets = new ProbeSockets(membership.self.addresses, data.hopLimit, (bytes, network) => {
  received++;
  const decoded = decode(bytes, data.key);
  if (decoded.ok) advance({ kind: "message", message: decoded.message, network });
  else refused[decoded.refusal] = (refused[decoded.refusal] ?? 0) + 1;
});

function advance(event: MembershipEvent): void {
  const atMs = nowMs();
  for (const effect of step(membership, event, atMs)) {
    switch (effect.kind) {
      case "send": {
        const peer = membership.peers.get(effect.message.to);
        if (peer !== undefined) sockets.send(encode(effect.message, data.key), peer.configuration);
        break;
      }
      case "refused":
        refused[effect.refusal] = (refused[effect.refusal] ?? 0) + 1;
        break;
      case "changed":
        changed = true;
        break;
      default:
        // After a freeze of the whole process the main loop needs a moment as well: it was stopped, not silent.
        if (effect.kind === "frozen") pulsedAtMs += effect.forMs;
        if (effect.kind === "frozen" || (effect.kind === "accused" && effect.displaced)) epoch++;
        notices.push(effect);
    }
  }
  if (changed || notices.length > 0 || atMs - viewedAtMs >= VIEW_PERIOD_MS) report(atMs);
}

function report(atMs: number): void {
  const closedNetworks = Object.fromEntries(sockets.closedNetworks);
  const counters = {
    sent: sockets.sent,
    received,
    sendFailures: sockets.sendFailures,
    closedNetworks,
    refused,
  };
  const message: Report = { kind: "view", view: viewOf(membership, atMs), notices, epoch, counters };
  port.postMessage(message);
  changed = false;
  notices = [];
  viewedAtMs = atMs;
}

function mainIsAlive(): boolean {
  const current = Atomics.load(pulse, 0);
  if (current !== lastPulse) {
    lastPulse = current;
    pulsedAtMs = nowMs();
  }
  return nowMs() - pulsedAtMs < data.timing.mainSilentMaxMs;
}

function tick(): void {
  if (closing) return;
  advance({ kind: "tick" });
  const mainAlive = mainIsAlive();
  if (mainAlive !== membership.facts.mainAlive) advance({ kind: "facts", facts: { mainAlive } });
  schedule();
}

function schedule(): void {
  clearTimeout(timer);
  if (closing) return;
  // Judge only after the sockets were read: what came while this thread was late is in them, not lost. Timers run
  // before the poll phase, immediates after it.
  timer = setTimeout(() => setImmediate(tick), Math.max(0, Math.ceil(nextTickAtMs(membership) - nowMs())));
}

function beat(): void {
  // Late ourselves, or not yet told what happened while we were: a sign of life would make a zombie answer for VIPs.
  if (nowMs() - membership.tickedAtMs > deadAfterMs(data.timing)) return;
  if (!membership.confirmed || appliedEpoch < epoch || !mainIsAlive()) return;
  signOfLife?.beat();
}

function command(message: Command): void {
  switch (message.kind) {
    case "facts": {
      const { kind: _, networks, ...rest } = message;
      advance({
        kind: "facts",
        facts:
          networks === undefined
            ? rest
            : { ...rest, networks: new Map(networks.map((fact) => [fact.network, fact])) },
      });
      return;
    }
    case "hint": {
      const peer = [...membership.peers.values()].find(
        ({ configuration }) => configuration.name === message.member,
      );
      if (peer === undefined) return;
      advance({ kind: "hint", member: peer.configuration.number });
      schedule();
      return;
    }
    case "applied":
      appliedEpoch = message.epoch;
      return;
    case "leave":
      void goodbye();
      return;
    case "close":
      close();
  }
}

async function goodbye(): Promise<void> {
  for (let i = 0; i < LEAVE_COUNT; i++) {
    advance({ kind: "leave" });
    await new Promise((resolve) => setTimeout(resolve, LEAVE_SPACING_MS));
  }
  close();
}

function close(): void {
  if (closing) return;
  closing = true;
  clearTimeout(timer);
  clearInterval(beatTimer);
  sockets.close();
  signOfLife?.close();
  const closed: Report = { kind: "closed" };
  port.postMessage(closed);
  port.close();
}

port.on("message", command);
if (data.signOfLife !== undefined) {
  const module: SignOfLifeModule = await import(data.signOfLife.moduleUrl);
  signOfLife = await module.open(data.signOfLife.data);
}
const beatTimer = setInterval(beat, BEAT_PERIOD_MS);
tick();
