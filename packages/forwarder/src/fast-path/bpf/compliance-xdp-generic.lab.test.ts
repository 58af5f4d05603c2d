// The suite that every fast path passes: BPF by XDP behind the driver.
import { describeBpfFastPath } from "../compliance/bpf.ts";

describeBpfFastPath("BPF, XDP generic", "xdp-generic");
