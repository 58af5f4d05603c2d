// Health probes: who is asked when, with what, and what follows. Each endpoint is asked with one check: its
// own, its service's, or an INIT. Where another check than SCTP calls it down, INITs say whether its
// associations may live.

import type { Address, Clock, HealthCheck, Random, Timer } from "@holdfast/model";
import { endpointKey, STATUS_DEFAULT, statusRanges } from "@holdfast/model";
import { askOverSockets } from "./connect-probe.ts";
import type { Verdict } from "./endpoint-health.ts";
import { pingProbes } from "./ping-probe.ts";
import type { Ask, ProbeAttempt, ProbeChannel, ProbeOutcome } from "./probe.ts";
import { type Listed, SctpProbes } from "./sctp-probe.ts";

export type { ProbeChannel } from "./probe.ts";

export interface ProbeSettings {
  /** Between two probes of one endpoint. */
  readonly periodMs: number;
  /** How long an answer may take; less than the period. */
  readonly timeoutMs: number;
  /** Unanswered probes in a row that make "down". */
  readonly downCount: number;
  /** Answered ones in a row that make "up" again; doubled with every relapse. */
  readonly upCount: number;
  /** … up to this. */
  readonly upCountMax: number;
  /** An endpoint that stayed up for so long has its relapses forgotten. */
  readonly stableMs: number;
}

export const PROBE_SETTINGS_DEFAULT: ProbeSettings = {
  periodMs: 1_000,
  timeoutMs: 500,
  downCount: 3,
  upCount: 2,
  upCountMax: 16,
  stableMs: 60_000,
};

export interface HealthProberOptions {
  readonly channel: ProbeChannel;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings?: Partial<ProbeSettings>;
  /** For tcp, udp, http and https; the kernel's sockets when absent. */
  readonly ask?: Ask;
  /**
   * Called for every verdict that follows from probes, changed or not; with undefined when an endpoint is not
   * asked any more. `gone` and `speaks`: see `EndpointHealth.setOwn`.
   */
  readonly verdict: (
    endpoint: ProbedEndpoint,
    verdict: Verdict | undefined,
    reason: string,
    gone: boolean,
    speaks: boolean,
  ) => void;
  readonly listed?: Listed;
  /** Whether SCTP is asked, too, where something else does not answer. Default: yes. */
  readonly opinions?: boolean;
}

export interface ProbedEndpoint {
  readonly address: Address;
  readonly port: number;
  /** An INIT at its port when absent. */
  readonly check?: HealthCheck;
}

/** How long the latest answers took, ms. */
export interface ProbeDelays {
  readonly minMs: number;
  readonly averageMs: number;
  readonly maxMs: number;
}

interface Target {
  readonly endpoint: ProbedEndpoint;
  readonly check: HealthCheck;
  /** The check as text: one that changed begins anew. */
  readonly checkText: string;
  readonly settings: ProbeSettings;
  readonly sourcePort: number;
  timer: Timer | undefined;
  timeout: Timer | undefined;
  attempt: ProbeAttempt | undefined;
  /**
   * INITs while another check than SCTP fails: the one under way, and how many in a row were not answered.
   */
  opinion: ProbeAttempt | undefined;
  silentCount: number;
  verdict: Verdict | undefined;
  missed: number;
  answered: number;
  /** Probes in a row that the host itself refused. */
  refused: number;
  upCount: number;
  upSinceMs: number;
  sentMs: number;
  /** Of the latest answers, at most DELAY_COUNT_MAX; empty while it is down. */
  delaysMs: number[];
}

/** Refusals in a row after which nobody is believed to be there any more … */
const GONE_COUNT = 2;
/** … the second of which is asked for this soon. */
const CONFIRMATION_MS = 100;
const DELAY_COUNT_MAX = 32;
const SCTP: HealthCheck = { kind: "sctp" };

export class HealthProber {
  readonly #options: HealthProberOptions;
  readonly #settings: ProbeSettings;
  readonly #targets = new Map<string, Target>();
  readonly #sctp: SctpProbes;
  readonly #ping: Ask;
  #stopped = false;

  constructor(options: HealthProberOptions) {
    this.#options = options;
    this.#settings = { ...PROBE_SETTINGS_DEFAULT, ...options.settings };
    const { periodMs, timeoutMs } = this.#settings;
    if (timeoutMs >= periodMs) {
      throw new RangeError(`a probe's timeout of ${timeoutMs} ms does not fit its period of ${periodMs} ms`);
    }
    this.#sctp = new SctpProbes(options.channel, options.random, options.listed);
    this.#ping = pingProbes(options.channel, options.random);
  }

