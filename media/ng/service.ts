import { text, type Ending, type Session, type SessionManager } from '../session/mod.ts';
import type { Dataplane } from '../dataplane/mod.ts';
import { CallTable } from './calls.ts';
import {
  failure,
  isCallCommand,
  runCallCommand,
  whichCommand,
  type CommandContext,
  type CommandResult,
} from './commands.ts';
import { ReplyCache } from './cookies.ts';
import { describe, SAMPLE_SECONDS, type Description } from './describe.ts';
import { NgError, REASONS } from './errors.ts';
import { dtmfPush, type MediaEvent } from './events/event.ts';
import { EventHub } from './events/hub.ts';
import { Subscriptions, type Connection } from './events/subscriptions.ts';
import { inspectCall, readDataplaneEvent, timedOut } from './events/watch.ts';
import { isMediaCommand, runMediaCommand, type Operations } from './media-commands.ts';
import {
  cutCookie,
  frameOf,
  readPayload,
  writePayload,
  type Dictionary,
  type Encoding,
  type Payload,
} from './message.ts';
import { recordingWish } from './recording-operations.ts';
import { canonicalKeys, type CommandName } from './spelling.ts';
import { NgStatistics, type InterfacePorts } from './statistics.ts';

/** Who sends a request. */
export interface Caller {
  /** IP literal; the port does not matter. */
  readonly address: string;
  readonly transport: 'udp' | 'tcp' | 'http' | 'ws';
  /** Where the reply is not the last word: TCP and WebSocket. */
  readonly connection?: Connection;
}

export interface ServiceOptions {
  readonly manager: SessionManager;
  readonly dataplane: Pick<Dataplane, 'totals'>;
  readonly interfaces: readonly InterfacePorts[];
  /** Epoch ms, and ms of a clock that never jumps. */
  readonly now: () => number;
  readonly clock: () => number;
  /** Cookies of frames that nobody has asked for. */
  readonly randomCookie: () => string;
  readonly operations?: Operations;
  /** Between a `delete` and the end of the call, unless the command says; 0 without it. */
  readonly deleteDelaySeconds?: number;
  /** Below this mean opinion score, 1.0 to 4.4, a stream is an alarm; 0: never. */
  readonly alarmMos?: number;
  /** Every command once, not its repetitions. */
  readonly onResult?: (result: CommandResult, caller: Caller) => void;
  /** Each key once. */
  readonly onUnknownKey?: (key: string) => void;
  /** DTMF to every connection that has not subscribed, as rtpengine's `--dtmf-log-ng-tcp`. */
  readonly pushDtmf?: (frame: Buffer, except: (connection: Connection) => boolean) => void;
}

const MAX_UNKNOWN_KEYS = 100;

/** The ng protocol without its transports: bytes of a request in, bytes of its reply out; events out. */
export class NgService {
  readonly calls = new CallTable();
  readonly hub = new EventHub();
  readonly replies = new ReplyCache();
  readonly statistics: NgStatistics;
  readonly subscriptions: Subscriptions;
  readonly #options: ServiceOptions;
  readonly #context: CommandContext;
  readonly #unknownKeys = new Set<string>();

