// SPDX-License-Identifier: Apache-2.0

import { request } from '../host/netlink.ts';
import { NETFILTER } from '../host/nftables/ruleset.ts';
import { netlink } from '../native/binding.ts';
import type { Netns } from './netns.ts';

const NFNL_SUBSYS_CTNETLINK = 1 << 8;
const IPCTNL_MSG_CT_DELETE = 2;
/** struct nfgenmsg. */
const ANY = Buffer.alloc(4);

/** Removes every entry of connection tracking, as `conntrack -F` does. */
export function flush({ path }: Netns): void {
  netlink(NETFILTER, [request(NFNL_SUBSYS_CTNETLINK | IPCTNL_MSG_CT_DELETE, ANY, false)], path);
}
