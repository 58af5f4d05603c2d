// Before sessions end because their service or endpoint was deleted while nobody ran, a majority of all
// members has to know the deletion, in the same configuration and by the same list of members: one that is
// cut off, or that came back with an old store, ends nothing.
import { type Members, majorityOf, type ServicePlace } from "@holdfast/model";
import { LIST_VOTES } from "@holdfast/sync";
import { markFrom, markOf, mayVote } from "../members/list-mark.ts";
import type { ConfigurationStore } from "../services/store.ts";
import type { ClusterLink } from "./link.ts";
import { decodeWords, encodeWords } from "./words.ts";

const TOPIC = "strays";
/** Of one question. */
const PLACE_COUNT_MAX = 64;

export class StrayVotes {
  readonly #link: Pick<ClusterLink, "connected" | "request" | "capabilitiesOf">;
  readonly #store: ConfigurationStore;
  readonly #members: Members;
  readonly #own: { readonly number: number };

  constructor(
    link: Pick<ClusterLink, "connected" | "request" | "onRequest" | "capabilitiesOf">,
    store: ConfigurationStore,
    members: Members,
    own: { readonly number: number },
  ) {
    this.#link = link;
    this.#store = store;
    this.#members = members;
    this.#own = own;
    link.onRequest(TOPIC, (_from, body) => encodeWords({ answers: this.#answer(body) }));
  }

  /** Which of these places a majority of all members knows to be deleted; this member is one of them. */
  readonly confirm = async (places: readonly ServicePlace[]): Promise<readonly ServicePlace[]> => {
    const asked = places.slice(0, PLACE_COUNT_MAX).filter((place) => this.#store.isDeleted(place));
    const list = this.#members.current();
    const quorum = majorityOf(list);
    if (asked.length === 0 || quorum <= 1) return asked;
    const question = { version: this.#store.version(), places: asked };
    const [body, marked] = [encodeWords(question), encodeWords({ ...question, list: markOf(list) })];
    const connected = this.#link.connected();
    const replies = await Promise.all(
      list.members.map(async ({ number }) => {
        if (number === this.#own.number || !connected.includes(number)) return [];
        const readsMarks = this.#link.capabilitiesOf(number)?.includes(LIST_VOTES) === true;
        // Who does not has the list of its file: no voter of a list that was changed.
        if (!readsMarks && list.version > 0) return [];
        const asking = this.#link.request(number, TOPIC, readsMarks ? marked : body);
        const reply = await asking.catch(() => undefined);
        return reply === undefined ? [] : answersOf(reply);
      }),
    );
    // A majority of a list that is no longer in force is none: it is asked again.
    if (this.#members.current().version !== list.version) return [];
    const votes = asked.map((_, index) => replies.filter((answers) => answers[index] === true).length);
    return asked.filter((_, index) => 1 + (votes[index] ?? 0) >= quorum);
  };

  #answer(body: Uint8Array): boolean[] {
    const question = decode(body) as { version?: unknown; places?: unknown; list?: unknown } | undefined;
    if (question?.version !== this.#store.version() || !Array.isArray(question.places)) return [];
    const mark = markFrom(question.list);
    if (mark === undefined && question.list !== undefined) return [];
    if (!mayVote(this.#members.current(), mark)) return [];
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

/** Another member's words: an object, or undefined. */
function decode(bytes: Uint8Array): object | undefined {
  const value = decodeWords(bytes);
  return typeof value === "object" && value !== null ? value : undefined;
}
