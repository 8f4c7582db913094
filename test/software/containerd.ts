// SPDX-License-Identifier: Apache-2.0

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectTo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import protobuf from 'protobufjs/light.js';
import { cgroupRoots, missingParents, removeEmpty } from './containers.ts';

/** Where it keeps what runs, unless it is told otherwise. */
const STATE = '/run/containerd';
const IMAGE = 'docker.io/tcpwhy/pause:1';
/** As a pod or a container that has the host's network has it. */
const HOST_NETWORK = { namespace_options: { network: 2 } };
const PATIENCE_MS = 30_000;

export interface Pod {
  name: string;
  namespace: string;
  uid: string;
}

/** Null, or why no pod can be made here. */
export function containerdLacks(): string | null {
  return existsSync(STATE) ? `there is a containerd already: ${STATE}` : null;
}

/** Debian's containerd, with one image, which has a program of ours and nothing else. */
export class Containerd {
  readonly #folder = mkdtempSync(join(tmpdir(), 'tcpwhy-containerd-'));
  readonly #socket = join(this.#folder, 'socket');
  readonly #child: ChildProcess;
  readonly #pods: string[] = [];
  readonly #made: string[] = [];
  #said = '';

  private constructor() {
    const path = join(this.#folder, 'config.toml');
    writeFileSync(path, config(this.#folder, this.#socket));
    this.#child = spawn('containerd', ['--config', path], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.on('data', (text) => {
      this.#said += text;
    });
  }

  /** `source`: of the program, in C. */
  static async start(source: string): Promise<Containerd> {
    const containerd = new Containerd();
    try {
      const image = containerd.#image(source);
      await containerd.#until('serving...');
      const args = ['--address', containerd.#socket, '-n', 'k8s.io', 'images', 'import'];
      execFileSync('ctr', [...args, '--snapshotter', 'native', image]);
    } catch (error) {
      await containerd[Symbol.asyncDispose]();
      throw error;
    }
    return containerd;
  }

  /** A pod on the host's network, with a container in it that runs the program: its id. */
  async run(pod: Pod, container: string, args: string[]): Promise<string> {
    const cgroup_parent = `/kubepods/burstable/pod${pod.uid}`;
    for (const root of cgroupRoots())
      this.#made.push(join(root, cgroup_parent), ...missingParents(root, cgroup_parent));
    const config = {
      metadata: pod,
      log_directory: this.#folder,
      linux: { cgroup_parent, security_context: HOST_NETWORK },
    };
    return this.#ask(async (call) => {
      const pod_sandbox_id = await call('RunPodSandbox', { config });
      this.#pods.push(pod_sandbox_id);
      const container_id = await call('CreateContainer', {
        pod_sandbox_id,
        config: {
          metadata: { name: container },
          image: { image: IMAGE },
          command: ['/program', ...args],
          log_path: 'log',
        },
        sandbox_config: config,
      });
      await call('StartContainer', { container_id });
      return container_id;
    });
  }

