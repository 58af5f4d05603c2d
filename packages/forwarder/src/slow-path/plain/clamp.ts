// The maximum segment size that SYN and SYN-ACK offer fits both ways of the connection: ends that sit on
// larger links would send what no way here takes, and learn it from an error that many firewalls keep from
// them.

import { sourceOf } from "@holdfast/model";
import type { Core } from "../../core.ts";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import { clampMss, MSS_LEAST, MSS_OVERHEAD } from "../../packet/plain/options.ts";
import type { LocalFlow } from "./flow.ts";
import type { PlainInput } from "./input.ts";

/** `bytes`: the translated packet, its checksum filled in; changed in place. */
export function clampToWays(
  core: Core,
  input: PlainInput,
  { record }: LocalFlow,
  bytes: Uint8Array,
): undefined {
  if (!input.header.isTcp || !input.header.has(TCP_FLAG.SYN)) return;
  const { vip, client, endpoint } = record;
  const towards = (destination: typeof client, direction: "up" | "down") =>
    core.fastPath.mtuTowards?.(direction === "up" ? sourceOf(record) : vip, destination, direction) ??
    Number.POSITIVE_INFINITY;
  const mtu = Math.min(towards(client, "down"), towards(endpoint, "up"));
  if (!Number.isFinite(mtu)) return;
  const mss = Math.max(mtu - MSS_OVERHEAD[input.ip.version], MSS_LEAST);
  if (clampMss(bytes, input.header, mss, false)) core.counters.count("mss-clamped");
}
