// What is true outside the cluster: associations as their clients and endpoints know them.
import type { Address, Candidate, ServiceId, SessionId } from "@holdfast/model";

export interface Association {
  readonly name: string;
  readonly id: SessionId;
  readonly serviceId: ServiceId;
  readonly clients: readonly [Address, Address];
  readonly clientPort: number;
  readonly endpoint: Address;
  readonly endpointPort: number;
  /** The client's tag in force. */
  clientTag: number;
  /** In force since COOKIE-ACK. */
  natPort: number;
  candidate: Candidate | undefined;
  /** The INIT-ACK that the client has taken, by its candidate's key. */
  taken: { readonly clientTag: number; readonly candidate: string } | undefined;
  /**
   * `opening`: no COOKIE-ACK yet. `alive`: data flows. `ended`: somebody closed it, and the cluster saw it. `gone`: the
   * client vanished without a word, or the handshake failed.
   */
  state: "opening" | "alive" | "ended" | "gone";
  /** The member whose half of a partition its packets reach. */
  anchor: number;
  /** A member died with facts that nobody else had, as no member can help: nothing is expected of it. */
  uncertain: boolean;
  /** When and by whom a fact was written last. */
  lastFactAtMs: number;
  lastFactBy: number;
}
