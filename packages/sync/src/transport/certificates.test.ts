// Certificates that change while members run: links that are up stay, links that begin show and check the new
// ones.
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { silentLogger, systemClock, systemRandom } from "@holdfast/model";
import { createAuthority, issueMemberCertificate, type KeyPair } from "../certificates/authority.ts";
import type { MemberTls } from "../certificates/verify.ts";
import { type Recorder, record, response, until } from "./compliance.ts";
import { WsTransport } from "./websocket.ts";

const HOST = "127.0.0.1";
const [old, next] = await Promise.all([1, 2].map(() => createAuthority({ clusterId: "alpha" })));
assert.ok(old && next);
const both = `${old.certificatePem}${next.certificatePem}`;

async function certificate(by: KeyPair, number: number, validDays = 30): Promise<KeyPair> {
  const identity = { clusterId: "alpha", memberName: `m${number}`, memberNumber: number };
  return issueMemberCertificate(by, { ...identity, addresses: [HOST], validDays });
}

describe("certificates that change", () => {
  const open: WsTransport[] = [];
  afterEach(() => Promise.all(open.splice(0).map((transport) => transport.stop())));

  /** Members 1 and 2 dial member 0. */
  async function member(number: number, tls: MemberTls): Promise<{ ws: WsTransport; seen: Recorder }> {
    const [first] = open;
    const at = (other: number) => (other === 0 ? (first?.bound ?? []) : []);
    const ws = await WsTransport.open({
      clusterId: "alpha",
      memberName: `m${number}`,
      memberNumber: number,
      memberNumberCount: 8,
      listen: [{ host: HOST, port: 0 }],
      members: [0, 1, 2].map((other) => ({ name: `m${other}`, number: other, addresses: at(other) })),
      tls,
      clock: systemClock,
      random: systemRandom(),
      logger: silentLogger,
      timing: { backoffMs: 20, backoffMaxMs: 100, refusalPauseMs: 100, yieldMs: 10, staggerMs: 50 },
    });
    open.push(ws);
    return { ws, seen: record(ws) };
  }
  const isUp = (...of: WsTransport[]) => of.every((ws) => ws.peers().length > 0);

  it("an authority gives way to another without a link that breaks", async () => {
    const a = await member(0, { ...(await certificate(old, 0)), authorityPem: old.certificatePem });
    const b = await member(1, { ...(await certificate(old, 1)), authorityPem: both });
    await until("the old ones connect", () => isUp(a.ws, b.ws));
    const c = await member(2, { ...(await certificate(next, 2)), authorityPem: both });
    await until("the new one is refused", () => (a.ws.counters().refusals["certificate"] ?? 0) > 0);
    a.ws.setTls({ ...(await certificate(next, 0)), authorityPem: both });
    await until("it is accepted", () => isUp(c.ws));
    const received = b.seen.messages.length;
    a.ws.send(1, response(1));
    await until("the old link to carry on", () => b.seen.messages.length > received);
    assert.equal(b.seen.disconnected.length, 0);
  });

  it("one that has ended leaves its links, makes none, and makes them again when it is renewed", async () => {
    const ended = { ...(await certificate(old, 1, -0.001)), authorityPem: both };
    const a = await member(0, { ...(await certificate(old, 0)), authorityPem: both });
    const b = await member(1, { ...(await certificate(old, 1)), authorityPem: both });
    await until("they connect", () => isUp(a.ws, b.ws));
    // The clock goes on: the same certificate, its end behind it.
    b.ws.setTls(ended);
    a.ws.send(1, response(1));
    await until("the link to carry on", () => b.seen.messages.length > 0);
    b.ws.breakLink(0);
    await until("it is refused", () => (a.ws.counters().refusals["certificate"] ?? 0) > 0);
    assert.equal(b.ws.peers().length, 0);
    b.ws.setTls({ ...(await certificate(old, 1)), authorityPem: both });
    await until("they connect again", () => isUp(a.ws, b.ws));
  });

  it("one that is revoked loses its links, and whoever shows it is told why at each try", async () => {
    const [a, b] = [
      await member(0, { ...(await certificate(old, 0)), authorityPem: both }),
      await member(1, { ...(await certificate(old, 1)), authorityPem: both }),
    ];
    await until("they connect", () => isUp(a.ws, b.ws));
    a.ws.setRevoked([{ kind: "member", memberName: "m1", untilMs: Date.now() + 3_600_000 }]);
    await until("it hears why the link ended, and why none begins", () => b.seen.revokedBy.length > 1);
    assert.ok(b.seen.revokedBy.every((by) => by === "m0"));
    assert.deepEqual(
      [a, b].flatMap(({ ws }) => ws.peers()),
      [],
    );
    assert.deepEqual(a.seen.revokedBy, []);
    a.ws.setRevoked([]);
    await until("they connect again", () => isUp(a.ws, b.ws));
  });
});
