// All types of a BTF section, by id: an object's own, or what the kernel keeps with a map.
// https://docs.kernel.org/bpf/btf.html
import { BTF_KIND, BTF_MAGIC, tailSize } from "../abi/btf.ts";

export interface BtfMember {
  readonly name: string;
  readonly type: number;
  /** Bytes. */
  readonly offset: number;
}

export interface BtfType {
  readonly kind: number;
  readonly name: string;
  /** Bytes, or the id of the type that this one names, points to or qualifies. */
  readonly sizeOrType: number;
  /** Of structs and unions; of sections the variables, without names. */
  readonly members: readonly BtfMember[];
  /** Of arrays. */
  readonly element: number;
  readonly count: number;
}

const HEADER_SIZE_OFFSET = 4;
const NO_MEMBERS: readonly BtfMember[] = [];

export class BtfTypes {
  /** By id; 0 is void. */
  readonly #types: BtfType[] = [
    { kind: 0, name: "void", sizeOrType: 0, members: NO_MEMBERS, element: 0, count: 0 },
  ];

  /** Throws on anything that is not BTF, or has bit fields. */
  constructor(bytes: Buffer) {
    if (bytes.length < 24 || bytes.readUInt16LE(0) !== BTF_MAGIC) throw new Error("not BTF");
    const headerSize = bytes.readUInt32LE(HEADER_SIZE_OFFSET);
    const typesEnd = headerSize + bytes.readUInt32LE(8) + bytes.readUInt32LE(12);
    const namesAt = headerSize + bytes.readUInt32LE(16);
    const text = (offset: number) =>
      bytes.toString("latin1", namesAt + offset, bytes.indexOf(0, namesAt + offset));
    for (let at = headerSize + bytes.readUInt32LE(8); at < typesEnd; ) {
      const info = bytes.readUInt32LE(at + 4);
      const kind = (info >>> 24) & 0x1f;
      const count = info & 0xffff;
      const tailAt = at + 12;
      const isArray = kind === BTF_KIND.ARRAY;
      this.#types.push({
        kind,
        name: text(bytes.readUInt32LE(at)),
        sizeOrType: bytes.readUInt32LE(at + 8),
        members: membersOf(bytes, kind, count, tailAt, info >>> 31 === 1, text),
        element: isArray ? bytes.readUInt32LE(tailAt) : 0,
        count: isArray ? bytes.readUInt32LE(tailAt + 8) : 0,
      });
      at = tailAt + tailSize(kind, count);
    }
  }

  get(id: number): BtfType {
    const type = this.#types[id];
    if (type === undefined) throw new Error(`BTF has no type ${id}`);
    return type;
  }

  /** The id of a named type; undefined: there is none. */
  find(kind: number, name: string): number | undefined {
    const id = this.#types.findIndex((type) => type.kind === kind && type.name === name);
    return id < 0 ? undefined : id;
  }
}

function membersOf(
  bytes: Buffer,
  kind: number,
  count: number,
  tailAt: number,
  hasBitFields: boolean,
  text: (offset: number) => string,
): readonly BtfMember[] {
  if (kind === BTF_KIND.DATASEC)
    return Array.from({ length: count }, (_, i) => ({
      name: "",
      type: bytes.readUInt32LE(tailAt + 12 * i),
      offset: bytes.readUInt32LE(tailAt + 12 * i + 4),
    }));
  if (kind !== BTF_KIND.STRUCT && kind !== BTF_KIND.UNION) return NO_MEMBERS;
  return Array.from({ length: count }, (_, i) => {
    const at = tailAt + 12 * i;
    const bits = bytes.readUInt32LE(at + 8);
    return {
      name: text(bytes.readUInt32LE(at)),
      type: bytes.readUInt32LE(at + 4),
      offset: (hasBitFields ? bits & 0xffffff : bits) / 8,
    };
  });
}
