// the operator's command
export {};
