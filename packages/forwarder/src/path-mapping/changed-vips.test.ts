// VIPs that come and go while associations live.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { ClientHost } from "../testing/hosts.ts";
import { CLIENT, CLIENT_2, CLIENT_PORT, ENDPOINT, Rig, SERVICE_PORT, serviceOf } from "../testing/rig.ts";
import { VIP0, VIP1 } from "../testing/usual.ts";

const VIP_NEW: Address = "198.18.0.1";

test("a VIP that is put before another does not take its path", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  await rig.one(client.data({ source: CLIENT_2, destination: VIP1 }));
  rig.forwarder.setServices([serviceOf({ vips: [VIP0, VIP_NEW, VIP1] })]);
  const down = await rig.one(endpoint.data({ source: ENDPOINT, destination: VIP1 }));
  assert.deepEqual([down.source, down.destination], [VIP1, CLIENT_2]);
});

test("a VIP that goes leaves the paths of the others alone", async () => {
  const third: Address = "100.82.3.10";
  const rig = new Rig({ services: [serviceOf({ vips: [VIP0, VIP_NEW, VIP1] })] });
  const { client, endpoint, record } = await rig.establish({ listed: [CLIENT, third, CLIENT_2] });
  const paired = record.generations.get(client.tag)?.pairing ?? record.commit?.generation?.pairing;
  const at1 = paired?.[2] as Address;
  await rig.one(client.data({ source: paired?.[1] as Address, destination: VIP_NEW }));
  await rig.one(client.data({ source: at1, destination: VIP1 }));
  rig.forwarder.setServices([serviceOf({ vips: [VIP0, VIP1] })]);
  const down = await rig.one(endpoint.data({ source: ENDPOINT, destination: VIP1 }));
  assert.deepEqual([down.source, down.destination], [VIP1, at1]);
});

test("a restart after a VIP was added is another association at the endpoint: the first would refuse the new VIP", async () => {
  const rig = new Rig({ services: [serviceOf({ vips: [VIP0] })] });
  const { client, natPort } = await rig.establish();
  rig.forwarder.setServices([serviceOf()]);
  await rig.one(client.data({ source: CLIENT, destination: VIP0 }));
  const init = await rig.one(
    new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x1111_0002).init({ source: CLIENT, destination: VIP0 }),
  );
  assert.notEqual(init.packet.sourcePort, natPort);
});
