import type { Accounts, Tenants } from '../directory/mod.ts';
import type { MediaPort } from '../media-port.ts';
import type { Bindings, Gruus, Guard, Wakeups } from '../register/mod.ts';
import type { RegistryPort } from '../registry-port.ts';
import type { SipApp } from '../srf.ts';
import type { Trunks } from '../trunk/mod.ts';
import type { CallRecord, CallTable } from './record.ts';

/** What the B2BUA is made of. */
export interface B2buaParts {
  readonly app: SipApp;
  readonly guard: Guard;
  readonly accounts: Accounts;
  readonly tenants: Tenants;
  readonly bindings: Bindings;
  /** Without them no URI means a single device. */
  readonly gruus?: Gruus | undefined;
  /** Without them nobody is woken. */
  readonly wakeups?: Wakeups | undefined;
  readonly trunks: Trunks;
  readonly media: MediaPort;
  readonly registry: Pick<RegistryPort, 'locate'>;
  readonly calls: CallTable;
  readonly maxCalls: number;
  /** Epoch ms. */
  readonly now: () => number;
  /** Runs later; the function returned takes it back. */
  readonly later: (ms: number, work: () => void) => () => void;
  readonly uuid: () => string;
  readonly log: CallLog;
  /** A call is over; its record is complete. */
  readonly onEnded: (call: CallRecord) => void;
  readonly onSetup?: (ms: number) => void;
}

export interface CallLog {
  info(about: object, text: string): void;
  warn(about: object, text: string): void;
}
