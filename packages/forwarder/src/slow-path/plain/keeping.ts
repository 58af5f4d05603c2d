// What happens to flows without a packet: what the fast path says of them is gathered, they are told to the
// others when they have lived a while, and ended when they are silent. In bounded turns.
import {
  isPlainEnded,
  PROTOCOL_TCP,
  REPLICATE_AFTER_DEFAULT_MS,
  REPLICATE_DEFAULT,
  type Service,
} from "@holdfast/model";
import type { PlainFlow, PlainFlowState, PlainVisit } from "../../fast-path/plain.ts";
import { Sweep } from "../../housekeeping/sweep.ts";
import type { PlainAdoption } from "./adoption.ts";
import {
  FORGET_DOWN,
  FORGET_UP,
  isLivingFlow,
  type Judgement,
  judge,
  type LocalFlow,
  STATELESS_HANDLE,
} from "./flow.ts";
import { introduceAgain } from "./introduction.ts";
import { OVER_SILENT_MS } from "./offered.ts";
import { findOpened, noteAnswer, openedElsewhere } from "./opened.ts";
import { end, entryOf, forget, learnScale, note, publish, type Room } from "./room.ts";
import { sweepStateless } from "./stateless.ts";
import { look } from "./tcp.ts";

/** Activity is reported each quarter of the idle limit. */
const ACTIVITY_QUARTER = 4;

export class PlainKeeping {
  readonly #room: Room;
  readonly #adoption: PlainAdoption;
  readonly #sweep = new Sweep();
  #visits: Iterator<LocalFlow> | undefined;

  constructor(room: Room, adoption: PlainAdoption) {
    this.#room = room;
    this.#adoption = adoption;
  }

  /** One bounded turn. */
  tick(nowMs: number): undefined {
    this.#room.offering.tick(nowMs);
    this.#sweepFlows(nowMs);
    this.#room.young.tick(nowMs, (flow) => this.#lookAtYoung(flow, nowMs));
    this.#visitAll(nowMs);
    this.#adoption.tick(nowMs);
  }

