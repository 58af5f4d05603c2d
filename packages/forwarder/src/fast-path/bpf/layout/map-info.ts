// What the kernel tells of a map.
import { libbpf } from "../../../kernel/libbpf.ts";

export interface MapInfo {
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly entryCountMax: number;
  readonly flags: number;
  /** Of the BTF object, 0: none; and of the types in it. */
  readonly btf: number;
  readonly keyType: number;
  readonly valueType: number;
}

/** struct bpf_map_info. */
const INFO_SIZE = 256;

export function mapInfo(fd: number): MapInfo {
  const info = Buffer.alloc(INFO_SIZE);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(INFO_SIZE);
  libbpf().infoByFd(fd, info, size);
  return {
    type: info.readUInt32LE(0),
    keySize: info.readUInt32LE(8),
    valueSize: info.readUInt32LE(12),
    entryCountMax: info.readUInt32LE(16),
    flags: info.readUInt32LE(20),
    btf: info.readUInt32LE(64),
    keyType: info.readUInt32LE(68),
    valueType: info.readUInt32LE(72),
  };
}
