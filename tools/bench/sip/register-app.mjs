// The least that a drachtio-srf application can be, on the embedded engine: whoever registers is answered 200.
import Srf from 'drachtio-srf';
import { Engine } from '../../../signaling/engine/mod.ts';

const engine = await Engine.open({ listen: ['udp:127.0.0.1:5060'], limits: { registeredFlows: 100_000 } });
const srf = new Srf();
srf.register((req, res) => res.send(200, { headers: { Contact: `${req.get('Contact')};expires=600` } }));
await engine.attach(srf);
process.on('SIGTERM', () => void engine.close().then(() => process.exit(0)));
