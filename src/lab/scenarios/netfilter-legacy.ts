// SPDX-License-Identifier: Apache-2.0

import { awaitReset, dial, knock, listen, localOf } from '../connections.ts';
import type { Lab } from '../lab.ts';
import type { Made, Options, ScenarioEntry } from '../scenario.ts';
import { until } from '../until.ts';
import { HOSTS } from '../wiring.ts';

const PORT = 6443;
const ELSEWHERE = { 4: '192.0.2.9', 6: '2001:db8:9::9' };

type Family = Options['family'];

const command = (family: Family) => (family === 4 ? 'iptables-legacy' : 'ip6tables-legacy');

interface Rules {
  name: string;
  title: string;
  table: string;
  /** As iptables-restore reads them. */
  rules(family: Family): string;
  says: Record<string, string | number | null>;
}

const RULES: Rules[] = [
  {
    name: 'legacy',
    title: 'one of several rules of iptables-legacy drops SYNs',
    table: 'filter',
    rules: (family) => `:INPUT ACCEPT [0:0]
-A INPUT -s ${ELSEWHERE[family]} -p tcp --dport ${PORT} -j DROP
-A INPUT -i s0 -s ${HOSTS[family].client} -p tcp --dport ${PORT} -j DROP
-A INPUT -p tcp --dport ${PORT} -j DROP`,
    says: { chain: 'INPUT', handle: 2, hook: 'input' },
  },
  {
    name: 'legacy-jump',
    title: 'a chain that rules of iptables-legacy jump to drops SYNs',
    table: 'mangle',
    rules: () => `:PREROUTING ACCEPT [0:0]
:inner - [0:0]
:outer - [0:0]
-A PREROUTING -p tcp --dport 6000:7000 -j outer
-A PREROUTING -p tcp -j DROP
-A outer -p tcp --dport 22 -j RETURN
-A outer -g inner
-A inner -p tcp --syn -j DROP`,
    says: { chain: 'inner', handle: 1, hook: 'prerouting' },
  },
  {
    name: 'legacy-policy',
    title: 'the policy of a chain of iptables-legacy drops SYNs',
    table: 'filter',
    rules: () => `:INPUT DROP [0:0]
-A INPUT -p tcp --dport 22 -j ACCEPT
-A INPUT ! -p tcp -j ACCEPT`,
    says: { chain: 'INPUT', rule: 'policy drop', handle: null },
  },
];

const rejectLegacy: ScenarioEntry = {
  id: 'netfilter-reject/legacy',
  title: 'a rule of iptables-legacy of the server rejects SYNs with a reset',
  ownerless: true,
  commands: ['iptables-legacy'],
  says: ({ family }) => ({ family: command(family), table: 'filter', chain: 'INPUT', handle: 2 }),
  prepare(lab, { family }) {
    const reject = '-p tcp --dport 6000:7000 -j REJECT --reject-with tcp-reset';
    const rules = `-A INPUT -p tcp --dport 22 -j DROP\n-A INPUT ${reject}`;
    lab.server.exec(`${command(family)}-restore`, [], `*filter\n${rules}\nCOMMIT\n`);
  },
  run(lab, { times, family }) {
    const server = { address: HOSTS[family].server, port: PORT };
    using _listener = listen(lab, family, PORT, times);
    const sockets = dial(lab, lab.client, server, times);
    const clients = sockets.map(localOf);
    awaitReset(sockets, 'ECONNREFUSED');
    return { server, clients, netns: lab.server.inode };
  },
};

const netfilterLegacy: ScenarioEntry[] = RULES.map(({ name, title, table, rules, says }) => ({
  id: `netfilter-drop/${name}`,
  cause: 'netfilter-drop',
  title,
  ownerless: true,
  commands: ['iptables-legacy'],
  says: ({ family }) => ({ family: command(family), table, one_of: [], ...says }),
  prepare(lab, { family }) {
    const made = `*${table}\n${rules(family)}\nCOMMIT\n`;
    lab.server.exec(`${command(family)}-restore`, [], made);
  },
  run(lab, { times, family }): Made {
    const server = { address: HOSTS[family].server, port: PORT };
    const before = dropped(lab, family, table);
    using _listener = listen(lab, family, PORT, times);
    const clients = knock(lab, server, times);
    until('the SYNs to meet the rule', () => dropped(lab, family, table) - before >= times);
    return { server, clients, netns: lab.server.inode };
  },
}));

/** By rules, and by policies. */
function dropped(lab: Lab, family: Family, table: string): number {
  const told = lab.server.exec(`${command(family)}-save`, ['-c', '-t', table]);
  const counts = told.matchAll(/^\[(\d+):.* DROP$|^:\S+ DROP \[(\d+):/gm);
  return [...counts].reduce((sum, [, rule, policy]) => sum + Number(rule ?? policy), 0);
}

export default [rejectLegacy, ...netfilterLegacy] satisfies ScenarioEntry[];
