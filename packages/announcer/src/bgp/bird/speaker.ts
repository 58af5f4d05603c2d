// BIRD behind the speaker's port: a child process, its file, its control socket. The file is written before every
// command and is the truth; a BIRD that died, hangs or was killed is started again and reads it.
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Clock, HoldfastError, type Logger, type Timer } from "@holdfast/model";
import type { BgpConfiguration, SpeakerRoute } from "../configuration.ts";
import type { Speaker, SpeakerSession, SpeakerState } from "../speaker.ts";
import { BirdControl, type BirdReply } from "./control.ts";
import { birdFile, foundName, protocolName } from "./file.ts";
import { type BirdPaths, handOver, mayBeRealtime, sourcePortMin, spawnBird } from "./process.ts";
import { parseBfd, parseProtocols } from "./status.ts";
import { Watchdog } from "./watchdog.ts";

/** BIRD reads a thousand routes in about 10 ms; one that takes longer than this hangs. */
const ANSWER_TIMEOUT_MS = 2_000;
/** `apply` waits for the speaker at most so long: whoever owns a VIP must not wait for a dead speaker. */
const APPLY_WAIT_MAX_MS = 500;
const START_TIMEOUT_MS = 10_000;
const POLL_MS = 200;
const RESTART_FIRST_MS = 200;
const RESTART_MAX_MS = 5_000;
/** It ran so long: what ended it is not what ended the one before. */
const STABLE_MS = 30_000;

/** What BIRD says of a session that has no port. */
const NO_SOCKET = "No listening socket";

const RECONFIGURED = 3;
const RECONFIGURATION_IN_PROGRESS = 4;
const REFUSED_MIN = 8_000;

export interface BirdOptions {
  readonly program: string;
  /** Holds the file and the socket; made, and handed to BIRD's user. */
  readonly directory: string;
  readonly configuration: BgpConfiguration;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class BirdSpeaker implements Speaker {
  readonly #options: BirdOptions;
  readonly #paths: BirdPaths;
  readonly #listeners: (() => void)[] = [];
  readonly #watchdog: Watchdog;
  #configuration: BgpConfiguration;
  #routes: readonly SpeakerRoute[] = [];
  /** Raised by every order; the speaker is at `#taken`. */
  #ordered = 0;
  #taken = -1;
  /** The file that the speaker has read. */
  #takenText = "";
  #sync: Promise<void> | undefined;
  #child: ChildProcess | undefined;
  #control: BirdControl | undefined;
  #sessions = new Map<string, SpeakerSession>();
  #trouble: string | undefined = "the speaker is not started yet";
  #restartCount = 0;
  #restartDelayMs = RESTART_FIRST_MS;
  /** Started, and not seen at work yet. */
  #isNew = true;
  /** Why this process ended it. */
  #endedFor: string | undefined;
  #startedAtMs = 0;
  #realtime = false;
  #sourcePortMin: number | undefined;
  #polling: Timer | undefined;
  #pollRuns = false;
  #restarting: Timer | undefined;
  #stopped = false;
  version = "";

  constructor(options: BirdOptions) {
    this.#options = options;
    this.#watchdog = new Watchdog(options.logger);
    this.#configuration = options.configuration;
    const at = (name: string) => join(options.directory, name);
    this.#paths = {
      program: options.program,
      configuration: at("bird.conf"),
      socket: at("bird.ctl"),
      pid: at("bird.pid"),
    };
  }

