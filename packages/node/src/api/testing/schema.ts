import assert from "node:assert/strict";
import type { TSchema } from "typebox";
import { Value } from "typebox/value";

/** Fails with the first place where the value is not as the schema says. */
export function assertSchema(schema: TSchema, value: unknown): void {
  const [first] = Value.Errors(schema, value);
  assert.equal(first, undefined, `${first?.instancePath}: ${first?.message}`);
}
