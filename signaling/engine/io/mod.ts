export * from './flow.ts';
export type { TlsOptions, TransportLimits, TransportOptions } from './options.ts';
export { defaultPort, protocolOf } from '../targets/mod.ts';
export { Resolver, type ResolverOptions, type TargetFailure } from './resolve.ts';
export { createTransports, type TransportSet, type TransportStats } from './transports.ts';
