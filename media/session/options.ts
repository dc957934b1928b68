import type { Dataplane } from '../dataplane/mod.ts';
import type { Dialect } from './dialect.ts';
import type { NodeLoad } from './load.ts';

export interface ManagerOptions {
  readonly dataplane: Dataplane;
  /**
   * Names of the packet path's interfaces; the first is the default. `name` is of IPv4, `name/IP6` the same logical
   * interface of IPv6.
   */
  readonly interfaces: readonly string[];
  readonly maxSessions: number;
  /** Says when the node is too busy for another call. Absent: never. */
  readonly load?: Pick<NodeLoad, 'exceeded'>;
  readonly timeoutSeconds: number;
  /** Default: 10.5. */
  readonly dialect?: Dialect;
}
