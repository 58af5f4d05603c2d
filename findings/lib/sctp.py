"""sctp.py send FROM TO PORT PORT TAG CHUNK[,CHUNK...] [wrong]: one SCTP packet by a raw socket, its checksum right or wrong.
sctp.py send-udp FROM TO PORT PORT [wrong]: a datagram. sctp.py hear: source, ports and checksum of what comes, a line each."""
import socket, struct, sys, threading

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff

def internet_sum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff

def chunk(kind, flags, value):
    return struct.pack("!BBH", kind, flags, 4 + len(value)) + value + bytes(-len(value) % 4)

def named(name):
    """INIT:7 and INIT-ACK:7 carry the tag 7."""
    name, _, tag = name.partition(":")
    handshake = struct.pack("!IIHHI", int(tag or 0), 65536, 10, 10, 1)
    cookie = b"cookie!!"
    return {
        "INIT": lambda: chunk(1, 0, handshake),
        "INIT-ACK": lambda: chunk(2, 0, handshake + struct.pack("!HH", 7, 12) + cookie),
        "COOKIE-ECHO": lambda: chunk(10, 0, cookie),
        "COOKIE-ACK": lambda: chunk(11, 0, b""),
        "DATA": lambda: chunk(0, 3, struct.pack("!IHHI", 1, 0, 0, 0) + b"data"),
        "SACK": lambda: chunk(3, 0, struct.pack("!IIHH", 1, 65536, 0, 0)),
        "HEARTBEAT": lambda: chunk(4, 0, struct.pack("!HH", 1, 8) + b"beat"),
    }[name]()

def sctp_packet(ports, tag, chunks, wrong):
    head = struct.pack("!HHI", *ports, tag)
    body = b"".join(map(named, chunks))
    return head + struct.pack("<I", crc32c(head + bytes(4) + body) ^ wrong) + body

def udp_sum(source, target, packet):
    return internet_sum(socket.inet_aton(source) + socket.inet_aton(target) + struct.pack("!HH", 17, len(packet)) + packet)

def udp_packet(source, target, ports, wrong):
    head = struct.pack("!HHH", *ports, 12)
    return head + struct.pack("!H", udp_sum(source, target, head + b"\0\0data") ^ wrong) + b"data"

def send(protocol, source, target, packet):
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    raw.bind((source, 0))
    raw.sendto(packet, (target, 0))

def hear(protocol, name):
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
    print("hears", name, flush=True)
    while True:
        packet = raw.recv(65536)
        source, target = socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])
        packet = packet[(packet[0] & 15) * 4:]
        if protocol == 132:
            right = struct.unpack("<I", packet[8:12])[0] == crc32c(packet[:8] + bytes(4) + packet[12:])
        else:
            right = udp_sum(source, target, packet) == 0
        print(name, source, *struct.unpack("!HH", packet[:4]), "right" if right else "wrong", flush=True)

if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    wrong = 0x0101 if rest[-1:] == ["wrong"] else 0
    if what == "hear":
        threading.Thread(target=hear, args=(17, "udp")).start()
        hear(132, "sctp")
    source, target, *ports = rest[:4]
    ports = list(map(int, ports))
    if what == "send-udp":
        send(17, source, target, udp_packet(source, target, ports, wrong))
    else:
        send(132, source, target, sctp_packet(ports, int(rest[4]), rest[5].split(","), wrong))
