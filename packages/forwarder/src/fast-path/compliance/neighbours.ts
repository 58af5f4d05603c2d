// ARP and neighbour solicitations, where there is a link: answered for owned VIPs, and for nothing else.
import assert from "node:assert/strict";
import { type Address, addressBytes } from "@holdfast/model";
import { encodeIp, internetChecksum, PROTOCOL, pseudoHeaderSum, write16 } from "@holdfast/sctp";
import type { WithRig } from "../compliance.ts";
import { hex, type Link, total, until } from "./rig.ts";
import { IPV4, IPV6 } from "./world.ts";

const REQUEST = 1;
const REPLY = 2;
const BROADCAST = new Uint8Array(6).fill(0xff);

export function describeNeighbours(withRig: WithRig): void {
  withRig("ARP: an owned VIP is answered for, another's and a host's are not", async ({ link, fastPath }) => {
    if (link === undefined) return;
    const test = link.mac("client", "test");
    const ours = link.mac("client", "fastPath");
    const answers = () => link.receivedFrames("client").filter((frame) => isArp(frame, REPLY));
    const request = (target: Address) =>
      arp(BROADCAST, test, REQUEST, test, IPV4.client, new Uint8Array(6), target);
    link.injectFrame("client", request(IPV4.otherVip));
    await until("the refusal", () => total(fastPath, "drop.not-owned") === 1);
    link.injectFrame("client", request(IPV4.endpoint));
    link.injectFrame("client", request(IPV4.vip));
    await until("the reply", () => answers().length > 0);
    assert.deepEqual(answers().map(hex), [hex(arp(test, ours, REPLY, ours, IPV4.vip, test, IPV4.client))]);
    assert.equal(total(fastPath, "answer.arp"), 1);
  });

  withRig("neighbour solicitations: the same, by group and directly", async ({ link, fastPath }) => {
    if (link === undefined) return;
    const ours = link.mac("client", "fastPath");
    const test = link.mac("client", "test");
    const advertisements = () => link.receivedFrames("client").filter(isAdvertisement);
    link.injectFrame("client", solicitation(link, IPV6.otherVip, groupOf(IPV6.otherVip)));
    await until("the refusal", () => total(fastPath, "drop.not-owned") === 1);
    const expected = advertisement(test, ours, IPV6.vip, IPV6.client);
    for (const [count, destination] of [groupOf(IPV6.vip), addressBytes(IPV6.vip)].entries()) {
      link.injectFrame("client", solicitation(link, IPV6.vip, destination));
      await until("the advertisement", () => advertisements().length > count);
      assert.equal(hex(advertisements()[count]), hex(expected));
    }
    // Not from this link (RFC 4861 §7.1.1).
    link.injectFrame("client", solicitation(link, IPV6.vip, groupOf(IPV6.vip), 254));
    link.injectFrame("client", solicitation(link, IPV6.vip, addressBytes(IPV6.vip)));
    await until("the sentinel", () => advertisements().length > 2);
    assert.equal(total(fastPath, "answer.neighbour"), 3);
  });
}

function isArp(frame: Uint8Array, operation: number): boolean {
  return frame[12] === 8 && frame[13] === 6 && frame[21] === operation;
}

function isAdvertisement(frame: Uint8Array): boolean {
  return frame[12] === 0x86 && frame[20] === PROTOCOL.ICMPV6 && frame[54] === 136;
}

function arp(
  to: Uint8Array,
  from: Uint8Array,
  operation: number,
  senderMac: Uint8Array,
  sender: Address,
  targetMac: Uint8Array,
  target: Address,
): Uint8Array {
  const head = [...to, ...from, 8, 6, 0, 1, 8, 0, 6, 4, 0, operation];
  return Uint8Array.from([
    ...head,
    ...senderMac,
    ...addressBytes(sender),
    ...targetMac,
    ...addressBytes(target),
  ]);
}

/** The solicited-node group of an address (RFC 4291 §2.7.1). */
function groupOf(address: Address): Uint8Array {
  const group = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0);
  group.set(addressBytes(address).subarray(13), 13);
  return group;
}

function solicitation(link: Link, target: Address, destination: Uint8Array, hopLimit = 255): Uint8Array {
  const test = link.mac("client", "test");
  const group = destination[0] === 0xff;
  const to = group ? Uint8Array.of(0x33, 0x33, ...destination.subarray(12)) : link.mac("client", "fastPath");
  return discovery(to, test, addressBytes(IPV6.client), destination, 135, 0, target, 1, test, hopLimit);
}

function advertisement(to: Uint8Array, ours: Uint8Array, target: Address, client: Address): Uint8Array {
  // Solicited and Override.
  return discovery(to, ours, addressBytes(target), addressBytes(client), 136, 0x60, target, 2, ours, 255);
}

function discovery(
  to: Uint8Array,
  from: Uint8Array,
  source: Uint8Array,
  destination: Uint8Array,
  type: number,
  flags: number,
  target: Address,
  option: number,
  mac: Uint8Array,
  hopLimit: number,
): Uint8Array {
  const payload = Uint8Array.from([
    ...[type, 0, 0, 0, flags, 0, 0, 0],
    ...addressBytes(target),
    ...[option, 1],
    ...mac,
  ]);
  const sum = pseudoHeaderSum(source, destination, payload.length, PROTOCOL.ICMPV6);
  write16(payload, 2, internetChecksum(payload, 0, payload.length, sum));
  const packet = encodeIp({ source, destination, payload, protocol: PROTOCOL.ICMPV6, hopLimit });
  return Uint8Array.from([...to, ...from, 0x86, 0xdd, ...packet]);
}
