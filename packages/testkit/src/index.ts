// simulated clock and network, packet builder, lab
export {};
