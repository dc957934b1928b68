import type { Logger } from 'pino';

/** Tells the registry once a second that this node lives, and at the end that it is gone. */
export function startHeartbeat(options: {
  readonly registry: string;
  readonly id: string;
  readonly body: () => object;
  readonly log: Logger;
  readonly everyMs?: number;
  /** The registry did not know this node: it is new there, or the registry is. */
  readonly onUnknown?: () => void;
}): { readonly first: Promise<void>; stop(): Promise<void>; now(): Promise<void> } {
  const url = `${options.registry.replace(/\/$/, '')}/v1/nodes/${encodeURIComponent(options.id)}`;
  let reachable: boolean | undefined;
  const beat = async (): Promise<void> => {
    try {
      const answer = await fetch(url, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(options.body()),
        signal: AbortSignal.timeout(2000),
      });
      if (!answer.ok) throw new Error(`the registry answered ${answer.status}: ${(await answer.text()).slice(0, 200)}`);
      await answer.arrayBuffer();
      if (answer.status === 201) options.onUnknown?.();
      if (reachable === false) options.log.info({ registry: options.registry }, 'registry reachable again');
      reachable = true;
    } catch (error) {
      // Said once: a registry that is away for an hour must not fill the log.
      if (reachable !== false) options.log.warn({ registry: options.registry, err: error }, 'registry not reachable');
      reachable = false;
    }
  };
  const first = beat();
  const timer = setInterval(() => void beat(), options.everyMs ?? 1000);
  return {
    first,
    now: beat,
    async stop() {
      clearInterval(timer);
      await fetch(url, { method: 'DELETE', signal: AbortSignal.timeout(500) }).catch(() => undefined);
    },
  };
}
