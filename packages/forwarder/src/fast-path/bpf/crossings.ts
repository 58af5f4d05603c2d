// Which interfaces packets leave by without a device's work: a veth's other end, in another network namespace,
// takes them as if they had just come in there (bpf_redirect_peer). What waits at the interface for packets
// that leave would not see them: where there is a queue or a program, they go by the device; and so they do
// unless the operator asked for it, since captures there do not see them either. docs/decisions/0570
import { libbpf } from "../../kernel/libbpf.ts";
import type { QueueDiscipline } from "../../netlink/disciplines.ts";
import type { Link } from "../../netlink/messages.ts";

const BPF_TCX_EGRESS = 47;
/** What a veth has where nobody gave it anything. */
const NO_QUEUE = "noqueue";

/** none: what leaves goes by the device; veth: a veth's other end in another network namespace gets it. */
export type HandOver = "none" | "veth";

export interface CrossingsOptions {
  readonly handOver: HandOver;
  /** All of this namespace, those of ingress and clsact among them. */
  readonly disciplines: () => readonly QueueDiscipline[];
  /** Programs that see what leaves by the interface. */
  readonly egressProgramCount: (interfaceIndex: number) => number;
}

export class Crossings {
  /** Called with an interface whose answer is another now. */
  onChange: (interfaceIndex: number) => void = () => {};
  /** Called with every answer about a veth that could be crossed, the first and those that differ. */
  onAnswer: (link: Link, may: boolean) => void = () => {};
  readonly #options: CrossingsOptions;
  readonly #known = new Map<number, { readonly link: Link; readonly may: boolean }>();

  constructor(options: CrossingsOptions) {
    this.#options = options;
  }

  may(link: Link): boolean {
    if (this.#options.handOver === "none") return false;
    if (link.kind !== "veth" || !link.isFar) {
      this.#known.delete(link.index);
      return false;
    }
    return this.#known.get(link.index)?.may ?? this.#learn(link, this.#options.disciplines());
  }

  /** Asks again. Call every second or so: nothing tells of programs that come. */
  refresh(): void {
    if (this.#known.size === 0) return;
    const disciplines = this.#options.disciplines();
    for (const [index, { link, may }] of this.#known) {
      if (this.#isBare(index, disciplines) === may) continue;
      this.#learn(link, disciplines);
      this.onChange(index);
    }
  }

  forget(interfaceIndex: number): void {
    this.#known.delete(interfaceIndex);
  }

  #learn(link: Link, disciplines: readonly QueueDiscipline[]): boolean {
    const may = this.#isBare(link.index, disciplines);
    this.#known.set(link.index, { link, may });
    this.onAnswer(link, may);
    return may;
  }

  #isBare(interfaceIndex: number, disciplines: readonly QueueDiscipline[]): boolean {
    const own = disciplines.filter((each) => each.interfaceIndex === interfaceIndex);
    return (
      own.every(({ kind }) => kind === NO_QUEUE) && this.#options.egressProgramCount(interfaceIndex) === 0
    );
  }
}

/** Of tcx; where the kernel has none there are clsact's, which disciplines tell. */
export function egressProgramCount(interfaceIndex: number): number {
  const count = Buffer.alloc(4);
  if (libbpf().programQuery(interfaceIndex, BPF_TCX_EGRESS, 0, null, null, count) !== 0) return 0;
  return count.readUInt32LE();
}
