// Counters stay with the member that counts. The API asks them all when somebody wants to know.
import type { PathCounters } from "@holdfast/api";
import type { SessionId, SessionRecord } from "@holdfast/model";
import type { DataPlane } from "../data-plane/data-plane.ts";
import type { ClusterLink } from "./link.ts";
import type { MemberDirectory } from "./members.ts";

const TOPIC = "counters";
/** Sessions of one question: its answer stays below the limit of a response. */
export const COUNTER_BATCH_COUNT = 128;
/** Rows of one session that are taken from an answer: 4 VIPs and 16 client addresses. */
const PATH_COUNT_MAX = 64;

type DataPlaneCounters = Pick<DataPlane, "countersOf">;

export class CounterExchange {
  readonly #link: ClusterLink;
  readonly #dataPlane: DataPlaneCounters;
  readonly #directory: MemberDirectory;

  constructor(link: ClusterLink, dataPlane: DataPlaneCounters, directory: MemberDirectory) {
    this.#link = link;
    this.#dataPlane = dataPlane;
    this.#directory = directory;
    link.onRequest(TOPIC, (_from, body) => {
      const ids = new TextDecoder().decode(body).split("\n").slice(0, COUNTER_BATCH_COUNT);
      const rows = ids.map((id) => {
        const record = link.table.get(id);
        return record === undefined ? [] : dataPlane.countersOf(record);
      });
      return new TextEncoder().encode(JSON.stringify(rows));
    });
  }

  async of(record: SessionRecord): Promise<readonly PathCounters[]> {
    return (await this.ofMany([record])).get(record.id) ?? [];
  }

  /** This member's alone; at once. */
  ownOf(record: SessionRecord): readonly PathCounters[] {
    return this.#dataPlane.countersOf(record);
  }

  /** At most COUNTER_BATCH_COUNT sessions; of members that do not answer in time nothing is in it. */
  async ofMany(records: readonly SessionRecord[]): Promise<ReadonlyMap<SessionId, readonly PathCounters[]>> {
    const asked = records.slice(0, COUNTER_BATCH_COUNT);
    const rows = new Map<SessionId, PathCounters[]>(
      asked.map((record) => [record.id, [...this.#dataPlane.countersOf(record)]]),
    );
    const body = new TextEncoder().encode(asked.map(({ id }) => id).join("\n"));
    const connected = new Set(this.#link.connected());
    await Promise.all(
      this.#directory.others
        .filter(({ number }) => connected.has(number))
        .map(async ({ name, number }) => {
          const answer = await this.#link.request(number, TOPIC, body);
          if (answer === undefined) return;
          for (const [index, paths] of decode(answer).entries()) {
            const record = asked[index];
            if (record === undefined || !Array.isArray(paths)) continue;
            const known = rows.get(record.id);
            for (const path of paths.slice(0, PATH_COUNT_MAX)) known?.push({ ...path, member: name });
          }
        }),
    );
    return rows;
  }
}

/** Another member's answer; one that is not understood counts as none. */
function decode(bytes: Uint8Array): PathCounters[][] {
  try {
    const rows = JSON.parse(new TextDecoder().decode(bytes)) as PathCounters[][];
    return Array.isArray(rows) ? rows : [];
  } catch {
    return [];
  }
}
