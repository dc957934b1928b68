import { parseParams, quote, splitHeaderList } from '../list.ts';
import { headOf } from './seconds.ts';

/** One value of Reason (RFC 3326). `protocol` is `SIP`, `Q.850` … as written. */
export interface Reason {
  readonly protocol: string;
  readonly cause: number | undefined;
  readonly text: string | undefined;
}

/** What cannot be read is left out: a reason explains, nothing depends on it. */
export function parseReasons(values: readonly string[]): Reason[] {
  return values.flatMap(splitHeaderList).flatMap((part) => {
    const { head, rest } = headOf(part);
    if (!/^[\w.\-!%*+`'~]+$/.test(head)) return [];
    const params = parseParams(part, rest);
    const cause = params.get('cause') ?? '';
    return [{ protocol: head, cause: /^\d{1,4}$/.test(cause) ? Number(cause) : undefined, text: params.get('text') }];
  });
}

export function formatReason({ protocol, cause, text }: Reason): string {
  return `${protocol}${cause === undefined ? '' : `;cause=${cause}`}${text === undefined ? '' : `;text=${quote(text)}`}`;
}
