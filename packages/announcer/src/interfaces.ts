// Interfaces as the announcer needs them; the daemon watches the kernel and tells.

export interface AnnouncerInterface {
  readonly name: string;
  readonly index: number;
  /** 6 bytes. */
  readonly mac: Uint8Array;
  readonly carrier: boolean;
}

export interface InterfacePort {
  /** The segments on which VIPs are announced. */
  list(): readonly AnnouncerInterface[];
  /** Calls `listener` after every change of `list()`; the result ends that. */
  onChange(listener: () => void): () => void;
}
