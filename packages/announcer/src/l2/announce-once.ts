// For the lab test: announces the given VIPs from one interface of the network namespace it was started in,
// until its standard input ends. Arguments: INTERFACE INDEX MAC VIP…
import { parseAddress } from "@holdfast/model";
import { createAnnouncer } from "../create.ts";

const [name, index, mac, ...vips] = process.argv.slice(2) as [string, string, string, ...string[]];
const port = {
  name,
  index: Number(index),
  mac: Uint8Array.from(mac.split(":"), (byte) => Number.parseInt(byte, 16)),
  carrier: true,
};
const announcer = createAnnouncer({
  kind: "l2",
  interfaces: { list: () => [port], onChange: () => () => {} },
});
await announcer.announce(vips.map((vip) => ({ vip: parseAddress(vip), rank: 0 })));
console.log(JSON.stringify(announcer.counters()));
for await (const _ of process.stdin);
await announcer.stop();
