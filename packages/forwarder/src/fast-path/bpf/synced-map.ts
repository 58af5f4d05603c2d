// A map of the kernel of which only differences are written.
import { libbpf } from "../../kernel/libbpf.ts";
import { errnoName } from "../../kernel/libc.ts";

/** A hash map whose whole contents are given each time. Keys are Latin-1 strings of their bytes. */
export class SyncedMap {
  readonly #fd: number;
  #contents = new Map<string, Buffer>();

  constructor(fd: number, keySize: number) {
    this.#fd = fd;
    // What an earlier daemon left is known, so that it goes when it is not wanted.
    const none = Buffer.alloc(0);
    let key: Buffer | null = null;
    for (;;) {
      const next = Buffer.alloc(keySize);
      if (libbpf().nextKey(fd, key, next) !== 0) break;
      this.#contents.set(next.toString("latin1"), none);
      key = next;
    }
  }

  set(wanted: Map<string, Buffer>): void {
    for (const [key, value] of wanted) {
      if (this.#contents.get(key)?.equals(value)) continue;
      const result = libbpf().update(this.#fd, Buffer.from(key, "latin1"), value, 0);
      if (result !== 0) throw new Error(`writing the table of VIPs failed with ${errnoName(result)}`);
    }
    for (const key of this.#contents.keys()) {
      if (!wanted.has(key)) libbpf().remove(this.#fd, Buffer.from(key, "latin1"));
    }
    this.#contents = wanted;
  }
}
