import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesService } from "../objects.ts";
import { allowedSourcesOf } from "./demand.ts";

const ANNOTATION = "service.beta.kubernetes.io/load-balancer-source-ranges";
const service = (ranges?: readonly string[], annotation?: string): KubernetesService => ({
  metadata: { name: "amf", ...(annotation !== undefined && { annotations: { [ANNOTATION]: annotation } }) },
  spec: { ...(ranges !== undefined && { loadBalancerSourceRanges: ranges }) },
});

test("source ranges have one form and order; the field comes before the annotation", () => {
  assert.deepEqual(allowedSourcesOf(service(), [4]), []);
  assert.deepEqual(allowedSourcesOf(service([" 10.1.2.3/8", "2001:DB8::1/32", "10.0.0.0/8"]), [4]), [
    "10.0.0.0/8",
    "2001:db8::/32",
  ]);
  assert.deepEqual(allowedSourcesOf(service(["10.0.0.0/8"], "192.0.2.0/24"), [4]), ["10.0.0.0/8"]);
  assert.deepEqual(allowedSourcesOf(service([], "192.0.2.0/24, 10.9.0.0/16"), [4]), [
    "10.9.0.0/16",
    "192.0.2.0/24",
  ]);
});

test("everybody of all its families is no list; of one of two it keeps the other out", () => {
  assert.deepEqual(allowedSourcesOf(service(["0.0.0.0/0"]), [4]), []);
  assert.deepEqual(allowedSourcesOf(service(["0.0.0.0/0"]), [4, 6]), ["0.0.0.0/0"]);
  assert.deepEqual(allowedSourcesOf(service(["::/0", "0.0.0.0/0"]), [4, 6]), []);
});

test("what cannot be read lets nobody in on a guess: it is told", () => {
  for (const text of ["everybody", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/8/8", "2001:db8::/129"])
    assert.match(String(allowedSourcesOf(service(undefined, text), [4])), /is no prefix/, text);
});
