// Endpoints that are up, and that a VIP may not reach, in words.
import type { ServiceView } from "@holdfast/api";

/** One text for each endpoint, in a stable order; none: nothing is unproven. */
export function unprovenOf(views: Iterable<Pick<ServiceView, "endpoints">>): readonly string[] {
  const texts = new Set<string>();
  for (const { endpoints } of views)
    for (const { address, port, unproven = [] } of endpoints) {
      const [first] = unproven;
      if (first === undefined) continue;
      const vips = unproven.map(({ vip }) => vip).sort();
      const at = address.includes(":") ? `[${address}]` : address;
      texts.add(
        `${at}:${port} answers probes, and may not be reached from ${vips.join(", ")}: ${first.reason}.`,
      );
    }
  return [...texts].sort();
}
