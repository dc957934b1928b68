import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { isLoopback } from '../../vocabulary/mod.ts';
import { commonOf, type CommonFlags } from '../cli/role-config.ts';
import { checkConfig, readConfig, type RawConfig } from '../config/load.ts';
import { ensureCertificate } from '../tls.ts';
import { Child, type ReadyLine } from './child.ts';
import { AGENTS, demoPasswords, embeddedConfig, sharedSecret } from './defaults.ts';
import { welcome } from './people.ts';
import { defaultRouteAddress } from './public-address.ts';

/** How long the roles may take to end; a person waits two seconds for Ctrl-C and no more. */
const STOP_MS = 1400;

/** The whole PoP: every role a process, restarted when it dies. Ends with status 0 on SIGINT and SIGTERM. */
export async function runUp(flags: CommonFlags): Promise<number> {
  const people = process.stdout.isTTY === true;
  const given = flags.config === undefined ? undefined : readConfig(flags.config);
  const checked = checkConfig(given ?? {}, flags.config ?? 'configuration');
  const common = commonOf(flags, checked, process.env);
  const publicAddress = common.publicAddress ?? (await defaultRouteAddress()) ?? '127.0.0.1';
  mkdirSync(common.dataDir, { recursive: true, mode: 0o700 });
  const raw: RawConfig = { ...embeddedConfig(publicAddress, common.dataDir), ...given, publicAddress };
  // Who writes down a PoP of their own says whether the simulator is part of it.
  if (given?.['signaling'] !== undefined && given['gatewaySim'] === undefined) delete raw['gatewaySim'];
  const secretFile = sharedSecret(common.dataDir);
  raw['signaling'] = (raw['signaling'] as Record<string, unknown>[]).map((node) => ({
    nonceSecretFile: secretFile,
    ...node,
  }));
  const config = checkConfig(raw, flags.config ?? 'configuration');
  const file = join(common.dataDir, 'pop.yaml');
  writeFileSync(file, stringify(raw), { mode: 0o600 });
  // One CA for all nodes: made before any of them looks for it.
  await ensureCertificate(common.dataDir, 'up', [publicAddress, '127.0.0.1', 'localhost']);

  const ready = new Map<string, ReadyLine>();
  let told = false;
  const say = (text: string) => process.stdout.write(people ? `${text}\n` : '');
  const events = {
    ready(line: ReadyLine) {
      ready.set(line.id, line);
      if (!people) process.stdout.write(`${JSON.stringify(line)}\n`);
      else if (told) say(`  ${line.id} is back (pid ${line.pid})`);
    },
    died(id: string, how: string, againInMs: number) {
      if (people) say(`  ${id} ${how}; starting it again`);
      else
        process.stderr.write(
          `${JSON.stringify({ level: 40, time: new Date().toISOString(), node: id, againInMs, msg: `${id} ${how}; starting it again` })}\n`,
        );
    },
  };
  const args = (role: string, id?: string) => [
    role,
    '--config',
    file,
    ...(id === undefined ? [] : ['--id', id]),
    '--data-dir',
    common.dataDir,
    '--public-address',
    publicAddress,
    '--log-level',
    people && flags['log-level'] === undefined ? 'error' : common.logLevel,
    '--drain-seconds',
    '0.3',
  ];
  const registry = new Child('registry', args('registry'), events);
  const others = [
    ...config.media.map(({ id }) => new Child(id, args('media', id), events)),
    ...config.signaling.map(({ id }) => new Child(id, args('signaling', id), events)),
    ...(config.gatewaySim ? [new Child('gateway-sim', args('gateway-sim'), events)] : []),
  ];
  const stopped = new Promise<'stopped'>((resolve) => {
    process.once('SIGINT', () => resolve('stopped'));
    process.once('SIGTERM', () => resolve('stopped'));
  });
  const stopAll = () => Promise.all([...others, registry].map((child) => child.stop(STOP_MS)));
  const start = async () => {
    await registry.start();
    await Promise.all(others.map((child) => child.start()));
  };
  try {
    if ((await Promise.race([start(), stopped])) === 'stopped') {
      await stopAll();
      return 0;
    }
  } catch (error) {
    await stopAll();
    throw error;
  }
  const passwords =
    given?.['signaling'] === undefined ? demoPasswords(common.dataDir, isLoopback(publicAddress)) : undefined;
  told = true;
  if (people)
    say(welcome(ready, passwords && AGENTS.map((agent) => ({ ...agent, password: passwords[agent.user] ?? '' }))));
  else {
    const listen = Object.fromEntries(
      [...ready.values()].flatMap(({ id, listen: at }) =>
        Object.entries(at).map(([key, text]) => [`${id}.${key}`, text]),
      ),
    );
    process.stdout.write(`${JSON.stringify({ ready: true, role: 'up', id: 'up', pid: process.pid, listen })}\n`);
  }
  await stopped;
  if (people) process.stdout.write('\nstopping\n');
  await stopAll();
  return 0;
}
