// Before sessions end because their service or endpoint was deleted while nobody ran, a majority of all members has to
// know the deletion, in the same configuration: one that is cut off, or that came back with an old store, ends nothing.
import type { ServicePlace } from "@holdfast/model";
import type { ConfigurationStore } from "../services/store.ts";
import type { ClusterLink } from "./link.ts";

const TOPIC = "strays";
/** Of one question. */
const PLACE_COUNT_MAX = 64;

export class StrayVotes {
  readonly #link: Pick<ClusterLink, "connected" | "request">;
  readonly #store: ConfigurationStore;
  readonly #quorum: () => number;

  constructor(
    link: Pick<ClusterLink, "connected" | "request" | "onRequest">,
    store: ConfigurationStore,
    quorum: () => number,
  ) {
    this.#link = link;
    this.#store = store;
    this.#quorum = quorum;
    link.onRequest(TOPIC, (_from, body) => encode({ answers: this.#answer(body) }));
  }

  /** Which of these places a majority of all members knows to be deleted; this member is one of them. */
  readonly confirm = async (places: readonly ServicePlace[]): Promise<readonly ServicePlace[]> => {
    const asked = places.slice(0, PLACE_COUNT_MAX).filter((place) => this.#store.isDeleted(place));
    if (asked.length === 0 || this.#quorum() <= 1) return asked;
    const body = encode({ version: this.#store.version(), places: asked });
    const replies = await Promise.all(
      this.#link.connected().map(async (member) => {
        const reply = await this.#link.request(member, TOPIC, body).catch(() => undefined);
        return reply === undefined ? [] : answersOf(reply);
      }),
    );
    const quorum = this.#quorum();
    const votes = asked.map((_, index) => replies.filter((answers) => answers[index] === true).length);
    return asked.filter((_, index) => 1 + (votes[index] ?? 0) >= quorum);
  };

  #answer(body: Uint8Array): boolean[] {
    const question = decode(body) as { version?: unknown; places?: unknown } | undefined;
    if (question?.version !== this.#store.version() || !Array.isArray(question.places)) return [];
    return question.places
      .slice(0, PLACE_COUNT_MAX)
      .map((place) => isPlace(place) && this.#store.isDeleted(place));
  }
}

function answersOf(reply: Uint8Array): readonly unknown[] {
  const { answers } = (decode(reply) ?? {}) as { answers?: unknown };
  return Array.isArray(answers) ? answers : [];
}

function isPlace(value: unknown): value is ServicePlace {
  if (typeof value !== "object" || value === null) return false;
  const { serviceId, endpoint } = value as { serviceId?: unknown; endpoint?: unknown };
  if (typeof serviceId !== "string") return false;
  if (endpoint === undefined) return true;
  if (typeof endpoint !== "object" || endpoint === null) return false;
  const { address, port } = endpoint as { address?: unknown; port?: unknown };
  return typeof address === "string" && typeof port === "number";
}

const encode = (value: object) => new TextEncoder().encode(JSON.stringify(value));

/** Another member's words: an object, or undefined. */
function decode(bytes: Uint8Array): object | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
