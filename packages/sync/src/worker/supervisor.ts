// Keeps the engine's thread running. When it crashes a new one takes its place, with a new link, and whoever
// holds the view is told to write again what it knows. When it crashes too often, or hangs, it is given up:
// the daemon has to end, since a member without replication would stay not ready for ever. Packets are
// forwarded all the while: nothing here is in their way.
import { MessageChannel, Worker } from "node:worker_threads";
import { type Clock, type ErrorCode, HoldfastError, type Logger, type Timer } from "@holdfast/model";
import type { Revocation } from "../certificates/revocation.ts";
import type { MemberTls } from "../certificates/verify.ts";
import type { ToEngine, ToView } from "../ports/link.ts";
import type { HostPort } from "../transport/settings.ts";
import { PortLink, VIEW_SLICE_MS } from "./port-link.ts";
import type { FromHost, HostCounters, HostOptions, ToHost } from "./protocol.ts";

/** Crashes within RESTART_WINDOW_MS after which the thread stays down. */
export const RESTART_COUNT_MAX = 5;
export const RESTART_WINDOW_MS = 60_000;
const RESTART_PAUSE_MS = 100;
/** How long a stop may take before the thread is ended. */
const STOP_LIMIT_MS = 5_000;
/**
 * Every so often the thread is asked for a sign of life. What counts is how often it did not answer, not for
 * how long: a process that stood still as a whole (SIGSTOP, a suspended machine) asks once after it.
 */
export const BEAT_PERIOD_MS = 1_000;
/** Without an answer to so many the thread counts as hung, and the member is not ready. */
export const SILENT_BEAT_COUNT = 5;
/** Without an answer to so many it is given up. */
export const LOST_BEAT_COUNT = 30;
/** A start that is not through after so many is given up. */
export const START_BEAT_COUNT = 300;
const COUNTERS_LIMIT_MS = 1_000;
const COUNTERS_WAITING_MAX = 64;

export type ViewLink = PortLink<ToEngine, ToView>;

export interface SupervisorEvents {
  /** A thread is about to start: listen on the link. `restarted` is false the first time. */
  linked(link: ViewLink, restarted: boolean): void;
  /** The thread is gone; what was under way on its link will not be answered. */
  unlinked(): void;
  /** It hangs, or answers again. */
  answers(does: boolean): void;
  /** It crashed too often, or hangs for good. */
  failed(error: HoldfastError): void;
}

export class Supervisor {
  /** As it is now: a thread that is started again gets the newest. */
  #options: HostOptions;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #events: SupervisorEvents;
  #worker: Worker | undefined;
  #link: ViewLink | undefined;
  #crashedAtMs: number[] = [];
  #stopping = false;
  #stopped: (() => void) | undefined;
  #token = 0;
  readonly #waiting = new Map<number, (counters: HostCounters | undefined) => void>();
  #bound: readonly HostPort[] = [];
  #restartCount = 0;
  /** Questions for a sign of life that were not answered; while the engine runs. */
  #unansweredCount = 0;
  #beat: Timer | undefined;

  constructor(options: HostOptions, clock: Clock, logger: Logger, events: SupervisorEvents) {
    this.#options = options;
    this.#clock = clock;
    this.#logger = logger;
    this.#events = events;
  }

  /** Where the transport listens, ports filled in. */
  get bound(): readonly HostPort[] {
    return this.#bound;
  }

  get restartCount(): number {
    return this.#restartCount;
  }

