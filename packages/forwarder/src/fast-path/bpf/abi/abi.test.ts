import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { BPF_OBJECT_FILE } from "../object-file.ts";
import { readBtf } from "./btf.ts";
import { ElfObject } from "./elf.ts";
import { abiText } from "./generate.ts";
import { FRAME_COUNT_MAX, STACK_BYTES_MAX, stackUse } from "./stack.ts";

// Compiles when a source is newer: the test is about the sources as they are.
execFileSync("bash", [fileURLToPath(new URL("../../../../build.sh", import.meta.url))]);
const object = readFileSync(BPF_OBJECT_FILE);

test("abi.ts is what the object's BTF says", () => {
  const committed = readFileSync(new URL("../abi.ts", import.meta.url), "utf8");
  assert.equal(
    committed,
    abiText(object),
    "run node packages/forwarder/src/fast-path/bpf/abi/generate.ts and commit",
  );
});

test("a flow's value fills one cache line, and nothing has hidden padding", () => {
  const { structs } = readBtf(new ElfObject(object).section(".BTF") as Buffer);
  for (const name of ["hf_flow4", "hf_plain4"])
    assert.equal(structs.find((struct) => struct.name === name)?.size, 64, name);
  // Padding would be bytes that the daemon does not write and the programs may compare.
  for (const { name, members } of structs.filter((struct) => struct.name.startsWith("hf_"))) {
    assert.equal(members[0]?.offset, 0, name);
    assert.equal(new Set(members.map(({ offset }) => offset)).size, members.length, name);
  }
});

test("numbers of every enum are distinct, so that none was given twice", () => {
  const { enums } = readBtf(new ElfObject(object).section(".BTF") as Buffer);
  for (const name of [
    "hf_drop_reason",
    "hf_punt_reason",
    "hf_event",
    "hf_budget",
    "hf_flow_flag",
    "hf_plain_flag",
  ]) {
    const values = enums.find((each) => each.name === name)?.values ?? [];
    assert.ok(values.length > 2, name);
    assert.equal(new Set(values.map(({ value }) => value)).size, values.length, name);
  }
});

test("the programs' stacks fit as the verifiers of Linux 5.15 to 6.8 count them", () => {
  for (const program of ["holdfast_tc", "holdfast_xdp"]) {
    const { deepest, longest } = stackUse(new ElfObject(object), program);
    assert.ok(longest.chain.length > 4, "calls are followed");
    assert.ok(longest.chain.length <= FRAME_COUNT_MAX, longest.chain.join(" → "));
    assert.ok(deepest.bytes <= STACK_BYTES_MAX, `${deepest.bytes} bytes: ${deepest.chain.join(" → ")}`);
  }
});

/** struct htab_elem before the key, and what the allocator of maps adds. */
const HASH_ELEMENT_OVERHEAD = 48 + 8;
const KMALLOC_192 = 192;

test("elements of IPv6's flows come out of kmalloc-192: one byte more would take 256", () => {
  const size = (bytes: number) => Math.ceil(bytes / 8) * 8;
  const { structs } = readBtf(new ElfObject(object).section(".BTF") as Buffer);
  const sizeOf = (wanted: string) => structs.find(({ name }) => name === wanted)?.size ?? Number.NaN;
  for (const value of ["hf_flow6", "hf_plain6"]) {
    const element = HASH_ELEMENT_OVERHEAD + size(sizeOf("hf_flow6_key")) + size(sizeOf(value));
    assert.ok(element <= KMALLOC_192, `${value}: ${element} bytes`);
  }
});
