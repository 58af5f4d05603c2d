// Which member the page asks: the one that served it while it answers, then the others that it knows of. Pure.

/** A failure moves on at once; the same member is tried again when all were. */
export class MemberChoice {
  readonly #home: string;
  #known: readonly string[];
  #at = 0;

  constructor(home: string) {
    this.#home = home;
    this.#known = [home];
  }

  /** The origin to ask; "" for the page's own. */
  get current(): string {
    return this.#known[this.#at] ?? this.#home;
  }

  get count(): number {
    return this.#known.length;
  }

  /** Origins that members told; those of members that are gone stay, they may come back. */
  learn(origins: readonly string[]): void {
    const current = this.current;
    this.#known = [...new Set([this.#home, ...this.#known, ...origins])].slice(0, 64);
    this.#at = Math.max(0, this.#known.indexOf(current));
  }

  /** It did not answer. true: all were tried once since one answered last. */
  failed(origin: string): boolean {
    if (origin !== this.current) return false;
    this.#at = (this.#at + 1) % this.#known.length;
    return this.#at === 0;
  }
}
