// SPDX-License-Identifier: Apache-2.0

import type { Knowledge } from '../../known/knowledge.ts';
import { functionName } from './kernel.ts';

/** What sends into a tunnel, of whichever kind. */
const SENDERS =
  /^_*(vxlan|geneve|bareudp|gre|ipgre|erspan|ip6gre|ip6erspan|ip_tunnel|ip_md_tunnel|ip6_tnl|ipip|ipxip6|ip4ip6|ip6ip6|sit|ipip6|vti|vti6|wg)_(.*_)?xmit(_|$)/;

/** The function of a tunnel that freed what was to go into it, or null. */
export function tunnelSender(location: string, known: Knowledge): string | null {
  const name = functionName(location, known);
  return SENDERS.test(name) ? name : null;
}
