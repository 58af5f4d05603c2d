// One ws connection to one member: greeting, keepalive, a bounded queue out, a paced inbox in.
//
//   greeting ──(both greetings judged, both `accepted`)──► up ──► closed
//
// A link is up only when both sides have accepted, so that neither talks to a member that refuses it.
import type { Clock, Timer } from "@holdfast/model";
import type { RawData, WebSocket } from "ws";
import type { CertifiedMember } from "../certificates/identity.ts";
import { decodePeerMessage } from "../messages/codec.ts";
import { decodeLinkMessage, encodeLinkMessage, type Greeting } from "../messages/greeting.ts";
import type { PeerMessage } from "../ports/messages.ts";
import type { Refusal } from "./admission.ts";
import { INBOX_BYTES_MAX, INBOX_SLICE_MS, type LinkTiming, SOCKET_BYTES_MAX } from "./settings.ts";

/** First byte of peer messages; below are the link's own. */
const PEER_KIND_LOWEST = 16;
/** How long a closing handshake may take before the socket is destroyed. */
const CLOSE_GRACE_MS = 500;

export interface LinkEvents {
  /** Decides about a peer; undefined admits it. */
  judge(link: Link, greeting: Greeting): Promise<Refusal | undefined> | Refusal | undefined;
  up(link: Link): void;
  message(link: Link, message: PeerMessage): void;
  dropped(link: Link): void;
  /** Once, whatever state it was in. */
  closed(link: Link, reason: string): void;
}

export interface LinkOptions {
  readonly socket: WebSocket;
  /** Whom this member dialled, undefined when it was dialled. */
  readonly dialled: string | undefined;
  readonly certified: CertifiedMember | undefined;
  readonly remote: string;
  readonly own: Greeting;
  readonly clock: Clock;
  readonly timing: LinkTiming;
  readonly queueBytesMax: number;
  readonly events: LinkEvents;
}

export class Link {
  readonly dialled: string | undefined;
  readonly certified: CertifiedMember | undefined;
  /** Address and port, for logs. */
  readonly remote: string;
  greeting: Greeting | undefined;
  state: "greeting" | "up" | "closed" = "greeting";
  /** Monotonic ms at which it came up. */
  upAtMs = 0;
  /** Messages of kinds that only later versions know: passed over. */
  unknownCount = 0;
  /** Set when the other side refused this one. */
  refusedByPeer: Refusal | undefined;
  /** Set when this side refused the other. */
  refusal: Refusal | undefined;

  readonly #socket: WebSocket;
  readonly #clock: Clock;
  readonly #timing: LinkTiming;
  readonly #events: LinkEvents;
  readonly #queueBytesMax: number;
  #judged = false;
  #accepted = false;
  #peerAccepted = false;

  #queue: Uint8Array[] = [];
  #queueHead = 0;
  #queueBytes = 0;
  #dropNoted = false;

  #inbox: Uint8Array[] = [];
  #inboxHead = 0;
  #inboxBytes = 0;
  #draining = false;
  #paused = false;

  #heardAtMs: number;
  #keepalive: Timer;
  #greetTimer: Timer | undefined;
  #pongWaiters: (() => void)[] = [];

