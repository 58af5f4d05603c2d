// makes ownership true on the network: ARP and NDP
export {};
