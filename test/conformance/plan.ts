// Which scenario runs where.
import type { ProfileName } from "@holdfast/testkit";
import type { Options } from "./options.ts";
import { DEFAULT_SURROUNDINGS, FAMILIES, FAST_PATHS, type Scenario, type Surroundings } from "./scenario.ts";

/** Where the dozen also runs. */
export const ELSEWHERE: readonly Surroundings[] = [
  { fastPath: "xdp", family: "ipv4" },
  { fastPath: "userspace", family: "ipv4" },
  { fastPath: "tc", family: "ipv6" },
  { fastPath: "tc", family: "mixed" },
];

export type Run = readonly [scenario: Scenario, surroundings: Surroundings];

/** The runs that the options ask for, place by place. Empty when what was asked for means nothing there. */
export function planOf(
  scenarios: readonly Scenario[],
  options: Pick<Options, "only" | "path" | "full"> & { readonly profile?: ProfileName },
): Run[] {
  const wanted = scenarios.filter(({ number }) => options.only?.includes(number) ?? true);
  const at = (place: Surroundings, list = wanted) =>
    list
      .filter((s) => s.families?.includes(place.family) ?? true)
      .map((s): Run => [s, options.profile === undefined ? place : { ...place, profile: options.profile }]);
  if (options.path !== undefined) return at(options.path);
  if (options.full)
    return FAST_PATHS.flatMap((fastPath) => FAMILIES.flatMap((family) => at({ fastPath, family })));
  const first = at(DEFAULT_SURROUNDINGS);
  // Stock timers and routes that are learnt take their time: the dozen meets the other fast paths in the lab.
  if (options.only !== undefined || (options.profile ?? "lab") !== "lab") return first;
  const dozen = wanted.filter(({ everywhere }) => everywhere === true);
  return [...first, ...ELSEWHERE.flatMap((place) => at(place, dozen))];
}
