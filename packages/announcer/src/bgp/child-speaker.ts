// A routing daemon as a child process behind the speaker's port: started, watched, ended when it does not do its work,
// started again and told everything anew. What it is told and how is each daemon's own.
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { type Clock, HoldfastError, type Logger, type Timer } from "@holdfast/model";
import type { BgpConfiguration, SpeakerRoute } from "./configuration.ts";
import { mayBeRealtime, sourcePortMin } from "./process.ts";
import type { Speaker, SpeakerSession, SpeakerState } from "./speaker.ts";
import { Watchdog } from "./watchdog.ts";

/** A speaker reads a thousand routes in about 10 ms; one that takes longer than this hangs. */
export const ANSWER_TIMEOUT_MS = 2_000;
/** `apply` waits for the speaker at most so long: whoever owns a VIP must not wait for a dead speaker. */
const APPLY_WAIT_MAX_MS = 500;
const START_TIMEOUT_MS = 10_000;
const POLL_MS = 200;
const RESTART_FIRST_MS = 200;
const RESTART_MAX_MS = 5_000;
/** It ran so long: what ended it is not what ended the one before. */
const STABLE_MS = 30_000;

export interface SpeakerOptions {
  readonly program: string;
  /** Holds its files and its socket; made here. */
  readonly directory: string;
  readonly configuration: BgpConfiguration;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a look at the speaker found. */
export interface SpeakerView {
  readonly sessions: ReadonlyMap<string, SpeakerSession>;
  /** Why it cannot do its work and will not by itself; undefined: it does, or tries. */
  readonly failure: string | undefined;
}

export abstract class ChildSpeaker implements Speaker {
  protected readonly options: SpeakerOptions;
  protected configuration: BgpConfiguration;
  protected routes: readonly SpeakerRoute[] = [];
  protected isRealtime = false;
  readonly #listeners: (() => void)[] = [];
  readonly #watchdog: Watchdog;
  /** Raised by every order; the speaker is at `#taken`. */
  #ordered = 0;
  #taken = -1;
  #sync: Promise<void> | undefined;
  #child: ChildProcess | undefined;
  #isConnected = false;
  #sessions: ReadonlyMap<string, SpeakerSession> = new Map();
  #trouble: string | undefined = "the speaker is not started yet";
  #restartCount = 0;
  #restartDelayMs = RESTART_FIRST_MS;
  /** Started, and not seen at work yet. */
  #isNew = true;
  /** Why this process ended it. */
  #endedFor: string | undefined;
  #startedAtMs = 0;
  #sourcePortMin: number | undefined;
  #polling: Timer | undefined;
  #pollRuns = false;
  #restarting: Timer | undefined;
  #isStopped = false;
  version = "";

  constructor(options: SpeakerOptions) {
    this.options = options;
    this.#watchdog = new Watchdog(options.logger);
    this.configuration = options.configuration;
  }

  /** Makes true what the process reads when it starts. true: the routes are in it. */
  protected abstract prepare(): boolean;
  protected abstract spawn(): ChildProcess;
  /** Resolves with its version when it answers, with undefined when it does not yet. Rejects never. */
  protected abstract connect(): Promise<string | undefined>;
  /** Exactly `routes` under `configuration`. Resolves with trouble, or undefined; rejects when it does not answer. */
  protected abstract tell(): Promise<string | undefined>;
  protected abstract look(): Promise<SpeakerView>;
  protected abstract disconnect(): void;
  /** Files that hold secrets, at the end. */
  protected abstract forget(): void;

  async start(): Promise<void> {
    const { program, directory, clock, logger } = this.options;
    if (!existsSync(program)) throw new HoldfastError("ANNOUNCER_SPEAKER_MISSING", { program });
    mkdirSync(directory, { recursive: true });
    this.isRealtime = mayBeRealtime();
    this.#sourcePortMin = sourcePortMin();
    if (!this.isRealtime)
      logger.warn(
        {},
        "the speaker runs without real-time priority (CAP_SYS_NICE): use BFD intervals of 100 ms or more",
      );
    this.#launch();
    const limitMs = clock.nowMs() + START_TIMEOUT_MS;
    // A speaker that does not come up is no reason to serve nobody: it is said, and tried again.
    while (!(await this.#poll()) && clock.nowMs() < limitMs && !this.#isStopped) await this.#pause(50);
    this.#polling = clock.every(POLL_MS, () => void this.#poll());
  }

  async apply(routes: readonly SpeakerRoute[], configuration = this.configuration): Promise<void> {
    this.routes = routes;
    this.configuration = configuration;
    if (this.#isStopped) return;
    const order = ++this.#ordered;
    const taken = (async () => {
      while (this.#taken < order && this.#isConnected && !this.#isStopped) await this.#synchronise();
    })();
    let timer: Timer | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = this.options.clock.after(APPLY_WAIT_MAX_MS, resolve);
    });
    await Promise.race([taken, limit]);
    timer?.cancel();
  }

  state(): SpeakerState {
    return {
      running: this.#isConnected,
      trouble: this.#trouble,
      sessions: this.#sessions,
      restartCount: this.#restartCount,
      isRealtime: this.isRealtime,
      sourcePortMin: this.#sourcePortMin,
    };
  }

  onState(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async stop({ graceful }: { readonly graceful: boolean }): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#polling?.cancel();
    this.#restarting?.cancel();
    const child = this.#child;
    if (child !== undefined && isAlive(child)) {
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      // SIGTERM: Cease, administrative shutdown (RFC 4486). Without it routers see TCP close.
      child.kill(graceful ? "SIGTERM" : "SIGKILL");
      const late = this.options.clock.after(ANSWER_TIMEOUT_MS, () => child.kill("SIGKILL"));
      await ended;
      late.cancel();
    }
    this.#drop();
    this.#sessions = new Map();
    this.#watchdog.close();
    this.forget();
  }

  /** One order at a time; who comes meanwhile shares the next one. */
  #synchronise(): Promise<void> {
    this.#sync ??= this.#tell().finally(() => {
      this.#sync = undefined;
    });
    return this.#sync;
  }

