// SPDX-License-Identifier: Apache-2.0

import type { ResetCaptured } from '../../wire/types.gen.ts';
import { macText } from './mac.ts';

/** What a reset has that tells whose it is, beside what its sender had sent before; null: not known. */
export interface ResetSender {
  reset_ttl: number | null;
  /** Of the peer's SYN or SYN-ACK. */
  handshake_ttl?: number | null;
  /** Of what the peer had sent last, where that is another. */
  peer_ttl?: number;
  reset_mac?: string;
  /** Of all that the peer had sent before. */
  peer_mac?: string;
}

/** What packets show of it, as evidence: nothing where there are none. */
export function resetAsCaptured(
  captured: ResetCaptured | null | undefined,
  handshake_ttl: number | null,
): Pick<ResetSender, 'peer_ttl' | 'reset_mac' | 'peer_mac'> & {
  reset_ip_id?: number;
  peer_ip_id?: number;
} {
  if (!captured) return {};
  const { ttl_before, has_ip_ids, ip_id, ip_id_before } = captured;
  const [mac, mac_before] = [macText(captured.mac), macText(captured.mac_before)];
  return {
    ...(ttl_before > 0 && ttl_before !== handshake_ttl && { peer_ttl: ttl_before }),
    ...(mac && mac_before && { reset_mac: mac, peer_mac: mac_before }),
    // Hosts count them as they like, or not at all: they are for who looks.
    ...(has_ip_ids === 1 && { reset_ip_id: ip_id, peer_ip_id: ip_id_before }),
  };
}

/**
 * What says that another sent a reset than the peer whose address it has, or that the path has changed: hosts send what
 * is of one connection with one TTL, and from one device. Null: nothing does.
 */
export function otherSender({
  reset_ttl,
  handshake_ttl,
  peer_ttl,
  reset_mac,
  peer_mac,
}: ResetSender): string | null {
  const before_ttl = peer_ttl ?? handshake_ttl ?? null;
  const had = peer_ttl === undefined ? 'the handshake had' : 'what came just before had';
  const differs = reset_ttl !== null && before_ttl !== null && reset_ttl !== before_ttl;
  const told = [
    ...(differs ? [`TTL ${reset_ttl}, ${had} ${before_ttl}`] : []),
    ...(reset_mac === peer_mac ? [] : [`MAC ${reset_mac}, all before had ${peer_mac}`]),
  ];
  return told.length > 0 ? told.join('; ') : null;
}
