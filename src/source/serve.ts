// SPDX-License-Identifier: Apache-2.0

import { fstatSync } from 'node:fs';
import { confine, waitAtMost } from '../native/binding.ts';
import { encodeHeader } from '../wire/decode.ts';
import {
  ANSWER,
  type Answer,
  parseRequest,
  type Refusal,
  type Request,
  readRequest,
  writeAnswer,
} from './border.ts';
import { LiveSource } from './live.ts';

/** Descriptors of the pipes that the front gives the reader; a service has one socket for both, at the first. */
const REQUESTS = 3;
const ANSWERS = 4;

/** Who connected to the service asks at once: whoever says nothing is let go, and holds no reader. */
const BEFORE_OPEN_S = 10;
/** A front that was stopped for longer is let go: it has lost most of what happened meanwhile. */
const PATIENCE_S = 600;
/** Milliseconds of it are 32 bits. */
const LONGEST_S = 2 ** 22;

const NOTHING = new Uint8Array(0);

/**
 * The half that is root: watches the kernel for whoever asks at `REQUESTS`, until nobody does any more. What
 * it is asked comes from a process that reads what strangers sent, and is believed nothing.
 */
export function serve(): void {
  const byService = fstatSync(REQUESTS).isSocket();
  if (byService) waitAtMost(REQUESTS, BEFORE_OPEN_S);
  // Ctrl-C is for both halves, and the front says when to end.
  else
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const)
      process.on(signal, () => {});
  const reader = new Reader(byService);
  try {
    while (reader.isAsked()) {
      const text = readRequest(REQUESTS);
      if (text === null) break;
      writeAnswer(byService ? REQUESTS : ANSWERS, reader.answer(parseRequest(text)));
    }
  } catch (error) {
    if (!GONE.includes((error as { code?: string }).code ?? '')) throw error;
  }
  reader.close();
}

/** How it shows that nobody asks any more, beside the end of what is asked. */
const GONE = ['EPIPE', 'ECONNRESET', 'EAGAIN'];

class Reader {
  readonly #byService: boolean;
  #source: LiveSource | null = null;

  constructor(byService: boolean) {
    this.#byService = byService;
  }

  answer(request: Request | null): Answer {
    try {
      return this.#answer(request);
    } catch (error) {
      const { code = '', message } = error as { code?: string; message: string };
      return refusal({ code, message });
    }
  }

  close(): void {
    this.#source?.close();
  }

  /** Waits for a request; false: there was none for longer than anybody is waited for. */
  isAsked(): boolean {
    const patience_s = this.#byService ? PATIENCE_S : LONGEST_S;
    return this.#source?.untilAsked(REQUESTS, patience_s * 1000) !== 'over';
  }

  #answer(request: Request | null): Answer {
    if (request?.call === 'open') {
      // Once, before there is anything that strangers sent.
      if (this.#source) return refusal({ code: 'EALREADY', message: 'it watches already' });
      // Where programs find what they read is for root to say.
      if (this.#byService && request.options.btf !== undefined)
        return refusal({ code: 'EINVAL', message: 'a service reads no file that it is told of' });
      const source = LiveSource.open(request.options);
      if (this.#byService) waitAtMost(REQUESTS, PATIENCE_S);
      try {
        confine('reader');
      } catch (error) {
        source.close();
        throw error;
      }
      this.#source = source;
      return { kind: ANSWER.header, bytes: encodeHeader(source.header) };
    }
    const source = this.#source;
    if (!request || !source) return refusal({ code: 'EINVAL', message: 'no such request' });
    switch (request.call) {
      case 'beginParts':
        source.beginParts();
        return bytes(NOTHING);
      case 'begin':
        return bytes(source.begin());
      case 'again':
        return bytes(source.again());
      case 'before':
        return bytes(source.before());
      case 'tick':
        return bytes(source.tick(request.last));
      case 'headerOf':
        return { kind: ANSWER.header, bytes: encodeHeader(source.headerOf(request.part)) };
      case 'acceptQueues':
        return json(source.acceptQueues(request.netns));
      case 'means':
        return json(source.means());
      case 'footer':
        return bytes(source.footer(request.why, request.losses));
      case 'end':
        return bytes(source.end(request.why, request.losses));
    }
  }
}

const bytes = (of: Uint8Array): Answer => ({ kind: ANSWER.bytes, bytes: of });
const json = (of: unknown): Answer => bytes(Buffer.from(JSON.stringify(of)));
const refusal = (of: Refusal): Answer => ({ ...json(of), kind: ANSWER.error });
