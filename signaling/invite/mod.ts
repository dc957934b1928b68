export { B2bua } from './b2bua.ts';
export type { B2buaParts } from './parts.ts';
export { CallTable, type CallRecord } from './record.ts';
