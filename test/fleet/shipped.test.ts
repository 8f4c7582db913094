// SPDX-License-Identifier: Apache-2.0

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CAUSES } from '../../src/causes/registry.gen.ts';
import { ROOT } from '../kernel/tcpwhy.ts';
import { CHDB, clickHouse, lacks, PROMTOOL, SCHEMAS, shipped } from './engines.ts';

const FOLDER = join(ROOT, 'tools/fleet');

const IDS = new Set<string>(CAUSES.map(({ id }) => id));

it('names no cause that there is not', () => {
  const lists = [
    ...shipped('prometheus', 'alerts.yml').matchAll(/tcpwhy_cause=~"([^"]*)"/g),
    ...shipped('victorialogs', 'what-the-server-said.logsql').matchAll(
      /tcpwhy\.cause:in\(([^)]*)\)/g,
    ),
    ...shipped('clickhouse', 'what-the-server-said.sql').matchAll(/WHERE cause IN \(([^)]*)\)/g),
  ].map(([, list = '']) => list.replaceAll("'", '').split(/[|,]\s*/));
  expect(lists).toHaveLength(7);
  for (const id of lists.flat()) expect(IDS, id).toContain(id);
});

describe.skipIf(lacks(PROMTOOL))(`rules for Prometheus (${lacks(PROMTOOL) ?? 'promtool'})`, () => {
  const promtool = (...args: string[]) => {
    const cwd = join(FOLDER, 'prometheus');
    const { status, stdout, stderr } = spawnSync(PROMTOOL, args, { cwd, encoding: 'utf8' });
    return { status, said: stdout + stderr };
  };

  it('are rules', () => {
    expect(promtool('check', 'rules', '--lint-fatal', 'alerts.yml')).toMatchObject({ status: 0 });
  });

  it('say what they should, and when', () => {
    const { status, said } = promtool('test', 'rules', 'alerts.test.yml');
    expect([status, said]).toEqual([0, expect.stringContaining('SUCCESS')]);
  });
});

it('asks for metrics that the agent has', () => {
  const page = readFileSync(join(ROOT, 'docs/agent.md'), 'utf8');
  const [, metrics = ''] = page.split('## Metrics');
  const described = new Set(
    [...metrics.matchAll(/`((?:tcpwhy|network)(?:\.[a-z_]+)+)`/g)].map(([, name = '']) =>
      name.replaceAll('.', '_'),
    ),
  );
  const asked = [
    ...shipped('prometheus', 'alerts.yml').matchAll(/\btcpwhy_\w+/g),
    ...[...shipped('grafana', 'dashboard.json').matchAll(/"expr": "(.*)"/g)].flatMap(
      ([, expression = '']) => [...expression.matchAll(/\btcpwhy_\w+/g)],
    ),
  ].map(([name]) => name.replace(/_total$/, ''));
  expect(asked.length).toBeGreaterThan(30);
  expect(asked.filter((name) => !described.has(name))).toEqual([]);
});

describe.skipIf(lacks(SCHEMAS))(`as its own schema says (${lacks(SCHEMAS) ?? 'npm'})`, () => {
  it('the dashboard of Grafana', () => {
    const dashboard = JSON.parse(shipped('grafana', 'dashboard.json'));
    const is = '@grafana/schema/dist/types/raw/dashboard/x/types.gen.d.ts';
    expect(misfit(dashboard, is, 'Dashboard')).toBe('');
    expect(misfit({ ...dashboard, panels: [{ typ: 'table' }] }, is, 'Dashboard')).toMatch('typ');
  });

  it('the manifests for Kubernetes', async () => {
    const [daemonSet] = manifests('daemonset.yaml');
    const is = 'kubernetes-models/apps/v1/DaemonSet.d.ts';
    expect(misfit(daemonSet, is, 'IDaemonSet')).toBe('');
    const { DaemonSet } = await import(join(SCHEMAS, 'kubernetes-models/apps/v1/DaemonSet.js'));
    new DaemonSet(daemonSet).validate();
    const [namespace] = manifests('namespace.yaml');
    expect(misfit(namespace, 'kubernetes-models/v1/Namespace.d.ts', 'INamespace')).toBe('');
    const [{ resources }] = manifests('kustomization.yaml') as [{ resources: string[] }];
    expect(readdirSync(join(FOLDER, 'kubernetes'))).toEqual(expect.arrayContaining(resources));
  });
});

it('gives the container the capabilities that watching takes, and nothing else', () => {
  const [daemonSet] = manifests('daemonset.yaml') as [DaemonSet];
  const [container] = daemonSet.spec.template.spec.containers;
  const page = readFileSync(join(ROOT, 'docs/service.md'), 'utf8');
  const listed = [...page.matchAll(/^\| CAP_([A-Z_]+) \|/gm)].map(([, name]) => name);
  expect(listed).toHaveLength(9);
  expect(container?.securityContext).toMatchObject({
    ...{ privileged: false, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true },
    ...{ seccompProfile: { type: 'RuntimeDefault' } },
    capabilities: { drop: ['ALL'], add: listed },
  });
});

describe.skipIf(lacks(CHDB))(`the dashboard (${lacks(CHDB) ?? 'chdb'})`, () => {
  it('asks ClickHouse what it answers', () => {
    const { panels } = JSON.parse(shipped('grafana', 'dashboard.json')) as {
      panels: { targets: { rawSql?: string }[] }[];
    };
    const asked = panels.flatMap(({ targets }) => targets.flatMap(({ rawSql }) => rawSql ?? []));
    expect(asked).toHaveLength(2);
    const sql = asked.map((text) => ({
      sql: text.replaceAll(/\$__timeFilter\((.*?)\)/g, '$1 > now() - INTERVAL 1 HOUR'),
    }));
    expect(clickHouse(...sql)).toEqual([[], []]);
  });
});

interface DaemonSet {
  spec: { template: { spec: { containers: { securityContext: object }[] } } };
}

/** What the compiler says of it as an object of a type; empty where it fits, with no field that the type has not. */
function misfit(value: unknown, declared: string, type: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'tcpwhy-schema-'));
  try {
    const file = join(folder, 'value.ts');
    const from = join(SCHEMAS, declared).replace(/\.d\.ts$/, '.js');
    const lines = [
      `import type { ${type} } from '${from}';`,
      // Of an enumeration the text, as JSON has it.
      `type Plain<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;`,
      `export const value: Plain<${type}> = ${JSON.stringify(value, null, 1)};`,
    ];
    writeFileSync(file, lines.join('\n'));
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'esnext',
    ];
    const tsc = join(ROOT, 'node_modules/.bin/tsc');
    return spawnSync(tsc, [...options, file], { encoding: 'utf8' }).stdout;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function manifests(file: string): unknown[] {
  const read =
    'import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))';
  const { status, stdout, stderr } = spawnSync(
    'python3',
    ['-c', read, join(FOLDER, 'kubernetes', file)],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}
