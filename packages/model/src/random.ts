// Randomness is a parameter, so that a whole cluster can run from one seed.
import { randomFillSync } from "node:crypto";

export interface Random {
  /** Uniform in 0 … 2^32 - 1. */
  uint32(): number;
  /** Uniform in 0 … bound - 1; `bound` is 1 … 2^32. */
  below(bound: number): number;
  /** `length` random bytes. */
  bytes(length: number): Uint8Array;
}

function fromUint32(uint32: () => number): Random {
  return {
    uint32,
    below: (bound) => Math.floor((uint32() / 0x1_0000_0000) * bound),
    bytes(length) {
      const bytes = new Uint8Array(length);
      for (let i = 0; i < length; i++) bytes[i] = uint32() & 0xff;
      return bytes;
    },
  };
}

/** Cryptographically strong randomness of the process. */
export function systemRandom(): Random {
  const pool = new Uint32Array(1024);
  let next = pool.length;
  return fromUint32(() => {
    if (next === pool.length) {
      randomFillSync(pool);
      next = 0;
    }
    return pool[next++] as number;
  });
}

/** A repeatable generator (xoshiro128**), for tests and simulation only. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  // splitmix32 spreads a small seed over the four words.
  const word = () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  let a = word();
  let b = word();
  let c = word();
  let d = word();
  const rotate = (x: number, k: number) => ((x << k) | (x >>> (32 - k))) >>> 0;
  return fromUint32(() => {
    const result = Math.imul(rotate(Math.imul(b, 5) >>> 0, 7), 9) >>> 0;
    const t = (b << 9) >>> 0;
    c = (c ^ a) >>> 0;
    d = (d ^ b) >>> 0;
    b = (b ^ c) >>> 0;
    a = (a ^ d) >>> 0;
    c = (c ^ t) >>> 0;
    d = rotate(d, 11);
    return result;
  });
}
