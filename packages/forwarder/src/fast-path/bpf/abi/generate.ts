// Writes ../abi.ts from the types in the compiled object: `node packages/forwarder/src/fast-path/bpf/abi/generate.ts`.
// abi.test.ts compares.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BPF_OBJECT_FILE } from "../object-file.ts";
import { readBtf } from "./btf.ts";
import { ElfObject } from "./elf.ts";

const PREFIX = "hf_";
const CONSTANT_PREFIX = "HF_";

/** The text of abi.ts for a compiled object. */
export function abiText(object: Buffer): string {
  const elf = new ElfObject(object);
  const btf = elf.section(".BTF");
  if (btf === undefined) throw new Error("the BPF object has no BTF: compile it with -g");
  const { structs, enums } = readBtf(btf);
  const lines = [
    "// Generated from the BPF object's BTF by abi/generate.ts; the source is program/abi.h. Do not edit.",
    "",
  ];
  const named = <T extends { name: string }>(types: readonly T[]) =>
    types.filter(({ name }) => name.startsWith(PREFIX)).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const { name, values } of named(enums)) {
    const prefix = commonPrefix(values.map((value) => value.name));
    lines.push(`export const ${constantName(name)} = {`);
    for (const value of values) lines.push(`  ${value.name.slice(prefix.length)}: ${value.value},`);
    lines.push("} as const;", "");
  }
  for (const { name, size, members } of named(structs)) {
    lines.push("/** Byte offsets of the members, and the size of the whole. */");
    lines.push(`export const ${constantName(name)} = {`, `  SIZE: ${size},`);
    for (const member of members) lines.push(`  ${camelCase(member.name)}: ${member.offset},`);
    lines.push("} as const;", "");
  }
  lines.push("/** Byte offsets in .rodata of what the loader fills in. */", "export const RODATA = {");
  const filled = elf
    .symbols()
    .filter(
      ({ name, sectionIndex }) => name.startsWith(PREFIX) && elf.sectionName(sectionIndex) === ".rodata",
    );
  for (const { name, value } of filled.sort((a, b) => a.value - b.value)) {
    lines.push(`  ${camelCase(name.slice(PREFIX.length))}: ${value},`);
  }
  lines.push("} as const;", "");
  return lines.join("\n");
}

function constantName(name: string): string {
  return name.slice(PREFIX.length).toUpperCase();
}

function camelCase(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** The longest prefix of all names that ends with an underscore; at least HF_. */
function commonPrefix(names: readonly string[]): string {
  const parts = (names[0] ?? "").split("_");
  for (let count = parts.length - 1; count > 1; count--) {
    const prefix = `${parts.slice(0, count).join("_")}_`;
    if (names.every((name) => name.startsWith(prefix))) return prefix;
  }
  return CONSTANT_PREFIX;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL("../abi.ts", import.meta.url), abiText(readFileSync(BPF_OBJECT_FILE)));
}
