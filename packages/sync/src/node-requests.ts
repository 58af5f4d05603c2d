// Questions between nodes (counters, health verdicts, …) over the engine's transport. What they mean is the
// node's business; here are tokens, limits and time-outs.
import type { Clock, Logger } from "@holdfast/model";
import { REQUEST_BYTES_MAX } from "./ports/limits.ts";
import type { ToEngine, ToView } from "./ports/link.ts";
import type { RequestHandler } from "./sync.ts";

const REQUEST_LIMIT_MS = 1_000;
/** Requests under way; a further one is answered with undefined at once. */
const REQUEST_COUNT_MAX = 1_024;
/** Answers being made for other members; a further request is not answered. */
const ANSWER_COUNT_MAX = 256;
const TOPIC_COUNT_MAX = 64;

export class NodeRequests {
  readonly #post: (message: ToEngine) => void;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #handlers = new Map<string, RequestHandler>();
  readonly #waiting = new Map<number, (body: Uint8Array | undefined) => void>();
  #answering = 0;
  #token = 0;

  constructor(post: (message: ToEngine) => void, clock: Clock, logger: Logger) {
    this.#post = post;
    this.#clock = clock;
    this.#logger = logger;
  }

  request(member: number, topic: string, body: Uint8Array): Promise<Uint8Array | undefined> {
    if (this.#waiting.size >= REQUEST_COUNT_MAX || body.length > REQUEST_BYTES_MAX)
      return Promise.resolve(undefined);
    const token = ++this.#token;
    return new Promise((resolve) => {
      const settle = (answer: Uint8Array | undefined) => {
        timer.cancel();
        this.#waiting.delete(token);
        resolve(answer);
      };
      const timer = this.#clock.after(REQUEST_LIMIT_MS, () => settle(undefined));
      this.#waiting.set(token, settle);
      // A copy: large buffers move to the engine's thread, and this one is the caller's.
      this.#post({ kind: "request", token, member, topic, body: new Uint8Array(body) });
    });
  }

  onRequest(topic: string, handler: RequestHandler): void {
    if (this.#handlers.size >= TOPIC_COUNT_MAX) throw new RangeError(`more than ${TOPIC_COUNT_MAX} topics`);
    this.#handlers.set(topic, handler);
  }

  /** true when the message was about requests. */
  handle(message: ToView): boolean {
    if (message.kind === "response") {
      this.#waiting.get(message.token)?.(message.body);
      return true;
    }
    if (message.kind !== "request") return false;
    const { topic, token, from, body } = message;
    const handler = this.#handlers.get(topic);
    if (handler !== undefined && this.#answering < ANSWER_COUNT_MAX)
      void this.#answer(handler, topic, token, from, body);
    return true;
  }

  /** The engine is gone: nobody answers. */
  abandon(): void {
    for (const settle of [...this.#waiting.values()]) settle(undefined);
  }

  async #answer(
    handler: RequestHandler,
    topic: string,
    token: number,
    from: number,
    body: Uint8Array,
  ): Promise<void> {
    this.#answering++;
    try {
      const answer = await handler(from, body);
      if (answer.length <= REQUEST_BYTES_MAX)
        this.#post({ kind: "response", token, body: new Uint8Array(answer) });
      else this.#logger.warn({ topic, bytes: answer.length }, "an answer to another member is too long");
    } catch (error) {
      this.#logger.warn(
        { topic, from, error: String(error) },
        "a question of another member could not be answered",
      );
    } finally {
      this.#answering--;
    }
  }
}
