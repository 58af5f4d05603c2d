// What proves that a hello comes from the member that it names. The daemon's are certificates and their keys;
// this package knows none. Without any the cluster's secret stands for them: whoever has it can be anybody.
import { createHmac, timingSafeEqual } from "node:crypto";

/** Loaded by the probe thread, as the sign of life is. */
export interface CredentialsModule {
  /** `data` is what the option carried. Throws when it is unusable. */
  open(data: unknown): Credentials | Promise<Credentials>;
}

export type Proof =
  | { readonly ok: true; readonly number: number }
  /** In words, for the log. */
  | { readonly ok: false; readonly reason: string; readonly revoked: boolean };

export interface Credentials {
  /** What this member shows with every hello: its certificate. At most SHOWN_SIZE_MAX. */
  readonly shown: Uint8Array;
  /** With the key that belongs to it. At most SIGNATURE_SIZE_MAX. */
  sign(bytes: Uint8Array): Uint8Array;
  /** Whose `shown` is, when the signature over the bytes is its. Total: hostile bytes give a reason. */
  verify(shown: Uint8Array, bytes: Uint8Array, signature: Uint8Array): Proof;
  /** What is not believed any more, from now on; plain data of the daemon's. */
  revoke(list: unknown): void;
  /** Whether what was shown and believed before is still. */
  isRevoked(shown: Uint8Array): boolean;
}

export const SHOWN_SIZE_MAX = 16_384;
export const SIGNATURE_SIZE_MAX = 255;

/** Two bytes of number, and a tag that everybody with the secret can make. For tests and simulations. */
export function secretCredentials(secret: Uint8Array, number: number): Credentials {
  const shown = Uint8Array.of(number >>> 8, number & 0xff);
  const tagOf = (bytes: Uint8Array) => createHmac("sha256", secret).update(bytes).digest();
  return {
    shown,
    sign: tagOf,
    verify(theirs, bytes, signature) {
      const tag = tagOf(bytes);
      if (theirs.length !== 2 || signature.length !== tag.length || !timingSafeEqual(tag, signature))
        return { ok: false, reason: "it does not have the cluster's secret", revoked: false };
      return { ok: true, number: ((theirs[0] as number) << 8) | (theirs[1] as number) };
    },
    revoke: () => {},
    isRevoked: () => false,
  };
}
