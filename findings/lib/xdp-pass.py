"""xdp-pass.py DEVICE [frags]: attaches a program that passes everything, says so, and takes it off again after a line of input."""
import os, sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bpf import AT_XDP, XDP, attach, program, run

FRAGS = 1 << 5
index = int(run("ip", "-o", "link", "show", sys.argv[1]).split(":")[0])
link = attach(AT_XDP, index, program(XDP, AT_XDP, 2, FRAGS if "frags" in sys.argv else 0))
print("attached", flush=True)
sys.stdin.readline()
