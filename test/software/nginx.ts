// SPDX-License-Identifier: Apache-2.0

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lab } from '../../src/lab/lab.ts';
import { Service } from './service.ts';

export interface NginxOptions {
  port: number;
  workers?: number;
  backlog?: number;
  /** Directives of its server, instead of a page of 100 bytes. */
  server?: string;
}

/** nginx in the lab's server namespace, on both families. */
export async function nginx(lab: Lab, options: NginxOptions): Promise<Service> {
  const { port, workers = 2, backlog = 511, server } = options;
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-nginx-'));
  lab.defer(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(' ');
  writeFileSync(
    config,
    `
    daemon off;
    user root;
    worker_processes ${workers};
    pid ${folder}/pid;
    error_log stderr warn;
    events { worker_connections 1024; }
    http {
      access_log off;
      ${temporary}
      server {
        listen ${port} backlog=${backlog};
        listen [::]:${port} backlog=${backlog};
        ${server ?? `location / { return 200 '${'x'.repeat(100)}'; }`}
      }
    }`,
  );
  return Service.listening(lab.server, port, ['nginx', '-p', folder, '-c', config, '-e', 'stderr']);
}
