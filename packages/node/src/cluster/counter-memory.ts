// What members counted, remembered: a member that dies takes nothing back that was counted, and one that
// counts from zero again goes on from there.
import type { PathCounters } from "@holdfast/api";
import type { MemberName, SessionId } from "@holdfast/model";

/** Sessions remembered; beyond, those that nobody asked about for longest go. */
export const REMEMBERED_COUNT_MAX = 4096;

/** One count of one member. */
class Count {
  #packets = 0;
  #bytes = 0;
  /** Counted before it began anew. */
  #packetsBefore = 0;
  #bytesBefore = 0;
  #seenAtMs: number | undefined;

  take({ packets, bytes, lastSeenMsAgo }: PathCounters["up"], nowMs: number): void {
    if (packets < this.#packets) {
      this.#packetsBefore += this.#packets;
      this.#bytesBefore += this.#bytes;
    }
    this.#packets = packets;
    this.#bytes = bytes;
    if (lastSeenMsAgo !== undefined) this.#seenAtMs = nowMs - lastSeenMsAgo;
  }

  view(nowMs: number): PathCounters["up"] {
    const packets = this.#packetsBefore + this.#packets;
    const ago = this.#seenAtMs;
    return {
      packets,
      bytes: this.#bytesBefore + this.#bytes,
      ...(ago !== undefined && packets > 0 && { lastSeenMsAgo: Math.max(0, Math.round(nowMs - ago)) }),
    };
  }
}

/** What a member counted for one VIP. Down belongs to the VIP: in which client's row it stands may change. */
interface VipCounts {
  readonly ups: Map<string, Count>;
  readonly down: Count;
  downClient: string;
}

export class CounterMemory {
  readonly #nowMs: () => number;
  readonly #sessions = new Map<SessionId, Map<MemberName, Map<string, VipCounts>>>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** What a member says now; returns what it counted in all. */
  note(session: SessionId, member: MemberName, rows: readonly PathCounters[]): readonly PathCounters[] {
    if (rows.length > 0) {
      const vips = this.#vipsOf(session, member);
      for (const vip of new Set(rows.map((row) => row.vip)))
        this.#take(
          vips,
          vip,
          rows.filter((row) => row.vip === vip),
        );
    }
    return this.of(session, member);
  }

  /** What a member said last. */
  of(session: SessionId, member: MemberName): readonly PathCounters[] {
    const vips = this.#sessions.get(session)?.get(member);
    if (vips === undefined) return [];
    const nowMs = this.#nowMs();
    const nothing = { packets: 0, bytes: 0 };
    return [...vips].flatMap(([vip, { ups, down, downClient }]) =>
      [...ups].map(([client, up]) => ({
        member,
        vip,
        client,
        up: up.view(nowMs),
        down: client === downClient ? down.view(nowMs) : nothing,
      })),
    );
  }

  #take(vips: Map<string, VipCounts>, vip: string, rows: readonly PathCounters[]): void {
    const nowMs = this.#nowMs();
    const counts = vips.get(vip) ?? { ups: new Map<string, Count>(), down: new Count(), downClient: "" };
    vips.set(vip, counts);
    for (const { client, up } of rows) {
      const count = counts.ups.get(client) ?? new Count();
      counts.ups.set(client, count);
      count.take(up, nowMs);
    }
    const down = rows.find((row) => row.down.packets > 0) ?? rows[0];
    if (down === undefined) return;
    counts.down.take(down.down, nowMs);
    counts.downClient = down.client;
  }

  #vipsOf(session: SessionId, member: MemberName): Map<string, VipCounts> {
    const members = this.#sessions.get(session) ?? new Map<MemberName, Map<string, VipCounts>>();
    this.#sessions.delete(session);
    this.#sessions.set(session, members);
    if (this.#sessions.size > REMEMBERED_COUNT_MAX)
      this.#sessions.delete(this.#sessions.keys().next().value as SessionId);
    const vips = members.get(member) ?? new Map<string, VipCounts>();
    members.set(member, vips);
    return vips;
  }
}
