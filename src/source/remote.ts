// SPDX-License-Identifier: Apache-2.0

import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { itself } from '../host/built.ts';
import { boundCapabilities, confine, maxDrained, pipe } from '../native/binding.ts';
import { decodeHeader } from '../wire/decode.ts';
import { readLength } from '../wire/frames.ts';
import type { Header } from '../wire/types.gen.ts';
import type { AttachOptions } from './attach.ts';
import { ANSWER, type Refusal, type Request, readAnswer, writeRequest } from './border.ts';
import type { Source } from './source.ts';

/** Who called tcpwhy, and is to have all of it but the reader. */
export interface Caller {
  uid: number;
  gid: number;
}

/**
 * What reading the kernel takes, as capabilities(7) numbers them: CAP_DAC_READ_SEARCH, CAP_NET_ADMIN (whose
 * programs, which rules), CAP_IPC_LOCK (rings), CAP_SYS_PTRACE (/proc of others), CAP_SYS_ADMIN (namespaces),
 * CAP_SYS_RESOURCE (memory of BPF before 5.11), CAP_SYSLOG (symbols), CAP_PERFMON, CAP_BPF.
 */
const READER_CAPABILITIES = [2, 12, 14, 19, 21, 24, 34, 38, 39];

/** The reader ended while somebody watched by it. */
export class ReaderGone extends Error {
  override name = 'ReaderGone';
  constructor() {
    super(
      'the half of tcpwhy that reads the kernel is gone: it was ended from outside, or had no memory (journalctl -k). Nothing stays attached; start it again.',
    );
  }
}

/** Null where nobody called it by sudo: then there is nobody else to be. */
export function callerBySudo(env: NodeJS.ProcessEnv, uid = process.geteuid?.()): Caller | null {
  const [user, group] = [env.SUDO_UID, env.SUDO_GID].map((text = '') =>
    /^\d{1,10}$/.test(text) ? Number(text) : 0,
  );
  return uid === 0 && user && group ? { uid: user, gid: group } : null;
}

/**
 * The kernel as a process of its own reads it, the only one that stays root. This one becomes the caller,
 * for good, and can neither read the kernel nor run a program.
 */
export class RemoteSource implements Source {
  readonly header: Header;
  readonly #to: number;
  readonly #from: number;
  readonly #room = Buffer.allocUnsafeSlow(maxDrained());
  #open = true;

  /** Throws binding errors, with a `code`, as LiveSource.open() does; ReaderGone. */
  static open(options: AttachOptions, caller: Caller): RemoteSource {
    const requests = pipe();
    const answers = pipe();
    boundCapabilities(READER_CAPABILITIES);
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
    return new RemoteSource(requests.to, answers.from, options);
  }

  private constructor(to: number, from: number, options: AttachOptions) {
    this.#to = to;
    this.#from = from;
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
    closeSync(this.#from);
  }

  #ask(request: Request): Uint8Array {
    const answer = this.#answer(request);
    if (!answer) throw new ReaderGone();
    if (answer.kind !== ANSWER.error) return answer.bytes;
    const { code, message } = JSON.parse(Buffer.from(answer.bytes).toString()) as Refusal;
    throw Object.assign(new Error(message), { code });
  }

  #answer(request: Request) {
    try {
      writeRequest(this.#to, request);
      return readAnswer(this.#from, this.#room);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EPIPE') return null;
      throw error;
    }
  }
}

/** As a recording begins with it. */
function headerIn(bytes: Uint8Array): Header {
  return decodeHeader(bytes.subarray(readLength(bytes, 0, 0)?.end));
}

function become({ uid, gid }: Caller): void {
  const { setgroups, setgid, setuid } = process;
  // @types/node lacks it.
  const { initgroups } = process as { initgroups?(user: number, group: number): void };
  setgroups?.([gid]);
  try {
    initgroups?.(uid, gid);
  } catch {
    // Whom the host does not know has no other groups.
  }
  setgid?.(gid);
  setuid?.(uid);
  confine('front');
}