  async #tell(): Promise<void> {
    const order = this.#ordered;
    try {
      const trouble = await this.tell();
      this.#taken = Math.max(this.#taken, order);
      if (!this.#isNew || trouble !== undefined) this.#say(trouble);
    } catch (error) {
      this.#lost(`the speaker does not answer: ${(error as Error).message}`);
    }
  }

  #launch(): void {
    const { clock } = this.options;
    if (this.#isStopped) return;
    this.#taken = this.prepare() ? this.#ordered : -1;
    this.#startedAtMs = clock.nowMs();
    this.#isNew = true;
    this.#endedFor = undefined;
    const child = this.spawn();
    this.#child = child;
    this.#watchdog.guard(child.pid);
    child.once("error", (error) => this.#ended(child, error.message));
    child.once("exit", (code, signal) =>
      this.#ended(child, signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`),
    );
  }

  #ended(child: ChildProcess, how: string): void {
    if (child !== this.#child) return;
    this.#child = undefined;
    this.#watchdog.guard(undefined);
    this.#drop();
    if (this.#isStopped) return;
    const { clock, logger } = this.options;
    if (clock.nowMs() - this.#startedAtMs >= STABLE_MS) this.#restartDelayMs = RESTART_FIRST_MS;
    this.#restartCount++;
    logger.error(
      { how, restartInMs: this.#restartDelayMs },
      "the speaker ended: routers withdraw what it announced; it is started again",
    );
    this.#sessions = new Map(
      [...this.#sessions].map(([name, session]) => [
        name,
        { ...session, session: "Down", bfd: session.bfd && "Down" },
      ]),
    );
    this.#say(this.#endedFor ?? `the speaker does not run: ${how}`);
    this.#restarting = clock.after(this.#restartDelayMs, () => this.#launch());
    this.#restartDelayMs = Math.min(this.#restartDelayMs * 2, RESTART_MAX_MS);
  }

  /** It runs but does not do its work: it is ended, and `#ended` begins anew. */
  #lost(why: string): void {
    this.#drop();
    if (this.#isStopped) return;
    this.options.logger.error({ why }, "the speaker is ended");
    this.#endedFor = why;
    this.#say(why);
    this.#child?.kill("SIGKILL");
  }

  #drop(): void {
    this.#isConnected = false;
    this.disconnect();
  }

  /** Looks at the sessions. true: the speaker answered. */
  async #poll(): Promise<boolean> {
    this.#watchdog.pulse();
    if (this.#pollRuns || this.#isStopped) return false;
    this.#pollRuns = true;
    try {
      if (!this.#isConnected && !(await this.#connect())) return false;
      this.#observe(await this.look());
      return true;
    } catch (error) {
      this.#lost((error as Error).message);
      return false;
    } finally {
      this.#pollRuns = false;
    }
  }

  async #connect(): Promise<boolean> {
    const child = this.#child;
    if (child === undefined) return false;
    const version = await this.connect();
    if (version === undefined) {
      const runsMs = this.options.clock.nowMs() - this.#startedAtMs;
      if (runsMs > START_TIMEOUT_MS) this.#lost("the speaker does not answer");
      return false;
    }
    if (this.#isStopped || child !== this.#child) {
      this.disconnect();
      return false;
    }
    this.#isConnected = true;
    this.version = version;
    this.options.logger.info({ version, realtime: this.isRealtime }, "the speaker runs");
    // Orders that came while it started, and what it does not read in its file.
    if (this.#taken < this.#ordered) void this.#synchronise();
    return true;
  }

  #observe({ sessions, failure }: SpeakerView): void {
    const before = this.#sessions;
    this.#sessions = sessions;
    if (failure !== undefined) {
      this.#lost(failure);
      return;
    }
    if (this.#isNew) {
      this.#isNew = false;
      this.#say(undefined);
    }
    const isSame =
      sessions.size === before.size && [...sessions].every(([name, each]) => same(each, before.get(name)));
    if (!isSame) this.#announceState();
  }

  #say(trouble: string | undefined): void {
    const changed = this.#trouble !== trouble;
    this.#trouble = trouble;
    if (changed) this.#announceState();
  }

  #announceState(): void {
    for (const listener of this.#listeners) listener();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.options.clock.after(ms, resolve));
  }
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

function same(a: SpeakerSession, b: SpeakerSession | undefined): boolean {
  return b !== undefined && a.session === b.session && a.bfd === b.bfd && a.info === b.info;
}
