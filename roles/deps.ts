import type { Logger } from 'pino';

/** What every role gets from whoever starts it. */
export interface RoleDeps {
  readonly log: Logger;
  /** Certificates, secrets and what else is kept; absent: nothing is. */
  readonly dataDir: string | undefined;
  /** What SDP and URLs carry in the place of bound addresses. */
  readonly publicAddress: string | undefined;
}
