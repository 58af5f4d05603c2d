// Incarnations below a member's floor are retired: nobody takes their changes any more. Floors only rise.
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Floors {
  readonly #counters = new Map<number, number>();

  of(member: number): number {
    return this.#counters.get(member) ?? 0;
  }

  retires(member: number, counter: number): boolean {
    return counter < this.of(member);
  }

  /** false: it was as high before. */
  raise(member: number, counter: number): boolean {
    if (counter <= this.of(member)) return false;
    this.#counters.set(member, counter);
    return true;
  }

  all(): [number, number][] {
    return [...this.#counters].sort(([a], [b]) => a - b);
  }

  encode(): Uint8Array {
    return encoder.encode(JSON.stringify(this.all()));
  }

  /** From the store; anything else than floors is left out. */
  load(value: Uint8Array | undefined): void {
    try {
      const all: unknown = JSON.parse(decoder.decode(value ?? encoder.encode("[]")));
      if (!Array.isArray(all)) return;
      for (const entry of all) {
        if (!Array.isArray(entry)) continue;
        const [member, counter] = entry;
        if (Number.isSafeInteger(member) && Number.isSafeInteger(counter)) this.raise(member, counter);
      }
    } catch {
      // Damaged: the peers know the floors too.
    }
  }
}
