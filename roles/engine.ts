import { Engine } from '../signaling/engine/mod.ts';
import type { EngineConfig } from './config/schema.ts';
import type { RoleDeps } from './deps.ts';
import type { Role } from './role.ts';
import { secretFromFile } from './secrets.ts';
import { transportOptions } from './transport-options.ts';

/** The SIP engine without an application of ours: drachtio applications connect to its control port. */
export async function startEngine(config: EngineConfig, deps: RoleDeps): Promise<Role> {
  if (config.secretFile === undefined)
    throw new Error('engine.secretFile: found nothing, wanted the file with the secret of the control port');
  const secret = secretFromFile('engine.secretFile', config.secretFile);
  const engine = await Engine.open({
    listen: config.sip,
    publicAddress: config.publicAddress ?? deps.publicAddress,
    control: { listen: config.control, secret },
    ...transportOptions(config.transport, {}),
    onError: (error) => deps.log.error({ err: error }, 'a message could not be handled'),
  });
  return {
    listen: {
      ...Object.fromEntries(engine.listening.map((text) => [text.split(':')[0] ?? '', text])),
      control: `tcp:${config.control}`,
    },
    drain: (graceMs) => engine.drain(graceMs),
    close: () => engine.close(),
  };
}
