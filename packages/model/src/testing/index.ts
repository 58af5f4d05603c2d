// What tests of every package share.
export { ManualClock } from "./manual-clock.ts";
