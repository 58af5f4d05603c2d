// Rates out of counters that members tell again and again. A member that restarts counts from zero: that is no negative rate.
import type { ClusterPicture } from "@holdfast/api";

export interface Sample {
  /** By counter's name, then member. */
  readonly counts: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly atMs: number;
}

export interface Rising {
  readonly name: string;
  readonly total: number;
  readonly perSecond: number;
  readonly members: readonly string[];
}

type Report = NonNullable<ClusterPicture["members"][number]["report"]>;

export function sampleOf(
  picture: Pick<ClusterPicture, "members">,
  atMs: number,
  counters: (report: Report) => readonly { readonly name: string; readonly count: number }[],
): Sample {
  const counts = new Map<string, Map<string, number>>();
  for (const { name: member, report } of picture.members) {
    if (report === undefined) continue;
    for (const { name, count } of counters(report)) {
      const byMember = counts.get(name) ?? new Map<string, number>();
      counts.set(name, byMember.set(member, count));
    }
  }
  return { counts, atMs };
}

/** What is more in `now` than in `before`, the steepest first. */
export function rising(before: Sample, now: Sample): Rising[] {
  const seconds = (now.atMs - before.atMs) / 1000;
  if (seconds <= 0) return [];
  const found: Rising[] = [];
  for (const [name, byMember] of now.counts) {
    let more = 0;
    let total = 0;
    const members: string[] = [];
    for (const [member, count] of byMember) {
      total += count;
      // Unknown before, for a member that was heard: it began at zero. Of one that was not heard nothing is known.
      const heard = [...before.counts.values()].some((each) => each.has(member));
      const earlier = before.counts.get(name)?.get(member) ?? (heard ? 0 : count);
      const grown = count >= earlier ? count - earlier : count;
      if (grown > 0) members.push(member);
      more += grown;
    }
    if (more > 0) found.push({ name, total, perSecond: more / seconds, members });
  }
  return found.sort((a, b) => b.perSecond - a.perSecond);
}
