import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoanMessage } from "@holdfast/forwarder";
import fc from "fast-check";
import { decodeLoanMessage } from "./port-lending.ts";

const place = { endpoint: "10.3.0.1", endpointPort: 2_905, natPort: 2_905 };
const messages: readonly LoanMessage[] = [
  {
    kind: "lend",
    ...place,
    clientTag: 7,
    serviceId: "sctp/203.0.113.1:2905",
    source: "10.1.0.9",
    listed: ["fd01::9"],
    isRequired: true,
  },
  { kind: "back", ...place, clientTag: 0xffff_ffff },
  { kind: "still", ...place, clientTag: 1 },
];
const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

test("what one member says the other understands", () => {
  for (const message of messages) assert.deepEqual(decodeLoanMessage(encode(message)), message);
});

test("what is not understood is nothing, and never a throw", () => {
  for (const message of messages)
    for (const field of Object.keys(message).filter((name) => name !== "serviceId"))
      for (const wrong of [undefined, null, -1, 1.5, 70_000 * 70_000, "x", ["x"], {}])
        assert.equal(
          decodeLoanMessage(encode({ ...message, [field]: wrong })),
          undefined,
          `${field}: ${wrong}`,
        );
  fc.assert(fc.property(fc.uint8Array(), (bytes) => decodeLoanMessage(bytes) === undefined));
  fc.assert(
    fc.property(fc.json(), (text) => decodeLoanMessage(new TextEncoder().encode(text)) === undefined),
  );
});
