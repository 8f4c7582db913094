// SPDX-License-Identifier: Apache-2.0

import { defineCause } from '../define.ts';
import { goesOn, type KeyFault, keyFault, keysHere } from '../shared/keys.ts';
import { SILENCE } from '../shared/silence.ts';

const FAULTS: Readonly<Record<string, KeyFault>> = {
  TCP_MD5NOTFOUND: { keys: 'only here', counter: 'TCPMD5NotFound' },
  TCP_MD5UNEXPECTED: { keys: 'only there', counter: 'TCPMD5Unexpected' },
  TCP_MD5FAILURE: { keys: 'differ', counter: 'TCPMD5Failure' },
};

const SAYS: Readonly<Record<string, string>> = {
  'only here': 'has no TCP-MD5 signature, but the socket here has a key for this peer',
  'only there': 'has a TCP-MD5 signature, but no socket here has a key for this peer',
  differ: 'has a TCP-MD5 signature that was not made with the key that the socket here has',
};

export default defineCause({
  id: 'md5-mismatch',
  title: 'its TCP-MD5 signature is missing, not asked for or wrong',
  severity: 'warning',
  explains:
    'A segment was dropped because of TCP-MD5 (BGP passwords): only one end has a key, or the two have different ones.',
  seenAs: ['connect-hangs', 'times-out'],
  needs: ['drop'],
  on: ['drop'],
  leadsTo: SILENCE,
  match: (event, known) => keyFault(FAULTS, event, known),
  summary: ({ from, to, flags, keys }) => `[${flags}] ${from} → ${to} ${SAYS[keys]}`,
  advice(evidence, flow) {
    const { saddr, daddr } = flow;
    const { keys } = evidence;
    const what =
      keys === 'only here'
        ? `give ${saddr} the key (the password of its neighbour ${daddr}), or take it away here`
        : keys === 'only there'
          ? `give the socket here the key for ${saddr} (the password of that neighbour), or take it away at ${saddr}`
          : `set the same password at ${saddr} and ${daddr}: case and blanks count`;
    return [what, keysHere(evidence, flow), ...goesOn(evidence)];
  },
});
