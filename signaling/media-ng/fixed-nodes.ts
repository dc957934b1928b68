import { RegistryError, type Placement, type RegistryPort } from '../registry-port.ts';

/**
 * Media nodes by a list of ng addresses, where the registry's placement would stand: an rtpengine sends no heartbeats.
 * One after the other takes a call; who leaves pings unanswered is passed over until it answers again.
 */
export class FixedNodes implements Pick<RegistryPort, 'placeMedia'> {
  readonly nodes: readonly Placement['media'][];
  #turn = 0;

  /** `controls`: `udp:192.0.2.7:2223`; a node's id is its address, so that logs and metrics name it. */
  constructor(controls: readonly string[], pop: string) {
    this.nodes = controls.map((control) => ({ node: control.replace(/^udp:/, ''), pop, control }));
  }

  placeMedia(request: Parameters<RegistryPort['placeMedia']>[0]): Promise<Placement> {
    const usable = this.nodes.filter(({ node }) => request.avoid?.includes(node) !== true);
    const media = usable[this.#turn++ % Math.max(1, usable.length)];
    if (!media) return Promise.reject(new RegistryError(503, 'none of the media nodes of the configuration answers'));
    return Promise.resolve({ id: `fixed-${request.callId}`, media, reason: 'the configuration names the media nodes' });
  }
}
