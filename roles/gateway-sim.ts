import Srf from 'drachtio-srf';
import { GatewaySimulator } from '../demo/gateway-sim/simulator.ts';
import { Engine } from '../signaling/engine/mod.ts';
import { asSipApp } from '../signaling/srf.ts';
import type { GatewaySimConfig } from './config/schema.ts';
import type { RoleDeps } from './deps.ts';
import type { Role } from './role.ts';

/** The PSTN simulator: a SIP gateway over UDP, on the same engine. */
export async function startGatewaySim(config: GatewaySimConfig, deps: RoleDeps): Promise<Role> {
  const engine = await Engine.open({
    listen: [`udp:${config.sip}`],
    onError: (error) => deps.log.error({ err: error }, 'a message could not be handled'),
  });
  const srf = new Srf();
  const simulator = new GatewaySimulator({
    app: asSipApp(srf),
    address: config.address,
    ports: { min: config.portMin, max: config.portMax },
    proxy: config.proxy,
    later: (ms, work) => void setTimeout(work, ms),
    log: (about, text) => deps.log.warn(about, text),
  });
  await engine.attach(srf);
  return {
    listen: { udp: `udp:${config.sip}` },
    drain: () => Promise.resolve(),
    async close() {
      simulator.close();
      await engine.close();
    },
  };
}
