import { setTimeout as wait } from 'node:timers/promises';
import type { Private } from '../../../vocabulary/mod.ts';
import type { PushNote, PushResult } from '../wake.ts';

export interface PushHook {
  /** Name of the service, as `pn-provider` has it. */
  readonly provider: string;
  readonly url: string;
  /** Sent as a bearer token. */
  readonly secret?: Private<string> | undefined;
}

const TRY_MS = 3000;
const TRIES = 3;
const FIRST_PAUSE_MS = 200;

/**
 * Posts a note as JSON to the hook of its provider. 2xx: sent. 404 and 410: the device is gone. 5xx, 429 and no answer
 * are tried again, three times in all; everything else has failed. Never rejects; ends with `signal`.
 */
export function pushSender(hooks: readonly PushHook[], signal: AbortSignal): (note: PushNote) => Promise<PushResult> {
  const byProvider = new Map(hooks.map((hook) => [hook.provider, hook]));
  return async (note) => {
    const hook = byProvider.get(note.provider);
    if (!hook) return 'failed';
    for (let turn = 0; turn < TRIES && !signal.aborted; turn++) {
      if (turn > 0) await wait(FIRST_PAUSE_MS * 2 ** turn, undefined, { signal }).catch(() => undefined);
      const status = await post(hook, note, signal);
      if (status >= 200 && status < 300) return 'sent';
      if (status === 404 || status === 410) return 'gone';
      if (status !== 0 && status !== 429 && status < 500) return 'failed';
    }
    return 'failed';
  };
}

/** @returns the HTTP status, 0 when there was no answer. */
async function post(hook: PushHook, note: PushNote, signal: AbortSignal): Promise<number> {
  const secret = hook.secret?.reveal();
  try {
    const answer = await fetch(hook.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(secret === undefined ? {} : { authorization: `Bearer ${secret}` }),
      },
      body: JSON.stringify(note),
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TRY_MS)]),
    });
    await answer.body?.cancel();
    return answer.status;
  } catch {
    return 0;
  }
}
