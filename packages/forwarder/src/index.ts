// data plane: BPF fast path, slow path, NAT ports, endpoint health
export {};
