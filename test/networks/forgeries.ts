// What somebody sends who stands at a router and sees no traffic: errors about packets that never were, and
// fragments that never become one.
import assert from "node:assert/strict";
import type { Address } from "@holdfast/model";
import { encodeData, write16, writeIpv4Checksum } from "@holdfast/sctp";
import {
  type Capture,
  icmpPacket,
  type Member,
  type Peer,
  RawHost,
  SERVICE_PORT,
  sctpPacket,
  until,
} from "@holdfast/testkit";
import { KEPT_PORT, type Routed } from "./routed.ts";

const FORGED_MTU = 600;
const FORGED_COUNT = 50;
/** More packets than reassembly holds at once of one source and destination. */
const ENDLESS_COUNT = 1_200;
const ENDLESS_HELD_MAX = 128;
const TAG = 0x1234_5678;

/** So many more drops for the reasons while `action` runs and shortly after. */
async function dropped(
  member: Member,
  reasons: string | readonly string[],
  count: number,
  action: () => void,
  limitMs = 3_000,
): Promise<void> {
  const names = [reasons].flat();
  const drops = async () => {
    const counts = await Promise.all(names.map((reason) => member.drops(reason)));
    return counts.reduce((sum, each) => sum + each, 0);
  };
  const before = await drops();
  action();
  let now = before;
  await until(
    `${count} drops for ${names.join(" or ")}`,
    async () => {
      now = await drops();
      return now >= before + count;
    },
    limitMs,
    50,
  ).catch((error: Error) => {
    throw new Error(`${error.message}; there were ${now - before}`);
  });
}

export async function forgeErrors(
  routed: Routed,
  member: Member,
  client: Peer,
  atEndpoint: Capture,
): Promise<void> {
  const raw = new RawHost(routed.clientRouter, { quiet: false });
  const { far, behind, path } = routed.places;
  const vip = routed.vips[0] as Address;
  const v6 = routed.family === "IPv6";
  const about = (source: Address, destination: Address, sourcePort: number, destinationPort: number) =>
    sctpPacket({ source, destination, sourcePort, destinationPort }, TAG, [
      encodeData({ tsn: 1, data: Buffer.alloc(1_300) }),
    ]);
  const error = (inner: Uint8Array) => {
    const rest = new Uint8Array([
      0,
      0,
      FORGED_MTU >>> 8,
      FORGED_MTU & 0xff,
      ...inner.subarray(0, v6 ? 1_000 : 28),
    ]);
    const ends = { source: path, destination: vip } as const;
    raw.send(v6 ? icmpPacket(ends, 2, 0, rest) : icmpPacket(ends, 3, 4, rest));
  };
  const notSctp = about(vip, far.client, SERVICE_PORT, KEPT_PORT);
  notSctp[v6 ? 6 : 9] = 17;
  if (!v6) writeIpv4Checksum(notSctp);
  const forged = [
    // A session's addresses and ports, with a tag that is guessed.
    about(vip, far.client, SERVICE_PORT, KEPT_PORT),
    about(vip, behind.endpoint, KEPT_PORT, SERVICE_PORT),
    // Nobody's port, nobody's address, another protocol.
    about(vip, far.client, SERVICE_PORT, 9),
    about(vip, far.router, SERVICE_PORT, KEPT_PORT),
    notSctp,
  ];
  for (const inner of forged) {
    // Beyond its source's share the fast path keeps it to itself.
    await dropped(member, ["icmp-unrelated", "punt-rate"], FORGED_COUNT, () => {
      for (let i = 0; i < FORGED_COUNT; i++) error(inner);
    });
  }
  assert.ok(client.events.every((e) => e.event !== "pathMtu" || (e["mtu"] as number) > FORGED_MTU));
  await atEndpoint.flush();
  const arrived = atEndpoint
    .packets()
    .filter((p) => routed.isTooBig(p) && routed.quoted(p).mtu === FORGED_MTU);
  assert.deepEqual(arrived, []);
}

export async function forgeFragments(routed: Routed, member: Member): Promise<void> {
  const raw = new RawHost(routed.clientRouter, { quiet: false });
  const vip = routed.vips[0] as Address;
  const v6 = routed.family === "IPv6";
  const whole = sctpPacket(
    {
      source: routed.places.far.client,
      destination: vip,
      sourcePort: KEPT_PORT,
      destinationPort: SERVICE_PORT,
    },
    TAG,
    [encodeData({ tsn: 1, data: Buffer.alloc(1_000) })],
    { dontFragment: false },
  );
  const piece = (id: number, offset: number, length: number, more: boolean) => {
    const header = v6 ? 40 : 20;
    const part = whole.subarray(header + offset, header + offset + length);
    const extra = v6 ? [132, 0, 0, 0, 0, 0, id >>> 8, id & 0xff] : [];
    const bytes = new Uint8Array([...whole.subarray(0, header), ...extra, ...part]);
    if (v6) {
      bytes[6] = 44;
      write16(bytes, 4, bytes.length - 40);
      write16(bytes, 42, offset | (more ? 1 : 0));
    } else {
      write16(bytes, 2, bytes.length);
      write16(bytes, 4, id);
      write16(bytes, 6, (offset >>> 3) | (more ? 0x2000 : 0));
      writeIpv4Checksum(bytes);
    }
    raw.send(bytes, "path-a");
  };
  await dropped(member, "fragment-overlap", 10, () => {
    for (let id = 1; id <= 10; id++) {
      piece(id, 0, 512, true);
      piece(id, 504, 400, true);
    }
  });
  await dropped(member, "fragment-too-small", 10, () => {
    for (let id = 21; id <= 30; id++) piece(id, 0, 8, true);
  });
  // First fragments whose rest never comes: bounded, then forgotten (one family waits for that: it takes
  // seconds).
  const forgotten = await member.drops("fragment-timeout");
  await dropped(member, "fragment-limit", ENDLESS_COUNT - ENDLESS_HELD_MAX, () => {
    for (let id = 1_000; id < 1_000 + ENDLESS_COUNT; id++) piece(id, 0, 512, true);
  });
  if (v6) return;
  await until(
    "what never became whole to be forgotten",
    async () => (await member.drops("fragment-timeout")) >= forgotten + ENDLESS_HELD_MAX,
    10_000,
    200,
  );
}
