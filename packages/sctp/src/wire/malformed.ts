// Why bytes were refused. Decoding is total: every parser returns its value or one of these, and never
// throws.

/** Stable names; metrics and traces carry them, so a name is never reused for something else. */
export type MalformedReason =
  | "packet-too-short"
  | "packet-too-long"
  | "port-zero"
  | "no-chunk"
  | "chunk-header-truncated"
  | "chunk-too-short"
  | "chunk-overrun"
  | "parameter-header-truncated"
  | "parameter-too-short"
  | "parameter-overrun"
  | "parameter-length"
  | "cause-header-truncated"
  | "cause-too-short"
  | "cause-overrun"
  | "chunk-not-alone"
  | "chunk-not-first"
  | "init-tag"
  | "initiate-tag-zero"
  | "fixed-part-truncated"
  | "ip-too-short"
  | "ip-version"
  | "ip-header-length"
  | "ip-total-length"
  | "ip-extension-count"
  | "ip-extension-truncated";

/** A refusal: the reason and the byte offset (from the start of the buffer) at which it was found. */
export interface Malformed {
  readonly malformed: MalformedReason;
  readonly offset: number;
}

export function malformed(reason: MalformedReason, offset: number): Malformed {
  return { malformed: reason, offset };
}

export function isMalformed(value: object): value is Malformed {
  return "malformed" in value;
}
