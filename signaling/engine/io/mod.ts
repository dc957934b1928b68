export * from './flow.ts';
export type { TransportLimits, TransportOptions } from './options.ts';
export { defaultPort, protocolOf, Resolver } from './resolve.ts';
export { createTransports, type TransportSet, type TransportStats } from './transports.ts';
