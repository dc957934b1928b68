export { createDataplane } from './native.ts';
export * from './port.ts';
