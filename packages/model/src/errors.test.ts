import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "./errors.ts";

test("every detail that a code's texts name has to be given, and stands in both", () => {
  const error = new HoldfastError("SERVICE_NOT_FOUND", { service: "amf" });
  assert.equal(error.message, "There is no service amf.");
  // @ts-expect-error: the message names {service}.
  const bare = new HoldfastError("SERVICE_NOT_FOUND", {});
  assert.equal(bare.message, "There is no service {service}.");
  // @ts-expect-error: details cannot be left out where a text names one.
  assert.match(new HoldfastError("BPF_LIBRARY_MISSING").message, /\{reason\}/);
});

test("a code from elsewhere brings its details as they are", () => {
  const error = HoldfastError.of("BPF_FLOWS_NOT_CARRIED", {
    directory: "/x",
    reason: "a field is gone",
    more: 1,
  });
  assert.match(error.message, /pinned in \/x .*: a field is gone\.$/);
  assert.equal(error.details["more"], 1);
});
