// Which fault strikes next. Pure: the same seed and the same picture of the cluster give the same choice.
import type { Random } from "@holdfast/model";

export const FAULTS = [
  "kill-node",
  "kill-daemon",
  "freeze",
  "graceful-stop",
  "cut-member-path",
  "cut-member-core",
  "cut-cluster-network",
  "cut-client-path",
  "cut-endpoint",
  "fail-disk",
] as const;
export type Fault = (typeof FAULTS)[number];

export interface MemberPicture {
  readonly name: string;
  /** It runs, is not frozen, and no cable of it but the cluster network's is out. */
  readonly sound: boolean;
}

export interface Picture {
  readonly members: readonly MemberPicture[];
  /** A client or the endpoint is cut off from something now. */
  readonly edgeCut: boolean;
  /** Stores are on disks that can fail. */
  readonly disksFail?: boolean;
}

export interface Blow {
  readonly fault: Fault;
  /** Name of the member; empty for faults outside the cluster. */
  readonly member: string;
  readonly network: string;
  /** Which client host; taken modulo their number. */
  readonly client: number;
  readonly lastsMs: number;
}

const PATHS = ["path-a", "path-b", "path-c"] as const;
const LASTS_MIN_MS = 500;
const LASTS_MAX_MS = 5_000;
/** An association with one path lives through less than this; see `assocMaxRetrans` in stage.ts. */
const EDGE_LASTS_MAX_MS = 1_500;

/** undefined: nothing can be broken now without leaving nobody. */
export function nextBlow(random: Random, picture: Picture): Blow | undefined {
  const sound = picture.members.filter((member) => member.sound);
  // One sound member must stay; and edges are not cut while members are broken: two faults on one path prove
  // nothing.
  const isPossible = (fault: Fault) => fault !== "fail-disk" || picture.disksFail === true;
  const members =
    sound.length >= 2 ? FAULTS.filter((fault) => isMemberFault(fault) && isPossible(fault)) : [];
  const edges =
    picture.edgeCut || sound.length < picture.members.length ? [] : FAULTS.filter((f) => !isMemberFault(f));
  // Members' faults are what this is about: twice as often.
  const choices = [...members, ...members, ...edges];
  const fault = choices[random.below(Math.max(1, choices.length))];
  if (fault === undefined) return undefined;
  const lastsMax = isMemberFault(fault) ? LASTS_MAX_MS : EDGE_LASTS_MAX_MS;
  return {
    fault,
    member: isMemberFault(fault) ? (sound[random.below(sound.length)]?.name ?? "") : "",
    network: PATHS[random.below(PATHS.length)] as string,
    client: random.below(1_000),
    lastsMs: LASTS_MIN_MS + random.below(lastsMax - LASTS_MIN_MS),
  };
}

export function isMemberFault(fault: Fault): boolean {
  return fault !== "cut-client-path" && fault !== "cut-endpoint";
}
