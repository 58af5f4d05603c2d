// Ways of VIPs to endpoints (forwarder/health/ways.ts): the owner of a VIP tells which are unproven, and an answer that came in
// at a member that did not ask goes to the one that did.
import type { UnprovenWay, WayAnswer } from "@holdfast/forwarder";
import { type MemberName, PROTOCOL_SCTP } from "@holdfast/model";
import type { ClusterLink } from "./link.ts";
import type { MemberDirectory } from "./members.ts";
import { decodeWords, encodeWords, tell } from "./words.ts";

const UNPROVEN = "unproven-ways";
const ANSWER = "way-answer";
/** What is unproven, of one member. */
const WAY_COUNT_MAX = 4_096;
const REASON_LENGTH_MAX = 500;

/** What `Ways` of the forwarder offers. */
export interface WaySink {
  onChange(listener: (unproven: readonly UnprovenWay[]) => void): void;
  onRelay(listener: (member: number, answer: WayAnswer) => void): void;
  setOther(member: MemberName, unproven: readonly UnprovenWay[]): void;
  relayed(answer: WayAnswer): boolean;
}

export class WayExchange {
  readonly #link: ClusterLink;
  #own: readonly UnprovenWay[] = [];

  /** `changed`: with all of this member's, when they are others. */
  constructor(
    link: ClusterLink,
    directory: Pick<MemberDirectory, "nameOf">,
    ways: WaySink,
    changed: (before: readonly UnprovenWay[], after: readonly UnprovenWay[]) => void,
  ) {
    this.#link = link;
    ways.onChange((unproven) => {
      const before = this.#own;
      this.#own = unproven;
      for (const member of link.connected()) void this.#tell(member);
      changed(before, unproven);
    });
    ways.onRelay((member, { tag, port }) => {
      // Lost ones are made good by the next INIT.
      if (link.connected().includes(member)) void link.request(member, ANSWER, encodeWords({ tag, port }));
    });
    link.onRequest(UNPROVEN, (from, body) => {
      ways.setOther(directory.nameOf(from), decodeUnproven(body));
      return new Uint8Array(0);
    });
    link.onRequest(ANSWER, (_from, body) => {
      const answer = decodeWords(body) as Partial<WayAnswer> | undefined;
      if (typeof answer?.tag === "number" && typeof answer.port === "number")
        ways.relayed({ tag: answer.tag, port: answer.port });
      return new Uint8Array(0);
    });
    link.onConnect((member) => {
      if (this.#own.length > 0) void this.#tell(member);
    });
    link.onDisconnect((member) => ways.setOther(directory.nameOf(member), []));
  }

  #tell(member: number): Promise<void> {
    return tell(this.#link, member, UNPROVEN, () => this.#own);
  }
}

/** Another member's message; what is not understood is left out. */
function decodeUnproven(bytes: Uint8Array): UnprovenWay[] {
  const list = decodeWords(bytes);
  if (!Array.isArray(list)) return [];
  return (list as Partial<UnprovenWay>[]).slice(0, WAY_COUNT_MAX).flatMap((way) => {
    // Members before TCP was proven do not say it.
    const { protocol = PROTOCOL_SCTP, vip, address, port, reason } = way ?? {};
    const isText = typeof vip === "string" && typeof address === "string" && typeof reason === "string";
    if (!isText || typeof port !== "number" || typeof protocol !== "number") return [];
    return [{ protocol, vip, address, port, reason: reason.slice(0, REASON_LENGTH_MAX) }];
  });
}
