// Counters stay with the member that counts. The API asks them all when somebody wants to know; while
// somebody does, every member keeps what the others counted, so that the death of one takes nothing back.
import type { PathCounters } from "@holdfast/api";
import type { Clock, MemberName, SessionEnvelope, SessionId, Timer } from "@holdfast/model";
import type { DataPlane } from "../data-plane/data-plane.ts";
import { CounterMemory, REMEMBERED_COUNT_MAX } from "./counter-memory.ts";
import type { ClusterLink } from "./link.ts";
import type { MemberDirectory } from "./members.ts";
import { decodeWords, encodeWords } from "./words.ts";

const TOPIC = "counters";
/** The same question, asked to remember: it is no sign that anybody looks. */
const TOPIC_AGAIN = "counters-again";
/** Sessions of one question: its answer stays below the limit of a response. */
export const COUNTER_BATCH_COUNT = 128;
/** Rows of one session that are taken from an answer: 4 VIPs and 16 client addresses. */
const PATH_COUNT_MAX = 64;
/** For so long after a question a session's counters are watched, … */
const WATCH_MS = 60_000;
/** … so often. */
const WATCH_PERIOD_MS = 5_000;
/** A question sooner after the last look needs no other. */
const FRESH_MS = 1_000;

type DataPlaneCounters = Pick<DataPlane, "countersOf">;

export class CounterExchange {
  readonly #link: ClusterLink;
  readonly #dataPlane: DataPlaneCounters;
  readonly #directory: MemberDirectory;
  readonly #clock: Clock;
  readonly #memory: CounterMemory;
  /** Sessions that somebody asked about, with the time; the latest last. */
  readonly #asked = new Map<SessionId, number>();
  #timer: Timer | undefined;
  #refreshedAtMs: number | undefined;
  #isRefreshing = false;

  constructor(link: ClusterLink, dataPlane: DataPlaneCounters, directory: MemberDirectory, clock: Clock) {
    this.#link = link;
    this.#dataPlane = dataPlane;
    this.#directory = directory;
    this.#clock = clock;
    this.#memory = new CounterMemory(() => clock.nowMs());
    const idsIn = (body: Uint8Array) =>
      new TextDecoder().decode(body).split("\n").slice(0, COUNTER_BATCH_COUNT);
    const answer = (body: Uint8Array) => {
      const rows = idsIn(body).map((id) => {
        const record = link.sessions.get(id)?.record;
        return record === undefined ? [] : dataPlane.countersOf(record);
      });
      return encodeWords(rows);
    };
    link.onRequest(TOPIC, (_from, body) => {
      this.#watch(idsIn(body));
      return answer(body);
    });
    link.onRequest(TOPIC_AGAIN, (_from, body) => answer(body));
  }

  async of(record: SessionEnvelope): Promise<readonly PathCounters[]> {
    return (await this.ofMany([record])).get(record.id) ?? [];
  }

  /** This member's alone; at once. */
  ownOf(record: SessionEnvelope): readonly PathCounters[] {
    return this.#dataPlane.countersOf(record);
  }

  /** At most COUNTER_BATCH_COUNT sessions; of a member that does not answer in time, what it said last. */
  ofMany(records: readonly SessionEnvelope[]): Promise<ReadonlyMap<SessionId, readonly PathCounters[]>> {
    this.#watch(records.map(({ id }) => id));
    return this.#ask(records, TOPIC);
  }

  /** What another member said last, without asking. */
  remembered(session: SessionId, member: MemberName): readonly PathCounters[] {
    return this.#memory.of(session, member);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#asked.clear();
  }

  async #ask(
    records: readonly SessionEnvelope[],
    topic: string,
  ): Promise<ReadonlyMap<SessionId, readonly PathCounters[]>> {
    const asked = records.slice(0, COUNTER_BATCH_COUNT);
    const self = this.#directory.self;
    const rows = new Map<SessionId, PathCounters[]>(
      asked.map((record) => [
        record.id,
        [...this.#memory.note(record.id, self, this.#dataPlane.countersOf(record))],
      ]),
    );
    const body = new TextEncoder().encode(asked.map(({ id }) => id).join("\n"));
    const connected = new Set(this.#link.connected());
    await Promise.all(
      this.#directory.others.map(async ({ name, number }) => {
        const answer = connected.has(number) ? await this.#link.request(number, topic, body) : undefined;
        const said = answer === undefined ? undefined : decode(answer);
        for (const [index, record] of asked.entries()) {
          const paths = said?.[index];
          const now = Array.isArray(paths) ? paths.slice(0, PATH_COUNT_MAX).filter(isRow) : [];
          rows.get(record.id)?.push(...this.#memory.note(record.id, name, now));
        }
      }),
    );
    return rows;
  }

  /**
   * Somebody looks: for a while what the others count there is kept here, too, as fresh as the question is.
   */
  #watch(ids: readonly SessionId[]): void {
    const nowMs = this.#clock.nowMs();
    for (const id of ids) {
      this.#asked.delete(id);
      this.#asked.set(id, nowMs);
    }
    while (this.#asked.size > REMEMBERED_COUNT_MAX)
      this.#asked.delete(this.#asked.keys().next().value as SessionId);
    const restMs = FRESH_MS - (nowMs - (this.#refreshedAtMs ?? Number.NEGATIVE_INFINITY));
    this.#timer?.cancel();
    this.#timer = this.#clock.after(Math.max(0, restMs), () => void this.#refresh());
  }

  async #refresh(): Promise<void> {
    const nowMs = this.#clock.nowMs();
    this.#timer = undefined;
    for (const [id, atMs] of this.#asked) if (nowMs - atMs > WATCH_MS) this.#asked.delete(id);
    if (this.#asked.size === 0) return;
    this.#refreshedAtMs = nowMs;
    this.#timer = this.#clock.after(WATCH_PERIOD_MS, () => void this.#refresh());
    if (this.#isRefreshing || this.#directory.others.length === 0) return;
    this.#isRefreshing = true;
    try {
      const records = [...this.#asked.keys()]
        .map((id) => this.#link.sessions.get(id)?.record)
        .filter((record) => record !== undefined);
      for (let at = 0; at < records.length; at += COUNTER_BATCH_COUNT)
        await this.#ask(records.slice(at, at + COUNTER_BATCH_COUNT), TOPIC_AGAIN);
    } finally {
      this.#isRefreshing = false;
    }
  }
}

/** Another member's answer; one that is not understood counts as none. */
function decode(bytes: Uint8Array): unknown[] | undefined {
  const rows = decodeWords(bytes);
  return Array.isArray(rows) ? rows : undefined;
}

function isRow(row: unknown): row is PathCounters {
  const { vip, client, up, down } = (row ?? {}) as Partial<Record<keyof PathCounters, unknown>>;
  const isCount = (count: unknown) => {
    const { packets, bytes } = (count ?? {}) as { packets?: unknown; bytes?: unknown };
    return Number.isSafeInteger(packets) && Number.isSafeInteger(bytes);
  };
  return typeof vip === "string" && typeof client === "string" && isCount(up) && isCount(down);
}
