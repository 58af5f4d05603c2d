// Programs that everybody knows go on when the owner's node dies under them.
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { Cluster, pause, until, withLogs } from "@holdfast/testkit";
import { bigFile, createRealServices, digestOf, ended, Iperf, startNginx, WEB_PORT } from "./real-stacks.ts";

const VIP = "203.0.113.1";
const FILE_SIZE = 20_000_000;
/** Bytes a second: the download lasts until well after the death. */
const LIMIT_RATE = "2500k";
const IPERF_S = 8;

test("curl, wrk and iperf3 of TCP and UDP go on through the death of the owner's node", async (t) => {
  const cluster = new Cluster({
    members: 3,
    clients: [1, 1],
    endpoints: 2,
    vips: [VIP],
    withService: false,
  });
  try {
    const [first, second] = cluster.endpoints;
    const [client, other] = cluster.clients;
    assert.ok(first && second && client && other);
    const digests = new Set<string>();
    for (const host of [first, second])
      digests.add(bigFile(await startNginx(host, cluster.lab.directory), FILE_SIZE).digest);
    const iperf = new Iperf(first, client, VIP);
    await cluster.start();
    await createRealServices(cluster);

    const file = join(cluster.lab.directory, "downloaded");
    const url = `http://${VIP}:${WEB_PORT}`;
    const download = ended(
      client.spawn("curl", ["-sS", "--fail", "--limit-rate", LIMIT_RATE, "-o", file, `${url}/big`]),
    );
    const tcp = iperf.run(IPERF_S, ["-b", "40M"]);
    const wrk = ended(
      other.spawn("wrk", ["-t", "1", "-c", "20", "-d", "8s", "--timeout", "30s", `${url}/small`]),
    );
    // Older than replicateAfterMs, which is a second.
    await pause(2_500);
    const owner = cluster.memberOf((await cluster.settled()).get(VIP) as string);
    await owner.killNode();
    await until("another owner", async () => (await cluster.settled()).get(VIP) !== owner.name);

    const [got, streamed, asked] = await Promise.all([download, tcp, wrk]);
    assert.equal(got.code, 0, got.output);
    assert.ok(digests.has(digestOf(file)), "the download is not what nginx has");
    assert.ok(streamed.bytes > 0);
    assert.equal(asked.code, 0, asked.output);
    t.diagnostic(asked.output.replaceAll("\n", "; "));
    assert.doesNotMatch(asked.output, /Socket errors|Non-2xx/);

    await t.test("datagrams are lost between the death and the take-over alone", async (t) => {
      owner.host.plug();
      await owner.start();
      await cluster.settled();
      const run = iperf.run(IPERF_S, ["-u", "-b", "2M", "-l", "500"]);
      await pause(2_500);
      const next = cluster.memberOf((await cluster.settled()).get(VIP) as string);
      await next.killNode();
      const { lost_packets: lost = 0, packets = 0 } = await run;
      t.diagnostic(`${lost} of ${packets} datagrams lost`);
      // 500 a second: a take-over of a starved machine takes two seconds.
      assert.ok(packets >= 3_000, `${packets} datagrams`);
      assert.ok(lost <= 1_000, `${lost} of ${packets} lost`);
    });
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});
