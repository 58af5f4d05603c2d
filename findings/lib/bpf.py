"""bpf.py NAMESPACE: what follows a device that is moved to NAMESPACE and back; by the system call itself, without a library."""
import ctypes, os, struct, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
PROG_LOAD, MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, PROG_QUERY, LINK_CREATE = 5, 0, 1, 2, 16, 28
SCHED_CLS, XDP = 3, 6
DEVMAP, DEVMAP_HASH = 14, 25
AT_XDP, AT_TCX_INGRESS, AT_TCX_EGRESS = 37, 46, 47

def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 152)
    result = libc.syscall(321, command, buffer, 152)
    return (result if result >= 0 else -ctypes.get_errno()), buffer.raw

def must(command, attributes):
    result, _ = bpf(command, attributes)
    if result < 0:
        sys.exit(f"bpf({command}): {os.strerror(-result)}")
    return result

def program(kind, at, value, flags=0):
    """r0 = value; exit"""
    code = ctypes.create_string_buffer(struct.pack("<BBhiBBhi", 0xb7, 0, 0, value, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"GPL")
    head = struct.pack("<IIQQ", kind, 2, ctypes.addressof(code), ctypes.addressof(licence))
    return must(PROG_LOAD, head + bytes(20) + struct.pack("<I", flags) + bytes(16) + struct.pack("<II", 0, at))

def attach(at, index, loaded):
    return must(LINK_CREATE, struct.pack("<IIII", loaded, index, at, 0))

def attached(at, index):
    """How many programs there are, asked in the namespace that this process is in."""
    result, raw = bpf(PROG_QUERY, struct.pack("<IIIIQI", index, at, 0, 0, 0, 0))
    return struct.unpack("<I", raw[24:28])[0] if result >= 0 else 0

def devmap(kind, index):
    made = must(MAP_CREATE, struct.pack("<IIII", kind, 4, 4, 4))
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(struct.pack("<I", index), 4)
    must(MAP_UPDATE, struct.pack("<IIQQQ", made, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
    return made

def entry(made):
    key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(4)
    result, _ = bpf(MAP_LOOKUP, struct.pack("<IIQQQ", made, 0, ctypes.addressof(key), ctypes.addressof(value), 0))
    return result >= 0

def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout

def enter(descriptor):
    if libc.setns(descriptor, 0x40000000) != 0:
        sys.exit("setns")

def main(other):
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    away = os.open(f"/run/netns/{other}", os.O_RDONLY)
    device = "moved0"
    index = int(run("ip", "-o", "link", "show", device).split(":")[0])
    links = [attach(at, index, program(kind, at, value)) for kind, at, value in (
        (XDP, AT_XDP, 2), (SCHED_CLS, AT_TCX_INGRESS, -1), (SCHED_CLS, AT_TCX_EGRESS, -1))]
    run("tc", "qdisc", "add", "dev", device, "clsact")
    maps = {"devmap": devmap(DEVMAP, index), "devmap_hash": devmap(DEVMAP_HASH, index)}

    def tell(where):
        has = {
            "index": run("ip", "-o", "link", "show", device).startswith(f"{index}:"),
            "xdp": "xdp" in run("ip", "link", "show", device),
            "tcx": attached(AT_TCX_INGRESS, index) == 1 and attached(AT_TCX_EGRESS, index) == 1,
            "clsact": "clsact" in run("tc", "qdisc", "show", "dev", device),
            **{name: entry(made) for name, made in maps.items()},
        }
        print(f"{where}:", " ".join(f"{name}={'yes' if there else 'no'}" for name, there in has.items()), flush=True)

    tell("before")
    run("ip", "link", "set", device, "netns", other)
    enter(away)
    tell("there")
    with open("/run/netns/" + sys.argv[2]) as back:
        run("ip", "link", "set", device, "netns", sys.argv[2])
        enter(back.fileno())
    run("ip", "link", "set", device, "up")
    tell("back")
    del links, home

if __name__ == "__main__":
    main(sys.argv[1])
