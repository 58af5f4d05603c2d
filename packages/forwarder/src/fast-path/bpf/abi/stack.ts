// How much stack the programs need by the verifier's count: the loader's machine may have a younger kernel, which counts
// more kindly, and a chain of calls that is too long shows only where the object is refused.
import type { ElfObject } from "./elf.ts";

/** MAX_BPF_STACK, and MAX_CALL_FRAMES. */
export const STACK_BYTES_MAX = 512;
export const FRAME_COUNT_MAX = 8;
/** What a frame is rounded up to before Linux 6.9; since then it is 16 where programs are compiled. */
const FRAME_ALIGNMENT = 32;

const INSTRUCTION_SIZE = 8;
const FRAME_POINTER = 10;
const CLASS_MASK = 7;
/** Loads and stores with a register for the address. */
const MEMORY_CLASSES: ReadonlySet<number> = new Set([1, 2, 3]);
const MOVE_REGISTER = 0xbf;
const ADD_CONSTANT = 0x07;
const CALL = 0x85;
const CALL_OF_OURS = 1;

export interface StackUse {
  /** The functions of the most expensive chain, the program first. */
  readonly chain: readonly string[];
  readonly bytes: number;
}

interface Frame {
  readonly bytes: number;
  readonly calls: readonly string[];
}

/** By program: what its most expensive chain of calls takes, and what its longest does. */
export function stackUse(object: ElfObject, program: string): { deepest: StackUse; longest: StackUse } {
  const frames = framesOf(object);
  const chains = chainsFrom(program, frames);
  const first = (by: (use: StackUse) => number) =>
    chains.reduce((best, each) => (by(each) > by(best) ? each : best));
  return { deepest: first(({ bytes }) => bytes), longest: first(({ chain }) => chain.length) };
}

function chainsFrom(name: string, frames: ReadonlyMap<string, Frame>): StackUse[] {
  const frame = frames.get(name);
  if (frame === undefined) throw new Error(`the object has no function ${name}`);
  const bytes = Math.ceil(Math.max(frame.bytes, 1) / FRAME_ALIGNMENT) * FRAME_ALIGNMENT;
  // The verifier refuses recursion, and so there is none.
  const deeper = frame.calls.flatMap((callee) => chainsFrom(callee, frames));
  return [
    { chain: [name], bytes },
    ...deeper.map((use) => ({ chain: [name, ...use.chain], bytes: bytes + use.bytes })),
  ];
}

function framesOf(object: ElfObject): Map<string, Frame> {
  const functions = object.symbols().filter(({ isFunction }) => isFunction);
  const frames = new Map<string, Frame>();
  for (const each of functions) {
    const section = object.sectionName(each.sectionIndex) ?? "";
    const code = object.section(section)?.subarray(each.value, each.value + each.size);
    if (code === undefined) continue;
    const relocations = object.relocations(section);
    const calls = new Set<string>();
    for (let at = 0; at < code.length; at += INSTRUCTION_SIZE) {
      if (code[at] !== CALL || (code[at + 1] as number) >> 4 !== CALL_OF_OURS) continue;
      const target = each.value + at + (code.readInt32LE(at + 4) + 1) * INSTRUCTION_SIZE;
      const callee =
        relocations.get(each.value + at) ??
        functions.find(({ sectionIndex, value }) => sectionIndex === each.sectionIndex && value === target)
          ?.name;
      // Functions of the kernel take none of this stack.
      if (callee !== undefined && functions.some(({ name }) => name === callee)) calls.add(callee);
    }
    frames.set(each.name, { bytes: frameBytes(code), calls: [...calls] });
  }
  return frames;
}

/** The lowest place below the frame pointer that is read, written or pointed to. */
function frameBytes(code: Buffer): number {
  let lowest = 0;
  /** Registers that hold the frame pointer itself, until something is added. */
  const copies = new Set<number>();
  for (let at = 0; at < code.length; at += INSTRUCTION_SIZE) {
    const operation = code[at] as number;
    const [destination, source] = [(code[at + 1] as number) & 15, (code[at + 1] as number) >> 4];
    const kind = operation & CLASS_MASK;
    if (operation === MOVE_REGISTER && source === FRAME_POINTER) copies.add(destination);
    else if (operation === ADD_CONSTANT && copies.delete(destination))
      lowest = Math.min(lowest, code.readInt32LE(at + 4));
    else if (MEMORY_CLASSES.has(kind) && (kind === 1 ? source : destination) === FRAME_POINTER)
      lowest = Math.min(lowest, code.readInt16LE(at + 2));
  }
  return -lowest;
}
