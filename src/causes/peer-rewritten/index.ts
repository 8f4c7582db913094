// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { endpoint, local, remote } from '../../tcp/endpoint.ts';
import type { Event } from '../../wire/event.ts';
import type { PeerName } from '../../wire/types.gen.ts';
import { defineCause, type Match } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';

type Rewritten = {
  local: string;
  true_peer: string;
  shown_peer: string;
  rewriter: string;
  getname: string | null;
  module: string | null;
  /** Of a capture: a balancer tells it, and nobody is known to read that. */
  told_only?: true;
};

export default defineCause<Rewritten>({
  id: 'peer-rewritten',
  title: 'the process is shown another peer than the connection’s own',
  severity: 'info',
  explains:
    'accept() or getpeername() gave the process another address than the connection’s own peer (TOA module, cgroup BPF program).',
  seenAs: ['wrong-peer'],
  packets: true,
  needs: ['peer_name'],
  on: ['peer_name', 'told_peer'],
  match(event, known) {
    if (event.kind === 'told_peer') return told(event);
    if (event.kind !== 'peer_name') return null;
    const { sock, shown_addr, shown_port, getname } = event.body;
    const shown = endpoint(shown_addr, shown_port);
    if (shown === remote(sock.flow)) return null;
    const rewriter = rewriterOf(event.body, known);
    const service = `${event.netns} ${sock.flow.saddr} ${sock.flow.sport}`;
    return {
      evidence: {
        local: local(sock.flow),
        true_peer: remote(sock.flow),
        shown_peer: shown,
        rewriter,
        getname: known.symbol(getname)?.name ?? null,
        module: known.symbol(getname)?.module || null,
      },
      basis: 'direct',
      subject: 'listener',
      where: local(sock.flow),
      flow: sock.flow,
      group: isEarlier(event.body) ? service : `${service} ${rewriter}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ local: at, true_peer, shown_peer, rewriter, told_only }) {
    if (told_only)
      return `${true_peer} connected to ${at} and tells in ${rewriter} that it is for ${shown_peer}: a host that reads this shows the process that peer`;
    return `${at}: the peer is ${true_peer}, the process is shown ${shown_peer} by ${rewriter}`;
  },
  advice({ true_peer, shown_peer }, { sport }) {
    return [
      `${true_peer} in netstat, ss and tcpdump is ${shown_peer} in logs of the process: match them by this line`,
      `where the peer is used as a key, two connections may collide: \`tcpwhy trace :${sport} --cause peer-collision\``,
    ];
  },
});

/** What a capture shows: whether the option is read is not known. */
function told({ body, netns }: Event<'told_peer'>): Match<Rewritten> | null {
  const { flow, toa, again } = body;
  if (again) return null;
  const rewriter = `TCP option ${toa.kind}`;
  return {
    evidence: {
      local: local(flow),
      true_peer: remote(flow),
      shown_peer: endpoint(toa.addr, toa.port),
      rewriter,
      getname: null,
      module: null,
      told_only: true,
    },
    basis: 'inferred',
    subject: 'listener',
    where: local(flow),
    flow,
    group: `${netns} ${flow.saddr} ${flow.sport} ${rewriter}`,
    owner: null,
  };
}

/** The kernel's own functions: where getname points at one of them, something else rewrites. */
const OWN = new Set(['inet_getname', 'inet6_getname']);

function rewriterOf(body: PeerName, known: Knowledge): string {
  const getname = known.symbol(body.getname);
  const suspects = programsOf(body, known);
  if (getname && !OWN.has(getname.name))
    suspects.unshift(`${getname.name}${getname.module ? ` [${getname.module}]` : ''}`);
  // It may be the kernel's own, or a module's that is gone.
  else if (!getname) suspects.push('a program or module that cannot be named');
  const [only = 'a program or module that did not show itself', ...others] = suspects;
  return others.length === 0 ? only : `one of ${suspects.join(', ')}`;
}

function programsOf(body: PeerName, known: Knowledge): string[] {
  const { sock, cgroup, programs, program, second_program, third_program } = body;
  const named = [program, second_program, third_program].flatMap((one) => (one ? [one] : []));
  const attached = known.rewriters(cgroup);
  const all = named.map(({ id, program: name }) => {
    const on = attached.find(({ program_id }) => program_id === id)?.cgroup_path;
    const path = on ?? known.cgroupPath(cgroup);
    const where =
      path === null ? '' : on === undefined ? ` in cgroup ${path}` : ` on cgroup ${path}`;
    return `BPF program ${name && `${name} `}(id ${id})${where}`;
  });
  if (programs > all.length) all.push(`${programs - all.length} more BPF programs`);
  return isEarlier(body) ? earlierPrograms(sock.owner.cgroup, known) : all;
}

/** Recordings of earlier versions do not tell which were in effect for the socket. */
function isEarlier({ cgroup }: PeerName): boolean {
  return cgroup === '0';
}

function earlierPrograms(cgroup: string, known: Knowledge): string[] {
  const programs = known
    .rewriters(cgroup)
    .map(({ program, cgroup_path }) => `${program} on cgroup ${cgroup_path}`);
  return programs.length > 0 ? [`BPF program ${programs.join(' or ')}`] : [];
}
