// What happens without a packet: counters swept, embryos and sessions timed out, activity reported. In
// bounded turns, so that a hundred thousand sessions never hold up the next punt.
import {
  currentGeneration,
  effectivePhase,
  endOf,
  isEnded,
  isLiving,
  pendingGenerations,
  type SessionId,
  type SessionRecord,
  type Timer,
} from "@holdfast/model";
import type { Adoption } from "../adoption/adoption.ts";
import type { Core } from "../core.ts";
import { type Embryo, sessionIdOfEmbryo } from "../embryos/embryo.ts";
import { releasePort } from "../embryos/ports.ts";
import type { EndpointGuard } from "../endings/endpoint-guard.ts";
import type { Strays } from "../endings/strays.ts";
import type { Flow, FlowCounters } from "../fast-path/port.ts";
import { noteDownPackets, noteUpTraffic } from "../path-mapping/fallback.ts";
import type { LocalSession } from "../sessions/local-session.ts";
import type { Dispatcher } from "../slow-path/dispatcher.ts";
import { flushHeard } from "../slow-path/sctp/heard.ts";
import { Sweep } from "./sweep.ts";

/** Activity is reported each quarter of the idle limit (docs: activity epochs). */
const ACTIVITY_QUARTER = 4;

export class Housekeeping {
  readonly #core: Core;
  readonly #guard: EndpointGuard;
  readonly #strays: Strays;
  readonly #adoption: Adoption;
  readonly #dispatcher: Dispatcher;
  #timer: Timer | undefined;
  readonly #sweep = new Sweep();
  #sessions: Iterator<LocalSession> | undefined;
  #embryos: Iterator<Embryo> | undefined;
  /** Records without a commit, in the order in which they were first seen: whoever made them may be dead. */
  #unproven: { readonly id: SessionId; readonly sinceMs: number }[] = [];
  #unprovenHead = 0;

  constructor(core: Core, guard: EndpointGuard, strays: Strays, adoption: Adoption, dispatcher: Dispatcher) {
    this.#core = core;
    this.#guard = guard;
    this.#strays = strays;
    this.#adoption = adoption;
    this.#dispatcher = dispatcher;
  }

  start(): undefined {
    this.#timer ??= this.#core.clock.every(this.#core.limits.tickPeriodMs, () => this.tick());
  }

