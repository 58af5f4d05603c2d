// Counters stay with the member that counts. The API asks them all when somebody wants to know.
import type { PathCounters } from "@holdfast/api";
import type { SessionRecord } from "@holdfast/model";
import type { DataPlane } from "../data-plane/data-plane.ts";
import type { ClusterLink } from "./link.ts";
import type { MemberDirectory } from "./members.ts";

const TOPIC = "counters";
/** Paths of one session that an answer may have: 4 VIPs and 16 client addresses. */
const PATH_COUNT_MAX = 64;

export class CounterExchange {
  readonly #link: ClusterLink;
  readonly #dataPlane: DataPlane;
  readonly #directory: MemberDirectory;

  constructor(link: ClusterLink, dataPlane: DataPlane, directory: MemberDirectory) {
    this.#link = link;
    this.#dataPlane = dataPlane;
    this.#directory = directory;
    link.onRequest(TOPIC, (_from, body) => {
      const record = link.table.get(new TextDecoder().decode(body));
      return new TextEncoder().encode(
        JSON.stringify(record === undefined ? [] : dataPlane.countersOf(record)),
      );
    });
  }

  async of(record: SessionRecord): Promise<readonly PathCounters[]> {
    const body = new TextEncoder().encode(record.id);
    const answers = await Promise.all(
      this.#directory.others.map(async ({ name, number }) => {
        const answer = await this.#link.request(number, TOPIC, body);
        return answer === undefined ? [] : decode(answer, name);
      }),
    );
    return [...this.#dataPlane.countersOf(record), ...answers.flat()];
  }
}

/** Another member's answer; one that is not understood counts as none. */
function decode(bytes: Uint8Array, member: string): PathCounters[] {
  try {
    const paths = JSON.parse(new TextDecoder().decode(bytes)) as PathCounters[];
    return Array.isArray(paths) ? paths.slice(0, PATH_COUNT_MAX).map((path) => ({ ...path, member })) : [];
  } catch {
    return [];
  }
}
