import assert from "node:assert/strict";
import { test } from "node:test";
import { announcementFrames, gratuitousArp, solicitationFrame, unsolicitedAdvertisement } from "./frames.ts";

const MAC = Uint8Array.of(0x02, 0x42, 0xac, 0x11, 0x00, 0x05);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const bytes = (text: string) => text.replace(/\s/g, "");

test("gratuitous ARP, request form (RFC 5227 §3)", () => {
  assert.equal(
    hex(gratuitousArp("203.0.113.1", MAC, "request")),
    bytes(`
      ffffffffffff 0242ac110005 0806
      0001 0800 06 04 0001
      0242ac110005 cb007101
      000000000000 cb007101`),
  );
});

test("gratuitous ARP, reply form (RFC 5944 §4.6)", () => {
  assert.equal(
    hex(gratuitousArp("203.0.113.1", MAC, "reply")),
    bytes(`
      ffffffffffff 0242ac110005 0806
      0001 0800 06 04 0002
      0242ac110005 cb007101
      0242ac110005 cb007101`),
  );
});

test("unsolicited neighbour advertisement (RFC 4861 §4.4)", () => {
  assert.equal(
    hex(unsolicitedAdvertisement("2001:db8:113::1", MAC)),
    bytes(`
      333300000001 0242ac110005 86dd
      60000000 0020 3a ff
      20010db8011300000000000000000001
      ff020000000000000000000000000001
      88 00 CKSM 20000000
      20010db8011300000000000000000001
      02 01 0242ac110005`).replace("CKSM", checksumByHand()),
  );
});

/** RFC 1071 over the words as they stand in the figure above. */
function checksumByHand(): string {
  const address = [0x2001, 0x0db8, 0x0113, 0, 0, 0, 0, 1];
  const group = [0xff02, 0, 0, 0, 0, 0, 0, 1];
  const message = [0x8800, 0, 0x2000, 0, ...address, 0x0201, 0x0242, 0xac11, 0x0005];
  return checksum([...address, ...group, 32, 58, ...message]);
}

function checksum(words: readonly number[]): string {
  let sum = words.reduce((total, word) => total + word, 0);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (~sum & 0xffff).toString(16).padStart(4, "0");
}

test("IPv4 is announced in both forms of ARP, IPv6 by one advertisement", () => {
  assert.deepEqual(announcementFrames("203.0.113.1", MAC).map(hex), [
    hex(gratuitousArp("203.0.113.1", MAC, "request")),
    hex(gratuitousArp("203.0.113.1", MAC, "reply")),
  ]);
  assert.deepEqual(announcementFrames("2001:db8::1", MAC).map(hex), [
    hex(unsolicitedAdvertisement("2001:db8::1", MAC)),
  ]);
});

const ROUTER_MAC = Uint8Array.of(0x02, 0, 0, 0, 0, 0x99);

test("a question to an IPv4 neighbour: an ARP request to it alone (RFC 1122 §2.3.2.1)", () => {
  const frame = solicitationFrame(
    { address: "198.19.0.21", mac: ROUTER_MAC },
    { address: "198.19.0.1", mac: MAC },
  );
  assert.equal(
    hex(frame),
    bytes(`
      020000000099 0242ac110005 0806
      0001 0800 06 04 0001
      0242ac110005 c6130001
      000000000000 c6130015`),
  );
});

test("a question to an IPv6 neighbour: a solicitation to it alone (RFC 4861 §7.2.2)", () => {
  const frame = solicitationFrame(
    { address: "2001:db8:113::9", mac: ROUTER_MAC },
    { address: "2001:db8:113::1", mac: MAC },
  );
  const target = [0x2001, 0x0db8, 0x0113, 0, 0, 0, 0, 9];
  const source = [0x2001, 0x0db8, 0x0113, 0, 0, 0, 0, 1];
  const message = [0x8700, 0, 0, 0, ...target, 0x0101, 0x0242, 0xac11, 0x0005];
  assert.equal(
    hex(frame),
    bytes(`
      020000000099 0242ac110005 86dd
      60000000 0020 3a ff
      20010db8011300000000000000000001
      20010db8011300000000000000000009
      87 00 CKSM 00000000
      20010db8011300000000000000000009
      01 01 0242ac110005`).replace("CKSM", checksum([...source, ...target, 32, 58, ...message])),
  );
});
