// BIRD behind the speaker's port: its file, its control socket. The file is written before every command and is the truth.
import type { ChildProcess } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ANSWER_TIMEOUT_MS, ChildSpeaker, type SpeakerView } from "../child-speaker.ts";
import { handOver, spawnSpeaker } from "../process.ts";
import type { SpeakerSession } from "../speaker.ts";
import { BirdControl, type BirdReply } from "./control.ts";
import { birdFile, foundName, protocolName } from "./file.ts";
import { relay } from "./log.ts";
import { parseBfd, parseProtocols } from "./status.ts";

/** What BIRD says of a session that has no port; it does not try again by itself. */
const NO_SOCKET = "No listening socket";
/** Debian's package makes this user; without it BIRD runs as we do. */
const USER = "bird";

const RECONFIGURED = 3;
const RECONFIGURATION_IN_PROGRESS = 4;
const REFUSED_MIN = 8_000;

export class BirdSpeaker extends ChildSpeaker {
  /** Orders have a connection of their own: a move of a VIP waits for no look at the sessions. */
  #orders: BirdControl | undefined;
  #looks: BirdControl | undefined;
  /** The file that the speaker has read. */
  #takenText = "";

  #at(name: string): string {
    return join(this.options.directory, name);
  }

  protected prepare(): boolean {
    handOver(this.options.directory, 0o750, USER);
    const text = birdFile(this.configuration, this.routes);
    this.#write(text);
    this.#takenText = text;
    return true;
  }

  protected spawn(): ChildProcess {
    const { program, logger } = this.options;
    const paths = ["-c", this.#at("bird.conf"), "-s", this.#at("bird.ctl"), "-P", this.#at("bird.pid")];
    return spawnSpeaker([program, "-f", ...paths], {
      user: USER,
      realtime: this.isRealtime,
      onLine: (line) => relay(line, logger),
    });
  }

  protected async connect(): Promise<string | undefined> {
    const socket = this.#at("bird.ctl");
    if (!existsSync(socket)) return undefined;
    const [orders, looks] = await Promise.allSettled(
      [1, 2].map(() => BirdControl.connect(socket, ANSWER_TIMEOUT_MS)),
    );
    this.#orders = orders?.status === "fulfilled" ? orders.value : undefined;
    this.#looks = looks?.status === "fulfilled" ? looks.value : undefined;
    if (this.#orders === undefined || this.#looks === undefined) {
      // The socket of one that died; its successor makes it anew.
      this.disconnect();
      return undefined;
    }
    return `BIRD ${this.#orders.version}`;
  }

  protected disconnect(): void {
    this.#orders?.close();
    this.#looks?.close();
    this.#orders = this.#looks = undefined;
  }

  protected forget(): void {
    rmSync(this.#at("bird.conf"), { force: true });
  }

  protected async tell(): Promise<string | undefined> {
    const text = birdFile(this.configuration, this.routes);
    if (text === this.#takenText) return undefined;
    this.#write(text);
    const reply = await open(this.#orders).command("configure");
    const trouble = this.#judge(reply);
    if (trouble === undefined) this.#takenText = text;
    return trouble;
  }

  protected async look(): Promise<SpeakerView> {
    const control = open(this.#looks);
    const [protocols, bfd] = await Promise.all([
      control.command("show protocols all"),
      control.command("show bfd sessions"),
    ]);
    const found = parseProtocols(protocols.lines);
    const watched = parseBfd(bfd.lines);
    const sessions = new Map<string, SpeakerSession>();
    for (const router of this.configuration.routers) {
      // What was found on an interface is the session; the template of it is always passive.
      const status =
        found.find(({ name }) => name.startsWith(foundName(router))) ??
        found.find(({ name }) => name === protocolName(router));
      const neighbour = status?.neighbour ?? router.address;
      sessions.set(router.name, {
        session: status?.session ?? "Down",
        info: status === undefined ? "the speaker does not know it" : status.info,
        bfd: router.bfd === undefined ? undefined : (watched.get(neighbour ?? "") ?? "Down"),
      });
    }
    return { sessions, failure: failureOf([...sessions.values()]) };
  }

  #judge(reply: BirdReply): string | undefined {
    const { logger } = this.options;
    const text = reply.lines.join("; ");
    if (reply.code >= REFUSED_MIN) {
      // A file of ours that BIRD refuses is our bug; what it ran before it still runs.
      logger.error({ reply: text }, "the speaker refused its configuration");
      return `the speaker refused its configuration: ${text}`;
    }
    if (reply.code === RECONFIGURATION_IN_PROGRESS)
      logger.warn({}, "a session of the speaker goes down with this change");
    else if (reply.code !== RECONFIGURED) logger.debug({ code: reply.code, reply: text }, "configure");
    return undefined;
  }

  #write(text: string): void {
    const file = this.#at("bird.conf");
    // A new one: writing over the old one, or renaming to it, has ext4 write to the disk first, which takes
    // milliseconds. BIRD reads when it is told, and at its start: never between these lines.
    rmSync(file, { force: true });
    writeFileSync(file, text, { mode: 0o640, flag: "wx" });
    handOver(file, 0o640, USER);
  }
}

function open(control: BirdControl | undefined): BirdControl {
  if (control === undefined) throw new Error("its control socket is closed");
  return control;
}

function failureOf(sessions: readonly SpeakerSession[]): string | undefined {
  const isDeaf =
    sessions.some(({ info }) => info.includes(NO_SOCKET)) &&
    !sessions.some(({ session }) => session === "Established");
  return isDeaf
    ? "the speaker cannot listen on TCP port 179: another one runs on this machine, or CAP_NET_BIND_SERVICE is missing"
    : undefined;
}
