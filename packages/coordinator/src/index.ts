// membership, failure detection, which member owns a VIP
export {};
