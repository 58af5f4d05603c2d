// What the fast path and the slow path did with packets.
import type { Registry } from "prom-client";
import { gauge, type Row, totals } from "./collected.ts";
import type { MetricSources, Totals } from "./sources.ts";

export function packetMetrics(registers: Registry[], sources: MetricSources): void {
  totals(
    registers,
    {
      name: "holdfast_fast_path_dropped_packets_total",
      help: "Packets that the fast path dropped.",
      label: "reason",
    },
    () => withPrefix(sources.fastPathTotals(), "drop."),
  );
  totals(
    registers,
    {
      name: "holdfast_fast_path_punts_total",
      help: "Packets that the fast path gave to the slow path.",
      label: "reason",
    },
    () => withPrefix(sources.fastPathTotals(), "punt."),
  );
  totals(
    registers,
    { name: "holdfast_fast_path_events_total", help: "Other totals of the fast path.", label: "event" },
    () =>
      [...sources.fastPathTotals()].filter(
        ([name]) => !name.startsWith("drop.") && !name.startsWith("punt."),
      ),
  );
  totals(
    registers,
    {
      name: "holdfast_slow_path_dropped_packets_total",
      help: "Packets that the slow path dropped.",
      label: "reason",
    },
    () => sources.slowPathDrops(),
  );
  totals(
    registers,
    { name: "holdfast_slow_path_events_total", help: "What the slow path did.", label: "event" },
    () => sources.slowPathEvents(),
  );
  gauge(
    registers,
    {
      name: "holdfast_slow_path_size",
      help: "How full the slow path's tables are: embryos, held packets, NAT ports; of TCP and UDP flows, and ports in percent.",
      labels: ["table"],
    },
    () => [...sources.slowPathGauges()].map(([table, count]): Row => [{ table }, count]),
  );
}

function withPrefix(all: Totals, prefix: string): readonly [string, number][] {
  return [...all]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value]);
}
