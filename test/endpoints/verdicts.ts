// Verdicts about endpoints as the members' logs have them: when the first fell, and what everybody thinks
// now.
import type { Address } from "@holdfast/model";
import { type Host, type Member, monotonicMs } from "@holdfast/testkit";

interface Line {
  readonly time: string;
  readonly address: Address;
  readonly verdict: "up" | "down";
}

function linesOf(member: Member): Line[] {
  return member
    .log()
    .split("\n")
    .filter((line) => line.includes('"verdict":'))
    .map((line) => JSON.parse(line) as Line);
}

/**
 * When the first member called the endpoint down since `sinceMs`, on the clock of `monotonicMs()`; undefined:
 * nobody has.
 */
export function downVerdictAtMs(
  members: readonly Member[],
  endpoint: Host,
  sinceMs: number,
): number | undefined {
  const addresses = endpoint.addresses("core");
  const offsetMs = monotonicMs() - Date.now();
  const times = members
    .flatMap(linesOf)
    .filter(({ address, verdict }) => verdict === "down" && addresses.includes(address))
    .map(({ time }) => Date.parse(time) + offsetMs)
    // A log's clock has whole milliseconds.
    .filter((atMs) => atMs >= sinceMs - 1);
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Endpoints that the member calls up, at one of their addresses. */
export function healthyAt(member: Member, endpoints: readonly Host[]): Host[] {
  const verdicts = new Map(linesOf(member).map(({ address, verdict }) => [address, verdict]));
  return endpoints.filter((host) => host.addresses("core").some((address) => verdicts.get(address) === "up"));
}
