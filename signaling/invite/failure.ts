import { MediaError } from '../media-port.ts';
import { sipStatus } from '../srf.ts';

/** What the caller is told. */
export interface Failure {
  readonly status: number;
  readonly reason?: string;
  readonly headers?: Record<string, string>;
}

/** An error of a branch or of media, as a SIP status. */
export function failureOf(error: unknown, what: 'agent' | 'trunk' | 'node'): Failure {
  const sip = sipStatus(error);
  if (sip) return passOn(sip.status, sip.reason, sip.res?.get('reason'), what);
  if (error instanceof MediaError) {
    const text = `Media ${error.code === 'no-node' ? 'Unavailable' : 'Failed'}`;
    return { status: error.code === 'refused' ? 488 : 503, reason: text };
  }
  return { status: 500 };
}

function passOn(status: number, reason: string, cause: string | undefined, what: 'agent' | 'trunk' | 'node'): Failure {
  const headers = cause === undefined ? undefined : { Reason: cause };
  const as = (other: number, text?: string): Failure => ({
    status: other,
    headers: { Reason: cause ?? `SIP;cause=${status};text="${reason.replaceAll('"', "'")}"` },
    ...(text === undefined ? {} : { reason: text }),
  });
  // A challenge is for us, not for the caller, who could do nothing with it.
  if (status === 401 || status === 407) return as(502, 'Credentials Refused Beyond');
  if (status >= 300 && status < 400) return as(480);
  // An agent's device that cannot be reached is an agent who is away, not a failure of this server.
  if (what === 'agent' && (status === 408 || status === 430 || status === 503)) return as(480);
  return { status, ...(reason === '' ? {} : { reason }), ...(headers ? { headers } : {}) };
}

/** The best of what several branches said (RFC 3261 §16.7 step 6). */
export function bestFailure(failures: readonly Failure[]): Failure {
  const rank = ({ status }: Failure): number => {
    if (status >= 600) return 0;
    if (status === 486 || status === 415 || status === 420 || status === 484 || status === 488) return 1;
    if (status < 500) return status === 408 || status === 480 ? 3 : 2;
    return 4;
  };
  return [...failures].sort((a, b) => rank(a) - rank(b) || a.status - b.status)[0] ?? { status: 480 };
}

/** Another gateway may do better; another device of lower q always may, unless somebody has declined (§16.7 step 5). */
export function tryNext({ status }: Failure, devices: boolean): boolean {
  if (devices) return status < 600;
  return status === 408 || status === 500 || (status >= 502 && status < 600);
}
