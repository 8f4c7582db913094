// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { AcceptQueue } from '../host/accept-queues.ts';
import { itself } from '../host/built.ts';
import { CAPABILITIES, TO_LOCK_MEMORY } from '../host/capabilities.ts';
import {
  awaitAnswer,
  boundCapabilities,
  confine,
  connectToRoot,
  type Half,
  lockWithoutLimit,
  maxDrained,
  pipe,
} from '../native/binding.ts';
import { decodeHeader } from '../wire/decode.ts';
import { readLength } from '../wire/frames.ts';
import type { Header } from '../wire/types.gen.ts';
import type { AttachOptions } from './attach.ts';
import { ANSWER, type Refusal, type Request, readAnswer, writeRequest } from './border.ts';
import { become, type Caller } from './caller.ts';
import { ReaderGone } from './reader-gone.ts';
import type { KernelSource, Means } from './source.ts';

/** Where tcpwhy.socket listens. */
const SERVICE = '/run/tcpwhy/reader.sock';

/** Throws the errno of connecting, with a `code`. */
export function connectToService(): number {
  return connectToRoot(SERVICE);
}

/** All but the reader; those of an agent may use the network too. */
export type FrontHalf = Exclude<Half, 'reader'>;

const ENDED =
  'the half of tcpwhy that reads the kernel is gone: it was ended from outside, or had no memory (journalctl -k). Nothing stays attached; start it again.';
const ENDED_BY_SERVICE =
  'the service of tcpwhy ended the connection: it was stopped, had no memory (journalctl -u "tcpwhy@*"), was asked nothing for ten minutes, or serves as many as it may already (16, and 8 of one user). Nothing stays attached; start it again, or use sudo.';
const SILENT =
  'the half of tcpwhy that reads the kernel does not answer: it is stopped (SIGSTOP), its cgroup is frozen, or it gets no CPU. What it read since is lost; when it goes on, it ends by itself, and nothing stays attached.';
/** To detach takes seconds where there are many CPUs and few of them free. */
const LAST_ANSWER_S = 20;
/** After a signal that asks this half to end. */
const ASKED_S = 10;

/**
 * The kernel as a process of its own reads it, the only one that has privileges. This one is who called it,
 * for good, and can neither read the kernel nor run a program.
 */
export class RemoteSource implements KernelSource {
  readonly header: Header;
  readonly looks = true;
  readonly #to: number;
  readonly #from: number;
  readonly #ended: string;
  readonly #room = Buffer.allocUnsafeSlow(maxDrained());
  #open = true;

  /**
   * Begins the reader, and is the caller from here on, who watches by what this gives. That throws binding errors,
   * with a `code`, as LiveSource.open() does; ReaderGone.
   */
  static begin(caller: Caller, half: FrontHalf): (options: AttachOptions) => RemoteSource {
    const requests = pipe();
    const answers = pipe();
    const kept = Object.values(CAPABILITIES).map(({ number }): number => number);
    boundCapabilities(lockWithoutLimit() ? kept : [...kept, ...TO_LOCK_MEMORY]);
    const child = spawn(itself(), ['reader'], {
      stdio: ['ignore', 'ignore', 'inherit', requests.from, answers.to],
      env: {},
      cwd: '/',
    });
    // That it is gone is seen where it is asked.
    child.on('error', () => {});
    child.unref();
    closeSync(requests.from);
    closeSync(answers.to);
    become(caller);
    confine(half);
    return (options) => new RemoteSource(requests.to, answers.from, options, ENDED);
  }

  /** By a connection to the service. */
  static ofService(socket: number, half: FrontHalf): (options: AttachOptions) => RemoteSource {
    confine(half);
    return (options) => new RemoteSource(socket, socket, options, ENDED_BY_SERVICE);
  }

  private constructor(to: number, from: number, options: AttachOptions, ended: string) {
    this.#to = to;
    this.#from = from;
    this.#ended = ended;
    this.header = headerIn(this.#ask({ call: 'open', options }));
  }

  beginParts(): void {
    this.#ask({ call: 'beginParts' });
  }

  begin(): Uint8Array {
    return this.#ask({ call: 'begin' });
  }

  tick(last = false): Uint8Array {
    return this.#ask({ call: 'tick', last });
  }

  again(): Uint8Array {
    return Buffer.from(this.#ask({ call: 'again' }));
  }

  before(): Uint8Array {
    return Buffer.from(this.#ask({ call: 'before' }));
  }

  headerOf(part: number): Header {
    return headerIn(this.#ask({ call: 'headerOf', part }));
  }

  acceptQueues(netns: number | null): AcceptQueue[] {
    return JSON.parse(Buffer.from(this.#ask({ call: 'acceptQueues', netns })).toString());
  }

  means(): Means {
    return JSON.parse(Buffer.from(this.#ask({ call: 'means' })).toString());
  }

  footer(why: string, losses: Record<string, number>): Uint8Array {
    return Buffer.from(this.#ask({ call: 'footer', why, losses }));
  }

  end(why: string, losses: Record<string, number> = {}): Uint8Array {
    return this.#ask({ call: 'end', why, losses });
  }

  /** The reader ends with what it was asked by. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#to);
    if (this.#from !== this.#to) closeSync(this.#from);
  }

  #ask(request: Request): Uint8Array {
    const answer = this.#answer(request);
    if (!answer) throw new ReaderGone(this.#ended);
    if (answer.kind !== ANSWER.error) return answer.bytes;
    const { code, message } = JSON.parse(Buffer.from(answer.bytes).toString()) as Refusal;
    throw Object.assign(new Error(message), { code });
  }

  #answer(request: Request) {
    try {
      writeRequest(this.#to, request);
      return readAnswer(this.#from, this.#room, () => {
        const most_s = isLast(request) ? LAST_ANSWER_S : null;
        if (!awaitAnswer(this.#from, most_s, ASKED_S)) throw new ReaderGone(SILENT);
      });
    } catch (error) {
      if (['EPIPE', 'ECONNRESET'].includes((error as { code?: string }).code ?? '')) return null;
      throw error;
    }
  }
}

/** Nobody waits for what is asked then but to end. */
function isLast(request: Request): boolean {
  return request.call === 'end' || (request.call === 'tick' && request.last);
}

/** As a recording begins with it. */
function headerIn(bytes: Uint8Array): Header {
  return decodeHeader(bytes.subarray(readLength(bytes, 0, 0)?.end));
}
