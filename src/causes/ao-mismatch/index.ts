// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { goesOn, type KeyFault, keyFault } from '../shared/keys.ts';
import { inNetns } from '../shared/netns.ts';
import { SILENCE } from '../shared/silence.ts';

const FAULTS: Readonly<Record<string, KeyFault>> = {
  TCP_AONOTFOUND: { keys: 'only here', counter: 'TCPAORequired' },
  TCP_AOUNEXPECTED: { keys: 'only there', counter: 'TCPAOKeyNotFound' },
  TCP_AOKEYNOTFOUND: { keys: 'other id', counter: 'TCPAOKeyNotFound' },
  TCP_AOFAILURE: { keys: 'differ', counter: 'TCPAOBad' },
  TCP_AUTH_HDR: { keys: 'unreadable', counter: null },
};

const SAYS: Readonly<Record<string, string>> = {
  'only here': 'has no TCP-AO option, but the socket here has a key for this peer',
  'only there': 'has a TCP-AO option, but the socket here has no key for this peer',
  'other id': 'has a TCP-AO option with the id of a key that the socket here does not have',
  differ: 'has a TCP-AO option that was not made with the key that the socket here has',
  unreadable: 'has TCP-AO or TCP-MD5 twice, both, or malformed',
};

export default defineCause({
  id: 'ao-mismatch',
  title: 'its TCP-AO option is missing, not asked for or wrong',
  severity: 'warning',
  explains:
    'A segment was dropped because of the TCP authentication option: only one end has a key, or the two have different ones.',
  seenAs: ['connect-hangs', 'times-out'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => keyFault(FAULTS, event, known),
  summary: ({ from, to, flags, keys }) => `[${flags}] ${from} → ${to} ${SAYS[keys]}`,
  advice(evidence, flow) {
    const { saddr, sport, daddr } = flow;
    const { keys, netns } = evidence;
    const tcpdump = `tcpdump -nvi any tcp and host ${saddr} and port ${sport}`;
    return [
      keys === 'unreadable'
        ? `${saddr}, or something between it and ${daddr}, puts a signature into what has one already: set only TCP-AO or only TCP-MD5 at both ends`
        : `${saddr} and ${daddr} need one key with the same ids (send and receive are crossed), algorithm and secret`,
      `which options come (keyid is the sender's; which keys a socket has the kernel shows only its own process): \`${inNetns(netns, tcpdump)}\``,
      ...goesOn(evidence),
    ];
  },
});
