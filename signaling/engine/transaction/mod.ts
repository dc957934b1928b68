export { clientKey, serverKey } from './keys.ts';
export { statusClass, TransactionLayer, type TransactionUser } from './layer.ts';
export { TIMERS, type State } from './machines.ts';
export { TimerQueue, type Timer } from './timer-queue.ts';
export { Transaction } from './transaction.ts';
