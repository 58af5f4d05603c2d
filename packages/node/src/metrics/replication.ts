// Replication, as the engine tells of it: asked once a scrape, whichever metric comes first.
import { CAPABILITIES } from "@holdfast/sync";
import type { Registry } from "prom-client";
import { gauge, type Row } from "./collected.ts";
import type { MetricSources, PeerMetrics, ReplicationMetrics } from "./sources.ts";

export function replicationMetrics(registers: Registry[], sources: MetricSources): void {
  let asked: Promise<ReplicationMetrics | undefined> | undefined;
  const replication = () => {
    asked ??= sources.replication().finally(() => {
      asked = undefined;
    });
    return asked;
  };
  /** Each reads for itself: what another one's collection set would be that of the scrape before. */
  const perPeer = (name: string, help: string, read: (peer: PeerMetrics) => number) =>
    gauge(registers, { name, help, labels: ["peer"] }, async () =>
      ((await replication())?.peers ?? []).map((peer): Row => [{ peer: peer.member }, read(peer)]),
    );
  perPeer("holdfast_replication_peer_connected", "1 when the member is connected.", ({ connected }) =>
    connected ? 1 : 0,
  );
  perPeer(
    "holdfast_replication_lag_seconds",
    "From the latest acknowledged change to its acknowledgement by the member.",
    ({ lagMs }) => lagMs / 1000,
  );
  perPeer(
    "holdfast_replication_queue_bytes",
    "Bytes that wait to be sent to the member.",
    ({ queuedBytes }) => queuedBytes,
  );
  gauge(
    registers,
    {
      name: "holdfast_replication_state",
      help: "Counters and sizes of replication since the start, by name.",
      labels: ["name"],
    },
    async () =>
      Object.entries((await replication())?.totals ?? {}).map(([name, value]): Row => [{ name }, value]),
  );
  gauge(
    registers,
    {
      name: "holdfast_cluster_capability",
      help: "1 when every member offers it, so that what it stands for is written; 0: one does not, or was not heard yet.",
      labels: ["name"],
    },
    async () => {
      const offered = (await replication())?.offered ?? CAPABILITIES;
      return CAPABILITIES.map((name): Row => [{ name }, offered.includes(name) ? 1 : 0]);
    },
  );
}
