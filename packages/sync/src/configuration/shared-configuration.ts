// The configuration document on the link to the engine: what is kept, what is sent, whom it meets.
import { type Clock, HoldfastError, type Logger, type Random, type Timer } from "@holdfast/model";
import type { ToEngine, ToView } from "../ports/link.ts";
import { ConfigurationDocument } from "./configuration-document.ts";

/** Name under which the store keeps the document. */
const KEPT_NAME = "configuration";
/** Edits in a row are kept once. */
const KEEP_DELAY_MS = 100;
/** A disk that takes longer is an error to whoever waits. */
export const KEPT_LIMIT_MS = 2_000;

/** A store that takes longer holds up no start. */
const LOADED_LIMIT_MS = 5_000;

export class ConfigurationLink {
  readonly document: ConfigurationDocument;
  readonly #post: (message: ToEngine) => void;
  readonly #logger: Logger;
  #save: (() => Uint8Array) | undefined;
  #timer: Timer | undefined;
  /** Changes so far, and how many of them are known to be on disk. */
  #changeCount = 0;
  #keptCount = 0;
  readonly #waiting = new Set<{ readonly count: number; readonly settle: (failure?: string) => void }>();
  readonly #clock: Clock;
  #loaded: (() => void) | undefined;
  /** Resolves when what an earlier life kept is here, or that takes too long. */
  readonly loaded: Promise<void>;

  constructor(post: (message: ToEngine) => void, clock: Clock, random: Random, logger: Logger) {
    this.#post = post;
    this.#logger = logger;
    this.#clock = clock;
    this.loaded = new Promise((resolve) => {
      const timer = clock.after(LOADED_LIMIT_MS, resolve);
      this.#loaded = () => {
        timer.cancel();
        resolve();
      };
    });
    this.document = new ConfigurationDocument({
      random,
      send: (to, heads, changes) => post({ kind: "configuration", to, heads, changes }),
      keep: (save) => {
        this.#save = save;
        this.#changeCount++;
        this.#timer ??= clock.after(KEEP_DELAY_MS, () => this.flush());
      },
      refused: (from, reason) => logger.warn({ from, reason }, "refused a configuration change"),
    });
  }

  /** true when the message was about the configuration. */
  handle(message: ToView): boolean {
    if (message.kind === "configuration") {
      this.document.receive(message.from, message.heads, message.changes);
      return true;
    }
    if (message.kind === "dropped") {
      this.document.connected(message.member);
      return true;
    }
    if (message.kind === "stored") {
      const { token, failure } = message;
      if (failure === undefined) this.#keptCount = Math.max(this.#keptCount, token);
      for (const { count, settle } of [...this.#waiting]) if (count <= token) settle(failure);
      return true;
    }
    if (message.kind !== "kept") return false;
    const kept = message.values.get(KEPT_NAME);
    if (kept !== undefined && !this.document.load(kept)) this.#putAside(kept);
    this.#loaded?.();
    return true;
  }

  /** What cannot be read would be written over by the next change. */
  #putAside(value: Uint8Array): void {
    const stamp = new Date(this.#clock.wallMs()).toISOString().replace(/[-:]|\.\d+/g, "");
    const name = `${KEPT_NAME}-broken-${stamp}`;
    this.#post({ kind: "keep", name, value, token: undefined });
    this.#logger.error(
      { keptAs: name },
      "the stored configuration is damaged and was left out: it comes from the other members, and with none from the file",
    );
  }

  connected(member: number): void {
    this.document.connected(member);
  }

  /** A new engine has to be told what the old one was. */
  restate(): void {
    this.#save ??= () => this.document.save();
    this.flush();
  }

  /** Keeps what waits now. */
  flush(): void {
    this.#keep(undefined);
  }

  /**
   * Resolves when every change so far is on this member's disk. Throws CONFIGURATION_NOT_KEPT when the disk
   * did not take it, or not within KEPT_LIMIT_MS; it goes on being tried.
   */
  kept(): Promise<void> {
    const count = this.#changeCount;
    if (count === this.#keptCount) return Promise.resolve();
    // It may have been handed over already, without the question when it is written.
    this.#save ??= () => this.document.save();
    return new Promise((resolve, reject) => {
      const settle = (failure?: string) => {
        timer.cancel();
        this.#waiting.delete(waiting);
        if (failure === undefined) resolve();
        else reject(new HoldfastError("CONFIGURATION_NOT_KEPT", { reason: failure }));
      };
      const timer = this.#clock.after(KEPT_LIMIT_MS, () =>
        settle(`the disk did not answer within ${KEPT_LIMIT_MS} ms`),
      );
      const waiting = { count, settle };
      this.#waiting.add(waiting);
      this.#keep(count);
    });
  }

  #keep(token: number | undefined): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const save = this.#save;
    this.#save = undefined;
    if (save !== undefined) this.#post({ kind: "keep", name: KEPT_NAME, value: save(), token });
  }
}
