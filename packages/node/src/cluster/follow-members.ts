// What has to be told of a change of the list: replication, as soon as there are links, and the coordinator.
// Everything else reads the list when it needs it.
import type { Coordinator, MemberConfiguration } from "@holdfast/coordinator";
import { type Clock, HoldfastError, type Logger, type MemberList, type Members } from "@holdfast/model";
import type { ClusterLink } from "./link.ts";
import { listingOf, type Standing } from "./member-list.ts";

/** How long the link to a member that was taken out stays, so that it hears of that itself. */
export const FAREWELL_MS = 2_000;

export interface Following {
  /** How this member stands to the list has changed. */
  tell(): void;
  close(): void;
}

/** Links follow the list, and how this member stands to it. */
export function followWithLinks(
  members: Members,
  link: Pick<ClusterLink, "setMembers">,
  clock: Clock,
  standing: () => Standing,
): Following {
  let farewell: { cancel(): void } | undefined;
  const tell = (list = members.current()) => link.setMembers(listingOf(list, standing()));
  const unsubscribe = members.subscribe((list, before) => {
    const leaving = before.members.filter(({ name }) => !list.members.some((each) => each.name === name));
    farewell?.cancel();
    tell(leaving.length === 0 ? list : withLeaving(list, leaving));
    if (leaving.length > 0) farewell = clock.after(FAREWELL_MS, () => tell());
  });
  return {
    tell: () => tell(),
    close() {
      unsubscribe();
      farewell?.cancel();
    },
  };
}

/** Probes follow the list, which may have changed while the coordinator started. Gives back what ends it. */
export function followWithProbes(
  members: Members,
  placed: () => readonly MemberConfiguration[],
  coordinator: Pick<Coordinator, "setMembers">,
  logger: Logger,
): () => void {
  const tell = () => {
    try {
      coordinator.setMembers(placed());
    } catch (error) {
      // Two networks that this member cannot tell apart: it goes on with the members that it knew.
      if (!(error instanceof HoldfastError)) throw error;
      logger.error({ code: error.code, remedy: error.remedy }, error.message);
    }
  };
  if (members.current().version > 0) tell();
  return members.subscribe(tell);
}

/** A number that is given anew at once needs no farewell: the old bearer has said its own. */
function withLeaving(list: MemberList, leaving: MemberList["members"]): MemberList {
  const taken = new Set(list.members.map(({ number }) => number));
  return { ...list, members: [...list.members, ...leaving.filter(({ number }) => !taken.has(number))] };
}
