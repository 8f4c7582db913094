// SPDX-License-Identifier: Apache-2.0

import { STALL } from '../../tcp/stall.ts';
import { defineCause } from '../define.ts';
import { halfOpen } from '../shared/half-open.ts';
import { inWords, seconds, word } from '../shared/wording.ts';

export default defineCause({
  id: 'third-ack-missing',
  title: 'our SYN-ACKs were never acknowledged',
  severity: 'warning',
  explains:
    'A listener answered a SYN, sent its SYN-ACK again to the last, and no third ACK came: an asymmetric path, a box that drops, or a SYN with a forged source.',
  seenAs: ['connect-hangs', 'first-request-fails'],
  needs: ['stalled'],
  on: ['retransmit'],
  leadsTo: ['request-expired'],
  match(event, known) {
    if (event.kind !== 'retransmit' || event.body.stall?.what !== STALL.half_open) return null;
    return halfOpen(event, event.body.stall, known);
  },
  summary({ listener, client, synacks_sent, waited_ms, path_error }) {
    const synacks = synacks_sent === 1 ? 'a SYN-ACK' : `${synacks_sent} SYN-ACKs`;
    const why =
      path_error === undefined ? 'nobody completes the handshake' : `${path_error} answered`;
    return `${listener} answered a SYN of ${client} with ${synacks}, and no third ACK came in ${seconds(waited_ms)}: ${why}`;
  },
  advice({ listener, path_error }, { saddr, sport, daddr }) {
    return [
      ...(path_error === undefined
        ? []
        : [
            `${inWords(path_error)}: that is why, most likely: a rule there rejects the SYN-ACK (\`nft -a list ruleset | grep -n reject\`), or it knows no way to ${daddr} (\`ip route get ${daddr}\`)`,
          ]),
      `does ${daddr} get the SYN-ACKs? There: \`tcpdump -ni any host ${saddr} and tcp port ${sport}\` If not, the way back loses them: \`ip route get ${daddr}\` here, and each hop on it`,
      `it gets them, and sends no ACK: its own firewall drops them: there \`tcpwhy trace ${word(listener)}\` or \`nft list ruleset\``,
      `it gets them and its ACK does not arrive: a firewall on the way in saw the SYN and not the SYN-ACK, which takes another way, and drops the ACK as invalid. On each hop: \`nft list ruleset | grep -nE 'invalid|drop'\``,
      `many addresses, each once: a SYN flood with forged sources: ${listener} needs SYN cookies (net.ipv4.tcp_syncookies=1). How many are open: \`ss -tn state syn-recv 'sport = :${sport}'\``,
    ];
  },
});
