import type { Bencode } from '../../vocabulary/mod.ts';
import { MediaError, type AnswerRequest, type MediaHandle, type MediaPort, type OfferRequest } from '../media-port.ts';
import type { RegistryPort } from '../registry-port.ts';
import { NgSocket, type NgReply } from './io/ng-socket.ts';
import { answerKeys, offerKeys } from './policy.ts';

/** A node that leaves so many pings in a row unanswered is lost. */
const MISSED = 3;

interface Watched {
  readonly control: string;
  missed: number;
  lost: boolean;
  /** Calls that stand there; a node without any is not watched, unless nobody else does. */
  calls: number;
  readonly always: boolean;
}

export interface MediaNgParts {
  readonly registry: Pick<RegistryPort, 'placeMedia'>;
  /** Nodes of which no registry says whether they live: they are asked even when they have no calls. */
  readonly watch?: readonly { readonly node: string; readonly control: string }[];
  /** Calls `work` every second until the function returned is called. */
  readonly everySecond: (work: () => void) => () => void;
}

/** Media nodes behind the ng protocol: ours, or an rtpengine. */
export class MediaNg implements MediaPort {
  readonly #parts: MediaNgParts;
  readonly #socket = new NgSocket();
  readonly #nodes = new Map<string, Watched>();
  readonly #listeners: ((event: { readonly type: 'lost' | 'back'; readonly node: string }) => void)[] = [];
  readonly #stop: () => void;

  constructor(parts: MediaNgParts) {
    this.#parts = parts;
    for (const { node, control } of parts.watch ?? [])
      this.#nodes.set(node, { control, missed: 0, lost: false, calls: 0, always: true });
    this.#stop = parts.everySecond(() => this.#ping());
  }

  get stats(): { readonly nodes: number; readonly lost: number; readonly pending: number } {
    const lost = [...this.#nodes.values()].filter((node) => node.lost).length;
    return { nodes: this.#nodes.size, lost, pending: this.#socket.pending };
  }

  async place(request: Parameters<MediaPort['place']>[0]): Promise<MediaHandle> {
    const lost = [...this.#nodes].filter(([, node]) => node.lost).map(([id]) => id);
    const avoid = [...new Set([...(request.avoid ?? []), ...lost])];
    try {
      const { media } = await this.#parts.registry.placeMedia({ ...request, avoid });
      const known = this.#nodes.get(media.node);
      if (!known || known.control !== media.control) {
        this.#nodes.set(media.node, { control: media.control, missed: 0, lost: false, calls: 0, always: false });
      }
      const node = this.#nodes.get(media.node) as Watched;
      node.calls++;
      return { node: media.node, control: media.control, callId: request.callId };
    } catch (error) {
      throw new MediaError('no-node', 'no media node can take the call', { cause: error });
    }
  }

  async offer(handle: MediaHandle, offer: OfferRequest): Promise<string> {
    return this.#sdp(handle, 'offer', offer, offerKeys(offer.from, offer.to));
  }

  async answer(handle: MediaHandle, answer: AnswerRequest): Promise<string> {
    return this.#sdp(handle, 'answer', answer, answerKeys(answer.from, answer.to));
  }

  async release(handle: MediaHandle): Promise<void> {
    const node = this.#nodes.get(handle.node);
    if (node) node.calls = Math.max(0, node.calls - 1);
    if (node?.lost === true) return;
    await this.#delete(handle, {});
  }

  async releaseBranch(handle: MediaHandle, fromTag: string, viaBranch: string): Promise<void> {
    await this.#delete(handle, { 'from-tag': fromTag, 'via-branch': viaBranch });
  }

  async exists(handle: MediaHandle): Promise<boolean> {
    const query = { command: 'query', 'call-id': handle.callId };
    const reply = await this.#socket.request(handle.control, query).catch(() => undefined);
    return reply?.['result'] !== 'error' || refusal(handle, 'query', reply).code !== 'unknown-call';
  }

  onNode(listener: (event: { readonly type: 'lost' | 'back'; readonly node: string }) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#socket.close();
  }

  async #sdp(
    handle: MediaHandle,
    command: 'offer' | 'answer',
    request: OfferRequest,
    keys: Readonly<Record<string, Bencode>>,
  ): Promise<string> {
    const reply = await this.#socket.request(handle.control, {
      command,
      'call-id': handle.callId,
      'from-tag': request.fromTag,
      ...(request.toTag === undefined ? {} : { 'to-tag': request.toTag }),
      ...(request.viaBranch === undefined ? {} : { 'via-branch': request.viaBranch }),
      sdp: request.sdp,
      ...keys,
    });
    const sdp = reply['sdp'];
    if (reply['result'] === 'ok' && typeof sdp === 'string') return sdp;
    throw refusal(handle, command, reply);
  }

  async #delete(handle: MediaHandle, which: Readonly<Record<string, Bencode>>): Promise<void> {
    const command = { command: 'delete', 'call-id': handle.callId, ...which, 'delete-delay': 0 };
    // Gone is gone: a node that does not answer has nothing left to end.
    await this.#socket.request(handle.control, command).catch(() => undefined);
  }

  #ping(): void {
    for (const [id, node] of this.#nodes) {
      if (node.calls === 0 && !node.lost && !node.always) {
        node.missed = 0;
        continue;
      }
      // One shot each second: three misses in a row are the limit, not a repeated request.
      this.#socket.request(node.control, { command: 'ping' }, [950]).then(
        () => {
          node.missed = 0;
          if (!node.lost) return;
          node.lost = false;
          node.calls = 0;
          for (const listener of this.#listeners) listener({ type: 'back', node: id });
        },
        () => {
          node.missed++;
          if (node.lost || node.missed < MISSED) return;
          node.lost = true;
          for (const listener of this.#listeners) listener({ type: 'lost', node: id });
        },
      );
    }
  }
}

function refusal(handle: MediaHandle, command: string, reply: NgReply): MediaError {
  const reason = typeof reply['error-reason'] === 'string' ? reply['error-reason'] : 'no reason given';
  const code = /unknown call-id/i.test(reason) ? 'unknown-call' : 'refused';
  return new MediaError(code, `media node ${handle.node} refused the ${command}: ${reason}`);
}
