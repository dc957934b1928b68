import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { z } from 'zod';
import { configSchema, type Config } from './schema.ts';

/** What is wrong with a configuration, in one line: the key, what was found, what was wanted. */
export class ConfigError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigError';
  }
}

export type RawConfig = Record<string, unknown>;

/** The YAML of a file as it stands. @throws ConfigError */
export function readConfig(file: string): RawConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`--config: cannot read "${file}": ${(error as Error).message}`, { cause: error });
  }
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    throw new ConfigError(`${file}: ${(error as Error).message.split('\n')[0]}`, { cause: error });
  }
  if (raw === null || raw === undefined) return {};
  if (typeof raw !== 'object' || Array.isArray(raw))
    throw new ConfigError(`${file}: found ${kind(raw)}, wanted keys and values`);
  return raw as RawConfig;
}

/** Checks everything and fills in the defaults. @throws ConfigError naming every key that is wrong. */
export function checkConfig(raw: RawConfig, source: string): Config {
  const result = configSchema.safeParse(raw);
  if (result.success) return result.data;
  throw new ConfigError(result.error.issues.map((issue) => describe(issue, raw, source)).join('\n'));
}

function describe(issue: z.core.$ZodIssue, raw: RawConfig, source: string): string {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const at = path.length === 0 ? '' : `${path.join('.')}.`;
    return `${source}: ${issue.keys.map((key) => `${at}${key}`).join(', ')}: unknown key`;
  }
  let found: unknown = raw;
  for (const key of path)
    found = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[key] : undefined;
  const secret = /password|secret/i.test(path.at(-1) ?? '');
  const shown = secret ? 'a secret' : (JSON.stringify(found) ?? 'nothing');
  return `${source}: ${path.join('.')}: found ${shown}, wanted ${wanted(issue)}`;
}

function wanted(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value') return issue.values.map(String).join(' or ');
  if (issue.code === 'too_small') return `at least ${issue.minimum}`;
  if (issue.code === 'too_big') return `at most ${issue.maximum}`;
  if (issue.code === 'invalid_type') return issue.expected;
  return issue.message;
}

function kind(found: unknown): string {
  return Array.isArray(found) ? 'a list' : typeof found;
}

const SECTIONS = { SIGNALING: 'signaling', MEDIA: 'media', REGISTRY: 'registry', GATEWAY_SIM: 'gatewaySim' } as const;

/**
 * `CAUSEWAY_LOG_LEVEL=debug`, `CAUSEWAY_MEDIA_PORT_MIN=20000`: one variable for each key of the section, in capitals.
 * Lists are separated by commas. They win over the file, flags win over them.
 */
export function environmentOf(environment: NodeJS.ProcessEnv, section: string): Record<string, unknown> {
  const prefix = `CAUSEWAY_${Object.entries(SECTIONS).find(([, name]) => name === section)?.[0] ?? ''}_`;
  const found: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith(prefix) || text === undefined) continue;
    const key = name
      .slice(prefix.length)
      .toLowerCase()
      .replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    found[key] = value(key, text);
  }
  return found;
}

const LISTS = new Set(['sip', 'interfaces']);

export function value(key: string, text: string): unknown {
  if (LISTS.has(key)) return text.split(',').map((part) => part.trim());
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}