  /** Every flow that others ought to know is told them now: before this member hands its VIPs over. */
  publishAll(): undefined {
    this.#room.offering.adoptAll();
    for (const flow of this.#room.flows.values())
      if (isLivingFlow(flow) && (flow.stage === "open" || findOpened(this.#room, flow)))
        publish(this.#room, flow);
  }

  #sweepFlows(nowMs: number): undefined {
    const { fastPath, limits } = this.#room.core;
    this.#sweep.turn(nowMs, limits.sweepPeriodMs, (cursor) => {
      const skewMs = nowMs - fastPath.nowMs();
      return fastPath.plain.sweep(
        cursor,
        (flow, state) => this.#swept(flow, state, state.lastSeenMs + skewMs, nowMs),
        (session) => this.#room.offering.has(session),
      );
    });
  }

  #swept(fast: PlainFlow, state: PlainFlowState, lastSeenMs: number, nowMs: number): PlainVisit {
    if (fast.session === STATELESS_HANDLE) return sweepStateless(this.#room, fast, state, nowMs);
    const flow = this.#room.flows.byHandle(fast.session);
    if (flow === undefined) return this.#isKnown(fast.session) ? "keep" : "remove";
    const isUp = fast.direction === "up";
    if (isUp && flow.stage !== "open") {
      noteAnswer(flow, { flow: fast, state });
      if (!fast.handshake) openedElsewhere(this.#room, fast.session);
    }
    if (isUp) learnScale(this.#room, flow, fast);
    if (isUp) flow.up = state;
    else flow.down = state;
    noteSeen(flow, state, lastSeenMs, nowMs);
    const forgets = isUp ? FORGET_UP : FORGET_DOWN;
    if ((flow.forgets & forgets) === 0) return "keep";
    flow.forgets &= ~forgets;
    return "forget";
  }

  #isKnown(session: number): boolean {
    return this.#adoption.isOrphan(session) || this.#room.offering.has(session);
  }

  #visitAll(nowMs: number): undefined {
    const { flows, core } = this.#room;
    const visits = this.#visits ?? flows.values();
    for (let i = 0; i < core.limits.visitCountMaxPerTurn; i++) {
      const next = visits.next();
      if (next.done === true) {
        this.#visits = undefined;
        return;
      }
      this.#visit(next.value, nowMs);
    }
    this.#visits = visits;
  }

  #visit(flow: LocalFlow, nowMs: number): undefined {
    const room = this.#room;
    const { limits, counters } = room.core;
    if (isPlainEnded(flow.record)) {
      // The others' table keeps it until nobody brings it back.
      if (!flow.isPublished && nowMs - (flow.endedMs ?? nowMs) >= limits.lingerMs) forget(room, flow);
      return;
    }
    const service = entryOf(room, flow.record)?.service;
    const judgement = judge(flow, service);
    if (judgement.marks !== flow.record.marks) note(room, flow, { marks: judgement.marks });
    if (flow.record.protocol !== PROTOCOL_TCP && flow.record.marks !== 0) room.flows.grown(flow);
    room.flows.setSpent(flow, isSpent(flow, judgement, nowMs));
    const isOverdue = () =>
      flow.stage !== "open" &&
      nowMs - flow.bornMs >= (flow.stage === "opening" ? limits.initTimeoutMs : limits.handshakeTimeoutMs);
    // The fast path may know more of it.
    if (isOverdue() && !findOpened(room, flow) && isOverdue()) {
      counters.count("embryos-expired");
      return end(room, flow, "handshakeTimeout", false);
    }
    if (nowMs - flow.bornMs < limits.handshakeTimeoutMs) introduceAgain(room, flow, true);
    this.#age(flow, service, judgement, nowMs);
  }

  /** Of TCP nobody has said whether it is over, and the sweep may not have come by since. */
  #publish(flow: LocalFlow, service: Service, nowMs: number): undefined {
    if (flow.record.protocol === PROTOCOL_TCP) look(this.#room, flow);
    const judgement = judge(flow, service);
    if (judgement.marks !== flow.record.marks) note(this.#room, flow, { marks: judgement.marks });
    if (isDue(flow, service, judgement, nowMs)) publish(this.#room, flow);
  }

  /** What the fast path knows now: the sweep may come by much later. */
  #refresh(flow: LocalFlow, nowMs: number): undefined {
    if (!flow.isInstalled) return;
    const { fastPath } = this.#room.core;
    const skewMs = nowMs - fastPath.nowMs();
    look(this.#room, flow);
    for (const state of [flow.up, flow.down])
      if (state !== undefined) noteSeen(flow, state, state.lastSeenMs + skewMs, nowMs);
  }

  /** false: nobody will have to be told. */
  #lookAtYoung(flow: LocalFlow, nowMs: number): boolean {
    const room = this.#room;
    if (room.flows.get(flow.record.id) !== flow) return false;
    const service = entryOf(room, flow.record)?.service;
    if (service === undefined) return false;
    if (flow.record.protocol !== PROTOCOL_TCP || isStateless(service)) this.#refresh(flow, nowMs);
    if (this.#clearOver(flow, service, nowMs)) return false;
    if (isDue(flow, service, judge(flow, service), nowMs)) this.#publish(flow, service, nowMs);
    return isStateless(service) || !judge(flow, service).isClosing;
  }

  /**
   * Of a stateless service it is cleared away as one that never was a session. While it stood its client's
   * SYNs from that port were the slow path's, and each made another session that stood in the next one's way.
   */
  #clearOver(flow: LocalFlow, service: Service, nowMs: number): boolean {
    if (!isStateless(service) || flow.isPublished || flow.stage !== "open") return false;
    const { isClosing, isReset } = judge(flow, service);
    // A reset may be a forger's.
    if (!isClosing || isReset || nowMs - flow.lastSeenMs < OVER_SILENT_MS) return false;
    end(this.#room, flow, "closed", true);
    return true;
  }

  /** Silence for longer than that may be the sweep's, not the flow's; the others wait for a word each quarter. */
  #trustedMs({ isPublished }: LocalFlow, { idleMs }: Judgement): number {
    const quarterMs = idleMs / ACTIVITY_QUARTER;
    return isPublished && this.#sweep.tookMs >= quarterMs / 2 ? quarterMs : idleMs;
  }

  #age(flow: LocalFlow, service: Service | undefined, known: Judgement, nowMs: number): undefined {
    const room = this.#room;
    const silence = () => nowMs - Math.max(flow.lastSeenMs, flow.activityAtMs);
    let judgement = known;
    if (silence() >= this.#trustedMs(flow, judgement)) {
      this.#refresh(flow, nowMs);
      judgement = judge(flow, service);
    }
    const { isReset, isClosing } = judgement;
    // Who carries it may be so late to hear of its packets, and once more to say so.
    const idleMs = judgement.idleMs + (flow.isPublished ? 2 * this.#sweep.tookMs : 0);
    const silentMs = silence();
    // Who joins, or was removed, hears of nobody's packets: what it thinks is over is over for nobody.
    if (silentMs >= idleMs && !room.core.isReady() && flow.isPublished) return;
    if (silentMs >= idleMs) {
      room.core.counters.count("sessions-idle");
      const reset = flow.resetBy === "endpoint" ? "resetByEndpoint" : "resetByClient";
      // A reset that nobody took at its word: who speaks elsewhere brings the connection back.
      return end(room, flow, isReset ? reset : isClosing ? "closed" : "idle", isClosing && !isReset);
    }
    if (service !== undefined && isDue(flow, service, judgement, nowMs)) this.#publish(flow, service, nowMs);
    const { activityAtMs, lastSeenMs, record } = flow;
    const quarterMs = judgement.idleMs / ACTIVITY_QUARTER;
    if (flow.isPublished && lastSeenMs > activityAtMs && nowMs - activityAtMs >= quarterMs)
      note(room, flow, { activity: record.activity + 1 });
  }
}

function isStateless({ protocol, stateless }: Service): boolean {
  return protocol === PROTOCOL_TCP && stateless === true;
}

/** A flow is born with the time of its installation, which is no packet. */
function noteSeen(flow: LocalFlow, state: PlainFlowState, lastSeenMs: number, nowMs: number): undefined {
  if (state.packets > 0 && lastSeenMs > flow.lastSeenMs) flow.lastSeenMs = Math.min(lastSeenMs, nowMs);
}

/** Nobody would miss it but for late packets: its NAT port may go to a newcomer when there is no other. */
function isSpent(flow: LocalFlow, { isClosing, marks }: Judgement, nowMs: number): boolean {
  if (flow.record.protocol === PROTOCOL_TCP) return isClosing;
  return marks === 1 && nowMs - flow.lastSeenMs >= 1_000;
}

/**
 * `long-lived`: old enough, or half idle; what is over already, and questions with their answers, are not
 * told.
 */
function isDue(flow: LocalFlow, service: Service, { isClosing, idleMs }: Judgement, nowMs: number): boolean {
  if (flow.isPublished || flow.stage !== "open" || flow.introduction !== undefined || isClosing) return false;
  if ((service.replicate ?? REPLICATE_DEFAULT) !== "long-lived") return service.replicate === "always";
  const afterMs = service.replicateAfterMs ?? REPLICATE_AFTER_DEFAULT_MS;
  const isTcp = flow.record.protocol === PROTOCOL_TCP;
  const isLively = isTcp || flow.lastSeenMs - flow.bornMs >= afterMs;
  const isHalfIdle = nowMs - flow.lastSeenMs >= idleMs / 2;
  return isLively && (nowMs - flow.bornMs >= afterMs || isHalfIdle);
}
