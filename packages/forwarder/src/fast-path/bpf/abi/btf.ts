// As much of BTF as our own object's types need: structs with offsets, enums with values.
// https://docs.kernel.org/bpf/btf.html

export const BTF_MAGIC = 0xeb9f;
const HEADER_SIZE_OFFSET = 4;

export const BTF_KIND = {
  INT: 1,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
} as const;
const KIND_DECL_TAG = 17;
const KIND_ENUM64 = 19;

export interface BtfStruct {
  readonly name: string;
  readonly size: number;
  readonly members: readonly { readonly name: string; readonly offset: number }[];
}

export interface BtfEnum {
  readonly name: string;
  readonly values: readonly { readonly name: string; readonly value: number }[];
}

/** All named structs and enums of a `.BTF` section, in its order. Throws on anything that is not BTF. */
export function readBtf(bytes: Buffer): { structs: BtfStruct[]; enums: BtfEnum[] } {
  if (bytes.readUInt16LE(0) !== BTF_MAGIC) throw new Error("not BTF");
  const headerSize = bytes.readUInt32LE(HEADER_SIZE_OFFSET);
  const typesAt = headerSize + bytes.readUInt32LE(8);
  const typesEnd = typesAt + bytes.readUInt32LE(12);
  const namesAt = headerSize + bytes.readUInt32LE(16);
  const text = (offset: number) =>
    bytes.toString("latin1", namesAt + offset, bytes.indexOf(0, namesAt + offset));
  const structs: BtfStruct[] = [];
  const enums: BtfEnum[] = [];
  let at = typesAt;
  while (at < typesEnd) {
    const name = text(bytes.readUInt32LE(at));
    const info = bytes.readUInt32LE(at + 4);
    const size = bytes.readUInt32LE(at + 8);
    const count = info & 0xffff;
    const kind = (info >>> 24) & 0x1f;
    const bitfields = info >>> 31 === 1;
    at += 12;
    if (kind === BTF_KIND.STRUCT || kind === BTF_KIND.UNION) {
      const members = [];
      for (let i = 0; i < count; i++, at += 12) {
        const bits = bytes.readUInt32LE(at + 8);
        members.push({
          name: text(bytes.readUInt32LE(at)),
          offset: (bitfields ? bits & 0xffffff : bits) / 8,
        });
      }
      if (name !== "") structs.push({ name, size, members });
    } else if (kind === BTF_KIND.ENUM) {
      const values = [];
      for (let i = 0; i < count; i++, at += 8) {
        values.push({ name: text(bytes.readUInt32LE(at)), value: bytes.readInt32LE(at + 4) });
      }
      if (name !== "") enums.push({ name, values });
    } else {
      at += tailSize(kind, count);
    }
  }
  return { structs, enums };
}

/** Bytes that follow a type's first twelve. */
export function tailSize(kind: number, count: number): number {
  switch (kind) {
    case BTF_KIND.INT:
    case BTF_KIND.VAR:
    case KIND_DECL_TAG:
      return 4;
    case BTF_KIND.ARRAY:
      return 12;
    case BTF_KIND.ENUM:
    case BTF_KIND.FUNC_PROTO:
      return 8 * count;
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
    case BTF_KIND.DATASEC:
    case KIND_ENUM64:
      return 12 * count;
    default:
      return 0;
  }
}
