// The suite that every fast path passes, and the BPF one by each of its hooks: TC here.
import { describeBpfFastPath } from "../compliance/bpf.ts";

describeBpfFastPath("BPF, TC", "tc");
