// What tests of other packages may use.
export { type MemberConfiguration, networkIdOf, probeKeyOf } from "../configuration.ts";
export type { Prober } from "../coordinator.ts";
export { secretCredentials } from "../keys/credentials.ts";
export { Keyring } from "../keys/keyring.ts";
export type { Report, ThreadData } from "../probe-thread/messages.ts";
export { ProbeLoop } from "../probe-thread/probe-loop.ts";
export { decode } from "../wire/decode.ts";
export { encode, seal } from "../wire/encode.ts";
export { decodeHello } from "../wire/hello.ts";
export { KIND_HELLO, KIND_OFFSET, type Message, TAG_SIZE } from "../wire/message.ts";
