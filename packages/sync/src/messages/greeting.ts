// What two members say before anything else on a new connection. Its layout is fixed for all versions to
// come: a member must be able to tell an older or newer one why it is refused.
//
//   greeting  kind 1 | "HFST" | versionLowest | versionHighest | cluster | name | number | numberCount |
//   instance(16)
//             fields (fields.ts): 1 capabilities | 2 list: version | the receiver's number
//   accepted  kind 2
//   refused   kind 3 | reason (stable word) | explanation
import { MEMBER_NUMBER_COUNT_MAX } from "@holdfast/model";
import { MessageReader, MessageWriter } from "./bytes.ts";
import { readCapabilities, writeCapabilities } from "./capabilities.ts";
import { readFields, writeFields } from "./fields.ts";

/** Version of the peer messages. Raised when an older member could not understand a newer one. */
export const PROTOCOL_VERSION = 2;
/** The oldest version that this member still speaks. */
export const PROTOCOL_VERSION_LOWEST = 2;
const VERSION_MAX = 65_535;

const LINK_KIND = { greeting: 1, accepted: 2, refused: 3 } as const;
const MAGIC = new Uint8Array([0x48, 0x46, 0x53, 0x54]);
const NAME_TEXT_MAX = 63;
const INSTANCE_BYTES = 16;
const REASON_TEXT_MAX = 64;
const EXPLANATION_TEXT_MAX = 512;
const CAPABILITIES_FIELD = 1;
const LIST_FIELD = 2;
/** A link message longer than this is none. */
export const LINK_MESSAGE_BYTES_MAX = 1_024;

export interface Greeting {
  readonly versionLowest: number;
  readonly versionHighest: number;
  readonly clusterId: string;
  readonly memberName: string;
  readonly memberNumber: number;
  /** How many member numbers the cluster has room for: slots differ when it differs. */
  readonly memberNumberCount: number;
  /**
   * Random, new at every start of the daemon: tells a restarted member from a second one with the same
   * number.
   */
  readonly instance: Uint8Array;
  /**
   * Names of what it offers beyond the version (capabilities.ts); absent: it is older than they are, and
   * offers none.
   */
  readonly capabilities?: readonly string[];
  /**
   * Said to whom it dials by name only: the version of its list of members, which was changed at run time,
   * and the number that the receiver has on it. Absent: it has no such list, or is older than this field.
   */
  readonly list?: { readonly version: number; readonly memberNumber: number };
}

export type LinkMessage =
  | { readonly kind: "greeting"; readonly greeting: Greeting }
  | { readonly kind: "accepted" }
  | { readonly kind: "refused"; readonly reason: string; readonly explanation: string };

export function encodeLinkMessage(message: LinkMessage): Uint8Array {
  const writer = new MessageWriter(192).byte(LINK_KIND[message.kind]);
  if (message.kind === "greeting") {
    const { greeting } = message;
    writer
      .raw(MAGIC)
      .varint(greeting.versionLowest)
      .varint(greeting.versionHighest)
      .text(greeting.clusterId)
      .text(greeting.memberName)
      .varint(greeting.memberNumber)
      .varint(greeting.memberNumberCount)
      .raw(greeting.instance);
    writeFields(writer, fieldsOf(greeting));
  } else if (message.kind === "refused") {
    writer.text(message.reason.slice(0, REASON_TEXT_MAX)).text(message.explanation.slice(0, 256));
  }
  return writer.finish();
}

/** Undefined when it is not one of the three. Fields that are not known belong to later versions. */
export function decodeLinkMessage(bytes: Uint8Array): LinkMessage | undefined {
  if (bytes.length > LINK_MESSAGE_BYTES_MAX) return undefined;
  const reader = new MessageReader(bytes);
  const kind = reader.byte();
  let message: LinkMessage;
  if (kind === LINK_KIND.greeting) {
    const magic = reader.raw(MAGIC.length);
    if (!magic.every((byte, i) => byte === MAGIC[i])) return undefined;
    const known = {
      versionLowest: reader.varint(VERSION_MAX),
      versionHighest: reader.varint(VERSION_MAX),
      clusterId: reader.text(NAME_TEXT_MAX),
      memberName: reader.text(NAME_TEXT_MAX),
      memberNumber: reader.varint(MEMBER_NUMBER_COUNT_MAX - 1),
      memberNumberCount: reader.varint(MEMBER_NUMBER_COUNT_MAX),
      instance: reader.raw(INSTANCE_BYTES),
    };
    const fields = readFields(reader);
    const offered = fields.get(CAPABILITIES_FIELD);
    const capabilities = offered === undefined ? undefined : capabilitiesOf(offered, reader);
    const said = fields.get(LIST_FIELD);
    const list = said === undefined ? undefined : listOf(said, reader);
    message = {
      kind: "greeting",
      greeting: {
        ...known,
        ...(capabilities !== undefined && { capabilities }),
        ...(list !== undefined && { list }),
      },
    };
  } else if (kind === LINK_KIND.accepted) message = { kind: "accepted" };
  else if (kind === LINK_KIND.refused)
    message = {
      kind: "refused",
      reason: reader.text(REASON_TEXT_MAX),
      explanation: reader.text(EXPLANATION_TEXT_MAX),
    };
  else return undefined;
  return reader.failure === undefined ? message : undefined;
}

function fieldsOf({ capabilities, list }: Greeting): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  if (capabilities !== undefined) {
    const names = new MessageWriter(64);
    writeCapabilities(names, capabilities);
    fields.set(CAPABILITIES_FIELD, names.finish());
  }
  if (list !== undefined)
    fields.set(LIST_FIELD, new MessageWriter(16).varint(list.version).varint(list.memberNumber).finish());
  return fields;
}

/** Behind it there may be what later versions say of their lists. */
function listOf(bytes: Uint8Array, greeting: MessageReader): NonNullable<Greeting["list"]> {
  const reader = new MessageReader(bytes);
  const list = { version: reader.varint(), memberNumber: reader.varint(MEMBER_NUMBER_COUNT_MAX - 1) };
  if (reader.failure !== undefined) greeting.fail(reader.failure);
  return list;
}

function capabilitiesOf(bytes: Uint8Array, greeting: MessageReader): string[] {
  const reader = new MessageReader(bytes);
  const names = readCapabilities(reader);
  if (!reader.finished) greeting.fail(reader.failure ?? "capability-malformed");
  return names;
}
