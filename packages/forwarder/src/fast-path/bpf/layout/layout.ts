// What a map looks like, from BTF: its kind, and the fields of keys and values. Two maps of one description
// are one layout, whatever built them; the hash of the description is the layout's name.
import { createHash } from "node:crypto";
import { BTF_KIND } from "../abi/btf.ts";
import { ElfObject } from "../abi/elf.ts";
import { type BtfMember, type BtfType, BtfTypes } from "./btf-types.ts";

export type TypeLayout =
  | { readonly kind: "number"; readonly name: string; readonly size: number }
  | { readonly kind: "array"; readonly count: number; readonly of: TypeLayout }
  | { readonly kind: "struct"; readonly size: number; readonly fields: readonly FieldLayout[] };

export interface FieldLayout {
  readonly name: string;
  readonly offset: number;
  readonly type: TypeLayout;
}

export interface MapLayout {
  /** BPF_MAP_TYPE_… */
  readonly type: number;
  readonly flags: number;
  /** Of arrays, where it is part of what an index means; the loader sets the sizes of the others. */
  readonly entries?: number;
  readonly key?: TypeLayout;
  /** Of a ring: its records' head. */
  readonly value?: TypeLayout;
}

export type Layouts = ReadonlyMap<string, MapLayout>;

export const MAP_TYPE = { HASH: 1, ARRAY: 2, PERCPU_ARRAY: 6, LRU_HASH: 9, RINGBUF: 27 } as const;
/** The head of what stands in a ring, which BTF does not connect with it. */
export const RING_RECORD = "hf_punt";
const HASH_DIGITS = 16;
const HEAD = "head";

export function hasIndices(type: number): boolean {
  return type === MAP_TYPE.ARRAY || type === MAP_TYPE.PERCPU_ARRAY;
}

export function sizeOf(type: TypeLayout | undefined): number {
  if (type === undefined) return 0;
  return type.kind === "array" ? type.count * sizeOf(type.of) : type.size;
}

/** The name of a layout: 16 hexadecimal digits. */
export function layoutHash(layouts: Layouts): string {
  return createHash("sha256").update(layoutText(layouts)).digest("hex").slice(0, HASH_DIGITS);
}

/** JSON, the same for the same layouts. */
export function layoutText(layouts: Layouts): string {
  return JSON.stringify([...layouts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function layoutsFrom(text: string): Layouts {
  return new Map(JSON.parse(text) as [string, MapLayout][]);
}

/** Layouts of the named maps of a compiled object. Throws when it has no BTF or not all of the maps. */
export function layoutsOfObject(object: Buffer, names: readonly string[]): Layouts {
  const btf = new ElfObject(object).section(".BTF");
  if (btf === undefined) throw new Error("the BPF object has no BTF: compile it with -g");
  const types = new BtfTypes(btf);
  const section = types.find(BTF_KIND.DATASEC, ".maps");
  const variables =
    section === undefined ? [] : types.get(section).members.map(({ type }) => types.get(type));
  return new Map(
    names.map((name) => {
      const variable = variables.find((each) => each.name === name);
      if (variable === undefined) throw new Error(`the BPF object has no map ${name}`);
      return [name, declared(types, types.get(variable.sizeOrType))];
    }),
  );
}

/** A type as it lies in memory; names of typedefs stay, since they say what a number means (__be32). */
export function typeLayout(types: BtfTypes, id: number): TypeLayout {
  const type = types.get(id);
  switch (type.kind) {
    case BTF_KIND.TYPEDEF: {
      const named = typeLayout(types, type.sizeOrType);
      return named.kind === "number" ? { ...named, name: type.name } : named;
    }
    case BTF_KIND.CONST:
    case BTF_KIND.VOLATILE:
      return typeLayout(types, type.sizeOrType);
    case BTF_KIND.INT:
    case BTF_KIND.ENUM:
      return { kind: "number", name: type.name, size: type.sizeOrType };
    case BTF_KIND.ARRAY:
      return { kind: "array", count: type.count, of: typeLayout(types, type.element) };
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
      return {
        kind: "struct",
        size: type.sizeOrType,
        fields: type.members.flatMap((field) => fieldsOf(types, field)),
      };
    default:
      throw new Error(`a map holds '${type.name}', which is BTF kind ${type.kind}`);
  }
}

/** A head that several structs begin with is no field of its own: what stands in it is found by its names. */
function fieldsOf(types: BtfTypes, { name, offset, type: id }: BtfMember): FieldLayout[] {
  const type = typeLayout(types, id);
  if (name !== HEAD || type.kind !== "struct") return [{ name, offset, type }];
  return type.fields.map((field) => ({ ...field, offset: offset + field.offset }));
}

/** A map as libbpf's macros declare it: numbers are lengths of arrays, types are what pointers point to. */
function declared(types: BtfTypes, map: BtfType): MapLayout {
  const pointee = (name: string) => {
    const field = map.members.find((each) => each.name === name);
    return field && types.get(field.type).sizeOrType;
  };
  const number = (name: string) => {
    const id = pointee(name);
    return id === undefined ? 0 : types.get(id).count;
  };
  const [key, value] = [pointee("key"), pointee("value")];
  const type = number("type");
  const record = type === MAP_TYPE.RINGBUF ? types.find(BTF_KIND.STRUCT, RING_RECORD) : undefined;
  return {
    type,
    flags: number("map_flags"),
    ...(hasIndices(type) && { entries: number("max_entries") }),
    ...(key !== undefined && { key: typeLayout(types, key) }),
    ...(value !== undefined && { value: typeLayout(types, value) }),
    ...(record !== undefined && { value: typeLayout(types, record) }),
  };
}
