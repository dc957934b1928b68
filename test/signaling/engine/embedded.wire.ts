// budget: 8 s, beside others
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import Srf from 'drachtio-srf';
import { describe, it } from 'mocha';
import { Engine } from '../../../signaling/engine/mod.ts';
import { asSipApp } from '../../../signaling/srf.ts';
import { until } from '../../support/until.ts';

const PORT = 13_511;

/** @returns the first line of the first answer */
function statusOf(method: string, serial: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    const timer = setTimeout(() => socket.close(() => reject(new Error(`no answer to ${method}`))), 1500);
    socket.once('message', (answer) => {
      clearTimeout(timer);
      socket.close(() => resolve(answer.toString('latin1').split('\r\n')[0] ?? ''));
    });
    socket.bind(0, '127.0.0.1', () => {
      const lines = [
        `${method} sip:who@example.test SIP/2.0`,
        `Via: SIP/2.0/UDP 127.0.0.1:${socket.address().port};branch=z9hG4bK${serial}`,
        ...['From: <sip:a@example.test>;tag=1', 'To: <sip:who@example.test>', `Call-ID: embedded-${serial}`],
        ...[`CSeq: 1 ${method}`, 'Max-Forwards: 70', 'Content-Length: 0', '', ''],
      ];
      socket.send(lines.join('\r\n'), PORT, '127.0.0.1');
    });
  });
}

describe('an application in the process of the engine', function () {
  this.timeout(8000);

  it('goes on after requests for which it has no handler, and after its own mistakes', async () => {
    const errors: unknown[] = [];
    const engine = await Engine.open({ listen: [`udp:127.0.0.1:${PORT}`], onError: (error) => errors.push(error) });
    try {
      const srf = new Srf();
      const app = asSipApp(srf);
      app.use('options', (_req, res) => res.send(200));
      app.use('info', (_req, res) =>
        res.send(200, {}, () => {
          throw new Error('a mistake of the application');
        }),
      );
      await engine.attach(srf);
      let serial = 0;
      for (const method of ['SUBSCRIBE', 'PUBLISH', 'MESSAGE', 'REGISTER'])
        assert.equal(await statusOf(method, ++serial), 'SIP/2.0 404 Not Found', method);
      assert.equal(await statusOf('INFO', ++serial), 'SIP/2.0 200 OK');
      await until('the mistake is told', () => errors.length === 1);
      assert.match(String(errors[0]), /a mistake of the application/);
      assert.equal(await statusOf('OPTIONS', ++serial), 'SIP/2.0 200 OK');
      assert.equal(engine.stats().apps, 1);
    } finally {
      await engine.close();
    }
  });
});
