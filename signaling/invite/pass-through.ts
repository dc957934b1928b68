import type { MediaHandle, MediaPort } from '../media-port.ts';

const CONTROL = 'pass-through';

/** Of a call whose media another node of this PoP has placed: SDP goes through this node as it is. */
export function passThrough(callId: string): MediaHandle {
  return { node: '', control: CONTROL, callId };
}

export function withPassThrough(media: MediaPort): MediaPort {
  const passes = (handle: MediaHandle) => handle.control === CONTROL;
  return {
    place: (request) => media.place(request),
    offer: (handle, offer) => (passes(handle) ? Promise.resolve(offer.sdp) : media.offer(handle, offer)),
    answer: (handle, answer) => (passes(handle) ? Promise.resolve(answer.sdp) : media.answer(handle, answer)),
    release: (handle) => (passes(handle) ? Promise.resolve() : media.release(handle)),
    releaseBranch: (handle, fromTag, viaBranch) =>
      passes(handle) ? Promise.resolve() : media.releaseBranch(handle, fromTag, viaBranch),
    exists: (handle) => (passes(handle) ? Promise.resolve(true) : media.exists(handle)),
    onNode: (listener) => media.onNode(listener),
  };
}
