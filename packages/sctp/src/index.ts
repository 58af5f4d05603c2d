// wire codec: packet, chunks, parameters, CRC32c
export {};
