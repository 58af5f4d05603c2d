// Queueing disciplines in messages of rtnetlink.
import { attributesOf, textOf } from "./messages.ts";

/** struct tcmsg. */
const SIZE = 20;
const ATTRIBUTE_KIND = 1;

/** As `tc qdisc` shows it. */
export interface QueueDiscipline {
  readonly interfaceIndex: number;
  readonly kind: string;
}

export const disciplinesBody = (): Buffer => Buffer.alloc(SIZE);

export function disciplineOf(body: Buffer): QueueDiscipline | undefined {
  if (body.length < SIZE) return undefined;
  const kind = textOf(attributesOf(body, SIZE).get(ATTRIBUTE_KIND));
  return { interfaceIndex: body.readInt32LE(4), kind: kind ?? "" };
}
