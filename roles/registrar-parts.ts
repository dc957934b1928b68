import { readFileSync } from 'node:fs';
import { BlockList } from 'node:net';
import type { JSONWebKeySet } from 'jose';
import type { Engine } from '../signaling/engine/mod.ts';
import type { CallTable } from '../signaling/invite/mod.ts';
import {
  Admission,
  BearerTokens,
  moves,
  pushSender,
  Storm,
  Wakeups,
  type Bindings,
} from '../signaling/register/mod.ts';
import type { SignalingConfig } from './config/schema.ts';
import { secretFromFile } from './secrets.ts';

type Closable<T> = T & { readonly close: () => void };

const LAG_MS = 100;

/** The limits of a node; `close` ends the timer that watches how far behind the event loop is. */
export function admissionOf(limits: SignalingConfig['limits']): Closable<{ admission: Admission }> {
  const storm = new Storm(limits.registersPerSecond, Date.now());
  let due = performance.now() + LAG_MS;
  const timer = setInterval(() => {
    const now = performance.now();
    storm.lag(Math.max(0, now - due));
    due = now + LAG_MS;
  }, LAG_MS);
  const failures = limits.failuresPerMinute;
  const admission = new Admission(
    {
      perSource: { perSecond: limits.sourcePerSecond, burst: limits.sourceBurst },
      perAor: { perSecond: limits.aorPerSecond, burst: limits.aorBurst },
      failures: { perSecond: failures / 60, burst: Math.max(1, failures) },
      exempt: networks(limits.rateExempt),
    },
    storm,
  );
  return { admission, close: () => clearInterval(timer) };
}

function networks(list: readonly string[]): BlockList {
  const networksOf = new BlockList();
  for (const text of list) {
    const [address = '', prefix] = text.split('/');
    const family = address.includes(':') ? 'ipv6' : 'ipv4';
    try {
      if (prefix === undefined) networksOf.addAddress(address, family);
      else networksOf.addSubnet(address, Number(prefix), family);
    } catch (error) {
      throw new Error(`limits.rateExempt: found "${text}", wanted ADDRESS or ADDRESS/PREFIX`, { cause: error });
    }
  }
  return networksOf;
}

/** `undefined` when nobody issues tokens. @throws when a key set cannot be read */
export function bearerOf(issuers: SignalingConfig['registration']['bearer']): BearerTokens | undefined {
  if (issuers.length === 0) return undefined;
  return new BearerTokens(
    issuers.map((issuer, index) => {
      try {
        return { ...issuer, jwks: JSON.parse(readFileSync(issuer.jwksFile, 'utf8')) as JSONWebKeySet };
      } catch (error) {
        const key = `registration.bearer.${index}.jwksFile`;
        throw new Error(`${key}: found "${issuer.jwksFile}", wanted a file with a JSON Web Key Set`, { cause: error });
      }
    }),
  );
}

/** How often it is looked for devices that are to refresh. */
const REFRESH_MS = 5000;
const MAX_WAITING = 10_000;

/** Who wakes sleeping devices; `close` ends the timers and what is on its way to the hooks. */
export function wakeupsOf(
  push: SignalingConfig['registration']['push'],
  bindings: Bindings,
): Closable<{ wakeups: Wakeups }> {
  const stopped = new AbortController();
  const hooks = push.hooks.map(({ provider, url, secretFile }, index) => ({
    provider,
    url,
    secret:
      secretFile === undefined ? undefined : secretFromFile(`registration.push.hooks.${index}.secretFile`, secretFile),
  }));
  const wakeups = new Wakeups({
    bindings,
    send: pushSender(hooks, stopped.signal),
    waitMs: push.waitSeconds * 1000,
    limit: MAX_WAITING,
    now: () => Date.now(),
    later: (ms, work) => {
      const timer = setTimeout(work, ms);
      return () => clearTimeout(timer);
    },
  });
  // A device that has not refreshed by itself when it was told to is woken a little later.
  const timer =
    hooks.length === 0 ? undefined : setInterval(() => wakeups.refresh(push.refreshSeconds - 10), REFRESH_MS);
  return {
    wakeups,
    close: () => {
      clearInterval(timer);
      stopped.abort();
      wakeups.close();
    },
  };
}

/** Ends the connections of those who come back elsewhere by themselves, a few at a time, within nine tenths of `graceMs`. */
export function moveClients(
  engine: Engine,
  bindings: Bindings,
  calls: CallTable,
  graceMs: number,
): { readonly done: Promise<void>; readonly stop: () => void } {
  const talking = new Set<string>();
  for (const { a, b } of calls.all()) {
    for (const leg of [a, b]) if (leg) talking.add(`${leg.flow.protocol} ${leg.flow.address} ${leg.flow.port}`);
  }
  const registered = [...bindings.all()].map(({ binding }) => binding);
  const busy = ({ protocol, address, port }: { protocol: string; address: string; port: number }) =>
    talking.has(`${protocol} ${address} ${port}`);
  const due = moves(registered, busy, graceMs * 0.9);
  const started = performance.now();
  const finished = Promise.withResolvers<void>();
  let next = 0;
  const step = () => {
    const passed = performance.now() - started;
    for (let move = due[next]; move !== undefined && move.afterMs <= passed; move = due[++next]) {
      engine.closePeer(move.source);
    }
    if (next < due.length) return;
    clearInterval(timer);
    finished.resolve();
  };
  const timer = setInterval(step, 20);
  step();
  return { done: finished.promise, stop: () => clearInterval(timer) };
}
