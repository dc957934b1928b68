import { flushCompileCache } from 'node:module';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { ConfigError } from './config/load.ts';
import { HELP, helpOf, type RoleName } from './cli/help.ts';
import { roleConfig, type CommonFlags } from './cli/role-config.ts';
import type { RoleDeps } from './deps.ts';
import type { Role } from './role.ts';

const ROLES: Readonly<Record<RoleName, (section: never, deps: RoleDeps) => Promise<Role>>> = {
  signaling: async (config, deps) => (await import('./signaling.ts')).startSignaling(config, deps),
  media: async (config, deps) => (await import('./media.ts')).startMedia(config, deps),
  registry: async (config, deps) => (await import('./registry.ts')).startRegistry(config, deps),
  engine: async (config, deps) => (await import('./engine.ts')).startEngine(config, deps),
  'gateway-sim': async (config, deps) => (await import('./gateway-sim.ts')).startGatewaySim(config, deps),
};

const COMMON = {
  config: { type: 'string' },
  id: { type: 'string' },
  pop: { type: 'string' },
  'data-dir': { type: 'string' },
  'public-address': { type: 'string' },
  'log-level': { type: 'string' },
  'drain-seconds': { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

const FLAGS: Readonly<Record<string, Record<string, { type: 'string'; multiple?: boolean }>>> = {
  signaling: {
    sip: { type: 'string', multiple: true },
    registry: { type: 'string' },
    'media-nodes': { type: 'string', multiple: true },
    metrics: { type: 'string' },
  },
  media: {
    'listen-ng': { type: 'string' },
    'listen-tcp-ng': { type: 'string' },
    'ng-dialect': { type: 'string' },
    'recording-dir': { type: 'string' },
    'recording-max-bytes': { type: 'string' },
    'listen-http': { type: 'string' },
    'dtmf-log-dest': { type: 'string' },
    'delete-delay': { type: 'string' },
    interface: { type: 'string', multiple: true },
    'port-min': { type: 'string' },
    'port-max': { type: 'string' },
    'webrtc-port': { type: 'string' },
    tos: { type: 'string' },
    floor: { type: 'string' },
    threads: { type: 'string' },
    registry: { type: 'string' },
    metrics: { type: 'string' },
  },
  registry: { listen: { type: 'string' } },
  engine: {
    sip: { type: 'string', multiple: true },
    control: { type: 'string' },
    'control-tls': { type: 'string' },
    secret: { type: 'string' },
    'secret-file': { type: 'string' },
    'default-refresher': { type: 'string' },
    metrics: { type: 'string' },
  },
  'gateway-sim': { sip: { type: 'string' }, proxy: { type: 'string' } },
  up: {},
};

async function main(): Promise<number> {
  const [command = '', ...rest] = process.argv.slice(2);
  if (command === '' || command === 'help' || command === '--help' || command === '-h') {
    process.stdout.write(HELP);
    return command === '' ? 2 : 0;
  }
  if (command === '--version' || command === 'version') {
    const { default: manifest } = (await import('../package.json', { with: { type: 'json' } })) as {
      default: { version: string };
    };
    process.stdout.write(`${manifest.version}\n`);
    return 0;
  }
  if (command === 'explain') return (await import('./cli/explain.ts')).runExplain(rest);
  const own = FLAGS[command];
  if (!own) return fail(`there is no role "${command}"; causeway --help lists them`);
  let values: Record<string, string | boolean | string[] | undefined>;
  try {
    ({ values } = parseArgs({ args: rest, options: { ...COMMON, ...own }, strict: true }) as unknown as {
      values: typeof values;
    });
  } catch (error) {
    return fail(`${(error as Error).message.split('.')[0]}; causeway ${command} --help lists the flags`);
  }
  if (values['help'] === true) {
    process.stdout.write(helpOf(command));
    return 0;
  }
  if (command === 'up') return (await import('./up/up.ts')).runUp(values as CommonFlags);
  return runRole(command as RoleName, values);
}

async function runRole(name: RoleName, values: Record<string, unknown>): Promise<number> {
  const { section, common } = roleConfig(name, values, process.env);
  const log = pino(
    { level: common.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: false }),
  );
  const deps: RoleDeps = { log, dataDir: common.dataDir, publicAddress: common.publicAddress };
  const role = await ROLES[name](section as never, deps);
  const id = 'id' in section ? String(section.id) : name;
  // Before the line: whoever reads it may send the signal at once.
  const stop = stopSignal();
  process.stdout.write(`${JSON.stringify({ ready: true, role: name, id, pid: process.pid, listen: role.listen })}\n`);
  // Now, not at the end: whoever stops a role waits for it.
  flushCompileCache();
  await stop;
  // A second signal does not wait.
  const impatient = stopSignal().then(() => undefined);
  await Promise.race([role.drain(common.drainSeconds * 1000), impatient]);
  await Promise.race([role.close(), new Promise((resolve) => setTimeout(resolve, 2000))]);
  log.flush();
  return 0;
}

/** SIGTERM, SIGINT, or the end of the process that started this one. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
    if (process.env['CAUSEWAY_STOP_WITH_STDIN'] === '1') process.stdin.once('end', () => resolve()).resume();
  });
}

function fail(text: string): number {
  process.stderr.write(`causeway: ${text}\n`);
  return 2;
}

process.on('unhandledRejection', (reason) => {
  // drachtio-srf rejects for requests whose peer is gone; that must not end a node.
  process.stderr.write(`${JSON.stringify({ level: 50, msg: 'unhandled rejection', err: String(reason) })}\n`);
});

main().then(
  (status) => process.exit(status),
  (error: unknown) => {
    const text = error instanceof ConfigError || error instanceof Error ? error.message : String(error);
    process.stderr.write(
      `${text
        .split('\n')
        .map((line) => `causeway: ${line}`)
        .join('\n')}\n`,
    );
    if (process.env['CAUSEWAY_STACK'] === '1') process.stderr.write(`${(error as Error).stack}\n`);
    process.exit(1);
  },
);
