// Encoders against packets that other stacks sent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PARAMETER } from "../wire/numbers.ts";
import {
  encodeAbort,
  encodeCookieAck,
  encodeCookieEcho,
  encodeData,
  encodeError,
  encodeHeartbeat,
  encodeInit,
  encodeRestartWithNewAddresses,
  encodeSack,
  encodeShutdown,
  encodeShutdownAck,
  encodeShutdownComplete,
  encodeUnrecognizedChunk,
  encodeUserInitiatedAbort,
} from "./chunks.ts";
import { encodePacket, encodeParameter } from "./packet.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("captured packets, made again from their fields", () => {
  const init = encodeInit({
    initiateTag: 0x94d02198,
    receiverWindow: 57_344,
    outboundStreams: 1,
    inboundStreams: 1,
    initialTsn: 0xe55ce946,
    parameters: [
      encodeParameter(PARAMETER.SUPPORTED_ADDRESS_TYPES, Uint8Array.of(0, 5)),
      encodeParameter(PARAMETER.ECN_CAPABLE),
      encodeParameter(PARAMETER.FORWARD_TSN_SUPPORTED),
    ],
  });
  const cases: [number, number, number, Uint8Array[], string][] = [
    [
      0x84c1,
      0x1a30,
      0,
      [init],
      "84c11a3000000000259ef43f0100002494d021980000e00000010001e55ce946000c00060005000080000004c0000004",
    ],
    [0x1a30, 0x84c1, 0x94d02198, [encodeCookieAck()], "1a3084c194d0219825b16a4b0b000004"],
    [
      0x04d2,
      0x10e1,
      0x697e3a4e,
      [encodeCookieAck(), encodeSack(0xaea95252, 131_072)],
      "04d210e1697e3a4ec06e8b360b00000403000010aea952520002000000000000",
    ],
    [
      0xbcbc,
      0x1a32,
      0x5e34386a,
      [encodeSack(0x0118bd0c, 57_320)],
      "bcbc1a325e34386a106b8c46030000100118bd0c0000dfe800000000",
    ],
    [
      0xdef5,
      0x1a30,
      0xf341e0e1,
      [
        encodeHeartbeat(
          hex("02001a30d381480800000000000000000eeb43c08c1e59c883eb43c000827400afbd011d0092a14c"),
        ),
      ],
      "def51a30f341e0e191439db2040000300001002c02001a30d381480800000000000000000eeb43c08c1e59c883eb43c000827400afbd011d0092a14c",
    ],
  ];
  for (const [sourcePort, destinationPort, verificationTag, chunks, expected] of cases) {
    assert.equal(text(encodePacket({ sourcePort, destinationPort, verificationTag, chunks })), expected);
  }
});

test("chunks as RFC 9260 §3.3 draws them", () => {
  const cases: [Uint8Array, string][] = [
    [encodeAbort(), "06000004"],
    [encodeAbort({ reflected: true }), "06010004"],
    [encodeAbort({ causes: [encodeUserInitiatedAbort("bye")] }), "0600000c000c000762796500"],
    [
      encodeAbort({ causes: [encodeRestartWithNewAddresses([Uint8Array.of(10, 1, 0, 9)])] }),
      "06000010000b000c000500080a010009",
    ],
    [encodeError([encodeUnrecognizedChunk(hex("c1000004"))]), "0900000c00060008c1000004"],
    [encodeShutdown(0x01020304), "0700000801020304"],
    [encodeShutdownAck(), "08000004"],
    [encodeShutdownComplete({ reflected: true }), "0e010004"],
    [encodeCookieEcho(hex("aabbccddee")), "0a000009aabbccddee000000"],
    [
      encodeData({ tsn: 1, stream: 2, sequence: 3, protocol: 60, data: hex("61") }),
      "000300110000000100020003" + "0000003c61000000",
    ],
  ];
  for (const [chunk, expected] of cases) assert.equal(text(chunk), expected);
});
