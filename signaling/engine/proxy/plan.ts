/** How an application wants a request to be proxied. */
export interface ProxyPlan {
  /** Record-Route: later requests of the dialog come this way too. */
  readonly remainInDialog: boolean;
  /** Every final answer of every target is told, not only that the request has left. */
  readonly fullResponse: boolean;
  readonly followRedirects: boolean;
  readonly simultaneous: boolean;
  /** Without any answer for so long the next target is tried; undefined: only SIP's own timers count. */
  readonly provisionalMs: number | undefined;
  /** Without a final answer for so long a target is cancelled and the next one is tried. */
  readonly finalMs: number | undefined;
  /** URIs, best first. */
  readonly targets: readonly string[];
}

const MAX_TARGETS = 64;
const MAX_WAIT_MS = 600_000;

/** The fields of a `proxy` command after its transaction id (control protocol §9); a text says what is wrong with them. */
export function parsePlan(fields: readonly string[]): ProxyPlan | string {
  const [remain = '', full = '', follow = '', forking = '', provisional = '', final = '', ...given] = fields;
  const targets = given.filter((target) => target !== '');
  if (targets.length === 0) return 'no destination to proxy to';
  if (targets.length > MAX_TARGETS) return `more than ${MAX_TARGETS} destinations`;
  const provisionalMs = duration(provisional);
  const finalMs = duration(final);
  if (provisionalMs === null || finalMs === null) return 'a timeout is a number with s or ms, as in 2s or 1500ms';
  return {
    remainInDialog: remain !== '',
    fullResponse: full !== '',
    followRedirects: follow !== '',
    simultaneous: forking === 'simultaneous',
    provisionalMs,
    finalMs,
    targets: [...new Set(targets)],
  };
}

/** `2s`, `1500ms`, and a bare number as milliseconds; null when it is none of these. */
function duration(text: string): number | undefined | null {
  if (text === '') return undefined;
  const match = /^(\d{1,6})(ms|s)?$/.exec(text);
  if (!match) return null;
  return Math.min(Number(match[1]) * (match[2] === 's' ? 1000 : 1), MAX_WAIT_MS);
}
