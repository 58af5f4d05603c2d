"""both-sides.py FILE: an association in a capture of raw IP, each packet twice: as the client sends it to 198.18.0.1, and as a
translator that keeps the ports hands it on from 198.18.1.1 to the server. No packet is sent twice on either side."""
import os, socket, struct, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sctp import chunk, internet_sum, named, crc32c

def ip(source, target, packet):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(packet), 1, 0, 64, 132, 0, socket.inet_aton(source), socket.inet_aton(target))
    return head[:10] + struct.pack("!H", internet_sum(head)) + head[12:] + packet

def packet(ports, tag, body):
    head = struct.pack("!HHI", *ports, tag)
    return head + struct.pack("<I", crc32c(head + bytes(4) + body)) + body

def data(tsn):
    return chunk(0, 3, struct.pack("!IHHI", tsn, 0, tsn - 1, 0) + b"data")

exchange = [("up", 0, named("INIT:11")), ("down", 11, named("INIT-ACK:22")), ("up", 22, named("COOKIE-ECHO")), ("down", 11, named("COOKIE-ACK"))]
exchange += [("up", 22, data(tsn)) for tsn in range(1, 6)]
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
    for at, (way, tag, body) in enumerate(exchange):
        inner = packet((1000, 9999) if way == "up" else (9999, 1000), tag, body)
        outside, inside = ("198.18.9.9", "198.18.0.1"), ("198.18.1.1", "198.18.1.2")
        sides = [outside, inside] if way == "up" else [inside[::-1], outside[::-1]]
        for side, addresses in enumerate(sides):
            whole = ip(*addresses, inner)
            file.write(struct.pack("<IIII", 1, at * 1000 + side * 10, len(whole), len(whole)) + whole)
