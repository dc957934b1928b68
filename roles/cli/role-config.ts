import { homedir } from 'node:os';
import { join } from 'node:path';
import { isIP } from 'node:net';
import {
  checkConfig,
  ConfigError,
  environmentOf,
  readConfig,
  valueOf,
  type Override,
  type RawConfig,
} from '../config/load.ts';
import type { Config, Section } from '../config/schema.ts';
import type { RoleName } from './help.ts';

export interface CommonFlags {
  readonly config?: string;
  readonly id?: string;
  readonly 'data-dir'?: string;
  readonly 'public-address'?: string;
  readonly 'log-level'?: string;
  readonly 'drain-seconds'?: string;
}

export interface Common {
  readonly logLevel: string;
  readonly dataDir: string;
  readonly publicAddress: string | undefined;
  readonly drainSeconds: number;
}

const SECTION: Readonly<Record<RoleName, Section>> = {
  signaling: 'signaling',
  media: 'media',
  registry: 'registry',
  'gateway-sim': 'gatewaySim',
  engine: 'engine',
};

/** Flags whose key is not the same in camel case: they are called as rtpengine's. */
const KEYS: Readonly<Record<string, string>> = {
  interface: 'interfaces',
  'listen-http': 'listenHttpNg',
  'delete-delay': 'deleteDelaySeconds',
};

const SKIP = new Set(['config', 'data-dir', 'public-address', 'log-level', 'drain-seconds', 'help']);

/** The section of one role: file, then environment, then flags. @throws ConfigError */
export function roleConfig(
  role: RoleName,
  flags: Record<string, unknown>,
  environment: NodeJS.ProcessEnv,
): { section: Record<string, unknown> & { id?: string }; common: Common } {
  const file = typeof flags['config'] === 'string' ? flags['config'] : undefined;
  const raw: RawConfig = file === undefined ? {} : readConfig(file);
  const name = SECTION[role];
  const several = name === 'signaling' || name === 'media';
  // A section of the wrong kind must not vanish under what is merged into it.
  if (raw[name] !== undefined && (typeof raw[name] !== 'object' || Array.isArray(raw[name]) !== several))
    checkConfig(raw, file ?? 'configuration');
  const overrides = [...environmentOf(environment, name), ...overridesOf(flags, name)].filter(
    // Where there is one of a kind, its id names nothing.
    ({ key }) => several || key !== 'id',
  );
  const values = Object.fromEntries(overrides.map(({ key, value }) => [key, value]));
  const list = several && Array.isArray(raw[name]) ? [...(raw[name] as Record<string, unknown>[])] : [];
  const index = several ? chosen(list, values['id'], name) : 0;
  if (several) list[index] = { ...list[index], ...values };
  const merged: RawConfig = { ...raw, [name]: several ? list : { ...(raw[name] as object | undefined), ...values } };
  const at = several ? `${name}.${index}` : name;
  const origins = new Map(overrides.map(({ key, origin }) => [`${at}.${key}`, origin]));
  const config = checkConfig(merged, file ?? 'configuration', origins);
  const section = several ? config[name][index] : config[name];
  return { section: section as Record<string, unknown>, common: commonOf(flags as CommonFlags, config, environment) };
}

function overridesOf(flags: Record<string, unknown>, section: Section): readonly Override[] {
  return Object.entries(flags).flatMap(([flag, given]) => {
    if (SKIP.has(flag) || given === undefined) return [];
    const key = KEYS[flag] ?? flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    return [{ key, value: valueOf(section, key, [given].flat().join(',')), origin: `--${flag}` }];
  });
}

/** The place in the list of the node with this id; the first without one. A node that no file names may have any id. */
function chosen(list: readonly Record<string, unknown>[], id: unknown, section: string): number {
  if (id === undefined || list.length === 0) return 0;
  const index = list.findIndex((entry) => entry?.['id'] === id);
  if (index >= 0) return index;
  const known = list.map((entry) => String(entry?.['id'] ?? '?')).join(', ');
  throw new ConfigError(`--id: found "${String(id)}", wanted one of ${section}: ${known}`);
}

/** @throws ConfigError */
export function commonOf(flags: CommonFlags, config: Config, environment: NodeJS.ProcessEnv): Common {
  const level = flags['log-level'] ?? environment['CAUSEWAY_LOG_LEVEL'] ?? config.log.level;
  if (!['debug', 'info', 'warn', 'error'].includes(level)) {
    throw new ConfigError(`log-level: found "${level}", wanted debug, info, warn or error`);
  }
  // An empty variable is none: compose files cannot leave one out.
  const publicAddress = flags['public-address'] ?? (environment['CAUSEWAY_PUBLIC_ADDRESS'] || config.publicAddress);
  if (publicAddress !== undefined && isIP(publicAddress) === 0) {
    throw new ConfigError(`public-address: found "${publicAddress}", wanted an IP address`);
  }
  const drainText = flags['drain-seconds'] ?? environment['CAUSEWAY_DRAIN_SECONDS'] ?? '30';
  const drain = drainText === '' ? NaN : Number(drainText);
  if (!(drain >= 0)) throw new ConfigError(`drain-seconds: found "${drainText}", wanted a number of seconds`);
  return {
    logLevel: level,
    dataDir: flags['data-dir'] ?? environment['CAUSEWAY_DATA_DIR'] ?? config.dataDir ?? defaultDataDir(environment),
    publicAddress,
    drainSeconds: drain,
  };
}

function defaultDataDir(environment: NodeJS.ProcessEnv): string {
  return join(environment['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state'), 'causeway');
}
