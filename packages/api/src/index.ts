// schemas, error codes, typed client
export {};
