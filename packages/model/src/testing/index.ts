// What tests of every package share.

export { ERROR_CATALOGUE, type ErrorEntry } from "../errors.ts";
export { ManualClock } from "./manual-clock.ts";
