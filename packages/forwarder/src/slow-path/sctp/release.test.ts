import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { ClientHost, EndpointHost } from "../../testing/hosts.ts";
import { CLIENT, CLIENT_2, ENDPOINT, ENDPOINT_PORT, Rig, SERVICE_PORT, VIPS } from "../../testing/rig.ts";

const [VIP0] = VIPS as [Address];

for (const [what, answer, timeouts] of [
  ["is released", (settle: Settle) => settle.resolve(true), 0],
  ["took too long", (settle: Settle) => settle.resolve(false), 1],
  ["cannot be asked about", (settle: Settle) => settle.reject(new Error("no engine")), 1],
] as const) {
  test(`an INIT-ACK is held back until its record ${what}; then it leaves, and the handshake goes on`, async () => {
    let settle: Settle | undefined;
    const rig = new Rig({
      replication: {
        released: () => {
          settle = Promise.withResolvers<boolean>();
          return settle.promise;
        },
        ask: () => Promise.resolve(true),
      },
    });
    const client = new ClientHost(36_000, SERVICE_PORT, 0xaaaa_0001);
    const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0xbbbb_0001);
    const up = { source: CLIENT, destination: VIP0 } as const;
    const init = await rig.one(client.init(up, [CLIENT, CLIENT_2]));
    assert.deepEqual(await rig.pass(endpoint.initAck(init)), [], "held back");
    assert.ok(settle !== undefined);
    answer(settle);
    await Promise.allSettled([settle.promise]);
    const [initAck, ...more] = rig.taken();
    assert.ok(initAck !== undefined && more.length === 0);
    client.acceptInitAck(initAck);
    assert.equal(rig.event("init-ack-release-timeouts"), timeouts);
    await rig.one(client.cookieEcho(up));
    await rig.one(endpoint.cookieAck({ source: ENDPOINT, destination: VIP0 }));
    assert.equal((await rig.one(client.data(up))).destination, ENDPOINT);
  });
}

type Settle = PromiseWithResolvers<boolean>;
