// Real fast paths on real interfaces: what opens them, and the world of the compliance suite.
export {
  type BpfFastPath,
  type BpfFastPathOptions,
  openBpfFastPath,
} from "../fast-path/bpf/bpf-fast-path.ts";
export { tcxProgramIds } from "../fast-path/bpf/links.ts";
export { BPF_OBJECT_FILE } from "../fast-path/bpf/object-file.ts";
export * from "../fast-path/compliance/lab.ts";
export * from "../fast-path/compliance/rig.ts";
export * from "../fast-path/compliance/world.ts";
export { openFastPath } from "../fast-path/open.ts";
export type { FastPath, Flow } from "../fast-path/port.ts";
export { interfaceFacts } from "../fast-path/userspace/interface.ts";
export { openUserspaceFastPath } from "../fast-path/userspace/userspace-fast-path.ts";
export { RawProbeChannel } from "../health/raw-probe-channel.ts";
