// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../flow/knowledge.ts';
import { defineCause, endpoint, local, ownerOf, remote } from '../define.ts';

export default defineCause({
  id: 'peer-rewritten',
  title: 'the process is shown another peer than the connection’s own',
  severity: 'info',
  explains:
    'accept() or getpeername() gave the process another address than the connection’s own peer (TOA module, cgroup BPF program).',
  needs: ['peer_name'],
  on: ['peer_name'],
  match(event, known) {
    if (event.kind !== 'peer_name') return null;
    const { sock, shown_addr, shown_port, getname } = event.body;
    const shown = endpoint(shown_addr, shown_port);
    if (shown === remote(sock.flow)) return null;
    return {
      evidence: {
        local: local(sock.flow),
        true_peer: remote(sock.flow),
        shown_peer: shown,
        rewriter: rewriterOf(getname, sock.owner.cgroup, known),
        getname: known.symbol(getname)?.name ?? null,
        module: known.symbol(getname)?.module || null,
      },
      basis: 'direct',
      subject: 'listener',
      where: local(sock.flow),
      flow: sock.flow,
      group: `${event.netns} ${sock.flow.saddr} ${sock.flow.sport}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ local: at, true_peer, shown_peer, rewriter }) {
    return `${at}: the peer is ${true_peer}, the process is shown ${shown_peer} by ${rewriter}`;
  },
  advice({ true_peer, shown_peer }, { sport }) {
    return [
      `${true_peer} in netstat, ss and tcpdump is ${shown_peer} in logs of the process: match them by this line`,
      `where the peer is used as a key, two connections may collide: \`tcpwhy trace :${sport} --cause peer-collision\``,
    ];
  },
});

/** The kernel's own functions: where getname points at one of them, something else rewrites. */
const OWN = new Set(['inet_getname', 'inet6_getname']);

function rewriterOf(getname: string, cgroup: string, known: Knowledge): string {
  const symbol = known.symbol(getname);
  if (symbol && !OWN.has(symbol.name))
    return `${symbol.name}${symbol.module ? ` [${symbol.module}]` : ''}`;
  const programs = known
    .rewriters(cgroup)
    .map(({ program, cgroup_path }) => `${program} on cgroup ${cgroup_path}`);
  if (programs.length > 0) return `BPF program ${programs.join(' or ')}`;
  return 'a program or module that did not show itself';
}