  /**
   * Replaces what is probed. What stays keeps its verdict; the first probe of what is new goes out within a
   * period.
   */
  setEndpoints(endpoints: readonly ProbedEndpoint[]): void {
    const asked = endpoints.filter(({ check }) => check?.kind !== "none");
    const wanted = new Map(asked.map((endpoint) => [endpointKey(endpoint), endpoint]));
    const all = new Map(endpoints.map((endpoint) => [endpointKey(endpoint), endpoint]));
    for (const [key, target] of this.#targets) {
      if (wanted.has(key)) continue;
      this.#cancel(target);
      this.#targets.delete(key);
      if (all.has(key) && target.verdict !== undefined)
        this.#options.verdict(target.endpoint, undefined, "not asked any more", false, false);
    }
    for (const [key, endpoint] of wanted) {
      if (this.#stopped) return;
      const check = endpoint.check ?? SCTP;
      const before = this.#targets.get(key);
      if (before?.checkText === JSON.stringify(check)) continue;
      if (before !== undefined) this.#cancel(before);
      const target = this.#targetOf(endpoint, check, before);
      this.#targets.set(key, target);
      // Spread over the period, so that many endpoints are not probed in one burst; the first one soon.
      const spreadMs = Math.min(target.settings.periodMs, this.#settings.periodMs) / 4;
      this.#schedule(target, this.#options.random.below(Math.max(1, Math.floor(spreadMs))));
    }
  }

  /** Passive signs make a probe due now; a verdict follows from its answer only. */
  probeNow(endpoint: ProbedEndpoint): void {
    const target = this.#targets.get(endpointKey(endpoint));
    if (target === undefined || target.attempt !== undefined) return;
    this.#schedule(target, 0);
  }

  /** undefined: it is not probed, or has not answered. */
  delaysOf(endpoint: ProbedEndpoint): ProbeDelays | undefined {
    const delaysMs = this.#targets.get(endpointKey(endpoint))?.delaysMs;
    if (delaysMs === undefined || delaysMs.length === 0) return undefined;
    const sum = delaysMs.reduce((total, ms) => total + ms, 0);
    return {
      minMs: Math.min(...delaysMs),
      averageMs: sum / delaysMs.length,
      maxMs: Math.max(...delaysMs),
    };
  }

  stop(): void {
    this.#stopped = true;
    for (const target of this.#targets.values()) this.#cancel(target);
    this.#targets.clear();
    this.#options.channel.close();
  }

  #targetOf(endpoint: ProbedEndpoint, check: HealthCheck, before: Target | undefined): Target {
    const settings = settingsOf(check, this.#settings);
    return {
      endpoint: { address: endpoint.address, port: endpoint.port },
      check,
      checkText: JSON.stringify(check),
      settings,
      sourcePort: before?.sourcePort ?? this.#sctp.takePort(),
      timer: undefined,
      timeout: undefined,
      attempt: undefined,
      opinion: undefined,
      silentCount: 0,
      verdict: before?.verdict,
      missed: 0,
      answered: 0,
      refused: 0,
      upCount: settings.upCount,
      upSinceMs: before?.upSinceMs ?? 0,
      sentMs: 0,
      delaysMs: [],
    };
  }

  #schedule(target: Target, delayMs: number): void {
    target.timer?.cancel();
    target.timer = this.#options.clock.after(delayMs, () => this.#probe(target));
  }

  #probe(target: Target): void {
    const { clock } = this.#options;
    this.#schedule(target, target.settings.periodMs);
    target.sentMs = clock.nowMs();
    let isOver = false;
    const tell = (outcome: ProbeOutcome) => {
      isOver = true;
      this.#finish(target);
      this.#judge(target, outcome);
    };
    const attempt = this.#ask(target, tell);
    if (isOver) return;
    target.attempt = attempt;
    target.timeout = clock.after(target.settings.timeoutMs, () => {
      const { atTimeout } = attempt;
      this.#finish(target);
      // Silence may be an answer, but how long one took it does not say.
      target.sentMs = Number.NaN;
      this.#judge(target, atTimeout);
    });
  }

  #ask(target: Target, tell: (outcome: ProbeOutcome) => void): ProbeAttempt {
    const { kind, path = "/", send = "", expect = "" } = target.check;
    const status = statusRanges(target.check.status) ?? STATUS_DEFAULT;
    const { address } = target.endpoint;
    const port = target.check.port ?? target.endpoint.port;
    const hasOpinions = this.#options.opinions !== false && !asksItsSctp(target);
    if (hasOpinions && (target.missed > 0 || target.verdict === "down")) this.#askOpinion(target);
    if (kind === "sctp") return this.#sctp.ask({ address, port }, target.sourcePort, tell);
    const question = { kind, address, port, path, send, expect, status };
    return kind === "ping"
      ? this.#ping(question, tell)
      : (this.#options.ask ?? askOverSockets)(question, tell);
  }

  /** Whether SCTP speaks where something else does not: one INIT for each probe, answered until the next. */
  #askOpinion(target: Target): void {
    if (target.opinion !== undefined) {
      target.opinion.cancel();
      target.silentCount += 1;
    }
    let isOver = false;
    const attempt = this.#sctp.ask(target.endpoint, target.sourcePort, (outcome) => {
      isOver = true;
      target.opinion = undefined;
      target.silentCount = outcome.kind === "answered" ? 0 : target.silentCount + 1;
    });
    if (!isOver) target.opinion = attempt;
  }

  #judge(target: Target, outcome: ProbeOutcome): void {
    if (outcome.kind === "answered") this.#answered(target);
    else if (outcome.kind === "missed") this.#missed(target, outcome.what);
    else if (!outcome.refused) this.#down(target, outcome.reason);
    else {
      target.refused += 1;
      this.#down(target, outcome.reason, target.refused >= GONE_COUNT);
      if (target.refused < GONE_COUNT)
        this.#schedule(target, Math.min(CONFIRMATION_MS, target.settings.periodMs));
    }
  }

  #answered(target: Target): void {
    const { clock, verdict } = this.#options;
    const nowMs = clock.nowMs();
    if (!Number.isNaN(target.sentMs)) target.delaysMs.push(nowMs - target.sentMs);
    if (target.delaysMs.length > DELAY_COUNT_MAX) target.delaysMs.shift();
    target.missed = 0;
    target.answered += 1;
    if (target.verdict === "up") {
      if (nowMs - target.upSinceMs >= target.settings.stableMs) target.upCount = target.settings.upCount;
    } else if (target.verdict === undefined || target.answered >= target.upCount) {
      target.verdict = "up";
      target.upSinceMs = nowMs;
    }
    target.refused = 0;
    if (target.verdict === "down" && asksItsSctp(target)) {
      // It takes nothing new before it has answered often enough; but it lives, and so do its associations.
      const { answered, upCount } = target;
      verdict(target.endpoint, "down", `answers again: ${answered} of ${upCount} in a row`, false, true);
    }
    if (target.verdict !== "up") return;
    target.opinion?.cancel();
    target.opinion = undefined;
    target.silentCount = 0;
    verdict(target.endpoint, "up", "answers probes", false, false);
  }

  #missed(target: Target, what: string): void {
    target.answered = 0;
    target.refused = 0;
    target.missed += 1;
    if (target.missed < target.settings.downCount) return;
    const { kind } = target.check;
    this.#down(target, `${target.missed} ${kind === "sctp" ? "" : `${kind} `}probes ${what}`);
  }

  #down(target: Target, reason: string, gone = false): void {
    target.answered = 0;
    target.delaysMs = [];
    if (target.verdict === "up") {
      // Each relapse has to be lived down longer: no flapping.
      target.upCount = Math.min(target.settings.upCountMax, target.upCount * 2);
    }
    target.verdict = "down";
    const isItsSctp = asksItsSctp(target);
    const speaks = !isItsSctp && target.silentCount < target.settings.downCount;
    this.#options.verdict(target.endpoint, "down", reason, gone && isItsSctp, speaks);
  }

  #finish(target: Target): void {
    target.attempt?.cancel();
    target.attempt = undefined;
    target.timeout?.cancel();
    target.timeout = undefined;
  }

  #cancel(target: Target): void {
    this.#finish(target);
    target.opinion?.cancel();
    target.opinion = undefined;
    target.timer?.cancel();
    target.timer = undefined;
  }
}

/** What is asked is what its associations live by; SCTP at another port is not. */
function asksItsSctp({ check, endpoint }: Target): boolean {
  return check.kind === "sctp" && (check.port ?? endpoint.port) === endpoint.port;
}

/** The check's numbers, the others as for everybody; a probe is over before the next one goes out. */
function settingsOf(check: HealthCheck, settings: ProbeSettings): ProbeSettings {
  const periodMs = check.intervalMs ?? Math.max(settings.periodMs, (check.timeoutMs ?? 0) + 1);
  return {
    ...settings,
    periodMs,
    timeoutMs: Math.min(check.timeoutMs ?? settings.timeoutMs, periodMs - 1),
    downCount: check.downCount ?? settings.downCount,
    upCount: check.upCount ?? settings.upCount,
  };
}
