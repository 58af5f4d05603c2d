// Which layout pinned maps have. A map beside them holds the description, as whoever pinned them wrote it:
// the BTF that the kernel keeps with each map is the same, but needs CAP_SYS_ADMIN to be read, which the
// daemon does not have. Maps without a description are asked for their BTF all the same; and of those that
// carry the number 1, as all did before there were descriptions, the layout is known.
import { join } from "node:path";
import { libbpf } from "../../../kernel/libbpf.ts";
import { errnoName, libc, putAddress } from "../../../kernel/libc.ts";
import { BTF_KIND } from "../abi/btf.ts";
import { BtfTypes } from "./btf-types.ts";
import {
  hasIndices,
  type Layouts,
  layoutsFrom,
  layoutText,
  MAP_TYPE,
  type MapLayout,
  RING_RECORD,
  sizeOf,
  typeLayout,
} from "./layout.ts";
import { LAYOUT_1 } from "./layout-1.ts";
import { type MapInfo, mapInfo } from "./map-info.ts";

export const DESCRIPTION_MAP = "hf_layout";
const BTF_INFO_SIZE = 64;

export type PinnedLayouts = { readonly layouts: Layouts } | { readonly reason: string };

/** Layouts of the maps pinned in a directory, by name. The caller keeps the file descriptors. */
export function pinnedLayouts(directory: string, maps: ReadonlyMap<string, number>): PinnedLayouts {
  const infos = new Map([...maps].map(([name, fd]) => [name, mapInfo(fd)] as const));
  const described = readDescription(directory);
  if (described !== undefined && fits(described, infos)) return { layouts: described };
  const fromKernel = kernelLayouts(infos);
  if ("layouts" in fromKernel && fits(fromKernel.layouts, infos)) return fromKernel;
  const first = layoutsFrom(LAYOUT_1);
  if (fits(first, infos)) return { layouts: first };
  return {
    reason: "reason" in fromKernel ? fromKernel.reason : "what is pinned is not what its description says",
  };
}

/** Writes the description beside maps. */
export function pinDescription(directory: string, layouts: Layouts): void {
  const text = Buffer.from(layoutText(layouts));
  const bpf = libbpf();
  const fd = bpf.mapCreate(MAP_TYPE.ARRAY, DESCRIPTION_MAP, 4, text.length, 1, null);
  if (fd < 0) throw new Error(`the map ${DESCRIPTION_MAP} cannot be made: ${errnoName(fd)}`);
  try {
    const result = bpf.update(fd, Buffer.alloc(4), text, 0) || bpf.pin(fd, join(directory, DESCRIPTION_MAP));
    if (result !== 0) throw new Error(`the map ${DESCRIPTION_MAP} cannot be pinned: ${errnoName(result)}`);
  } finally {
    libc().close(fd);
  }
}

/** As it was written beside maps; undefined: it was not. */
export function readDescription(directory: string): Layouts | undefined {
  const bpf = libbpf();
  const fd = bpf.get(join(directory, DESCRIPTION_MAP));
  if (fd < 0) return undefined;
  try {
    const text = Buffer.alloc(mapInfo(fd).valueSize);
    return bpf.lookup(fd, Buffer.alloc(4), text) === 0 ? layoutsFrom(text.toString()) : undefined;
  } catch {
    // Somebody else's map of that name.
    return undefined;
  } finally {
    libc().close(fd);
  }
}

/** Kinds and sizes, which the kernel tells everybody. */
function fits(layouts: Layouts, infos: ReadonlyMap<string, MapInfo>): boolean {
  return [...infos].every(([name, info]) => {
    const layout = layouts.get(name);
    if (layout === undefined || layout.type !== info.type || layout.flags !== info.flags) return false;
    if (layout.type === MAP_TYPE.RINGBUF) return true;
    return (
      sizeOf(layout.key) === info.keySize &&
      sizeOf(layout.value) === info.valueSize &&
      (layout.entries === undefined || layout.entries === info.entryCountMax)
    );
  });
}

function kernelLayouts(infos: ReadonlyMap<string, MapInfo>): PinnedLayouts {
  const layouts = new Map<string, MapLayout>();
  const known = new Map<number, BtfTypes>();
  for (const [name, info] of infos) {
    const { type, flags, btf, keyType, valueType, entryCountMax } = info;
    const map = { type, flags, ...(hasIndices(type) && { entries: entryCountMax }) };
    if (type === MAP_TYPE.RINGBUF) layouts.set(name, map);
    else if (btf === 0) return { reason: `${name} has no BTF` };
    else {
      const types = known.get(btf) ?? kernelTypes(btf);
      if (typeof types === "string")
        return { reason: `${name} has no description, and its BTF is not for us: ${types}` };
      known.set(btf, types);
      layouts.set(name, { ...map, key: typeLayout(types, keyType), value: typeLayout(types, valueType) });
    }
  }
  // A ring has no types of its own: those of its object have its records' head.
  const [types] = known.values();
  const record = types?.find(BTF_KIND.STRUCT, RING_RECORD);
  if (types !== undefined && record !== undefined)
    for (const [name, map] of layouts)
      if (map.type === MAP_TYPE.RINGBUF) layouts.set(name, { ...map, value: typeLayout(types, record) });
  return { layouts };
}

/** A BTF object of the kernel; why not, where it refuses. */
function kernelTypes(id: number): BtfTypes | string {
  const bpf = libbpf();
  const fd = bpf.btfById(id);
  if (fd < 0) return errnoName(fd);
  try {
    // Asked without room, it says how much there is: struct bpf_btf_info { btf, btf_size, … }.
    const info = Buffer.alloc(BTF_INFO_SIZE);
    const size = Buffer.alloc(4);
    size.writeUInt32LE(BTF_INFO_SIZE);
    const asked = bpf.infoByFd(fd, info, size);
    if (asked !== 0) return errnoName(asked);
    const bytes = Buffer.alloc(info.readUInt32LE(8));
    info.fill(0);
    putAddress(info, 0, bytes);
    info.writeUInt32LE(bytes.length, 8);
    const read = bpf.infoByFd(fd, info, size);
    return read === 0 ? new BtfTypes(bytes) : errnoName(read);
  } finally {
    libc().close(fd);
  }
}
