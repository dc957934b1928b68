import { homedir } from 'node:os';
import { join } from 'node:path';
import { isIP } from 'node:net';
import { checkConfig, ConfigError, environmentOf, readConfig, value, type RawConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
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

const SECTION: Readonly<Record<RoleName, 'signaling' | 'media' | 'registry' | 'gatewaySim' | 'engine'>> = {
  signaling: 'signaling',
  media: 'media',
  registry: 'registry',
  'gateway-sim': 'gatewaySim',
  engine: 'engine',
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
  const overrides: Record<string, unknown> = { ...environmentOf(environment, name) };
  for (const [flag, given] of Object.entries(flags)) {
    if (SKIP.has(flag) || given === undefined) continue;
    const key =
      flag === 'interface' ? 'interfaces' : flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    overrides[key] = Array.isArray(given)
      ? given.flatMap((text: string) => text.split(','))
      : value(key, String(given));
  }
  const wanted = typeof flags['id'] === 'string' ? flags['id'] : undefined;
  const merged: RawConfig = { ...raw };
  let index = 0;
  if (name === 'signaling' || name === 'media') {
    const list = Array.isArray(raw[name]) ? [...(raw[name] as Record<string, unknown>[])] : [];
    index = wanted === undefined ? 0 : list.findIndex((entry) => entry['id'] === wanted);
    if (index < 0) {
      const known = list.map((entry) => String(entry['id'] ?? '?')).join(', ');
      if (list.length > 0) throw new ConfigError(`--id: found "${wanted}", wanted one of ${name}: ${known}`);
      index = 0;
    }
    list[index] = { ...list[index], ...overrides };
    merged[name] = list;
  } else merged[name] = { ...(raw[name] as object | undefined), ...overrides };
  if (name === 'registry' || name === 'gatewaySim' || name === 'engine')
    delete (merged[name] as Record<string, unknown>)['id'];
  const config = checkConfig(merged, file ?? 'configuration');
  const chosen = name === 'signaling' || name === 'media' ? config[name][index] : config[name];
  return { section: chosen as Record<string, unknown>, common: commonOf(flags as CommonFlags, config, environment) };
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
  const drain = Number(flags['drain-seconds'] ?? environment['CAUSEWAY_DRAIN_SECONDS'] ?? 30);
  if (!(drain >= 0))
    throw new ConfigError(`drain-seconds: found "${flags['drain-seconds']}", wanted a number of seconds`);
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
