// The suite that every fast path passes: BPF by XDP in the driver.
import { describeBpfFastPath } from "../compliance/bpf.ts";

describeBpfFastPath("BPF, XDP native", "xdp");
