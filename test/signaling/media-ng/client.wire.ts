// budget: 30 s, beside others
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { MediaError } from '../../../signaling/media-port.ts';
import { FixedNodes, MediaNg } from '../../../signaling/media-ng/mod.ts';
import { decodeBencode, encodeBencode, type Bencode } from '../../../vocabulary/mod.ts';

type Dictionary = Readonly<Record<string, Bencode>>;

/** A node on a real socket that does as it is told, and remembers what came. */
class Node {
  readonly heard: { readonly cookie: string; readonly message: Dictionary }[] = [];
  answer: (message: Dictionary, nth: number) => Dictionary | undefined = () => ({ result: 'ok' });
  readonly #socket: Socket = createSocket('udp4');

  async open(): Promise<string> {
    this.#socket.on('message', (bytes, from) => {
      const space = bytes.indexOf(0x20);
      const cookie = bytes.toString('latin1', 0, space);
      const message = decodeBencode(bytes.subarray(space + 1)) as Dictionary;
      this.heard.push({ cookie, message });
      const reply = this.answer(message, this.heard.length);
      if (reply) this.#socket.send(`${cookie} ${encodeBencode(reply)}`, from.port, from.address);
    });
    await new Promise<void>((resolve) => this.#socket.bind(0, '127.0.0.1', () => resolve()));
    return `udp:127.0.0.1:${this.#socket.address().port}`;
  }

  commands(): Bencode[] {
    return this.heard.map(({ message }) => message['command'] ?? '');
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

const CALL = { callId: 'c', tenant: 'default', clients: [] };
const OFFER = { sdp: 'v=0\r\n', fromTag: 'a', viaBranch: 'b1', from: 'plain', to: 'plain' } as const;

describe('the ng client of signaling', () => {
  let node: Node;
  let control: string;
  let media: MediaNg;
  let second: () => void;
  let ticking: boolean;
  let asked: (readonly string[])[];
  let events: string[];

  beforeEach(async () => {
    node = new Node();
    control = await node.open();
    asked = [];
    events = [];
    ticking = true;
    media = new MediaNg({
      registry: {
        placeMedia(request) {
          asked.push(request.avoid ?? []);
          if (request.avoid?.includes('m1') === true) return Promise.reject(new Error('nothing left'));
          return Promise.resolve({ id: 'p', media: { node: 'm1', pop: 'local', control }, reason: 'test' });
        },
      },
      everySecond(work) {
        second = work;
        return () => (ticking = false);
      },
    });
    media.onNode(({ type, node: id }) => events.push(`${type} ${id}`));
  });

  afterEach(async () => {
    await media.close();
    await node.close();
    assert.equal(ticking, false);
    assert.equal(media.stats.pending, 0);
  });

  const nextEvent = () =>
    new Promise<string>((resolve) => media.onNode(({ type, node: id }) => resolve(`${type} ${id}`)));
  const failure = async (work: Promise<unknown>): Promise<MediaError> => {
    const error: unknown = await work.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof MediaError, String(error));
    return error;
  };

  it('says again with the same cookie what nobody has answered', async () => {
    node.answer = (_, nth) => (nth < 3 ? undefined : { sdp: 'v=0\r\ns=x\r\n', result: 'ok' });
    const handle = await media.place(CALL);
    assert.equal(await media.offer(handle, OFFER), 'v=0\r\ns=x\r\n');
    assert.equal(node.heard.length, 3);
    assert.equal(new Set(node.heard.map(({ cookie }) => cookie)).size, 1);
    assert.equal(node.heard[0]?.message['via-branch'], 'b1');
  });

  it('gives up in words when there is no answer at all', async () => {
    node.answer = () => undefined;
    const error = await failure(media.offer(await media.place(CALL), OFFER));
    assert.equal(error.code, 'timeout');
    assert.equal(node.heard.length, 4);
  }).timeout(5000);

  it('tells a call that the node does not know from other refusals, with its reason', async () => {
    const handle = await media.place(CALL);
    node.answer = () => ({ result: 'error', 'error-reason': 'Unknown call-id' });
    assert.equal((await failure(media.answer(handle, { ...OFFER, toTag: 'b' }))).code, 'unknown-call');
    assert.equal(await media.exists(handle), false);
    node.answer = () => ({ result: 'error', 'error-reason': 'This node is draining' });
    const error = await failure(media.offer(handle, OFFER));
    assert.equal(error.code, 'refused');
    assert.match(error.message, /draining/);
    assert.equal(await media.exists(handle), true);
  });

  it('ends calls at once, and branches by their name', async () => {
    const handle = await media.place(CALL);
    await media.releaseBranch(handle, 'a', 'b1');
    await media.release(handle);
    assert.deepEqual(
      node.heard.map(({ message }) => [message['via-branch'], message['delete-delay']]),
      [
        ['b1', 0],
        [undefined, 0],
      ],
    );
  });

  it('asks only nodes with calls whether they live', async () => {
    const handle = await media.place(CALL);
    second();
    await media.release(handle);
    second();
    second();
    await media.exists(handle);
    assert.deepEqual(node.commands(), ['ping', 'delete', 'query']);
  });

  it('asks a node of a fixed list even without calls, and passes it over while it is silent', async () => {
    const fixed = new FixedNodes([control], 'local');
    await media.close();
    media = new MediaNg({
      registry: fixed,
      watch: fixed.nodes,
      everySecond(work) {
        second = work;
        ticking = true;
        return () => (ticking = false);
      },
    });
    node.answer = () => undefined;
    const lost = nextEvent();
    for (let n = 0; n < 3; n++) second();
    const id = control.replace('udp:', '');
    assert.equal(await lost, `lost ${id}`);
    assert.equal((await failure(media.place(CALL))).code, 'no-node');
    node.answer = () => ({ result: 'pong' });
    const back = nextEvent();
    second();
    assert.equal(await back, `back ${id}`);
    assert.equal((await media.place(CALL)).control, control);
  });

  it('takes a node that leaves three pings unanswered for lost, and for back with the next answer', async () => {
    const handle = await media.place(CALL);
    node.answer = () => undefined;
    const lost = nextEvent();
    for (let n = 0; n < 3; n++) second();
    assert.equal(await lost, 'lost m1');
    assert.equal(media.stats.lost, 1);
    const before = node.heard.length;
    await media.release(handle);
    assert.equal(node.heard.length, before, 'a lost node is asked nothing');
    assert.equal((await failure(media.place(CALL))).code, 'no-node');
    assert.deepEqual(asked.at(-1), ['m1']);
    node.answer = () => ({ result: 'pong' });
    const back = nextEvent();
    second();
    assert.equal(await back, 'back m1');
    await media.place(CALL);
    assert.deepEqual(asked.at(-1), []);
    assert.deepEqual(events, ['lost m1', 'back m1']);
  });

  it('leaves nobody waiting when it is closed', async () => {
    node.answer = () => undefined;
    const waiting = failure(media.offer(await media.place(CALL), OFFER));
    await media.close();
    assert.match((await waiting).message, /closed/);
  });
});
