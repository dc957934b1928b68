import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { z } from 'zod';
import { configSchema, SECTION_FIELDS, type Config, type Section } from './schema.ts';

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

/**
 * Checks everything and fills in the defaults. `origins`: the flag or variable that a key, e.g. `media.0.portMin`, came
 * from; all others come from `source`. @throws ConfigError naming every key that is wrong.
 */
export function checkConfig(raw: RawConfig, source: string, origins: ReadonlyMap<string, string> = new Map()): Config {
  const result = configSchema.safeParse(raw);
  if (result.success) return result.data;
  throw new ConfigError(result.error.issues.map((issue) => describe(issue, raw, source, origins)).join('\n'));
}

function describe(
  issue: z.core.$ZodIssue,
  raw: RawConfig,
  source: string,
  origins: ReadonlyMap<string, string>,
): string {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys') {
    const at = path.length === 0 ? '' : `${path.join('.')}.`;
    const [from] = issue.keys.flatMap((key) => origins.get(`${at}${key}`) ?? []);
    return `${from ?? source}: ${issue.keys.map((key) => `${at}${key}`).join(', ')}: unknown key`;
  }
  let found: unknown = raw;
  for (const key of path)
    found = typeof found === 'object' && found !== null ? (found as Record<string, unknown>)[key] : undefined;
  const secret = /password|secret/i.test(path.at(-1) ?? '');
  const shown = secret ? 'a secret' : (JSON.stringify(found) ?? 'nothing');
  // A list that came as one flag: its third entry came from there too.
  const from = path.map((_, depth) => origins.get(path.slice(0, depth + 1).join('.'))).find((text) => text);
  return `${from ?? source}: ${path.join('.')}: found ${shown}, wanted ${wanted(issue)}`;
}

function wanted(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_value') return issue.values.map(String).join(' or ');
  if (issue.code === 'too_small') return `at least ${issue.minimum}`;
  if (issue.code === 'too_big') return `at most ${issue.maximum}`;
  if (issue.code === 'invalid_type') return KINDS[issue.expected] ?? issue.expected;
  return issue.message;
}

const KINDS: Readonly<Record<string, string>> = {
  number: 'a number',
  int: 'a whole number',
  string: 'text',
  array: 'a list',
  object: 'keys and values',
  boolean: 'true or false',
};

function kind(found: unknown): string {
  return Array.isArray(found) ? 'a list' : typeof found;
}

const PREFIXES: Readonly<Record<Section, string>> = {
  signaling: 'CAUSEWAY_SIGNALING_',
  media: 'CAUSEWAY_MEDIA_',
  registry: 'CAUSEWAY_REGISTRY_',
  engine: 'CAUSEWAY_ENGINE_',
  gatewaySim: 'CAUSEWAY_GATEWAY_SIM_',
};

/** One value that came as text, and where it came from. */
export interface Override {
  readonly key: string;
  readonly value: unknown;
  /** The variable or flag. */
  readonly origin: string;
}

/**
 * `CAUSEWAY_MEDIA_PORT_MIN=20000`: one variable for each key of the section, in capitals. Lists are separated by commas.
 * They win over the file, flags win over them.
 */
export function environmentOf(environment: NodeJS.ProcessEnv, section: Section): readonly Override[] {
  const prefix = PREFIXES[section];
  return Object.entries(environment).flatMap(([origin, text]) => {
    if (!origin.startsWith(prefix) || text === undefined) return [];
    const key = origin
      .slice(prefix.length)
      .toLowerCase()
      .replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
    return [{ key, value: valueOf(section, key, text), origin }];
  });
}

/** A text as the schema wants it: a list, a number, or as it stands. What does not fit is left to the schema to refuse. */
export function valueOf(section: Section, key: string, text: string): unknown {
  const wantedType = typeOf((SECTION_FIELDS[section] as Readonly<Record<string, z.ZodType>>)[key]);
  if (wantedType === 'array') return text.split(',').map((part) => part.trim());
  if (wantedType === 'number' && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return text;
}

/** The type below defaults and `optional`. */
function typeOf(schema: z.ZodType | undefined): string | undefined {
  const definition = schema?.def as { type: string; innerType?: z.ZodType } | undefined;
  return definition?.innerType === undefined ? definition?.type : typeOf(definition.innerType);
}
