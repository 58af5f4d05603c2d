// Output as BIRD 2.0.12 gave it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBfd, parseProtocols } from "./status.ts";

const PROTOCOLS = `Name       Proto      Table      State  Since         Info
device1    Device     ---        up     2026-11-29 14:02:11.001
hf_router_0 BGP        ---        up     2026-11-29 14:02:12.070  Established
  Description:    tor1
  BGP state:          Established
    Neighbor address: 198.18.0.2
    Neighbor AS:      65000
  Channel ipv4
    State:          UP
hf_router_1 BGP        ---        start  2026-11-29 14:02:11.001  Active        Socket: Connection refused
  Description:    tor2
  BGP state:          Active
    Neighbor address: 198.18.1.2
    Last error:       Socket: Connection refused
hf_router_2 BGP        ---        down   2026-11-29 14:02:11.001
  Description:    tor3
  BGP state:          Down
hf_vips_ipv4 Static     master4    up     2026-11-29 14:02:11.001`.split("\n");

test("sessions are read with their state, and what ails them", () => {
  assert.deepEqual(parseProtocols(PROTOCOLS), [
    { name: "hf_router_0", session: "Established", info: "", neighbour: "198.18.0.2" },
    {
      name: "hf_router_1",
      session: "Active",
      info: "Socket: Connection refused",
      neighbour: "198.18.1.2",
    },
    { name: "hf_router_2", session: "Down", info: "", neighbour: undefined },
  ]);
});

test("BFD sessions are read by neighbour", () => {
  const lines = `hf_bfd:
IP address                Interface  State      Since         Interval  Timeout
198.18.0.2                s0         Up         14:02:12.716    0.050    0.150
fe80::1                   s1         Down       14:02:12.716    0.200    0.000`.split("\n");
  assert.deepEqual(
    [...parseBfd(lines)],
    [
      ["198.18.0.2", "Up"],
      ["fe80::1", "Down"],
    ],
  );
});
