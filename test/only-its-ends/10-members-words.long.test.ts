// A member is who has its key. The cluster's secret, which many have had, says nothing in anybody's name; and
// a certificate that got into wrong hands is revoked while the cluster runs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { encode, networkIdOf, probeKeyOf } from "@holdfast/coordinator/testing";
import { type Address, addressBytes } from "@holdfast/model";
import { encodeIp, internetChecksum, pseudoHeaderSum, write16 } from "@holdfast/sctp";
import { type Cluster, type Member, RawHost, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";

const PROBE_PORT = 7_082;
const UDP = 17;

interface MemberView {
  readonly name: string;
  readonly number: number;
  readonly phase: string;
  readonly ready: boolean;
  readonly incarnation?: string;
}

const membersOf = async (member: Member) =>
  new Map((await member.get<{ items: MemberView[] }>("/v1/members")).items.map((view) => [view.name, view]));

function datagram(source: Address, destination: Address, payload: Uint8Array): Uint8Array {
  const udp = new Uint8Array(8 + payload.length);
  write16(udp, 0, PROBE_PORT);
  write16(udp, 2, PROBE_PORT);
  write16(udp, 4, udp.length);
  udp.set(payload, 8);
  const [from, to] = [addressBytes(source), addressBytes(destination)];
  write16(udp, 6, internetChecksum(udp, 0, udp.length, pseudoHeaderSum(from, to, udp.length, UDP)) || 0xffff);
  return encodeIp({ source: from, destination: to, payload: udp, protocol: UDP });
}

const holdfast = (member: Member, ...words: string[]) =>
  member.host.run(process.execPath, [
    ...["--disable-warning=ExperimentalWarning", member.program, ...words],
    ...["--api", `unix:${member.socket}`],
  ]);

/** Who has the secret says goodbye in a member's name, with every incarnation that it could have. */
async function forgedGoodbyes(cluster: Cluster, victim: Member, listener: Member): Promise<number> {
  const secret = readFileSync(join(cluster.lab.directory, "certificates", "cluster.secret"), "utf8").trim();
  const key = probeKeyOf(secret);
  const incarnation = Number((await membersOf(listener)).get(victim.name)?.incarnation ?? 0);
  const raw = new RawHost(cluster.clients[1] as Cluster["clients"][number], { quiet: false });
  const [from, to] = [victim, listener].map(({ host }) => host.addresses("path-a")[0] as Address);
  const network = networkIdOf("path-a");
  let count = 0;
  for (const id of [0, 1, 0x7fff_ffff])
    for (const rise of [0, 1, 2])
      for (let sequence = 1; sequence < 2 ** 31; sequence *= 64) {
        const leave = {
          kind: "leave",
          from: victim.number,
          to: listener.number,
          incarnation: incarnation + rise,
          boot: 7,
          echo: 7,
          sequence,
        } as const;
        raw.send(datagram(from as Address, to as Address, encode(leave, { id, key }, network)), "path-a");
        count++;
      }
  return count;
}

test("members' words are their own; a revoked certificate says nothing any more", async (t) => {
  await Scene.play({ members: 3, clients: [3, 1], rate: 40, withoutStack: [1] }, async (scene) => {
    const { cluster } = scene;
    const [m1, m2, m3] = cluster.members as [Member, Member, Member];
    await scene.confirmed();
    await t.test("a goodbye with the cluster's secret, in a member's name, is nobody's", async () => {
      const owners = await cluster.settled();
      const refused = async () => {
        const { body } = await m1.fetch("GET", "/v1/metrics");
        return Number(/holdfast_probes_refused_total\{reason="unknownKey"\} (\d+)/.exec(body)?.[1] ?? 0);
      };
      const before = await refused();
      const count = await forgedGoodbyes(cluster, m2, m1);
      await until("all of them to be refused", async () => (await refused()) >= before + count);
      assert.equal((await membersOf(m1)).get("m2")?.phase, "alive");
      assert.deepEqual(await cluster.owners(m1), owners);
      assert.doesNotMatch(m1.log(), /"member":"m2"[^\n]*"to":"(left|dead)"/);
    });
    await t.test(
      "a revoked member's links end, its probes are not believed, and it owns nothing",
      async () => {
        holdfast(m1, "certificates", "revoke", "m3");
        await until("nobody to hear it any more, and nobody to be connected with it", async () => {
          const views = await Promise.all([m1, m2].map(membersOf));
          const links = await Promise.all(
            [m1, m2].map((member) => member.fetch("GET", "/v1/metrics").then(({ body }) => body)),
          );
          return (
            views.every((view) => view.get("m3")?.phase === "dead") &&
            links.every((body) =>
              /holdfast_replication_peer_connected\{member="m3"\} 0|peer="m3"\} 0/.test(body),
            )
          );
        });
        await until("its VIPs to be with the others", async () =>
          [...(await cluster.owners(m1)).values()].every((owner) => owner !== "m3"),
        );
        await until("it to know why", async () => {
          const { status, body } = await m3.fetch("GET", "/v1/health/ready");
          return status === 503 && body.includes("certificate is revoked");
        });
        await until("the log to say so", () => /member m3 is not believed: .*revoked/.test(m1.log()));
        await scene.flowing(20);
        assert.match(holdfast(m2, "certificates", "revocations"), /member:m3/);
      },
    );
    await t.test("taken back, it is heard and owns again", async () => {
      holdfast(m2, "certificates", "unrevoke", "member:m3");
      // It was told before it was cut off; that it is taken back it hears when it is let in again.
      await until(
        "it to be alive and ready everywhere",
        async () => {
          const views = await Promise.all([m1, m2, m3].map(membersOf));
          return views.every((view) => ["m1", "m2", "m3"].every((name) => view.get(name)?.phase === "alive"));
        },
        60_000,
      );
      await until("it to be ready", async () => (await membersOf(m1)).get("m3")?.ready === true, 60_000);
      await scene.flowing(20);
    });
    await scene.judge();
  });
});
