// The native add-on, by node-gyp with the headers of the Node that npm brought: nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = new URL('..', import.meta.url).pathname.replace(/\/$/, '');
const folder = join(root, 'media/dataplane/native');
const target = join(folder, 'build/Release/causeway_media.node');
const stamp = join(folder, 'build/.sources');

const hash = createHash('sha256').update(process.version);
for (const part of ['binding.gyp', 'core', 'net', 'napi']) hashPath(join(folder, part));
const wanted = hash.digest('hex');

if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) process.exit(0);
console.log('Building the native add-on (half a minute)');
const result = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/node-gyp/bin/node-gyp.js'),
    'rebuild',
    '--directory',
    folder,
    `--nodedir=${dirname(dirname(process.execPath))}`,
    '--jobs=2',
  ],
  // npm tells its own `nodedir`, and node-gyp would take that for the headers: they are another Node's.
  { encoding: 'utf8', maxBuffer: 1 << 26, env: withoutNodedir(process.env) },
);
if (result.status !== 0) {
  console.error(`${result.stdout}\n${result.stderr}`);
  process.exit(1);
}
mkdirSync(dirname(stamp), { recursive: true });
writeFileSync(stamp, wanted);

function withoutNodedir(env) {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_(package_)?config_.*nodedir$/i.test(name)));
}

function hashPath(path) {
  if (path.endsWith('.gyp')) {
    hash.update(readFileSync(path));
    return;
  }
  for (const name of readdirSync(path).sort()) hash.update(name).update(readFileSync(join(path, name)));
}
