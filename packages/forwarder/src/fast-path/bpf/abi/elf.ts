// As much of ELF64 (little-endian) as a BPF object needs: sections by name, symbols by name.

const SECTION_HEADER_SIZE = 64;
const SYMBOL_SIZE = 24;
const SYMBOL_FUNCTION = 2;
const RELOCATION_SIZE = 16;

export interface ElfSymbol {
  readonly name: string;
  readonly sectionIndex: number;
  readonly isFunction: boolean;
  /** Offset in its section. */
  readonly value: number;
  readonly size: number;
}

export class ElfObject {
  readonly #bytes: Buffer;
  readonly #sections: { readonly name: string; readonly offset: number; readonly size: number }[] = [];

  /** Throws when the bytes are not an ELF object; it is our own build's output. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46) throw new Error("not an ELF object");
    const at = Number(bytes.readBigUInt64LE(0x28));
    const count = bytes.readUInt16LE(0x3c);
    const namesIndex = bytes.readUInt16LE(0x3e);
    const header = (index: number) => {
      const start = at + index * SECTION_HEADER_SIZE;
      return {
        name: bytes.readUInt32LE(start),
        offset: Number(bytes.readBigUInt64LE(start + 0x18)),
        size: Number(bytes.readBigUInt64LE(start + 0x20)),
      };
    };
    const names = header(namesIndex).offset;
    for (let i = 0; i < count; i++) {
      const { name, offset, size } = header(i);
      this.#sections.push({ name: this.#text(names + name), offset, size });
    }
  }

  section(name: string): Buffer | undefined {
    const section = this.#sections.find((candidate) => candidate.name === name);
    return section && this.#bytes.subarray(section.offset, section.offset + section.size);
  }

  sectionName(index: number): string | undefined {
    return this.#sections[index]?.name;
  }

  symbols(): ElfSymbol[] {
    const table = this.section(".symtab");
    const names = this.#sections.find((section) => section.name === ".strtab");
    if (table === undefined || names === undefined) return [];
    const symbols: ElfSymbol[] = [];
    for (let i = 0; i + SYMBOL_SIZE <= table.length; i += SYMBOL_SIZE) {
      symbols.push({
        name: this.#text(names.offset + table.readUInt32LE(i)),
        isFunction: ((table[i + 4] as number) & 15) === SYMBOL_FUNCTION,
        sectionIndex: table.readUInt16LE(i + 6),
        value: Number(table.readBigUInt64LE(i + 8)),
        size: Number(table.readBigUInt64LE(i + 16)),
      });
    }
    return symbols;
  }

  /** Names of the symbols that places of a section refer to, by the place's offset. */
  relocations(section: string): Map<number, string> {
    const table = this.section(`.rel${section}`);
    const symbols = this.symbols();
    const found = new Map<number, string>();
    for (let i = 0; table !== undefined && i + RELOCATION_SIZE <= table.length; i += RELOCATION_SIZE) {
      const name = symbols[table.readUInt32LE(i + 12)]?.name;
      if (name !== undefined) found.set(Number(table.readBigUInt64LE(i)), name);
    }
    return found;
  }

  #text(offset: number): string {
    return this.#bytes.toString("latin1", offset, this.#bytes.indexOf(0, offset));
  }
}
