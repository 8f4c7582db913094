// SPDX-License-Identifier: Apache-2.0

import { endpoint } from '../../tcp/endpoint.ts';
import { distance } from '../../tcp/sequence.ts';
import { defineCause } from '../define.ts';
import { ownerOf } from '../shared/processes.ts';

export default defineCause({
  id: 'paws-passive',
  title: 'tcp_tw_recycle refused a SYN by its timestamp',
  severity: 'error',
  explains:
    'With tcp_tw_recycle (before Linux 4.12) a SYN is refused whose timestamp is older than the last one of its address: several hosts behind one NAT address.',
  seenAs: ['connect-hangs', 'connect-late'],
  packets: true,
  needs: ['syn_fate'],
  on: ['syn_received'],
  // What a capture shows of it.
  supersedes: ['syn-unanswered'],
  match(event, known) {
    if (event.kind !== 'syn_received' || event.body.mib.paws_passive === 0) return null;
    const { packet, listener, mib, remembered } = event.body;
    const { saddr, sport, daddr, dport } = packet.flow;
    const tsval = packet.has_timestamps ? packet.tsval : null;
    return {
      evidence: {
        listener: endpoint(daddr, dport),
        client: endpoint(saddr, sport),
        tsval,
        remembered_tsval: remembered?.tsval ?? null,
        remembered_age_s: remembered?.age_s ?? null,
        behind: tsval === null || !remembered ? null : distance(tsval, remembered.tsval),
        tcp_tw_recycle: known.sysctl('net/ipv4/tcp_tw_recycle', event.netns),
      },
      basis: mib.mixed ? 'inferred' : 'direct',
      subject: 'listener',
      where: endpoint(daddr, dport),
      flow: packet.flow,
      group: `${event.netns} ${daddr} ${dport} ${saddr} ${tsval === null}`,
      owner: ownerOf(listener?.owner),
    };
  },
  summary({ listener, client, tsval, remembered_tsval, remembered_age_s }) {
    const own = tsval === null ? 'has no timestamp' : `has TSval ${tsval}`;
    const last =
      remembered_tsval === null
        ? 'the last one of its address is newer'
        : `the last one of its address was ${remembered_tsval}, ${remembered_age_s} s ago`;
    return `SYN from ${client} to ${listener} refused by tcp_tw_recycle: it ${own}, ${last}`;
  },
  advice({ tcp_tw_recycle }, { saddr, daddr }) {
    const now = tcp_tw_recycle === null ? '' : ` (now ${tcp_tw_recycle})`;
    return [
      `turn net.ipv4.tcp_tw_recycle${now} off on ${daddr}: \`sysctl -w net.ipv4.tcp_tw_recycle=0\` Take it out of /etc/sysctl.conf and /etc/sysctl.d too. Nothing else cures it; Linux 4.12 and later have no such setting`,
      `do not turn timestamps off on ${saddr}: Linux 3.6 to 4.11 refuses SYNs without them too, for 60 s after the last one that had them`,
      `what ${daddr} remembers (tw_ts): \`ip tcp_metrics show ${saddr}\` How often it refused: \`nstat -az TcpExtPAWSPassive\` What TcpExtListenDrops has more than that has another cause`,
    ];
  },
});