  async #ask<Answer>(
    asking: (call: (method: string, asked: object) => Promise<string>) => Promise<Answer>,
  ): Promise<Answer> {
    const session = connect('http://localhost', {
      createConnection: () => connectTo(this.#socket),
    });
    try {
      return await asking((method, asked) => call(session, method, asked));
    } finally {
      session.close();
    }
  }

  #image(source: string): string {
    const run = (...command: [string, ...string[]]) =>
      execFileSync(command[0], command.slice(1), { cwd: this.#folder });
    writeFileSync(join(this.#folder, 'program.c'), source);
    run('cc', '-O1', '-static', '-o', 'program', 'program.c');
    run('tar', 'cf', 'layer.tar', 'program');
    const digest = createHash('sha256').update(run('cat', 'layer.tar')).digest('hex');
    const files = {
      'config.json': {
        ...{ architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux' },
        config: { Entrypoint: ['/program'] },
        rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
      },
      'manifest.json': [{ Config: 'config.json', RepoTags: [IMAGE], Layers: ['layer.tar'] }],
    };
    for (const [name, content] of Object.entries(files))
      writeFileSync(join(this.#folder, name), JSON.stringify(content));
    run('tar', 'cf', 'image.tar', ...Object.keys(files), 'layer.tar');
    return join(this.#folder, 'image.tar');
  }

  async #until(said: string): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!this.#said.includes(said)) {
      if (performance.now() > end || this.#child.exitCode !== null) throw new Error(this.#said);
      await pause(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#ask(async (call) => {
        for (const pod_sandbox_id of this.#pods) {
          await call('StopPodSandbox', { pod_sandbox_id });
          await call('RemovePodSandbox', { pod_sandbox_id });
        }
      });
    } finally {
      const ended = once(this.#child, 'exit');
      this.#child.kill();
      await ended;
      for (const path of this.#made) removeEmpty(path);
      for (const folder of [STATE, this.#folder]) rmSync(folder, { recursive: true, force: true });
    }
  }
}

function config(folder: string, socket: string): string {
  return `version = 2
root = "${folder}/root"
state = "${STATE}"
[grpc]
address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "${IMAGE}"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
`;
}

/** Of what CRI (runtime/v1) is asked, and of its answers, only what is used here. */
const MESSAGES = protobuf.Root.fromJSON({
  nested: {
    PodMetadata: { fields: texts({ name: 1, uid: 2, namespace: 3 }) },
    Namespaces: { fields: { network: { id: 1, type: 'int32' } } },
    PodSecurity: { fields: { namespace_options: { id: 1, type: 'Namespaces' } } },
    PodLinux: {
      fields: { ...texts({ cgroup_parent: 1 }), security_context: { id: 2, type: 'PodSecurity' } },
    },
    Pod: {
      fields: {
        ...{ metadata: { id: 1, type: 'PodMetadata' }, linux: { id: 8, type: 'PodLinux' } },
        ...texts({ log_directory: 3 }),
      },
    },
    Image: { fields: texts({ image: 1 }) },
    Metadata: { fields: texts({ name: 1 }) },
    Container: {
      fields: {
        ...{ metadata: { id: 1, type: 'Metadata' }, image: { id: 2, type: 'Image' } },
        ...{ command: { id: 3, type: 'string', rule: 'repeated' }, ...texts({ log_path: 11 }) },
      },
    },
    RunPodSandbox: { fields: { config: { id: 1, type: 'Pod' } } },
    CreateContainer: {
      fields: {
        ...{ ...texts({ pod_sandbox_id: 1 }), config: { id: 2, type: 'Container' } },
        sandbox_config: { id: 3, type: 'Pod' },
      },
    },
    StartContainer: { fields: texts({ container_id: 1 }) },
    StopPodSandbox: { fields: texts({ pod_sandbox_id: 1 }) },
    RemovePodSandbox: { fields: texts({ pod_sandbox_id: 1 }) },
    Answer: { fields: texts({ id: 1 }) },
  },
});

function texts(ids: Record<string, number>) {
  return Object.fromEntries(
    Object.entries(ids).map(([name, id]) => [name, { id, type: 'string' }] as const),
  );
}

/** What a message of gRPC begins with: not compressed, and how long it is. */
const PREFIX_BYTES = 5;

/** The id that it answers with, where it does. */
async function call(session: ClientHttp2Session, method: string, asked: object): Promise<string> {
  const type = MESSAGES.lookupType(method);
  const message = type.encode(type.fromObject(asked)).finish();
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  const stream = session.request({
    ...{ ':method': 'POST', ':path': `/runtime.v1.RuntimeService/${method}` },
    ...{ 'content-type': 'application/grpc', te: 'trailers' },
  });
  let status: unknown = null;
  const hear = (headers: IncomingHttpHeaders) => {
    if (headers['grpc-status'] !== undefined)
      status = headers['grpc-status'] === '0' ? 'done' : headers['grpc-message'];
  };
  stream.on('response', hear).on('trailers', hear);
  stream.end(Buffer.concat([prefix, message]));
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  if (status !== 'done') throw new Error(`${method}: ${decodeURIComponent(String(status))}`);
  const answer = MESSAGES.lookupType('Answer').decode(Buffer.concat(chunks).subarray(PREFIX_BYTES));
  return (answer as unknown as { id: string }).id;
}
