// The softphone page: bundled into console/dist, which the signaling node serves.
import { copyFileSync, mkdirSync } from 'node:fs';
import { build } from 'esbuild';

const page = new URL('../console/page/', import.meta.url).pathname;
const dist = new URL('../console/dist/', import.meta.url).pathname;
mkdirSync(dist, { recursive: true });
await build({
  entryPoints: [`${page}main.ts`],
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  sourcemap: true,
  outfile: `${dist}main.js`,
  define: { 'process.env.NODE_DEBUG': 'undefined' },
  logLevel: 'warning',
});
for (const file of ['index.html', 'style.css', 'icon.svg']) copyFileSync(page + file, dist + file);
