// SPDX-License-Identifier: Apache-2.0

import type { Family } from '../../tcp/address.ts';
import { table } from '../nat.ts';
import type { ScenarioEntry, Wanted } from '../scenario.ts';
import { HOSTS } from '../wiring.ts';
import { knocked } from './netfilter-drop.ts';

const PORT = 6443;
const HIT = 'counter name hit';
const INPUT = 'type filter hook input priority 0;';
const ELSEWHERE = { 4: '192.0.2.9', 6: '2001:db8:9::9' };
const TYPE = { 4: 'ipv4_addr', 6: 'ipv6_addr' };
const PREFIX = { 4: '10.4.26.0/24', 6: '2001:db8:26::/64' };

interface Rules {
  name: string;
  title: string;
  /** Of a table whose counter `hit` counts what is dropped. */
  rules(family: Family): string;
  says(family: Family): Wanted;
  commands?: string[];
}

/** Which rule it was: each finding names it. */
const RULES: Rules[] = [
  {
    name: 'address',
    title: 'one of several rules of the server drops SYNs: the one for their address',
    rules(family) {
      const ip = table(family);
      return `chain input { ${INPUT}
        ${ip} saddr ${ELSEWHERE[family]} tcp dport ${PORT} drop
        ${ip} saddr ${HOSTS[family].client} tcp dport ${PORT} ${HIT} drop
        tcp dport ${PORT} drop
      }`;
    },
    says: (family) => ({
      ...{ family: 'inet', table: 'lab', chain: 'input', hook: 'input' },
      rule: `${table(family)} saddr ${HOSTS[family].client} tcp dport ${PORT} counter name "hit" drop`,
    }),
  },
  {
    name: 'untracked',
    title:
      'the server lets pass what connection tracking knows or has for new, and does not track the port',
    rules: () => `
      chain raw { type filter hook prerouting priority -300
        tcp dport ${PORT} notrack
      }
      chain input { ${INPUT}
        ct state { new, established } accept
        tcp dport ${PORT} ${HIT} drop
      }`,
    says: () => ({
      ...{ chain: 'input', untracked_by: [/ of inet lab raw \(tcp dport 6443 notrack\)$/] },
      rule: `tcp dport ${PORT} counter name "hit" drop`,
    }),
  },
  {
    name: 'set',
    title: 'a rule of the server drops SYNs by a set of prefixes',
    rules: (family) => `
      set elsewhere { type ${TYPE[family]}; elements = { ${ELSEWHERE[family]} } }
      set blocked { type ${TYPE[family]}; flags interval; elements = { ${ELSEWHERE[family]}, ${PREFIX[family]} } }
      chain input { ${INPUT}
        ${table(family)} saddr @elsewhere drop
        ${table(family)} saddr @blocked ${HIT} drop
      }`,
    says: (family) => ({
      rule: `${table(family)} saddr @blocked counter name "hit" drop`,
      one_of: [],
    }),
  },
  {
    name: 'ports',
    title: 'a rule of the server drops SYNs to several ports',
    rules: () => `
      chain input { ${INPUT}
        tcp dport { 22, 80 } drop
        tcp dport { 53, 6000-6999, 8080 } ${HIT} drop
      }`,
    says: () => ({
      rule: 'tcp dport { 53, 6000-6999, 8080 } counter name "hit" drop',
    }),
  },
  {
    name: 'vmap',
    title: 'a map of the server’s rules has SYNs jump to a chain that drops them',
    rules: () => `
      chain closed { ${HIT} drop; }
      chain open { drop; }
      chain input { ${INPUT}
        tcp dport vmap { 22 : jump open, ${PORT} : jump closed }
        tcp dport ${PORT} drop
      }`,
    says: () => ({ chain: 'closed', rule: 'counter name "hit" drop' }),
  },
  {
    name: 'jump',
    title: 'a chain that the server’s rules jump to drops SYNs',
    rules: () => `
      chain inner { tcp dport 22 accept; tcp flags syn ${HIT} drop; }
      chain outer { ct state established return; goto inner; }
      chain input { ${INPUT}
        ct state established,related accept
        iifname "s0" tcp dport 6000-7000 jump outer
        drop
      }`,
    says: () => ({ chain: 'inner', hook: 'input' }),
  },
  {
    name: 'policy',
    title: 'the policy of a chain of the server drops SYNs',
    rules: () => `
      chain input { ${INPUT} policy drop;
        tcp dport { 22, 80 } accept
        tcp dport ${PORT} ${HIT}
        meta l4proto != tcp accept
      }`,
    says: () => ({ chain: 'input', rule: 'policy drop', handle: null }),
  },
  {
    name: 'counter',
    title: 'two rules of the server may drop SYNs, and the counter of one tells that it did not',
    rules: () => `
      chain input { ${INPUT}
        meta mark 7 tcp dport ${PORT} counter drop
        tcp dport ${PORT} ${HIT} drop
      }`,
    says: () => ({ rule: `tcp dport ${PORT} counter name "hit" drop`, one_of: [] }),
  },
  {
    name: 'one-of',
    title: 'two rules of the server may drop SYNs, and nothing tells which it was',
    rules: () => `
      chain input { ${INPUT}
        meta mark 7 tcp dport ${PORT} drop
        tcp dport ${PORT} ${HIT} drop
      }`,
    says: () => ({
      rule: null,
      one_of: [
        /meta mark 0x00000007 tcp dport 6443 drop\)$/,
        /tcp dport 6443 counter name "hit" drop\)$/,
      ],
    }),
  },
];

const netfilterRules: ScenarioEntry[] = RULES.map(({ name, title, rules, says }) => ({
  id: `netfilter-drop/${name}`,
  cause: 'netfilter-drop',
  title,
  ownerless: true,
  commands: ['nft'],
  says: ({ family }) => says(family),
  prepare(lab, { family }) {
    lab.server.exec('nft', ['-f', '-'], `table inet lab { counter hit {}\n${rules(family)}\n}`);
  },
  run: (lab, options) => knocked(lab, options, PORT),
}));

export default [...netfilterRules] satisfies ScenarioEntry[];
