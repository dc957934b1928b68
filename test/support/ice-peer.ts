import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { IceCandidate } from '../../media/dataplane/mod.ts';
import {
  bindingRequest,
  bindingSuccess,
  isBindingSuccess,
  isRoleConflict,
  isStun,
  readCheck,
  roleConflict,
  type Check,
  type CheckOptions,
} from './stun.ts';

interface Credentials {
  readonly ufrag: string;
  readonly pwd: string;
}

/** One candidate of an ICE agent on loopback, which does as a test tells it. */
export class IcePeer {
  readonly socket: Socket = createSocket('udp4');
  readonly own: Credentials;
  readonly theirs: Credentials;
  /** What becomes of a check that has our password. */
  reaction: 'answer' | 'ignore' | 'conflict' | 'wrong-password' = 'answer';
  /** So many checks are lost first. */
  loses = 0;
  /** All checks that have come, lost or not. */
  readonly checks: Check[] = [];
  /** Answers to those of ours. */
  readonly answers: Buffer[] = [];
  /** What is not STUN, behind its RTP header. */
  readonly media: string[] = [];

  private constructor(own: Credentials, theirs: Credentials) {
    this.own = own;
    this.theirs = theirs;
    this.socket.on('message', (packet: Buffer, from: RemoteInfo) => this.#receive(packet, from));
  }

  /** `own`: its credentials; `theirs`: of whom it speaks with. */
  static async open(own: Credentials, theirs: Credentials): Promise<IcePeer> {
    const peer = new IcePeer(own, theirs);
    peer.socket.bind(0, '127.0.0.1');
    await once(peer.socket, 'listening');
    return peer;
  }

  get port(): number {
    return this.socket.address().port;
  }

  candidate(priority = 2_130_706_431, component: 1 | 2 = 1): IceCandidate {
    return { component, type: 'host', priority, at: { address: '127.0.0.1', port: this.port } };
  }

  check(port: number, how: Omit<CheckOptions, 'username' | 'password'>): void {
    const username = `${this.theirs.ufrag}:${this.own.ufrag}`;
    this.send(port, bindingRequest({ username, password: this.theirs.pwd, ...how }));
  }

  send(port: number, packet: Uint8Array): void {
    this.socket.send(packet, port, '127.0.0.1');
  }

  get succeeded(): boolean {
    return this.answers.some((packet) => isBindingSuccess(packet));
  }

  get refused(): boolean {
    return this.answers.some((packet) => isRoleConflict(packet));
  }

  #receive(packet: Buffer, from: RemoteInfo): void {
    const check = readCheck(packet);
    if (!check) {
      if (isStun(packet)) this.answers.push(packet);
      else this.media.push(packet.subarray(12).toString());
      return;
    }
    if (check.username !== `${this.own.ufrag}:${this.theirs.ufrag}` || !check.proven(this.own.pwd)) return;
    this.checks.push(check);
    if (this.reaction === 'ignore' || this.loses-- > 0) return;
    const password = this.reaction === 'wrong-password' ? 'not-the-password-0123456789' : this.own.pwd;
    const answer = this.reaction === 'conflict' ? roleConflict(check, password) : bindingSuccess(check, password, from);
    // Once: then it has said it.
    if (this.reaction === 'conflict') this.reaction = 'answer';
    this.send(from.port, answer);
  }
}
