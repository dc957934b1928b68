import { DataplaneError, type Dataplane, type Recording } from '../dataplane/mod.ts';
import { SessionError, type Attachment, type Session } from '../session/mod.ts';
import { MAX_VALUE, metadataText, streamsOf } from './metadata.ts';
import { recordingName } from './names.ts';

/** Where recordings lie. */
export interface RecordingFolder {
  pcap(name: string): string;
  /** Of everything that lies there, whoever has put it there. */
  usedBytes(): Promise<number>;
  /** Rejects when it cannot be written. */
  writeMetadata(name: string, text: string): Promise<void>;
}

export interface RecordingOptions {
  readonly dataplane: Pick<Dataplane, 'openRecording'>;
  readonly folder: RecordingFolder;
  /** Epoch ms. */
  readonly now: () => number;
  /** 16 hex digits. */
  readonly unique: () => string;
  /** A file is whole, or has ended too early. */
  readonly closed: (closed: ClosedRecording) => void;
  /** None without it. */
  readonly quota?: {
    readonly limitBytes: number;
    /** What this process has written so far, files that are gone included. */
    readonly written: () => number;
  };
}

/** By `stop recording` or the node's end; with the call; for want of room; because the file could not be written. */
export type ClosedWhy = 'stopped' | 'ended' | 'quota' | 'failed';

export interface ClosedRecording {
  readonly callId: string;
  readonly file: string;
  readonly durationMs: number;
  readonly reason: ClosedWhy;
  /** Of the file, or of what was to be written beside it. */
  readonly error: string | undefined;
}

const MAX_STREAMS = 128;
const MAX_METADATA = 16;

/** The recordings of this node: one file for a call from `start` to `stop` or its end. */
export class Recordings {
  readonly #options: RecordingOptions;
  readonly #calls = new Map<Session, CallRecording>();
  readonly #closing = new Set<Promise<void>>();
  /** What lay in the folder when it was looked at last, and what had been written until then. */
  #measured = { used: 0, written: 0 };
  refused = 0;

  constructor(options: RecordingOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#calls.size;
  }

  /** Of the quota: what was there, and what has been written since. */
  get usedBytes(): number {
    const { used, written } = this.#measured;
    return used + (this.#options.quota?.written() ?? written) - written;
  }

  /** Looks at what is on the disk; whoever collects recordings makes room. */
  async measure(): Promise<void> {
    const { quota, folder } = this.#options;
    if (!quota) return;
    const written = quota.written();
    this.#measured = { used: await folder.usedBytes(), written };
  }

  /** Once a second: ends all when there is no room left. */
  enforceQuota(): void {
    if (this.#full()) for (const session of [...this.#calls.keys()]) this.stop(session, 'quota');
  }

  #full(): boolean {
    const { quota } = this.#options;
    return quota !== undefined && this.usedBytes >= quota.limitBytes;
  }

  /** Starts, or goes on after `pause`. @throws SessionError when the file cannot be made, or there is no room for it. */
  start(session: Session, metadata?: string): void {
    let call = this.#calls.get(session);
    if (!call) {
      if (this.#full()) {
        this.refused++;
        throw new SessionError('full', 'The quota of recordings is used up');
      }
      const { callId } = session;
      const name = recordingName(callId, this.#options.unique());
      const file = this.#options.folder.pcap(name);
      call = new CallRecording(session, { name, file, recording: this.#open(file) }, this.#options.now(), {
        ended: (own) => this.#end(own),
        merged: (own, into) => this.#merge(own, into),
      });
      this.#calls.set(session, call);
      session.attached.add(call);
    }
    if (metadata !== undefined && call.metadata.length < MAX_METADATA) call.metadata.push(metadata.slice(0, MAX_VALUE));
    call.paused = false;
    call.changed();
  }

  /** Nothing is written until `start`; the file stays open. */
  pause(session: Session): void {
    const call = this.#calls.get(session);
    if (!call) return;
    call.paused = true;
    call.changed();
  }

  stop(session: Session, why: ClosedWhy = 'stopped'): void {
    const call = this.#calls.get(session);
    if (!call) return;
    session.attached.delete(call);
    call.why = why;
    call.ended();
  }

  /** Ends all; resolves when every file is whole. */
  async close(): Promise<void> {
    for (const session of [...this.#calls.keys()]) this.stop(session);
    await Promise.all(this.#closing);
  }

  #open(file: string): Recording {
    try {
      return this.#options.dataplane.openRecording(file);
    } catch (error) {
      if (error instanceof DataplaneError) throw new SessionError('bad-request', error.message, { cause: error });
      throw error;
    }
  }

  #end(call: CallRecording): void {
    this.#calls.delete(call.session);
    const ending = this.#finish(call).finally(() => this.#closing.delete(ending));
    this.#closing.add(ending);
  }

  /** One call has one recording: that of the call into which the other has gone. */
  #merge(call: CallRecording, into: Session): void {
    if (this.#calls.has(into)) {
      call.ended();
      return;
    }
    this.#calls.delete(call.session);
    call.session = into;
    this.#calls.set(into, call);
    into.attached.add(call);
  }

  async #finish(call: CallRecording): Promise<void> {
    const { folder, now, closed } = this.#options;
    const { callId, name, file, startedAt, metadata } = call;
    const endedAt = now();
    const result = await call.recording.close();
    const reason = result.error === undefined ? call.why : 'failed';
    const facts = { callId, file, startedAt, endedAt, reason, result, metadata, streams: [...call.streams] };
    let { error } = result;
    try {
      await folder.writeMetadata(name, metadataText(facts));
    } catch (thrown) {
      error ??= thrown instanceof Error ? thrown.message : String(thrown);
    }
    closed({ callId, file, durationMs: endedAt - startedAt, reason, error });
  }
}

interface Told {
  ended(call: CallRecording): void;
  merged(call: CallRecording, into: Session): void;
}

/** What is recorded of a call, whatever endpoints it has by now. */
class CallRecording implements Attachment {
  /** Of the call that was to be recorded, whatever it is a part of by now. */
  readonly callId: string;
  readonly name: string;
  readonly file: string;
  readonly recording: Recording;
  readonly startedAt: number;
  readonly metadata: string[] = [];
  readonly streams = new Set<string>();
  readonly #told: Told;
  session: Session;
  paused = false;
  why: ClosedWhy = 'ended';

  constructor(
    session: Session,
    { name, file, recording }: Pick<CallRecording, 'name' | 'file' | 'recording'>,
    startedAt: number,
    told: Told,
  ) {
    this.callId = session.callId;
    this.session = session;
    this.name = name;
    this.file = file;
    this.recording = recording;
    this.startedAt = startedAt;
    this.#told = told;
  }

  get about(): string {
    return `recorded into ${this.file}${this.paused ? ': paused' : ''}`;
  }

  changed(): void {
    for (const { lines } of this.session.dialogues)
      for (const { a, b } of lines)
        for (const { endpoint } of [a, b]) if (endpoint) this.recording.record(endpoint, !this.paused);
    for (const stream of streamsOf(this.session)) if (this.streams.size < MAX_STREAMS) this.streams.add(stream);
  }

  ended(): void {
    this.#told.ended(this);
  }

  merged(into: Session): void {
    this.#told.merged(this, into);
  }
}
