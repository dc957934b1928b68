import type { Bencode } from '../../vocabulary/mod.ts';
import { BoundedCache, type CacheCounters } from './bounded-cache.ts';
import type { Dialect } from './dialect.ts';
import { readFlags, receivedFrom, text, type MediaFlags } from './flags.ts';

/** What differs from call to call, in its canonical spelling; nothing else of it concerns the flags. */
const OF_THE_CALL = new Set([
  'sdp',
  'command',
  'call-id',
  'from-tag',
  'to-tag',
  'via-branch',
  'received-from',
  'label',
]);

const MAX_KNOWN = 500;
const MAX_KEY = 2000;
const known = new BoundedCache<MediaFlags>(MAX_KNOWN);

export function sharedFlagsCounters(): CacheCounters {
  return known.counters;
}

/**
 * {@link readFlags}, once for what a proxy asks for every call: its requests differ in what names the call, and in
 * nothing else. The calls share the answer. Never throws.
 */
export function sharedFlags(command: Readonly<Record<string, Bencode>>, dialect: Dialect = '10.5'): MediaFlags {
  let key: string = dialect;
  for (const name in command) if (!OF_THE_CALL.has(name)) key += ` ${name.length}:${name}${spelledOut(command[name])}`;
  let flags = known.get(key);
  if (!flags) {
    const { label: _label, 'received-from': _from, ...common } = command;
    flags = readFlags(common, dialect);
    if (key.length > MAX_KEY) return withOwn(flags, command);
    known.set(key, flags);
  }
  return withOwn(flags, command);
}

/** Different values have different texts. */
function spelledOut(value: Bencode | undefined): string {
  if (typeof value === 'string') return `${value.length}:${value}`;
  return JSON.stringify(value);
}

function withOwn(flags: MediaFlags, { label, 'received-from': from }: Readonly<Record<string, Bencode>>): MediaFlags {
  if (label === undefined && from === undefined) return flags;
  return { ...flags, label: text(label) ?? flags.label, receivedFrom: receivedFrom(from) ?? flags.receivedFrom };
}
