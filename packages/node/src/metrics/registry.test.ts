import assert from "node:assert/strict";
import { test } from "node:test";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "@holdfast/model";
import { createMetrics } from "./registry.ts";
import type { MetricSources } from "./sources.ts";
import { quietSources } from "./testing/quiet-sources.ts";

test("the first scrape tells how the links are, asked once, and the next one how they are then", async () => {
  let connected = true;
  let askedCount = 0;
  const sources: MetricSources = {
    ...quietSources(),
    certificate: () => ({ notAfterMs: 5_000, authorityNotAfterMs: 9_000 }),
    disk: () => ({ failure: "configuration: ENOSPC", brokenCount: 3 }),
    replication: async () => {
      askedCount++;
      const peers = [{ member: "m1", connected, lagMs: 2_000, queuedBytes: 7 }];
      return { totals: { restarts: 4 }, peers, offered: [], lagHistogram: { boundsMs: [], counts: [] } };
    },
  };
  const metrics = createMetrics(sources);
  const first = await metrics.registry.metrics();
  for (const line of [
    'holdfast_replication_peer_connected{peer="m1"} 1',
    'holdfast_replication_lag_seconds{peer="m1"} 2',
    'holdfast_replication_queue_bytes{peer="m1"} 7',
    'holdfast_replication_state{name="restarts"} 4',
    'holdfast_cluster_capability{name="carries-unknown"} 0',
    "holdfast_store_writable 0",
    "holdfast_store_broken_files 3",
    'holdfast_certificate_end_seconds{certificate="member"} 5',
    'holdfast_certificate_end_seconds{certificate="authority"} 9',
  ])
    assert.ok(first.includes(`${line}\n`), line);
  assert.equal(askedCount, 1);
  connected = false;
  assert.match(await metrics.registry.metrics(), /holdfast_replication_peer_connected\{peer="m1"\} 0/);
  metrics.close();
});

test("sessions and their ends are counted for each protocol, also of phases and causes that all have", async () => {
  const metrics = createMetrics(quietSources());
  metrics.sessionEnded(PROTOCOL_TCP, "idle");
  metrics.sessionEnded(PROTOCOL_UDP, "idle");
  const text = await metrics.registry.metrics();
  for (const protocol of ["sctp", "tcp", "udp"])
    assert.ok(text.includes(`holdfast_sessions{protocol="${protocol}",phase="established"} 0\n`), protocol);
  for (const protocol of ["tcp", "udp"])
    assert.ok(
      text.includes(`holdfast_session_ends_total{protocol="${protocol}",cause="idle"} 1\n`),
      protocol,
    );
  assert.ok(!text.includes('{protocol="tcp",phase="cookieEchoed"}'), "a phase of SCTP's");
  metrics.close();
});
