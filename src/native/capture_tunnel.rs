// SPDX-License-Identifier: Apache-2.0
//! What a tunnel carries: IP in IP, GRE (a mirror's ERSPAN too), VXLAN and Geneve.

use etherparse::{EtherType, LaxIpSlice, ether_type, ip_number};

use crate::capture_link::{ethernet_ip, ip_at};

/// One in another, as clusters over a VPN have them.
const MOST: usize = 4;
const UDP_HEADER: usize = 8;
/// IANA's, and that of Linux and flannel.
const VXLAN_PORTS: [u16; 2] = [4789, 8472];
const VXLAN_HEADER: usize = 8;
const GENEVE_PORT: u16 = 6081;
const GENEVE_HEADER: usize = 8;
const TRANSPARENT_ETHERNET: u16 = 0x6558;
const ERSPAN_II: u16 = 0x88be;
const ERSPAN_III: u16 = 0x22eb;

/// The innermost IP packet; None where it is in no tunnel.
pub fn innermost<'a>(outer: &LaxIpSlice<'a>) -> Option<LaxIpSlice<'a>> {
    let mut found = within(outer)?;
    for _ in 1..MOST {
        match within(&found) {
            Some(inner) => found = inner,
            None => break,
        }
    }
    Some(found)
}

fn within<'a>(ip: &LaxIpSlice<'a>) -> Option<LaxIpSlice<'a>> {
    let upper = ip.payload();
    if upper.fragmented {
        return None;
    }
    match upper.ip_number {
        ip_number::IPV4 | ip_number::IPV6 => ip_at(upper.payload),
        ip_number::GRE => in_gre(upper.payload),
        ip_number::UDP => in_udp(upper.payload),
        _ => None,
    }
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn of_type(protocol: u16, payload: &[u8]) -> Option<LaxIpSlice<'_>> {
    match EtherType(protocol) {
        ether_type::IPV4 | ether_type::IPV6 => ip_at(payload),
        EtherType(TRANSPARENT_ETHERNET) => ethernet_ip(payload),
        _ => None,
    }
}

fn in_gre(gre: &[u8]) -> Option<LaxIpSlice<'_>> {
    const CHECKSUM: u16 = 0x8000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const VERSION: u16 = 7;
    let flags = short(gre, 0)?;
    if flags & VERSION != 0 {
        return None;
    }
    let words = [CHECKSUM, KEY, SEQUENCE].map(|bit| usize::from(flags & bit != 0));
    let payload = gre.get(4 + 4 * words.iter().sum::<usize>()..)?;
    match short(gre, 2)? {
        // Of type I, which has no header, there is no sequence number either.
        ERSPAN_II if flags & SEQUENCE == 0 => ethernet_ip(payload),
        ERSPAN_II => ethernet_ip(payload.get(8..)?),
        ERSPAN_III => {
            let has_more = usize::from(payload.get(11)? & 1);
            ethernet_ip(payload.get(12 + 8 * has_more..)?)
        }
        protocol => of_type(protocol, payload),
    }
}

fn in_udp(udp: &[u8]) -> Option<LaxIpSlice<'_>> {
    let port = short(udp, 2)?;
    let payload = udp.get(UDP_HEADER..)?;
    if VXLAN_PORTS.contains(&port) {
        // It has a number of a network, and nothing else is set.
        let is_vxlan = short(payload, 0)? == 0x0800;
        return is_vxlan
            .then(|| payload.get(VXLAN_HEADER..))
            .flatten()
            .and_then(ethernet_ip);
    }
    if port == GENEVE_PORT {
        let first = payload.first()?;
        let options = 4 * usize::from(first & 0x3f);
        return match first >> 6 {
            0 => of_type(short(payload, 2)?, payload.get(GENEVE_HEADER + options..)?),
            _ => None,
        };
    }
    None
}