  stop(): undefined {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** One bounded turn. */
  tick(): undefined {
    const nowMs = this.#core.clock.nowMs();
    this.#sweepFlows(nowMs);
    this.#visitSessions(nowMs);
    this.#visitEmbryos(nowMs);
    this.#visitUnproven(nowMs);
    this.#core.probes.tick(this.#core, nowMs);
    this.#core.certainty.holds(nowMs);
    this.#guard.tick(nowMs);
    this.#strays.tick(nowMs);
    this.#adoption.tick(nowMs);
    this.#core.loans.tick(nowMs);
    for (const { loan } of this.#core.beginnings.expired(nowMs - this.#core.limits.handshakeTimeoutMs))
      this.#core.loans.giveBack(loan);
    this.#dispatcher.expireFragments(nowMs);
  }

  /** A record that is new and not committed. */
  unproven(record: SessionRecord, nowMs: number): undefined {
    this.#unproven.push({ id: record.id, sinceMs: nowMs });
  }

  /** Times that follow from a change of the record. */
  changed(
    local: LocalSession,
    previous: SessionRecord | undefined,
    record: SessionRecord,
    nowMs: number,
  ): undefined {
    if (previous?.activity !== record.activity) local.activityAtMs = nowMs;
    if (previous?.commit?.epoch !== record.commit?.epoch) {
      local.committedMs = nowMs;
      local.endpointHeardMs = nowMs;
    }
    if (isEnded(record)) {
      local.endedMs ??= nowMs;
      return;
    }
    local.endedMs = undefined;
    const phase = effectivePhase(record);
    if (phase === "shutdown" || phase === "shutdownAck") local.shutdownMs ??= nowMs;
    else local.shutdownMs = undefined;
    if (
      previous === undefined ||
      previous.generations !== record.generations ||
      previous.commit !== record.commit
    ) {
      this.#notePending(local, previous, record, nowMs);
    }
  }

  #notePending(
    local: LocalSession,
    previous: SessionRecord | undefined,
    record: SessionRecord,
    nowMs: number,
  ): undefined {
    const pending = pendingGenerations(record);
    const doubtful = isDoubtful(record);
    const isNew =
      pending.some((generation) => previous?.generations.has(generation.clientTag) !== true) ||
      (doubtful && (previous === undefined || !isDoubtful(previous)));
    if (isNew) local.pendingMs = nowMs;
    const now = (pending.length > 0 || doubtful) && (isNew || local.paths.pending);
    if (now !== local.paths.pending) this.#core.sessions.update(local, record, { pending: now });
  }

  #sweepFlows(nowMs: number): undefined {
    const { fastPath, limits } = this.#core;
    this.#sweep.turn(nowMs, limits.sweepPeriodMs, (cursor) => {
      const skewMs = nowMs - fastPath.nowMs();
      return fastPath.sweep(cursor, (flow, counters) =>
        this.#visitFlow(flow, counters, counters.lastSeenMs + skewMs, nowMs),
      );
    });
  }

  #visitFlow(flow: Flow, counters: FlowCounters, lastSeenMs: number, nowMs: number): "keep" | "remove" {
    const local = this.#core.sessions.byHandle(flow.session);
    if (local === undefined) return this.#adoption.isOrphan(flow.session) ? "keep" : "remove";
    // A flow is born with the time of its installation, which is no traffic.
    if (counters.packets === 0) return "keep";
    if (lastSeenMs > local.lastSeenMs) local.lastSeenMs = Math.min(lastSeenMs, nowMs);
    if (flow.direction === "down") {
      if (lastSeenMs > local.endpointHeardMs) local.endpointHeardMs = Math.min(lastSeenMs, nowMs);
      noteDownPackets(this.#core, local, flow, counters.packets, nowMs);
    } else noteUpTraffic(this.#core, local, flow, lastSeenMs);
    return "keep";
  }

  #visitSessions(nowMs: number): undefined {
    const { sessions, limits } = this.#core;
    let iterator = this.#sessions ?? sessions.values();
    for (let i = 0; i < limits.visitCountMaxPerTurn; i++) {
      const next = iterator.next();
      if (next.done === true) {
        this.#sessions = undefined;
        return;
      }
      this.#visitSession(next.value, nowMs);
    }
    this.#sessions = iterator;
    iterator = this.#sessions;
  }

  #visitSession(local: LocalSession, nowMs: number): undefined {
    const { table, sessions, limits, registry, counters } = this.#core;
    const record = table.get(local.id);
    if (record === undefined) return sessions.drop(local);
    if (isEnded(record)) {
      this.#core.adopted.delete(local.id);
      if (nowMs - (local.endedMs ?? nowMs) >= limits.lingerMs) sessions.drop(local);
      return;
    }
    if (local.paths.pending && nowMs - local.pendingMs >= limits.pendingTimeoutMs) {
      sessions.update(local, record, { pending: false });
    }
    flushHeard(this.#core, local, record, nowMs);
    // Who joins, or was removed, hears of nobody's packets: what it thinks is over is over for nobody.
    if (!this.#core.isReady()) return;
    // Who carries it may be so late to hear of its packets, and once more to say so.
    const unheardMs = 2 * this.#sweep.tookMs;
    if (local.shutdownMs !== undefined) {
      const quietMs = nowMs - Math.max(local.shutdownMs, local.lastSeenMs) - unheardMs;
      if (quietMs >= limits.shutdownTimeoutMs) {
        counters.count("sessions-idle");
        table.apply({ id: record.id, end: endOf(record, "idle") });
        return;
      }
    }
    const entry = registry.get(record.serviceId);
    if (entry === undefined) return;
    const idleMs = entry.service.idleTimeoutS * 1_000;
    if (nowMs - Math.max(local.lastSeenMs, local.activityAtMs) - unheardMs >= idleMs) {
      counters.count("sessions-idle");
      table.apply({ id: record.id, end: endOf(record, "idle") });
      return;
    }
    if (local.lastSeenMs > local.activityAtMs && nowMs - local.activityAtMs >= idleMs / ACTIVITY_QUARTER) {
      table.apply({ id: record.id, activity: record.activity + 1 });
    }
  }

  #visitEmbryos(nowMs: number): undefined {
    const { nursery, limits } = this.#core;
    const iterator = this.#embryos ?? nursery.values();
    for (let i = 0; i < limits.visitCountMaxPerTurn; i++) {
      const next = iterator.next();
      if (next.done === true) {
        this.#embryos = undefined;
        return;
      }
      this.#visitEmbryo(next.value, nowMs);
    }
    this.#embryos = iterator;
  }

  #visitEmbryo(embryo: Embryo, nowMs: number): undefined {
    const { nursery, table, limits, counters } = this.#core;
    const record = embryo.published ? table.get(sessionIdOfEmbryo(embryo)) : undefined;
    if (record?.commit?.clientTag === embryo.clientTag) {
      nursery.remove(embryo);
      return;
    }
    const answeredMs = embryo.answeredMs;
    const expired =
      answeredMs === undefined
        ? nowMs - embryo.lastInitMs >= limits.initTimeoutMs ||
          // Refreshed by retransmissions, three times over at most (docs/sctp.md §8).
          nowMs - embryo.createdMs >= 4 * limits.initTimeoutMs
        : nowMs - answeredMs >= limits.handshakeTimeoutMs;
    if (!expired) return;
    counters.count("embryos-expired");
    nursery.remove(embryo);
    releasePort(this.#core, embryo);
    if (record !== undefined && record.commit === undefined && isLiving(record)) {
      table.apply({ id: record.id, end: endOf(record, "handshakeTimeout") });
    }
  }

  /** Handshakes that nobody finished, also those of members that are gone. */
  #visitUnproven(nowMs: number): undefined {
    const { table, limits } = this.#core;
    if (!this.#core.isReady()) return;
    for (let i = 0; i < limits.visitCountMaxPerTurn; i++) {
      const first = this.#unproven[this.#unprovenHead];
      // A little later than the member that made it.
      if (first === undefined || nowMs - first.sinceMs < 1.2 * limits.handshakeTimeoutMs) break;
      this.#unprovenHead += 1;
      const record = table.get(first.id);
      if (record !== undefined && record.commit === undefined && isLiving(record)) {
        table.apply({ id: record.id, end: endOf(record, "handshakeTimeout") });
      }
    }
    if (this.#unprovenHead > 1_024 && this.#unprovenHead * 2 > this.#unproven.length) {
      this.#unproven = this.#unproven.slice(this.#unprovenHead);
      this.#unprovenHead = 0;
    }
  }
}

/**
 * Cookies of several INIT-ACKs came back: which one the endpoint took shows only in the client's next
 * packets.
 */
function isDoubtful(record: SessionRecord): boolean {
  let count = 0;
  for (const candidate of currentGeneration(record)?.candidates.values() ?? [])
    if (candidate.echoed) count += 1;
  return count > 1;
}