  constructor(options: LinkOptions) {
    this.#socket = options.socket;
    this.dialled = options.dialled;
    this.certified = options.certified;
    this.remote = options.remote;
    this.#clock = options.clock;
    this.#timing = options.timing;
    this.#events = options.events;
    this.#queueBytesMax = options.queueBytesMax;
    this.#heardAtMs = options.clock.nowMs();

    const { socket } = options;
    socket.binaryType = "nodebuffer";
    socket.on("message", (data, isBinary) => this.#arrived(data, isBinary));
    socket.on("pong", () => this.#pong());
    socket.on("ping", () => this.#heard());
    // ws reports a broken rule (length, masking, opcode) as an error, then closes.
    socket.on("error", (error) => this.#end(`broken: ${error.message}`, true));
    socket.on("close", (code, reason) =>
      this.#end(reason.length > 0 ? `closed: ${reason.toString().slice(0, 100)}` : `closed (${code})`, true),
    );
    this.#keepalive = this.#clock.every(this.#timing.pingMs, () => this.#checkSilence());
    this.#greetTimer = this.#clock.after(this.#timing.greetMs, () => {
      if (this.state === "greeting") this.close("greeting-timeout");
    });
    this.#sendNow(encodeLinkMessage({ kind: "greeting", greeting: options.own }));
  }

  get queuedBytes(): number {
    return this.#queueBytes + this.#socket.bufferedAmount;
  }

  /** false: not up, or the queue was full and was dropped. */
  send(bytes: Uint8Array): boolean {
    if (this.state !== "up") return false;
    if (this.queuedBytes + bytes.length > this.#queueBytesMax) {
      this.#queue = [];
      this.#queueHead = 0;
      this.#queueBytes = 0;
      // Later: the caller is in the middle of something.
      if (!this.#dropNoted) {
        this.#dropNoted = true;
        setImmediate(() => {
          this.#dropNoted = false;
          if (this.state === "up") this.#events.dropped(this);
        });
      }
      return false;
    }
    if (this.#queueBytes === 0 && this.#socket.bufferedAmount < SOCKET_BYTES_MAX) this.#sendNow(bytes);
    else {
      this.#queue.push(bytes);
      this.#queueBytes += bytes.length;
    }
    return true;
  }

  /** True when the other side answers a ping within `limitMs`. */
  answers(limitMs: number): Promise<boolean> {
    if (this.state !== "up") return Promise.resolve(false);
    return new Promise((resolve) => {
      const timer = this.#clock.after(limitMs, () => resolve(false));
      this.#pongWaiters.push(() => {
        timer.cancel();
        resolve(true);
      });
      this.#socket.ping();
    });
  }

  /** Tells the other side why, and closes. */
  refuse(refusal: Refusal): void {
    if (this.state === "closed") return;
    this.refusal = refusal;
    this.#sendNow(encodeLinkMessage({ kind: "refused", ...refusal }));
    this.close(`refused: ${refusal.reason}`);
  }

  close(reason: string): void {
    this.#end(reason, false);
  }

  #sendNow(bytes: Uint8Array): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(bytes, this.#sent);
  }

