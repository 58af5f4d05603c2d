// Pages of sessions with filters. A search walks the ids in their order and looks at each: what most sessions
// match fills a page at once. What few match is looked for among all, in no order, by what the catalogue knows
// and by what the records' bytes hold, and only what is left is put in order and decoded. Either way the event
// loop gets its turn every few milliseconds, so that a million sessions are searched without a stall.
import { SESSION_PAGE_DEFAULT, type SessionQuery } from "@holdfast/api";
import { HoldfastError, type Needle, type SessionId } from "@holdfast/model";
import type { KnownFacts } from "./catalogue.ts";
import { type Filter, type FilterSources, filterOf } from "./filters.ts";
import { SessionOrder } from "./order.ts";
import type { SessionTables, ShownSession } from "./tables.ts";

/** How long one turn of the event loop may walk, ms, and how often the clock is looked at. */
const TURN_MS = 2;
const CLOCK_PERIOD_COUNT = 32;
/**
 * Ids walked in order before the rest is sorted out without order, and their number for each session of the
 * page. So long a walk costs some milliseconds; what it did not fill is rare among the rest as well, since
 * ids are hashes.
 */
const WALK_COUNT = 8_192;
const WALK_COUNT_PER_SESSION = 64;
/** Sessions whose facts one step looks at. */
const FACTS_STEP_COUNT = 4_096;

export interface SearchSources extends FilterSources {
  readonly sessions: Pick<SessionTables, "get" | "maySpeakOf" | "speakingOf" | "foreign">;
  readonly catalogue: {
    readonly order: Pick<SessionOrder, "after">;
    knownOf(id: SessionId): KnownFacts | undefined;
    facts(): Iterable<readonly [SessionId, KnownFacts]>;
  };
}

export interface SearchPage {
  readonly found: readonly ShownSession[];
  /** Cursor of the next page; undefined at the end. */
  readonly next: string | undefined;
}

const walkCountOf = (limit: number) => Math.max(WALK_COUNT, limit * WALK_COUNT_PER_SESSION);

/** `walkCount`: ids that are walked in order first. Throws what `filterOf` throws, CURSOR_INVALID. */
export async function searchSessions(
  query: Partial<SessionQuery>,
  sources: SearchSources,
  walkCount = walkCountOf(query.limit ?? SESSION_PAGE_DEFAULT),
): Promise<SearchPage> {
  const limit = query.limit ?? SESSION_PAGE_DEFAULT;
  const search = new Search(filterOf(query, sources), limit, sources);
  const after = cursorId(query.cursor);
  const isDone = await search.walk(sources.catalogue.order, after, walkCount);
  if (!isDone) await search.walk(await search.sortedOut(), search.last ?? after);
  return search.page();
}

class Search {
  /** The last id that was looked at. */
  last: SessionId | undefined;
  readonly #filter: Filter;
  readonly #limit: number;
  readonly #sources: SearchSources;
  readonly #foreign: ReadonlyMap<SessionId, ShownSession>;
  readonly #found: { readonly id: SessionId; readonly shown: ShownSession }[] = [];
  #isFull = false;
  #turnedAtMs = performance.now();

  constructor(filter: Filter, limit: number, sources: SearchSources) {
    this.#filter = filter;
    this.#limit = limit;
    this.#sources = sources;
    this.#foreign = new Map(
      [...sources.sessions.foreign()].map((session) => [session.id, { foreign: session }]),
    );
  }

  page(): SearchPage {
    const found = this.#found.map(({ shown }) => shown);
    return { found, next: this.#isFull ? cursorText(this.#found.at(-1)?.id as SessionId) : undefined };
  }

  /**
   * false: it has seen `countMax` ids, the page is not full, and what is left can be sorted out without being
   * decoded.
   */
  async walk(
    order: Pick<SessionOrder, "after">,
    after: SessionId | undefined,
    countMax = Number.POSITIVE_INFINITY,
  ): Promise<boolean> {
    const sortsOut = this.#filter.asksOfFacts || this.#filter.needles.length > 0;
    let seen = 0;
    for (const id of merged(order.after(after), idsAfter(this.#foreign.keys(), after))) {
      if (this.#found.length === this.#limit) {
        this.#isFull = true;
        return true;
      }
      if (sortsOut && seen === countMax) return false;
      if (++seen % CLOCK_PERIOD_COUNT === 0) await this.#turn();
      this.last = id;
      const shown = this.#foreign.get(id) ?? this.#look(id);
      if (shown !== undefined && this.#filter.matches(shown)) this.#found.push({ id, shown });
    }
    return true;
  }

  /** All ids that may match. */
  async sortedOut(): Promise<SessionOrder> {
    const { needles } = this.#filter;
    const rest = new SessionOrder();
    for (const ids of needles.length > 0 ? this.#speaking(needles) : this.#ofFacts()) {
      for (const id of ids) rest.add(id);
      await this.#turn();
    }
    return rest;
  }

  *#speaking(needles: readonly Needle[]): Generator<readonly SessionId[]> {
    for (const ids of this.#sources.sessions.speakingOf(needles))
      yield this.#filter.asksOfFacts ? ids.filter((id) => this.#mayMatch(id)) : ids;
  }

  *#ofFacts(): Generator<readonly SessionId[]> {
    let ids: SessionId[] = [];
    let seen = 0;
    for (const [id, facts] of this.#sources.catalogue.facts()) {
      if (this.#filter.mayMatch(facts)) ids.push(id);
      if (++seen % FACTS_STEP_COUNT !== 0) continue;
      yield ids;
      ids = [];
    }
    yield ids;
  }

  #look(id: SessionId): ShownSession | undefined {
    const { needles, asksOfFacts } = this.#filter;
    const { sessions } = this.#sources;
    if (asksOfFacts && !this.#mayMatch(id)) return undefined;
    return needles.length === 0 || sessions.maySpeakOf(id, needles) ? sessions.get(id) : undefined;
  }

  #mayMatch(id: SessionId): boolean {
    const facts = this.#sources.catalogue.knownOf(id);
    return facts !== undefined && this.#filter.mayMatch(facts);
  }

  /** Others' turn, when this one has been long. */
  async #turn(): Promise<void> {
    if (performance.now() - this.#turnedAtMs < TURN_MS) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#turnedAtMs = performance.now();
  }
}

function idsAfter(ids: Iterable<SessionId>, cursor: SessionId | undefined): SessionId[] {
  return [...ids].filter((id) => cursor === undefined || id > cursor).sort();
}

/** Two ascending runs as one. */
function* merged(ours: Iterable<SessionId>, others: readonly SessionId[]): Generator<SessionId> {
  let at = 0;
  for (const id of ours) {
    for (; at < others.length && (others[at] as SessionId) < id; at++) yield others[at] as SessionId;
    if (others[at] === id) at++;
    yield id;
  }
  for (; at < others.length; at++) yield others[at] as SessionId;
}

function cursorText(id: SessionId): string {
  return Buffer.from(`1 ${id}`).toString("base64url");
}

function cursorId(cursor: string | undefined): SessionId | undefined {
  if (cursor === undefined) return undefined;
  const text = Buffer.from(cursor, "base64url").toString("latin1");
  if (!text.startsWith("1 ") || text.length < 3) throw new HoldfastError("CURSOR_INVALID");
  return text.slice(2);
}
