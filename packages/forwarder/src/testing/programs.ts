// The compiled programs themselves: their object, their maps, runs without an interface.

export { ElfObject } from "../fast-path/bpf/abi/elf.ts";
export { DROP_REASON, EVENT, RODATA } from "../fast-path/bpf/abi.ts";
export { CounterMap } from "../fast-path/bpf/counters.ts";
export { loadDataPlane } from "../fast-path/bpf/data-plane.ts";
export { dropName, eventName } from "../fast-path/bpf/names.ts";
export { fillTables } from "../fast-path/bpf/powers.ts";
export { type TestProgram, TestRunner } from "../fast-path/bpf/test-run.ts";
export { SharedPlanes } from "../fast-path/compliance/shared-planes.ts";
export { libbpf, options, withLibbpfLog } from "../kernel/libbpf.ts";
export { ERRNO, errnoName, libc, type Pointer, putAddress, setOption } from "../kernel/libc.ts";
export { viewOf } from "../kernel/memory.ts";
export * from "./other-layout.ts";