  readonly #sent = (error?: Error | null): void => {
    if (error || this.state !== "up") return;
    while (this.#queueHead < this.#queue.length && this.#socket.bufferedAmount < SOCKET_BYTES_MAX) {
      const bytes = this.#queue[this.#queueHead++] as Uint8Array;
      this.#queueBytes -= bytes.length;
      this.#socket.send(bytes, this.#sent);
    }
    if (this.#queueHead === this.#queue.length && this.#queueHead > 0) {
      this.#queue = [];
      this.#queueHead = 0;
    }
  };

  #arrived(data: RawData, isBinary: boolean): void {
    this.#heard();
    if (this.state === "closed") return;
    // nodebuffer: ws hands over one Buffer, also for a fragmented message.
    const bytes = data as Buffer;
    if (!isBinary) {
      this.refuse({ reason: "text", explanation: "members speak binary messages only" });
      return;
    }
    if (bytes.length > 0 && (bytes[0] as number) < PEER_KIND_LOWEST) {
      this.#linkMessage(bytes);
      return;
    }
    if (this.state !== "up") {
      this.refuse({ reason: "no-greeting", explanation: "a message came before the greeting was accepted" });
      return;
    }
    this.#inbox.push(bytes);
    this.#inboxBytes += bytes.length;
    if (this.#inboxBytes > INBOX_BYTES_MAX && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
    if (!this.#draining) this.#drain();
  }

  /** Hands messages on, for a slice of time: one peer that never stops must not starve the others. */
  #drain(): void {
    this.#draining = true;
    const sliceEndMs = this.#clock.nowMs() + INBOX_SLICE_MS;
    while (this.#inboxHead < this.#inbox.length && this.state === "up") {
      const bytes = this.#inbox[this.#inboxHead++] as Uint8Array;
      this.#inboxBytes -= bytes.length;
      const decoded = decodePeerMessage(bytes);
      if (!decoded.ok) {
        this.refuse({ reason: decoded.reason, explanation: "a message could not be decoded" });
        return;
      }
      if (decoded.message === undefined) this.unknownCount++;
      else this.#events.message(this, decoded.message);
      if (this.#clock.nowMs() >= sliceEndMs && this.#inboxHead < this.#inbox.length) {
        if (this.#inboxHead > 1_024) {
          this.#inbox = this.#inbox.slice(this.#inboxHead);
          this.#inboxHead = 0;
        }
        setImmediate(() => this.#drain());
        return;
      }
    }
    this.#inbox = [];
    this.#inboxHead = 0;
    this.#draining = false;
    if (this.#paused && this.state === "up") {
      this.#paused = false;
      this.#socket.resume();
    }
  }

  #linkMessage(bytes: Uint8Array): void {
    const message = decodeLinkMessage(bytes);
    if (message === undefined) {
      this.refuse({ reason: "greeting-malformed", explanation: "not a greeting" });
    } else if (message.kind === "refused") {
      const { reason, explanation } = message;
      this.refusedByPeer = { reason: printable(reason), explanation: printable(explanation) };
      this.close(`refused by the peer: ${this.refusedByPeer.reason}`);
    } else if (message.kind === "accepted") {
      this.#peerAccepted = true;
      this.#maybeUp();
    } else if (this.#judged) {
      this.refuse({ reason: "greeting-twice", explanation: "one greeting a link" });
    } else {
      this.#judged = true;
      this.greeting = message.greeting;
      void this.#judge(message.greeting);
    }
  }

  async #judge(greeting: Greeting): Promise<void> {
    // Without a pause when the judgement needs none: greeting and first messages may arrive in one read.
    const verdict = this.#events.judge(this, greeting);
    const refusal = verdict instanceof Promise ? await verdict : verdict;
    if (this.state !== "greeting") return;
    if (refusal !== undefined) {
      this.refuse(refusal);
      return;
    }
    this.#accepted = true;
    this.#sendNow(encodeLinkMessage({ kind: "accepted" }));
    this.#maybeUp();
  }

  #maybeUp(): void {
    if (this.state !== "greeting" || !this.#accepted || !this.#peerAccepted) return;
    this.state = "up";
    this.upAtMs = this.#clock.nowMs();
    this.#greetTimer?.cancel();
    this.#events.up(this);
  }

  #heard(): void {
    this.#heardAtMs = this.#clock.nowMs();
  }

  #pong(): void {
    this.#heard();
    const waiters = this.#pongWaiters;
    this.#pongWaiters = [];
    for (const waiter of waiters) waiter();
  }

  #checkSilence(): void {
    if (this.state === "closed" || this.#paused) return;
    const silentMs = this.#clock.nowMs() - this.#heardAtMs;
    if (silentMs > this.#timing.silenceMs) this.close("silence");
    else if (silentMs >= this.#timing.pingMs && this.#socket.readyState === this.#socket.OPEN)
      this.#socket.ping();
  }

  #end(reason: string, gone: boolean): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#keepalive.cancel();
    this.#greetTimer?.cancel();
    this.#queue = [];
    this.#queueBytes = 0;
    this.#inbox = [];
    this.#inboxBytes = 0;
    // Their timers answer false.
    this.#pongWaiters = [];
    if (gone || reason === "silence") this.#socket.terminate();
    else {
      this.#socket.close(1000, reason.slice(0, 100));
      this.#socket.resume();
      this.#clock.after(CLOSE_GRACE_MS, () => this.#socket.terminate());
    }
    this.#events.closed(this, reason);
  }
}

/** What a peer sent goes into our log: printable ASCII only. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