  /** Resolves when the engine runs. Errors: those of `hostEngine`, and SYNC_WORKER_FAILED. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => this.#launch(false, resolve, reject));
  }

  /** undefined when the thread does not answer within a second. */
  counters(): Promise<HostCounters | undefined> {
    const worker = this.#worker;
    if (worker === undefined || this.#waiting.size >= COUNTERS_WAITING_MAX) return Promise.resolve(undefined);
    const token = ++this.#token;
    return new Promise((resolve) => {
      const timer = this.#clock.after(COUNTERS_LIMIT_MS, () => {
        this.#waiting.delete(token);
        resolve(undefined);
      });
      this.#waiting.set(token, (counters) => {
        timer.cancel();
        resolve(counters);
      });
      this.#say({ kind: "counters", token });
    });
  }

  /** Certificates that are not believed from now on. */
  setRevoked(list: readonly Revocation[]): void {
    this.#options = { ...this.#options, revoked: list };
    this.#say({ kind: "revoked", list });
  }

  /** Certificates for the links that begin from now on. */
  setTls(tls: MemberTls): void {
    this.#options = { ...this.#options, tls };
    this.#say({ kind: "tls", tls });
  }

  /** Flushes journals and store, says goodbye to the peers, ends the thread. */
  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#beat?.cancel();
    const worker = this.#worker;
    if (worker === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(STOP_LIMIT_MS, () => {
        this.#logger.warn(
          { limitMs: STOP_LIMIT_MS },
          "replication did not stop in time, its thread is ended",
        );
        resolve();
      });
      this.#stopped = () => {
        timer.cancel();
        resolve();
      };
      this.#say({ kind: "stop" });
    });
    // One that hangs in a system call ends with the process.
    await Promise.race([
      worker.terminate(),
      new Promise<void>((resolve) => void this.#clock.after(STOP_LIMIT_MS, resolve)),
    ]);
    this.#unlink();
  }

  /** Ends the thread for good as a killed process does, for tests: nothing is flushed, nobody is told. */
  async kill(): Promise<void> {
    this.#stopping = true;
    this.#beat?.cancel();
    await this.#worker?.terminate();
  }

  /** Ends the thread as a crash does, for tests. */
  async crash(): Promise<void> {
    await this.#worker?.terminate();
  }

  #say(message: ToHost): void {
    this.#worker?.postMessage(message);
  }

  #launch(restarted: boolean, started: () => void, failed: (error: HoldfastError) => void): void {
    const worker = new Worker(new URL("./engine-worker.ts", import.meta.url), { name: "holdfast-sync" });
    const { port1, port2 } = new MessageChannel();
    const link: ViewLink = new PortLink(port1, VIEW_SLICE_MS);
    this.#worker = worker;
    this.#link = link;
    let running = false;
    let lastError: Error | undefined;

    worker.on("message", (message: FromHost) => {
      if (message.kind === "started") {
        running = true;
        this.#heard();
        this.#bound = message.bound;
        started();
      } else if (message.kind === "refused") {
        // An operator's mistake does not go away by trying again.
        this.#stopping = true;
        void worker.terminate();
        failed(HoldfastError.of(message.code as ErrorCode, message.details));
      } else if (message.kind === "log") this.#logger[message.level](message.fields, message.message);
      else if (message.kind === "counters") {
        this.#waiting.get(message.token)?.(message.counters);
        this.#waiting.delete(message.token);
      } else if (message.kind === "beat") this.#heard();
      else this.#stopped?.();
    });
    worker.on("error", (error) => {
      lastError = error instanceof Error ? error : new Error(String(error));
    });
    worker.on("exit", () => {
      this.#stopped?.();
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#beat?.cancel();
      this.#unlink();
      if (this.#stopping) return;
      this.#crashed(
        lastError,
        running ? () => {} : started,
        running ? (error) => this.#events.failed(error) : failed,
      );
    });
    this.#listenForBeats(
      () => running,
      (error) => (running ? this.#events.failed(error) : failed(error)),
    );
    this.#events.linked(link, restarted);
    worker.postMessage({ kind: "start", options: this.#options, port: port2 } satisfies ToHost, [port2]);
  }

  #crashed(cause: Error | undefined, started: () => void, failed: (error: HoldfastError) => void): void {
    const nowMs = this.#clock.nowMs();
    this.#crashedAtMs = this.#crashedAtMs.filter((at) => nowMs - at < RESTART_WINDOW_MS);
    this.#crashedAtMs.push(nowMs);
    const reason = cause === undefined ? "its thread ended" : cause.message;
    this.#logger.error({ reason, stack: cause?.stack }, "replication crashed");
    if (this.#crashedAtMs.length >= RESTART_COUNT_MAX) {
      failed(new HoldfastError("SYNC_WORKER_FAILED", { count: RESTART_COUNT_MAX, reason }, { cause }));
      return;
    }
    this.#restartCount++;
    this.#clock.after(RESTART_PAUSE_MS, () => {
      if (!this.#stopping) this.#launch(true, started, failed);
    });
  }

  #listenForBeats(isRunning: () => boolean, failed: (error: HoldfastError) => void): void {
    this.#heard();
    this.#beat?.cancel();
    let startCount = 0;
    const giveUp = (count: number) => {
      this.#beat?.cancel();
      failed(new HoldfastError("SYNC_WORKER_HANGS", { seconds: (count * BEAT_PERIOD_MS) / 1_000 }));
    };
    this.#beat = this.#clock.every(BEAT_PERIOD_MS, () => {
      // It answers, and is not through with its start: a disk that never does.
      if (!isRunning() && ++startCount > START_BEAT_COUNT) {
        giveUp(START_BEAT_COUNT);
        return;
      }
      this.#unansweredCount++;
      if (this.#unansweredCount === SILENT_BEAT_COUNT + 1) {
        this.#logger.error({ periodMs: BEAT_PERIOD_MS }, "replication's thread does not answer");
        this.#events.answers(false);
      }
      if (this.#unansweredCount > LOST_BEAT_COUNT) {
        giveUp(LOST_BEAT_COUNT);
        return;
      }
      this.#say({ kind: "beat" });
    });
  }

  #heard(): void {
    const wasSilent = this.#unansweredCount > SILENT_BEAT_COUNT;
    this.#unansweredCount = 0;
    if (wasSilent) this.#events.answers(true);
  }

  #unlink(): void {
    const link = this.#link;
    if (link === undefined) return;
    this.#link = undefined;
    link.close();
    for (const answer of this.#waiting.values()) answer(undefined);
    this.#waiting.clear();
    this.#events.unlinked();
  }
}
