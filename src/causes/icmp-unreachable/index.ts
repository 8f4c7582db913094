// SPDX-License-Identifier: Apache-2.0

import { local, remote } from '../../tcp/endpoint.ts';
import { errnoName } from '../../tcp/errno.ts';
import { reversed } from '../../tcp/service.ts';
import { TCP_STATE } from '../../tcp/states.ts';
import type { Event } from '../../wire/event.ts';
import { defineCause, type Match } from '../define.ts';
import { addressOf, redirectAdvice, redirected } from '../shared/conntrack.ts';
import { failedNeighbour, nextHopOf } from '../shared/neighbours.ts';
import { ownerOf } from '../shared/processes.ts';
import {
  endedBy,
  endsHalfOpen,
  icmpName,
  icmpProtocol,
  isTtlExceeded,
} from '../shared/unreachable.ts';
import { deviceName, word } from '../shared/wording.ts';

/** What icmpName() calls it where a link-local address should have left its segment. */
const BEYOND_SCOPE = 'beyond the scope of the source address';

/** Who answers that this host sent the connect to in place of what was dialled. */
const TARGET = 'what it is translated to';
/** No host says of itself that it cannot be reached, but by a rule; a hop that translates says it in its name. */
const TRANSLATED = 'the host dialled, or a hop that translates it';
const isNotReached = (icmp: Parameters<typeof icmpName>[0]) =>
  /^(host|net|network|address) unreachable$|^no route/.test(icmpName(icmp));

/** Hops between hosts of the Internet, and more. */
const FARTHEST = 32;

/** Of a connect, or of a half-open connection: `dialled` is the end that was dialled. */
type Told = Partial<ReturnType<typeof redirected>> & {
  half_open?: true;
  dialled: string;
  from: string;
  icmp: string;
  icmp_type: number;
  icmp_code: number;
  icmp_from: string;
  sender: string;
  error: string | null;
  syns_sent?: number;
  device?: string | null;
  own_ttl?: number | null;
};

