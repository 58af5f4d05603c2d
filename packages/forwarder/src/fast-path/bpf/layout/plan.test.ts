import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { PINNED_MAPS } from "../data-plane.ts";
import { BPF_OBJECT_FILE } from "../object-file.ts";
import {
  type FieldLayout,
  layoutHash,
  layoutsFrom,
  layoutsOfObject,
  layoutText,
  MAP_TYPE,
  type MapLayout,
  sizeOf,
  type TypeLayout,
} from "./layout.ts";
import { LAYOUT_1 } from "./layout-1.ts";
import { planOf } from "./plan.ts";

const number = (name: string, size: number): TypeLayout => ({ kind: "number", name, size });
const U16 = number("__u16", 2);
const U32 = number("__u32", 4);
const BE16 = number("__be16", 2);

/** Fields one behind another. */
function struct(fields: Readonly<Record<string, TypeLayout>>): TypeLayout {
  let offset = 0;
  const laid: FieldLayout[] = Object.entries(fields).map(([name, type]) => {
    const field = { name, offset, type };
    offset += sizeOf(type);
    return field;
  });
  return { kind: "struct", size: offset, fields: laid };
}

function map(key: TypeLayout, value: TypeLayout, more: Partial<MapLayout> = {}): MapLayout {
  return { type: MAP_TYPE.HASH, flags: 0, key, value, ...more };
}

function refusalOf(from: MapLayout, to: MapLayout): string | undefined {
  const plan = planOf("m", from, to);
  return plan.kind === "refuse" ? plan.reason : undefined;
}

function moved(from: MapLayout, to: MapLayout, what: "key" | "value", hex: string): string {
  const plan = planOf("m", from, to);
  assert.equal(plan.kind, "move");
  if (plan.kind !== "move") return "";
  const into = Buffer.alloc(plan[what].toSize, 0xee);
  plan[what].apply(Buffer.from(hex, "hex"), 0, into, 0);
  return into.toString("hex");
}

describe("moving a map", () => {
  test("the same layout is kept", () => {
    assert.deepEqual(planOf("m", map(U32, U16), map(U32, U16)), { kind: "keep" });
  });

  test("fields are found by name wherever they lie; new ones of a value begin at zero", () => {
    const from = map(U32, struct({ a: U16, b: U32 }));
    const to = map(U32, struct({ fresh: U32, b: U32, a: U16 }));
    assert.equal(moved(from, to, "value", "aabb01020304"), "0000000001020304aabb");
  });

  test("a key without a protocol was SCTP's", () => {
    const from = map(struct({ port: BE16 }), U32);
    for (const [type, filled] of [
      [number("__u8", 1), "84"],
      [U16, "8400"],
      [BE16, "0084"],
    ] as const)
      assert.equal(
        moved(from, map(struct({ port: BE16, protocol: type }), U32), "key", "1234"),
        `1234${filled}`,
      );
  });

  test("anything else that is new in a key is refused", () => {
    const to = map(struct({ port: BE16, zone: U16 }), U32);
    assert.match(refusalOf(map(struct({ port: BE16 }), U32), to) ?? "", /m key\.zone is new/);
  });

  test("what is spare comes and goes", () => {
    const [bare, padded] = [struct({ a: U16 }), struct({ spare: U32, a: U16, spare2: U16 })];
    assert.equal(moved(map(bare, bare), map(padded, padded), "key", "aabb"), "00000000aabb0000");
    assert.equal(moved(map(padded, padded), map(bare, bare), "value", "ffffffffaabbffff"), "aabb");
    assert.equal(refusalOf(map(bare, padded), map(bare, bare)), undefined);
  });

  test("a field that is gone is refused by its name", () => {
    assert.match(
      refusalOf(map(U32, struct({ a: U16, tag: U32 })), map(U32, struct({ a: U16 }))) ?? "",
      /m value\.tag is gone/,
    );
  });

  test("a number may become wider; another byte order, a narrower one and another name are refused", () => {
    assert.equal(
      moved(map(U32, struct({ a: U16 })), map(U32, struct({ a: U32 })), "value", "aabb"),
      "aabb0000",
    );
    for (const [from, to] of [
      [BE16, U16],
      [U16, BE16],
      [U32, U16],
      [U32, number("int", 4)],
    ] as const)
      assert.match(
        refusalOf(map(U32, struct({ a: from })), map(U32, struct({ a: to }))) ?? "",
        /a was .* and is/,
      );
  });

  test("an array may grow in a value, and not shrink", () => {
    const bytes = (count: number): TypeLayout => ({ kind: "array", count, of: number("__u8", 1) });
    const [short, long] = [map(U32, struct({ a: bytes(2) })), map(U32, struct({ a: bytes(4) }))];
    assert.equal(moved(short, long, "value", "aabb"), "aabb0000");
    assert.match(refusalOf(long, short) ?? "", /had 4 elements and has 2/);
    assert.match(refusalOf(map(bytes(2), U32), map(bytes(4), U32)) ?? "", /m key had 2 elements/);
  });

  test("indices keep their meaning: fewer entries and another kind of map are refused", () => {
    const array = (entries: number) => map(U32, U32, { type: MAP_TYPE.ARRAY, entries });
    assert.equal(planOf("m", array(4), array(8)).kind, "move");
    assert.match(refusalOf(array(8), array(4)) ?? "", /8 entries/);
    assert.match(refusalOf(array(8), map(U32, U32)) ?? "", /another kind/);
    const ring = (value: TypeLayout): MapLayout => ({ type: MAP_TYPE.RINGBUF, flags: 0, value });
    assert.match(refusalOf(ring(U32), ring(U16)) ?? "", /another kind/);
  });

  test("flags that the kernel wants otherwise make a new map with the same entries", () => {
    assert.equal(moved(map(U32, U32), map(U32, U32, { flags: 1 }), "key", "01020304"), "01020304");
  });
});

describe("layout of the programs", () => {
  const current = layoutsOfObject(readFileSync(BPF_OBJECT_FILE), PINNED_MAPS);

  test("what was pinned before there were descriptions is carried over, flows above all", () => {
    for (const name of ["hf_flows4", "hf_flows6", "hf_nexthops", "hf_local", "hf_ports"]) {
      const from = layoutsFrom(LAYOUT_1).get(name) as MapLayout;
      assert.notEqual(planOf(name, from, current.get(name) as MapLayout).kind, "refuse", name);
    }
  });

  test("a description says the same after a round through text, and its hash changes with any field", () => {
    const again = layoutsFrom(layoutText(current));
    assert.equal(layoutHash(again), layoutHash(current));
    const changed = new Map(current).set("hf_ports", { ...(current.get("hf_ports") as MapLayout), flags: 0 });
    assert.notEqual(layoutHash(changed), layoutHash(current));
    assert.match(layoutHash(current), /^[0-9a-f]{16}$/);
  });

  test("an object that lacks a map is told", () => {
    assert.throws(() => layoutsOfObject(readFileSync(BPF_OBJECT_FILE), ["hf_nothing"]), /no map hf_nothing/);
  });
});
