// What is made of a host, and what of it is taken away: on a host that is played, with the commands as they
// are given.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { silentLogger } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { HostPreparation, type HostWishes } from "./preparation.ts";
import { ETH0, PlayedHost } from "./testing/played-host.ts";

function prepared(host: PlayedHost, wishes: Partial<HostWishes> = {}) {
  const clock = new ManualClock();
  const preparation = new HostPreparation(
    {
      loop: { name: "hf" },
      identityNat: true,
      natTable: { name: "holdfast_hf" },
      rpFilter: "tell",
      servingInterfaces: () => ["eth0"],
      owner: "lab/m1",
      ...wishes,
    },
    host,
    clock,
    silentLogger,
  );
  return { preparation, clock };
}

suite("host preparation", () => {
  test("makes the loop with the rule against circles before any route, and the NAT of both families", async () => {
    const host = new PlayedHost();
    const { preparation } = prepared(host);
    await preparation.open();
    assert.deepEqual(
      host.links.map(({ ifname, mtu, flags }) => [ifname, mtu, flags.includes("UP")]),
      [
        ["eth0", 9000, true],
        ["hf0", 9000, true],
        ["hf1", 9000, true],
      ],
    );
    preparation.setVips(["203.0.113.1", "2001:db8::1", "203.0.113.1"], true);
    await preparation.settled();
    assert.deepEqual([[...host.routes[4]], [...host.routes[6]]], [["203.0.113.1"], ["2001:db8::1"]]);
    const drop = host.lines.indexOf("rule add priority 131 iif hf1 blackhole");
    const route = host.lines.findIndex((line) => line.startsWith("route replace"));
    const lookup = host.lines.indexOf("rule add priority 132 lookup 18534");
    assert.ok(drop >= 0 && drop < route && route < lookup);
    assert.deepEqual([...(host.tables.get("ip holdfast_hf") ?? [])], ["203.0.113.1"]);
    assert.deepEqual([...(host.tables.get("ip6 holdfast_hf") ?? [])], ["2001:db8::1"]);
    assert.deepEqual(preparation.status, {
      loop: { interface: "hf1", mtu: 9000, vips: 2 },
      identityNat: { table: "holdfast_hf", vips: 2 },
      warnings: [],
    });
  });

  test("a start after a kill adopts what is there, and takes nothing away before it knows all VIPs", async () => {
    const host = new PlayedHost();
    const first = prepared(host);
    await first.preparation.open();
    first.preparation.setVips(["203.0.113.1", "203.0.113.2"], true);
    await first.preparation.settled();
    const said = host.lines.length;
    const { preparation } = prepared(host);
    await preparation.open();
    preparation.setVips(["203.0.113.1"], false);
    await preparation.settled();
    assert.deepEqual(host.lines.slice(said), []);
    assert.equal(host.tables.get("ip holdfast_hf")?.size, 2);
    preparation.setVips(["203.0.113.1"], true);
    await preparation.settled();
    assert.deepEqual([...host.routes[4]], ["203.0.113.1"]);
    assert.deepEqual([...(host.tables.get("ip holdfast_hf") ?? [])], ["203.0.113.1"]);
  });

  test("what somebody else takes away comes back with the next look", async () => {
    const host = new PlayedHost();
    const { preparation, clock } = prepared(host);
    await preparation.open();
    preparation.setVips(["203.0.113.1"], true);
    await preparation.settled();
    host.routes[4].clear();
    host.rules[4].length = 0;
    host.tables.clear();
    host.links = [ETH0];
    clock.advance(10_000);
    await preparation.settled();
    assert.deepEqual([...host.routes[4]], ["203.0.113.1"]);
    assert.equal(host.rules[4].length, 2);
    assert.equal(host.links.length, 3);
    assert.equal(host.tables.get("ip holdfast_hf")?.size, 1);
  });

  test("all goes with the data plane, and settings are as they were", async () => {
    const host = new PlayedHost();
    host.set("net/ipv4/conf/all/rp_filter", "1");
    host.set("net/ipv4/conf/eth0/rp_filter", "0");
    const first = prepared(host, { rpFilter: "set" });
    await first.preparation.open();
    first.preparation.setVips(["203.0.113.1", "2001:db8::1"], true);
    await first.preparation.settled();
    assert.equal(host.setting("net/ipv4/conf/eth0/rp_filter"), "2");
    // Killed: another one finds in the alias what was changed.
    const { preparation } = prepared(host, { rpFilter: "set" });
    await preparation.open();
    preparation.setVips(["203.0.113.1"], true);
    await preparation.settled();
    await preparation.close(false);
    assert.equal(host.routes[4].size + host.routes[6].size, 0);
    assert.equal(host.tables.size, 0);
    assert.equal(host.links.length, 3, "programs still hang on them");
    await preparation.removeLoop("hf");
    assert.deepEqual(host.links, [ETH0]);
    assert.equal(host.setting("net/ipv4/conf/eth0/rp_filter"), "0");
  });

  test("strict filtering is told when it is not to be set", async () => {
    const host = new PlayedHost();
    host.set("net/ipv4/conf/all/rp_filter", "1");
    const { preparation } = prepared(host);
    await preparation.open();
    preparation.setVips([], true);
    await preparation.settled();
    assert.deepEqual(
      preparation.status.warnings.map(({ code }) => code),
      ["HOST_RP_FILTER_STRICT"],
    );
    assert.equal(host.setting("net/ipv4/conf/eth0/rp_filter"), undefined);
  });

  test("interfaces of somebody else are not touched", async () => {
    const host = new PlayedHost();
    host.links.push({ ifname: "hf0", flags: [], mtu: 1500, linkinfo: { info_kind: "dummy" } });
    const { preparation } = prepared(host);
    await assert.rejects(preparation.open(), { code: "HOST_LOOP_NAME_TAKEN" });
    await preparation.removeLoop("hf");
    assert.equal(host.links.length, 2);
    assert.deepEqual(host.lines, []);
    const other = new PlayedHost();
    await prepared(other, { owner: "lab/m2" }).preparation.open();
    await assert.rejects(prepared(other).preparation.open(), { code: "HOST_LOOP_NAME_TAKEN" });
  });

  test("without nft the loop works, the failure is told, and it is tried again", async () => {
    const host = new PlayedHost();
    host.refusesNft = true;
    const { preparation, clock } = prepared(host);
    await preparation.open();
    preparation.setVips(["203.0.113.1"], true);
    await preparation.settled();
    assert.deepEqual(
      preparation.status.warnings.map(({ code }) => code),
      ["HOST_NFT_FAILED"],
    );
    assert.deepEqual([...host.routes[4]], ["203.0.113.1"]);
    host.refusesNft = false;
    clock.advance(1_000);
    await preparation.settled();
    assert.deepEqual(preparation.status.warnings, []);
    assert.equal(host.tables.get("ip holdfast_hf")?.size, 1);
  });

  test("addresses with a time-out are put in again before it ends", async () => {
    const host = new PlayedHost();
    const { preparation, clock } = prepared(host, {
      loop: undefined,
      natTable: { name: "holdfast_agent", timeoutS: 60 },
    });
    preparation.setVips(["203.0.113.1"], true);
    await preparation.settled();
    assert.match(host.scripts[0] ?? "", /flags timeout; timeout 60s;/);
    for (let n = 0; n < 3; n++) {
      clock.advance(10_000);
      await preparation.settled();
    }
    assert.match(
      host.scripts.at(-1) ?? "",
      /^flush set ip holdfast_agent vips\nadd element ip holdfast_agent vips \{ 203\.0\.113\.1 \}/,
    );
  });
});
