// What the service manager (systemd's Type=notify) is told: sd_notify(3), one datagram each. Without a
// manager that asks for it (NOTIFY_SOCKET) nothing is said.
import { sendUnixDatagram } from "./libc.ts";

const UNSENT_COUNT_MAX = 8;

export class ServiceManager {
  readonly #socket: string | undefined;
  /** A watchdog wants a sign of life at least this often. */
  readonly #watchdogMs: number | undefined;
  readonly #send: (socket: string, text: string) => boolean;
  #status = "";
  /** What the manager did not take; said again before anything else. */
  #unsent: string[] = [];

  constructor(
    environment: NodeJS.ProcessEnv = process.env,
    send: (socket: string, text: string) => boolean = sendUnixDatagram,
    pid: number = process.pid,
  ) {
    this.#socket = environment["NOTIFY_SOCKET"];
    this.#send = send;
    // sd_watchdog_enabled(3): meant for this process, if for one at all.
    const watched = environment["WATCHDOG_PID"];
    const microseconds = Number(environment["WATCHDOG_USEC"]);
    const isMeant = watched === undefined || watched === String(pid);
    if (isMeant && Number.isInteger(microseconds) && microseconds > 0)
      this.#watchdogMs = microseconds / 1_000;
  }

  /** How often `alive` should be said; undefined: nobody listens for it. */
  get beatMs(): number | undefined {
    return this.#watchdogMs === undefined ? undefined : this.#watchdogMs / 4;
  }

  /** It serves. */
  ready(): void {
    this.#say("READY=1");
  }

  /** It reads its configuration again; `ready` ends it. `monotonicNs`: the kernel's CLOCK_MONOTONIC. */
  reloading(monotonicNs: bigint): void {
    this.#say(`RELOADING=1\nMONOTONIC_USEC=${monotonicNs / 1_000n}`);
  }

  /** It stops, and may take so long. */
  stopping(limitMs: number): void {
    this.#say(`STOPPING=1\nEXTEND_TIMEOUT_USEC=${Math.floor(limitMs * 1_000)}`);
  }

  /** A start that waits on purpose is none that hangs. */
  takesLonger(limitMs: number): void {
    this.#say(`EXTEND_TIMEOUT_USEC=${Math.floor(limitMs * 1_000)}`);
  }

  /** Feeds the watchdog. */
  alive(): void {
    this.#say("WATCHDOG=1");
  }

  /** One line for `systemctl status`; the same one again is not said. */
  status(text: string): void {
    const line = text.replace(/[\r\n]+/g, " ");
    if (line === this.#status) return;
    this.#status = line;
    this.#say(`STATUS=${line}`);
  }

  #say(text: string): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    const waiting = [...this.#unsent, text];
    while (waiting[0] !== undefined && this.#send(socket, waiting[0])) waiting.shift();
    // Signs of life and old states are of no use later.
    this.#unsent = waiting.filter((one) => /^(READY|RELOADING|STOPPING)=/.test(one)).slice(-UNSENT_COUNT_MAX);
    if (waiting.some((one) => one.startsWith("STATUS="))) this.#status = "";
  }
}
