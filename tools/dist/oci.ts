// SPDX-License-Identifier: Apache-2.0
//
// Usage: node tools/dist/oci.ts MACHINE VERSION OUT LAYER…
//
// Makes an OCI image of layers (tar files), as a tar, without a daemon: https://github.com/opencontainers/image-spec.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const ARCHITECTURES: { [machine: string]: string } = { x86_64: 'amd64', aarch64: 'arm64' };
const TYPE = 'application/vnd.oci.image';

const [machine = '', version = '', out = '', ...layers] = process.argv.slice(2);
const architecture = ARCHITECTURES[machine];
if (!architecture) throw new Error(`no image is of ${machine}`);
const created = new Date(Number(process.env.SOURCE_DATE_EPOCH) * 1000).toISOString();
const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-oci-'));
try {
  mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
  write();
  // What is the same is packed to the same bytes.
  const same = '--sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar'.split(
    ' ',
  );
  execFileSync('tar', [...same, '-C', folder, '-cf', out, 'blobs', 'index.json', 'oci-layout']);
} finally {
  rmSync(folder, { recursive: true });
}

function write(): void {
  const tars = layers.map((layer) => readFileSync(layer));
  const config = json('config.v1+json', {
    created,
    ...{ architecture, os: 'linux' },
    config: {
      Entrypoint: ['/usr/bin/tcpwhy'],
      Cmd: ['trace'],
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Labels: {
        'org.opencontainers.image.title': 'tcpwhy',
        'org.opencontainers.image.version': version,
        'org.opencontainers.image.licenses': 'Apache-2.0',
      },
    },
    rootfs: { type: 'layers', diff_ids: tars.map((tar) => `sha256:${sha256(tar)}`) },
    history: tars.map(() => ({ created })),
  });
  const manifest = json('manifest.v1+json', {
    ...{ schemaVersion: 2, mediaType: `${TYPE}.manifest.v1+json` },
    config,
    layers: tars.map((tar) => blob('layer.v1.tar+gzip', gzipSync(tar, { level: 9 }))),
  });
  const platform = { architecture, os: 'linux' };
  const annotations = { 'org.opencontainers.image.ref.name': `tcpwhy:${version}` };
  const manifests = [{ ...manifest, platform, annotations }];
  const index = { schemaVersion: 2, mediaType: `${TYPE}.index.v1+json`, manifests };
  writeFileSync(join(folder, 'index.json'), JSON.stringify(index));
  writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
}

function json(type: string, value: object) {
  return blob(type, Buffer.from(JSON.stringify(value)));
}

/** Stored under its own hash; returns how others name it. */
function blob(type: string, bytes: Uint8Array) {
  const hash = sha256(bytes);
  writeFileSync(join(folder, 'blobs/sha256', hash), bytes);
  return { mediaType: `${TYPE}.${type}`, digest: `sha256:${hash}`, size: bytes.length };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
