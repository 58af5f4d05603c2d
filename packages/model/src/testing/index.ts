// What tests of every package share.

export { ERROR_CATALOGUE, type ErrorEntry } from "../errors.ts";
export { type Answered, answeredDelta, establishedDelta } from "./handshake.ts";
export { ManualClock } from "./manual-clock.ts";
