export * from './negotiate.ts';
export { factsOf } from './table.ts';
