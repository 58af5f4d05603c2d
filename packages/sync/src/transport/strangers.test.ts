// Members with certificates of one authority and different lists: what is told of who is not on the own list.
import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { silentLogger, systemClock, systemRandom } from "@holdfast/model";
import { createAuthority, issueMemberCertificate } from "../certificates/authority.ts";
import { until } from "./compliance.ts";
import type { Applicant, Listing } from "./settings.ts";
import { WsTransport } from "./websocket.ts";

const HOST = "127.0.0.1";
const authority = await createAuthority({ clusterId: "alpha" });

interface Seen {
  readonly ws: WsTransport;
  readonly applied: Applicant[];
  readonly turnedAway: string[];
}

describe("a stranger with a certificate of the cluster", () => {
  const open: WsTransport[] = [];
  afterEach(() => Promise.all(open.splice(0).map((transport) => transport.stop())));

  async function member(number: number): Promise<Seen> {
    const memberName = `m${number}`;
    const identity = { clusterId: "alpha", memberName, memberNumber: number };
    const issued = await issueMemberCertificate(authority, { ...identity, addresses: [HOST], validDays: 1 });
    const ws = await WsTransport.open({
      ...identity,
      memberNumberCount: 8,
      listen: [{ host: HOST, port: 0 }],
      members: [],
      tls: { ...issued, authorityPem: authority.certificatePem },
      clock: systemClock,
      random: systemRandom(),
      logger: silentLogger,
      timing: { backoffMs: 20, backoffMaxMs: 100, refusalPauseMs: 100, yieldMs: 10, staggerMs: 50 },
    });
    const seen: Seen = { ws, applied: [], turnedAway: [] };
    open.push(ws);
    ws.start({
      connected: () => {},
      disconnected: () => {},
      message: () => {},
      dropped: () => {},
      applied: (applicant) => seen.applied.push(applicant),
      turnedAway: (by, why) => seen.turnedAway.push(`${by} ${why}`),
    });
    return seen;
  }
  const refusals = ({ ws }: Seen, reason: string) => ws.counters().refusals[reason] ?? 0;
  const named = (number: number, at?: Seen) => ({
    name: `m${number}`,
    number,
    addresses: at === undefined ? [] : at.ws.bound,
  });
  /** m0, whose list has m1 beside it; m3 dials it by a list of its own. */
  async function meeting(own: Partial<Listing>, theirs: Partial<Listing>): Promise<[Seen, Seen]> {
    const [m0, m3] = [await member(0), await member(3)];
    m0.ws.setMembers({ members: [named(0), named(1)], ...own });
    m3.ws.setMembers({ members: [named(0, m0), named(3)], ...theirs });
    return [m0, m3];
  }

  it("says which list it has, which is told when it is later than the own one", async () => {
    const [m0, m3] = await meeting({ version: 3 }, { version: 4 });
    await until("it has applied", () => m0.applied.length > 0);
    assert.deepEqual(m0.applied[0], { name: "m3", number: 3, addresses: [HOST], from: HOST, listVersion: 4 });
    m0.ws.setMembers({ members: [named(0)], join: [{ host: HOST, port: 1 }] });
    await until("whoever waits for the list lets it in", () => m0.ws.peers().length > 0);
    assert.deepEqual(m3.applied, []);
  });

  it("is an applicant like any other with a list that is no later, or a file's", async () => {
    for (const version of [0, 3]) {
      const [m0] = await meeting({ version: 3 }, { version });
      await until("it has applied", () => m0.applied.length > 0);
      assert.deepEqual(m0.applied[0], { name: "m3", number: 3, addresses: [HOST], from: HOST });
    }
  });

  it("whose list has another number for this member says nothing of its list", async () => {
    const [m0, m3] = [await member(0), await member(3)];
    m0.ws.setMembers({ members: [named(0), named(1)] });
    m3.ws.setMembers({ members: [{ ...named(0, m0), number: 5 }, named(3)], version: 4 });
    await until(
      "either has refused",
      () => refusals(m0, "not-configured") + refusals(m3, "number-mismatch") > 2,
    );
    assert.ok(m0.applied.every(({ listVersion }) => listVersion === undefined));
  });

  it("has another number in the own list, which is the earlier one", async () => {
    const [m0] = await meeting({ members: [named(0), { ...named(3), number: 1 }] }, { version: 4 });
    await until("it has applied", () => m0.applied.length > 0);
    assert.equal(m0.applied[0]?.listVersion, 4);
  });

  it("is not told of when its certificate is revoked", async () => {
    const [m0] = await meeting({ version: 3 }, {});
    m0.ws.setRevoked([{ kind: "member", memberName: "m3", untilMs: Date.now() + 3_600_000 }]);
    await until("it has been refused", () => refusals(m0, "not-configured") > 0);
    m0.applied.length = 0;
    const before = refusals(m0, "not-configured");
    await until("it is refused again", () => refusals(m0, "not-configured") > before);
    assert.deepEqual(m0.applied, []);
  });

  it("that was taken out of the own list hears so, unless its list is later", async () => {
    const [, left] = await meeting({ version: 3, removed: ["m3"] }, { version: 2 });
    await until("it hears so", () => left.turnedAway.length > 0);
    assert.equal(left.turnedAway[0], "m0 excluded");
    const [m0, back] = await meeting({ version: 3, removed: ["m3"] }, { version: 9 });
    await until("it has applied", () => m0.applied.length > 1);
    assert.deepEqual(back.turnedAway, []);
  });
});