export default defineCause({
  id: 'icmp-unreachable',
  title: 'an ICMP error ended it',
  severity: 'warning',
  explains:
    'A connect from this host, or a half-open connection to it, ended at once because a router, a firewall or the other host answered with an ICMP error.',
  seenAs: ['connect-unreachable', 'connect-refused', 'connect-hangs'],
  packets: true,
  needs: ['state', 'icmp', 'neighbour'],
  on: ['state_change'],
  supersedes: ['syn-resent'],
  match(event, known): Match<Told> | null {
    if (event.kind !== 'state_change') return null;
    const { old_state, new_state, sock, icmp, connect } = event.body;
    if (old_state === TCP_STATE.NEW_SYN_RECV) return halfOpen(event);
    if (old_state !== TCP_STATE.SYN_SENT || new_state !== TCP_STATE.CLOSE) return null;
    if (!endedBy(icmp, sock.err) || failedNeighbour(event, known)) return null;
    const next_hop = nextHopOf(event, known);
    const redirect = known.redirect(sock.flow, event.ktime_ns)?.answer;
    const { saddr, daddr, dport } = sock.flow;
    const protocol = icmpProtocol(icmp);
    return {
      evidence: {
        dialled: remote(sock.flow),
        from: local(sock.flow),
        ...(redirect && redirected(redirect, event.netns)),
        icmp: `${protocol} ${icmpName(icmp)}`,
        icmp_type: icmp.type,
        icmp_code: icmp.code,
        icmp_from: icmp.from,
        sender:
          icmp.from === daddr
            ? isNotReached(icmp)
              ? TRANSLATED
              : 'the host dialled'
            : icmp.from === saddr
              ? 'this host'
              : icmp.from === redirect?.saddr
                ? TARGET
                : 'a hop',
        error: sock.err === 0 ? null : errnoName(sock.err),
        syns_sent: sock.retransmits + 1,
        ...(icmp.from === saddr && { device: next_hop?.device || null }),
        ...(isTtlExceeded(icmp) && { own_ttl: connect?.ttl || null }),
      },
      basis: 'direct',
      subject: 'flow',
      where: remote(sock.flow),
      flow: sock.flow,
      ...(redirect && { related: [{ ...reversed(redirect), service: sock.flow.service }] }),
      group: `${event.netns} ${daddr} ${dport} ${icmp.from} ${icmp.type} ${icmp.code}`,
      owner: ownerOf(sock.owner),
    };
  },
  summary({ dialled, from, icmp, icmp_from, sender, error, own_ttl, redirected_to, half_open }) {
    if (half_open)
      return `${icmp} from ${icmp_from} (${sender}) ended the half-open connection of ${from} to ${dialled}: the SYN-ACK does not get there`;
    const where =
      redirected_to === undefined
        ? dialled
        : `${dialled}, translated by this host to ${redirected_to}`;
    const ended = `${icmp} from ${icmp_from} (${sender}) ended the connect to ${where}: ${error ?? 'its program closed it'}`;
    if (own_ttl === undefined) return ended;
    const why =
      own_ttl === null || own_ttl > FARTHEST
        ? 'a routing loop, most likely'
        : `its socket asks for a TTL of ${own_ttl}, which is too low, or there is a routing loop`;
    return `${ended}; the TTL ended there: ${why}`;
  },
  advice(
    { dialled, icmp, icmp_from, sender, device = null, own_ttl, redirected_to, netns, half_open },
    { saddr, sport, daddr: asked, dport },
  ) {
    if (half_open && sender === 'this host')
      return [
        `this host itself has no way to send its SYN-ACK to ${asked}: \`ip route get ${asked} from ${saddr}\` and \`ip neigh\` (FAILED: nobody answers for that next hop)`,
      ];
    if (half_open)
      return [
        `${icmp_from} says that ${asked} is not to be reached: is the client up, and what leads back to it? \`ip route get ${asked} from ${saddr}\` and \`tracepath -n ${asked}\``,
        `a rule on the way, or at the client, that rejects SYN-ACKs: on ${icmp_from}: \`nft -a list ruleset | grep -n reject\``,
        `many clients, each once: their SYNs have forged sources: \`ss -tn state syn-recv 'sport = :${sport}'\``,
        `see the answers here: \`tcpdump -nvi any 'icmp or icmp6'\``,
      ];
    // What this host translates has another name on the way.
    const at = redirected_to ?? dialled;
    const daddr = redirected_to === undefined ? asked : addressOf(redirected_to);
    if (own_ttl !== undefined)
      return [
        ...(own_ttl === null
          ? []
          : [
              `the program gives its socket a TTL of ${own_ttl} (IP_TTL, IPV6_UNICAST_HOPS): ${icmp_from} is as far as that goes`,
            ]),
        `which hops come again? They are those of the loop: \`tracepath -n ${daddr}\``,
        `on ${icmp_from} and on the hop that it sends to: \`ip route get ${daddr} from ${saddr} iif DEV\` and \`tcpwhy trace ${word(dialled)}\``,
        `no hop comes again: too low a TTL leaves here: \`sysctl net.ipv4.ip_default_ttl net.ipv6.conf.all.hop_limit\` or a rule lowers it: \`nft list ruleset | grep -nE 'ttl|hoplimit'\``,
      ];
    const see = `\`tcpdump -nvi any 'icmp or icmp6'\``;
    const rules = `\`nft -a list ruleset | grep -n reject\``;
    if (sender === 'this host') {
      const dev = deviceName(device) ?? 'DEV';
      return [
        `a rule of this host rejects ${dialled} on its way out: ${rules}`,
        `or its route leads nowhere: \`ip route get ${daddr}\``,
        `or ${dev} is a tunnel that knows no other end for it: \`ip -d -s link show dev ${dev}\` WireGuard has to have it among the allowed IPs of a peer whose endpoint is known: \`wg show ${dev}\``,
      ];
    }
    const isTarget = sender === 'the host dialled' || sender === TRANSLATED || sender === TARGET;
    const there = isTarget ? daddr : `${icmp_from}, which is on the way to ${daddr},`;
    const rejects: Record<string, string> = {
      prohibited: 'a rule there forbids it, or a route or rule of policy routing of type prohibit',
      'source address failed policy': `a rule there rejects it so, or may not let ${saddr} leave that way (an address of another provider or network)`,
      'reject route': 'a rule there rejects it so, or a route that was put there to reject it',
      'port unreachable': 'a rule there rejects it (a closed port answers with a reset)',
    };
    const said = Object.keys(rejects).find((end) => String(icmp).endsWith(end));
    const why =
      rejects[said ?? ''] ??
      (isTarget
        ? 'a rule there rejects it, or it is translated there (a virtual address, DNAT), and what it stands for does not answer or has no route'
        : 'it has no route to the next hop, or that does not answer it');
    if (String(icmp).endsWith(BEYOND_SCOPE))
      return [
        `${there} says so: ${saddr} is an address of its own segment, which no router may send on. Has this host a global address? \`ip -6 addr show scope global\` None: the router’s advertisements (\`ip monitor prefix\`) or DHCP should have brought one`,
        `which source it takes: \`ip -6 route get ${daddr}\``,
      ];
    return [
      `${there} says so: ${why}. On it: ${rules} and \`tcpwhy trace ${word(String(at))}\``,
      ...(redirected_to !== undefined && netns !== undefined
        ? [redirectAdvice(netns, String(dialled))]
        : []),
      `on a router: \`ip route get ${daddr} from ${saddr} iif DEV\`, \`ip rule\` and \`ip neigh\``,
      `see the answers here: ${see} while a client connects to port ${dport}`,
    ];
  },
});

/** The kernel drops it without a word, and with an entry of ListenDrops: tcp_req_err(). */
function halfOpen({ body, netns }: Event<'state_change'>): Match<Told> | null {
  const { sock, icmp } = body;
  if (!icmp || !endsHalfOpen(icmp)) return null;
  const { daddr, saddr, sport } = sock.flow;
  return {
    evidence: {
      half_open: true,
      dialled: local(sock.flow),
      from: remote(sock.flow),
      icmp: `${icmpProtocol(icmp)} ${icmpName(icmp)}`,
      icmp_type: icmp.type,
      icmp_code: icmp.code,
      icmp_from: icmp.from,
      sender: icmp.from === daddr ? 'the client' : icmp.from === saddr ? 'this host' : 'a hop',
      error: null,
    },
    basis: 'direct',
    // What this host says to itself has a cause here, which is told apart.
    ...(icmp.from === saddr && { severity: 'info' as const }),
    subject: 'listener',
    where: local(sock.flow),
    flow: sock.flow,
    group: `${netns} ${saddr} ${sport} ${icmp.from} ${icmp.type} ${icmp.code}`,
    owner: ownerOf(sock.owner),
  };
}
