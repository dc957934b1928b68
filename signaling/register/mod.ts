export { Bindings, kindOf, type Binding } from './bindings.ts';
export { Guard, type Source } from './guard.ts';
export { NonceCounts, Nonces } from './nonce.ts';
export { createRegistrar } from './registrar.ts';
