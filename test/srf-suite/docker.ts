// Stands where the suite calls docker: `docker run … -v HOST:INSIDE … drachtio/sipp sipp ARGUMENTS` is a native SIPp
// with an address of its own. Run inside the world that world.ts makes.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CALLERS, topology } from './topology.ts';

const args = process.argv.slice(2);
const after = (flag: string): string | undefined => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined);
const suite = process.env['SUITE_FOLDER'] ?? '';
const [outside = '', inside = ''] = (after('-v') ?? ':').split(':');
const name = after('--name');
const address = topology(suite).find((host) => host.name === name)?.address ?? freeAddress();
const sipp = args.slice(args.indexOf('sipp') + 1).map((text) => text.replace(inside, outside));
const child = spawn('sipp', [...sipp, '-i', address, '-mi', address, '-p', '5060'], {
  stdio: ['ignore', 'inherit', 'inherit'],
  cwd: join(suite, '..'),
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(error.message);
  process.exit(127);
});
child.on('exit', (status) => process.exit(status ?? 1));

/** The next one that nobody has had: two may start at once, and a folder is made by one of them only. */
function freeAddress(): string {
  for (let last = CALLERS.first; last <= CALLERS.last; last++) {
    try {
      mkdirSync(join(suite, '..', `caller-${last}`));
      return CALLERS.prefix + last;
    } catch {
      // Taken.
    }
  }
  throw new Error('no address is left for a caller');
}
