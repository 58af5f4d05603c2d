// The configuration document on the link to the engine: what is kept, what is sent, whom it meets.
import type { Clock, Logger, Random, Timer } from "@holdfast/model";
import type { ToEngine, ToView } from "../ports.ts";
import { ConfigurationDocument } from "./configuration-document.ts";

/** Name under which the store keeps the document. */
const KEPT_NAME = "configuration";
/** Edits in a row are kept once. */
const KEEP_DELAY_MS = 100;

export class ConfigurationLink {
  readonly document: ConfigurationDocument;
  readonly #post: (message: ToEngine) => void;
  readonly #logger: Logger;
  #save: (() => Uint8Array) | undefined;
  #timer: Timer | undefined;

  constructor(post: (message: ToEngine) => void, clock: Clock, random: Random, logger: Logger) {
    this.#post = post;
    this.#logger = logger;
    this.document = new ConfigurationDocument({
      random,
      send: (to, heads, changes) => post({ kind: "configuration", to, heads, changes }),
      keep: (save) => {
        this.#save = save;
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
    if (message.kind !== "kept") return false;
    const kept = message.values.get(KEPT_NAME);
    if (kept !== undefined && !this.document.load(kept)) {
      this.#logger.error(
        {},
        "the stored configuration is damaged and was left out; the other members have it",
      );
    }
    return true;
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
    this.#timer?.cancel();
    this.#timer = undefined;
    const save = this.#save;
    this.#save = undefined;
    if (save !== undefined) this.#post({ kind: "keep", name: KEPT_NAME, value: save() });
  }
}
