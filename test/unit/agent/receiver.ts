// SPDX-License-Identifier: Apache-2.0

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import type { Endpoint } from '../../../src/agent/endpoint.ts';

export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: Uint8Array;
}

export interface Request {
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** A real server that answers as it is told to, one answer after the other, and the last one from then on. */
export class Receiver {
  readonly requests: Request[] = [];
  readonly #server: Server;
  answers: ((request: Request) => Answer | 'hangs up' | 'breaks off' | 'never')[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  /** With `tls` it speaks https. */
  static async open(tls: ServerOptions | null = null): Promise<Receiver> {
    const server = tls ? createTlsServer(tls) : createServer();
    const receiver = new Receiver(server);
    server.on('request', async (incoming, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk);
      const { headers, url: path = '' } = incoming;
      const sent = Buffer.concat(chunks);
      const body = headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
      const request = { path, headers, body };
      receiver.requests.push(request);
      const { answers } = receiver;
      const answer = (answers.length > 1 ? answers.shift() : answers[0])?.(request);
      if (answer === 'hangs up') incoming.socket.destroy();
      else if (answer === 'breaks off') {
        response.writeHead(200, { 'content-length': 100 });
        response.write('{', () => incoming.socket.destroy());
      } else if (answer !== 'never')
        response.writeHead(answer?.status ?? 200, answer?.headers).end(answer?.body ?? undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get endpoint(): Endpoint {
    const { port } = this;
    const url = new URL(`http://127.0.0.1:${port}/v1/logs`);
    return { url, headers: { tenant: '1' }, gzip: true, timeout_ms: 10_000, tls: () => ({}) };
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