  async start(): Promise<void> {
    const { program, directory, clock, logger } = this.#options;
    if (!existsSync(program)) throw new HoldfastError("ANNOUNCER_SPEAKER_MISSING", { program });
    mkdirSync(directory, { recursive: true });
    handOver(directory, 0o750);
    this.#realtime = mayBeRealtime();
    this.#sourcePortMin = sourcePortMin();
    if (!this.#realtime)
      logger.warn(
        {},
        "the speaker runs without real-time priority (CAP_SYS_NICE): use BFD intervals of 100 ms or more",
      );
    this.#launch();
    const limitMs = clock.nowMs() + START_TIMEOUT_MS;
    // A speaker that does not come up is no reason to serve nobody: it is said, and tried again.
    while (!(await this.#poll()) && clock.nowMs() < limitMs && !this.#stopped) await this.#pause(50);
    this.#polling = clock.every(POLL_MS, () => void this.#poll());
  }

  async apply(routes: readonly SpeakerRoute[], configuration = this.#configuration): Promise<void> {
    this.#routes = routes;
    this.#configuration = configuration;
    await this.#order();
  }

  state(): SpeakerState {
    return {
      running: this.#control !== undefined,
      trouble: this.#trouble,
      sessions: this.#sessions,
      restartCount: this.#restartCount,
      isRealtime: this.#realtime,
      sourcePortMin: this.#sourcePortMin,
    };
  }

  onState(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async stop({ graceful }: { readonly graceful: boolean }): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#polling?.cancel();
    this.#restarting?.cancel();
    const child = this.#child;
    if (child !== undefined && isAlive(child)) {
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      // SIGTERM: Cease, administrative shutdown (RFC 4486). Without it routers see TCP close.
      child.kill(graceful ? "SIGTERM" : "SIGKILL");
      const late = this.#options.clock.after(ANSWER_TIMEOUT_MS, () => child.kill("SIGKILL"));
      await ended;
      late.cancel();
    }
    this.#control?.close();
    this.#control = undefined;
    this.#sessions = new Map();
    this.#watchdog.close();
    rmSync(this.#paths.configuration, { force: true });
  }

  /** Raises the order, and waits until it is taken or the wait is too long. */
  async #order(): Promise<void> {
    if (this.#stopped) return;
    const order = ++this.#ordered;
    const taken = (async () => {
      while (this.#taken < order && this.#control !== undefined && !this.#stopped) await this.#synchronise();
    })();
    let timer: Timer | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = this.#options.clock.after(APPLY_WAIT_MAX_MS, resolve);
    });
    await Promise.race([taken, limit]);
    timer?.cancel();
  }

  /** One write and one `configure` at a time; who comes meanwhile shares the next one. */
  #synchronise(): Promise<void> {
    this.#sync ??= this.#configure().finally(() => {
      this.#sync = undefined;
    });
    return this.#sync;
  }

  async #configure(): Promise<void> {
    const order = this.#ordered;
    const text = birdFile(this.#configuration, this.#routes);
    const control = this.#control;
    if (text === this.#takenText && control !== undefined) {
      this.#taken = Math.max(this.#taken, order);
      return;
    }
    this.#write(text);
    if (control === undefined) return;
    try {
      const reply = await control.command("configure");
      this.#judge(reply);
      if (reply.code < REFUSED_MIN) this.#takenText = text;
      this.#taken = Math.max(this.#taken, order);
    } catch (error) {
      this.#lost(`the speaker does not answer: ${(error as Error).message}`);
    }
  }

