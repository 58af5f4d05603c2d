// What BIRD says of its sessions: the output of `show protocols all` and `show bfd sessions`. Pure.
import type { SessionState } from "../../announcer.ts";
import type { SpeakerSession } from "../speaker.ts";
import { NAME_PREFIX } from "./file.ts";

const SESSION_STATES: readonly string[] = [
  "Idle",
  "Connect",
  "Active",
  "OpenSent",
  "OpenConfirm",
  "Established",
  "Passive",
  "Down",
] satisfies readonly SessionState[];

export interface ProtocolStatus {
  /** BIRD's name of the protocol. */
  readonly name: string;
  readonly session: SessionState;
  readonly info: string;
  readonly neighbour: string | undefined;
}

const HEADER = new RegExp(
  `^(${NAME_PREFIX}(?:router|found)_\\w+)\\s+BGP\\s+\\S+\\s+(\\S+)\\s+\\S+(?: [\\d:.]+)?\\s*(.*)$`,
);

export function parseProtocols(lines: readonly string[]): ProtocolStatus[] {
  const found: { name: string; info: string; detail: string[] }[] = [];
  let own = false;
  for (const line of lines) {
    const header = HEADER.exec(line);
    if (header !== null) {
      own = true;
      found.push({
        name: header[1] as string,
        info: (header[3] ?? "").trim(),
        detail: [],
      });
    } else if (/^\S/.test(line)) own = false;
    else if (own) found.at(-1)?.detail.push(line.trim());
  }
  return found.map(({ detail, info, ...rest }) => {
    const field = (name: string) =>
      detail
        .find((line) => line.startsWith(`${name}:`))
        ?.slice(name.length + 1)
        .trim();
    const session = field("BGP state") ?? info.split(/\s+/)[0] ?? "";
    return {
      name: rest.name,
      session: (SESSION_STATES.includes(session) ? session : "Down") as SessionState,
      info: session === "Established" ? "" : info.replace(/^\S+\s*/, "") || (field("Last error") ?? ""),
      neighbour: field("Neighbor address"),
    };
  });
}

/** Neighbour's address → state of its BFD session. */
export function parseBfd(lines: readonly string[]): Map<string, NonNullable<SpeakerSession["bfd"]>> {
  const states = new Map<string, NonNullable<SpeakerSession["bfd"]>>();
  for (const line of lines) {
    const match = /^(\S+)\s+\S+\s+(Up|Down|Init|AdminDown)\s/.exec(line);
    if (match !== null) states.set(match[1] as string, match[2] as NonNullable<SpeakerSession["bfd"]>);
  }
  return states;
}
