// BIRD's control socket: one command at a time, each with its reply. A line begins with four digits and a space when
// it is the last of a reply, with a hyphen when more follow, with a space when it goes on like the one before; a line
// that begins with a plus sign belongs to no reply.
import { createConnection, type Socket } from "node:net";

export interface BirdReply {
  /** The last line's: 0003 reconfigured, 0004 in progress, 8002 and above: refused. */
  readonly code: number;
  readonly lines: readonly string[];
}

/** A reply longer than this is nobody's: a thousand routes take 200 kB. */
const REPLY_SIZE_MAX = 16 << 20;
const WAITING_COUNT_MAX = 64;

interface Waiting {
  readonly command: string;
  readonly resolve: (reply: BirdReply) => void;
  readonly reject: (error: Error) => void;
  timer: NodeJS.Timeout | undefined;
}

export class BirdControl {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #waiting: Waiting[] = [];
  #buffer = "";
  #lines: string[] = [];
  #closed: Error | undefined;
  /** "2.0.12", from the greeting. */
  #version = "";

  private constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#receive(text));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("BIRD closed its control socket")));
  }

  /** Resolves with the greeting read. Rejects when nobody listens, or says nothing in time. */
  static async connect(path: string, timeoutMs: number): Promise<BirdControl> {
    const control = new BirdControl(createConnection(path), timeoutMs);
    const greeting = await control.#enqueue("");
    control.#version = /BIRD (\S+) ready/.exec(greeting.lines[0] ?? "")?.[1] ?? "";
    return control;
  }

  get version(): string {
    return this.#version;
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Rejects, and closes the connection, when there is no reply in time: what comes later belongs to nobody. */
  command(text: string): Promise<BirdReply> {
    return this.#enqueue(text);
  }

  close(): void {
    this.#socket.destroy();
    this.#end(new Error("closed"));
  }

  #enqueue(command: string): Promise<BirdReply> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    if (this.#waiting.length >= WAITING_COUNT_MAX)
      return Promise.reject(new Error(`${WAITING_COUNT_MAX} commands wait for BIRD already`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ command, resolve, reject, timer: undefined });
      if (this.#waiting.length === 1) this.#send();
    });
  }

  #send(): void {
    const next = this.#waiting[0];
    if (next === undefined) return;
    next.timer = setTimeout(() => {
      this.#socket.destroy();
      this.#end(new Error(`BIRD did not answer '${next.command}' within ${this.#timeoutMs} ms`));
    }, this.#timeoutMs);
    if (next.command !== "") this.#socket.write(`${next.command}\n`);
  }

  #receive(text: string): void {
    this.#buffer += text;
    if (this.#buffer.length > REPLY_SIZE_MAX) {
      this.#socket.destroy();
      this.#end(new Error(`BIRD's reply is longer than ${REPLY_SIZE_MAX} bytes`));
      return;
    }
    const lines = this.#buffer.split("\n");
    this.#buffer = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("+")) continue;
      const last = /^(\d{4}) (.*)$/.exec(line);
      this.#lines.push(last?.[2] ?? line.replace(/^(?:\d{4}-| )/, ""));
      if (last === null) continue;
      const waiting = this.#waiting.shift();
      const reply = { code: Number(last[1]), lines: this.#lines };
      this.#lines = [];
      if (waiting === undefined) continue;
      clearTimeout(waiting.timer);
      waiting.resolve(reply);
      this.#send();
    }
  }

  #end(error: Error): void {
    this.#closed ??= error;
    for (const { timer, reject } of this.#waiting.splice(0)) {
      clearTimeout(timer);
      reject(error);
    }
  }
}
