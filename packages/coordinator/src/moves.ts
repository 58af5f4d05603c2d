// Who announces each VIP, as the claims tell, and the clock of every move. Pure but for what it remembers.
import type { Address, MemberName } from "@holdfast/model";
import { GRADE_HANDING_OVER } from "./tenure/tenure.ts";
import { type ClusterView, isPresent, type MemberView } from "./view.ts";
import type { Claim } from "./wire/message.ts";

export interface VipMove {
  readonly vip: Address;
  /** undefined: nobody announced it before. */
  readonly from: MemberName | undefined;
  readonly to: MemberName;
  /** death: the old owner fell silent. planned: it let go. first: nobody announced it before. */
  readonly cause: "death" | "planned" | "first";
  /** Death only: from the last word of the old owner to the verdict, ms. */
  readonly detectionMs: number | undefined;
  /** From the last word of the old owner (death), or from when it let go (planned; 0: before that), ms. */
  readonly durationMs: number;
}

interface Announced {
  readonly by: MemberName;
}

interface Lost {
  readonly from: MemberName;
  readonly sinceMs: number;
  readonly detectedAtMs: number | undefined;
}

export class MoveClock {
  private readonly announced = new Map<Address, Announced>();
  private readonly lost = new Map<Address, Lost>();

  /**
   * Takes the view at `nowMs` with what this member itself announces; returns what moved since the last call.
   */
  observe(view: ClusterView, own: readonly Claim[], nowMs: number): VipMove[] {
    const now = new Map<Address, { by: MemberName; stands: number }>();
    for (const member of view.members) {
      if (!member.isSelf && !isPresent(member)) continue;
      for (const claim of member.isSelf ? own : member.claims) {
        const known = now.get(claim.vip);
        const stands = standingOf(member, claim);
        if (known === undefined || stands < known.stands) now.set(claim.vip, { by: member.name, stands });
      }
    }
    for (const [vip, { by }] of this.announced) {
      if (now.has(vip)) continue;
      const member = view.members.find(({ name }) => name === by);
      const died = member === undefined || !isPresent(member);
      const silentMs = died ? (member?.silentMs ?? 0) : 0;
      const left = member?.phase === "left";
      this.lost.set(vip, {
        from: by,
        sinceMs: nowMs - silentMs,
        detectedAtMs: died && !left ? nowMs : undefined,
      });
      this.announced.delete(vip);
    }
    const moves: VipMove[] = [];
    for (const [vip, { by }] of now) {
      const before = this.announced.get(vip);
      if (before?.by === by) continue;
      const member = before === undefined ? undefined : view.members.find(({ name }) => name === before.by);
      const lost: Lost | undefined =
        this.lost.get(vip) ??
        (member !== undefined && !member.isSelf && member.phase === "dead"
          ? { from: member.name, sinceMs: nowMs - (member.silentMs ?? 0), detectedAtMs: nowMs }
          : undefined);
      this.lost.delete(vip);
      this.announced.set(vip, { by });
      const from = before?.by ?? lost?.from;
      if (from === by) continue;
      moves.push({
        vip,
        from,
        to: by,
        cause: from === undefined ? "first" : lost?.detectedAtMs === undefined ? "planned" : "death",
        detectionMs: lost?.detectedAtMs === undefined ? undefined : lost.detectedAtMs - lost.sinceMs,
        durationMs: lost === undefined ? 0 : nowMs - lost.sinceMs,
      });
    }
    return moves;
  }

  /** Who announces it now, as far as this member knows. */
  announcerOf(vip: Address): MemberName | undefined {
    return this.announced.get(vip)?.by;
  }
}

/** Where a claim stands, 0 is best. Who may not own hands over at most, whatever it says. */
function standingOf(member: MemberView, claim: Claim): number {
  const grade = member.isSelf || (member.ready && member.caughtUp) ? claim.grade : GRADE_HANDING_OVER;
  return grade * 256 + claim.rank;
}