  #judge(reply: BirdReply): void {
    const text = reply.lines.join("; ");
    if (reply.code >= REFUSED_MIN) {
      // A file of ours that BIRD refuses is our bug; what it ran before it still runs.
      this.#options.logger.error({ reply: text }, "the speaker refused its configuration");
      this.#say(`the speaker refused its configuration: ${text}`);
    } else {
      if (reply.code === RECONFIGURATION_IN_PROGRESS)
        this.#options.logger.warn({}, "a session of the speaker goes down with this change");
      else if (reply.code !== RECONFIGURED)
        this.#options.logger.debug({ code: reply.code, reply: text }, "configure");
      this.#say(undefined);
    }
  }

  #write(text: string): void {
    const { configuration } = this.#paths;
    const fresh = `${configuration}.new`;
    writeFileSync(fresh, text, { mode: 0o640 });
    handOver(fresh, 0o640);
    renameSync(fresh, configuration);
  }

  #launch(): void {
    const { clock, logger } = this.#options;
    if (this.#stopped) return;
    const text = birdFile(this.#configuration, this.#routes);
    this.#write(text);
    this.#takenText = text;
    this.#taken = this.#ordered;
    this.#startedAtMs = clock.nowMs();
    this.#isNew = true;
    this.#endedFor = undefined;
    const child = spawnBird(this.#paths, this.#realtime, logger);
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
    this.#control?.close();
    this.#control = undefined;
    if (this.#stopped) return;
    const { clock, logger } = this.#options;
    if (clock.nowMs() - this.#startedAtMs >= STABLE_MS) this.#restartDelayMs = RESTART_FIRST_MS;
    this.#restartCount++;
    logger.error(
      { how, restartInMs: this.#restartDelayMs },
      "the speaker ended: routers withdraw what it announced; it is started again",
    );
    for (const [name, session] of this.#sessions)
      this.#sessions.set(name, { ...session, session: "Down", bfd: session.bfd && "Down" });
    this.#say(this.#endedFor ?? `the speaker does not run: ${how}`);
    this.#restarting = clock.after(this.#restartDelayMs, () => this.#launch());
    this.#restartDelayMs = Math.min(this.#restartDelayMs * 2, RESTART_MAX_MS);
  }

  /** It runs but does not do its work: it is ended, and `#ended` begins anew. */
  #lost(why: string): void {
    this.#control?.close();
    this.#control = undefined;
    if (this.#stopped) return;
    this.#options.logger.error({ why }, "the speaker is ended");
    this.#endedFor = why;
    this.#say(why);
    this.#child?.kill("SIGKILL");
  }

  /** Looks at the sessions. true: the speaker answered. */
  async #poll(): Promise<boolean> {
    this.#watchdog.pulse();
    if (this.#pollRuns || this.#stopped) return false;
    this.#pollRuns = true;
    try {
      if (this.#control === undefined && !(await this.#connect())) return false;
      const control = this.#control;
      if (control === undefined) return false;
      const [protocols, bfd] = await Promise.all([
        control.command("show protocols all"),
        control.command("show bfd sessions"),
      ]);
      this.#observe(protocols, bfd);
      return true;
    } catch (error) {
      this.#lost((error as Error).message);
      return false;
    } finally {
      this.#pollRuns = false;
    }
  }

  async #connect(): Promise<boolean> {
    if (this.#child === undefined || !existsSync(this.#paths.socket)) return false;
    let control: BirdControl;
    try {
      control = await BirdControl.connect(this.#paths.socket, ANSWER_TIMEOUT_MS);
    } catch {
      // The socket of one that died; its successor makes it anew. One that never answers is ended.
      const runsMs = this.#options.clock.nowMs() - this.#startedAtMs;
      if (runsMs > START_TIMEOUT_MS) this.#lost("the speaker does not answer");
      return false;
    }
    if (this.#stopped) {
      control.close();
      return false;
    }
    this.#control = control;
    this.version = `BIRD ${control.version}`;
    this.#options.logger.info({ version: this.version, realtime: this.#realtime }, "the speaker runs");
    // Orders that came while it started.
    if (this.#taken < this.#ordered) void this.#synchronise();
    return true;
  }

  #observe(protocols: BirdReply, bfd: BirdReply): void {
    const found = parseProtocols(protocols.lines);
    const watched = parseBfd(bfd.lines);
    const next = new Map<string, SpeakerSession>();
    for (const router of this.#configuration.routers) {
      // What was found on an interface is the session; the template of it is always passive.
      const status =
        found.find(({ name }) => name.startsWith(foundName(router))) ??
        found.find(({ name }) => name === protocolName(router));
      const neighbour = status?.neighbour ?? router.address;
      next.set(router.name, {
        session: status?.session ?? "Down",
        info: status === undefined ? "the speaker does not know it" : status.info,
        bfd: router.bfd === undefined ? undefined : (watched.get(neighbour ?? "") ?? "Down"),
      });
    }
    const before = this.#sessions;
    this.#sessions = next;
    const sessions = [...next.values()];
    const deaf =
      sessions.some(({ info }) => info.includes(NO_SOCKET)) &&
      !sessions.some(({ session }) => session === "Established");
    if (deaf) {
      // BIRD does not try again by itself.
      this.#lost(
        "the speaker cannot listen on TCP port 179: another one runs on this machine, or CAP_NET_BIND_SERVICE is missing",
      );
      return;
    }
    if (this.#isNew) {
      this.#isNew = false;
      this.#say(undefined);
    }
    if ([...next].some(([name, session]) => !same(session, before.get(name))) || next.size !== before.size)
      this.#tell();
  }

  #say(trouble: string | undefined): void {
    const changed = this.#trouble !== trouble;
    this.#trouble = trouble;
    if (changed) this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#options.clock.after(ms, resolve));
  }
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

function same(a: SpeakerSession, b: SpeakerSession | undefined): boolean {
  return b !== undefined && a.session === b.session && a.bfd === b.bfd && a.info === b.info;
}
