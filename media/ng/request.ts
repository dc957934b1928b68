import { text } from '../session/mod.ts';
import type { Bencode } from '../../vocabulary/mod.ts';
import { NgError } from './errors.ts';
import type { Dictionary } from './message.ts';

/** Identifiers are kept for as long as the call is. */
const MAX_NAME = 1024;

/** @throws NgError `reason` when the key is missing, empty or too long. */
export function needed(message: Dictionary, key: string, reason: string): string {
  const value = optional(message, key);
  if (value === undefined) throw new NgError(reason);
  return value;
}

/** An empty string is none. @throws NgError when it is too long to be kept. */
export function optional(message: Dictionary, key: string): string | undefined {
  const value = text(message[key]);
  if (value === undefined || value === '') return undefined;
  if (key !== 'sdp' && value.length > MAX_NAME) throw new NgError(`${key} is longer than ${MAX_NAME} characters`);
  return value;
}

/** A whole number, written as one or as a decimal string. */
export function integer(value: Bencode | undefined): number | undefined {
  if (typeof value === 'number') return Math.trunc(value);
  return typeof value === 'string' && /^\s*-?\d{1,15}/.test(value) ? Number.parseInt(value, 10) : undefined;
}

/** The words of a list in lower case with hyphens; a single string is a list of one. */
export function wordsOf(value: Bencode | undefined): ReadonlySet<string> {
  const items = Array.isArray(value) ? (value as readonly Bencode[]) : [value];
  return new Set(items.flatMap((item) => (typeof item === 'string' ? [item.toLowerCase().replace(/[ _]/g, '-')] : [])));
}
