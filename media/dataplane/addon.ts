import { createRequire } from 'node:module';
import { DataplaneError } from './port.ts';

/** The native add-on; `Exports` is what the caller uses of it. @throws DataplaneError when it is not built. */
export function loadAddon<Exports>(): Exports {
  const file = new URL('./native/build/Release/causeway_media.node', import.meta.url);
  try {
    return createRequire(import.meta.url)(file.pathname) as Exports;
  } catch (error) {
    throw new DataplaneError('bad-argument', 'the native add-on cannot be loaded; build it with: npm run build', {
      cause: error,
    });
  }
}