  constructor(options: ServiceOptions) {
    this.#options = options;
    this.statistics = new NgStatistics(options.clock(), options.manager.dialect);
    this.subscriptions = new Subscriptions(this.hub, options.randomCookie);
    const { manager } = options;
    this.#context = {
      manager,
      calls: this.calls,
      statistics: () =>
        this.statistics.reply(options.dataplane.totals(), manager.size, options.interfaces, options.clock()),
      rejected: () => this.statistics.rejected(),
      ended: (session, why, about) => this.#ended(session, why, about),
      deleteDelaySeconds: options.deleteDelaySeconds ?? 0,
    };
  }

  /**
   * `<cookie> <payload>` → `answer` with the same cookie, now or later, at most once. Without a cookie nothing happens.
   * @returns false when there will be no reply.
   */
  handle(bytes: Uint8Array, caller: Caller, answer: (reply: Buffer) => void): boolean {
    const cut = cutCookie(bytes);
    if (!cut) return false;
    const { cookie, payload } = cut;
    const { clock } = this.#options;
    const key = `${caller.address} ${cookie}`;
    const known = this.replies.find(key, clock());
    if (known === 'working') return this.replies.wait(key, answer);
    if (known) answer(known);
    else {
      let answered = false;
      this.#do(payload, caller, (reply, _encoding, command) => {
        answered = true;
        const frame = frameOf(cookie, reply);
        // Of a connection, not of its peer: another connection that says the same means itself.
        if (command === 'subscribe events' || command === 'unsubscribe events') this.replies.finish(key, frame);
        else this.replies.keep(key, frame, clock());
        answer(frame);
      });
      // It may come again before what takes time is done.
      if (!answered) this.replies.begin(key);
    }
    return true;
  }

  /** A payload without a cookie, as `/ng-plain` takes it: every one is done. */
  handlePlain(bytes: Uint8Array, caller: Caller, answer: (reply: Buffer, encoding: Encoding) => void): void {
    this.#do(bytes, caller, answer);
  }

  #do(
    bytes: Uint8Array,
    caller: Caller,
    answer: (reply: Buffer, encoding: Encoding, command: CommandResult['command']) => void,
  ): void {
    const payload = readPayload(bytes);
    const started = this.#options.clock();
    const finish = (result: CommandResult): void => {
      this.#account(result, caller, started);
      answer(writePayload(payload.encoding, result.reply), payload.encoding, result.command);
    };
    const result = this.#run(payload, caller);
    if (result instanceof Promise) void result.then((later) => finish(later));
    else finish(result);
  }

  /** Of the packet path. */
  dataplaneEvent(event: Parameters<typeof readDataplaneEvent>[1]): void {
    const meaning = readDataplaneEvent(this.calls, event);
    if (meaning) this.publish(meaning);
  }

  publish(event: MediaEvent): void {
    const now = this.#options.now();
    this.hub.publish(event, now);
    if (event.type !== 'dtmf' || !this.#options.pushDtmf) return;
    const frame = frameOf(this.#options.randomCookie(), writePayload('bencode', dtmfPush(event, now)));
    this.#options.pushDtmf(frame, (connection) => this.subscriptions.has(connection));
  }

  /** Ends what is due. @returns the calls of which nothing was heard, for the log */
  sweep(): readonly Session[] {
    return this.#options.manager.sweep(this.#options.now(), (session, why) => this.#ended(session, why));
  }

  /** Once a second: what is due, rates, and the quality of a tenth of all calls. */
  tick(): void {
    const { manager, dataplane, now, alarmMos = 0 } = this.#options;
    this.statistics.tick(dataplane.totals(), manager.size);
    for (const call of this.calls.next(Math.ceil(this.calls.size / SAMPLE_SECONDS))) {
      if (!manager.get(call.callId)) {
        this.calls.forget(call.callId);
        continue;
      }
      for (const event of inspectCall(call, alarmMos, now(), ({ mos }) => this.statistics.sampled(mos)))
        this.publish(event);
    }
  }

  #ended(session: Session, why: Ending, about?: Description): void {
    const { manager, now } = this.#options;
    const { callId, createdAt } = session;
    const rest = manager.get(callId);
    if (rest) {
      this.calls.follow(rest);
      return;
    }
    const notes = this.calls.find(callId);
    if (why !== 'deleted') this.publish(timedOut(session));
    const seconds = (now() - createdAt) / 1000;
    this.statistics.ended(why === 'deleted' ? 'regular' : why, seconds, about ?? describe(session, notes, now()));
    this.calls.forget(callId);
  }

  #run(payload: Payload, caller: Caller): CommandResult | Promise<CommandResult> {
    if (!payload.message) return failure('other', undefined, new NgError(payload.refusal));
    const message = canonicalKeys(payload.message, (key) => this.#unknownKey(key));
    const { command, callId, error } = whichCommand(message);
    if (command === undefined) return failure('other', callId, error);
    const { now, operations = {} } = this.#options;
    if (isCallCommand(command)) {
      const result = runCallCommand(this.#context, command, message, now());
      if (!result.failed && (command === 'offer' || command === 'answer')) this.#recordCall(message, caller);
      return result;
    }
    try {
      const details = this.#other(command, message, caller, payload.encoding, operations);
      return details instanceof Promise
        ? details.then(
            (later) => good(command, callId, later),
            (thrown: unknown) => failure(command, callId, thrown, message),
          )
        : good(command, callId, details);
    } catch (thrown) {
      return failure(command, callId, thrown, message);
    }
  }

  /** An offer or answer may ask for it. The call goes on where it cannot be recorded; that is counted and logged. */
  #recordCall(message: Dictionary, caller: Caller): void {
    const command = recordingWish(message);
    const { operations = {}, manager, now, onResult } = this.#options;
    const callId = text(message['call-id']) ?? '';
    const session = manager.get(callId);
    const operation = command && operations[command];
    if (!operation || !session) return;
    try {
      void operation({ command, message, callId, session, parties: [], now: now() });
    } catch (thrown) {
      onResult?.(failure(command, callId, thrown), caller);
    }
  }

  #other(
    command: CommandName,
    message: Dictionary,
    { connection }: Caller,
    encoding: Encoding,
    operations: Operations,
  ): Dictionary | Promise<Dictionary> {
    if (command === 'subscribe events') return this.subscriptions.subscribe(connection, encoding, message);
    if (command === 'unsubscribe events') {
      this.subscriptions.unsubscribe(connection);
      return {};
    }
    if (!isMediaCommand(command, operations)) throw new NgError(REASONS.unknownCommand);
    const { manager, now } = this.#options;
    const details = runMediaCommand(operations, manager, command, message, now());
    const follow = (done: Dictionary): Dictionary => {
      // An operation may have opened endpoints, of a call that it has named itself.
      const session = manager.get(text(done['call-id']) ?? text(message['call-id']) ?? '');
      // What has become a part of it has no notes of its own.
      for (const alias of session?.aliases ?? []) this.calls.forget(alias);
      if (session) this.calls.follow(session);
      return done;
    };
    return details instanceof Promise ? details.then(follow) : follow(details);
  }

  #account(result: CommandResult, caller: Caller, started: number): void {
    const command = result.command === 'other' ? undefined : result.command;
    const seconds = (this.#options.clock() - started) / 1000;
    this.statistics.control.count(caller.address, command, result.failed !== undefined, seconds);
    this.#options.onResult?.(result, caller);
  }

  #unknownKey(key: string): void {
    if (this.#unknownKeys.has(key) || this.#unknownKeys.size >= MAX_UNKNOWN_KEYS) return;
    this.#unknownKeys.add(key);
    this.#options.onUnknownKey?.(key.slice(0, 64));
  }
}

function good(command: CommandName, callId: string | undefined, details: Dictionary): CommandResult {
  return { command, callId, reply: { ...details, result: 'ok' }, failed: undefined };
}
