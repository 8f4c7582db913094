// SPDX-License-Identifier: Apache-2.0
//! The IP packet in a frame, by the kind of its link.

use etherparse::{EtherType, LaxIpSlice, LaxNetSlice, LaxSlicedPacket, ether_type};

/// How long an address of Ethernet is.
pub const MAC: usize = 6;

/// LINKTYPE_* of <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy)]
pub enum Link {
    Ethernet,
    Ip,
    /// The family of the protocol, in four bytes of either order.
    Null,
    Cooked,
    CookedV2,
    Unknown,
}

impl Link {
    pub fn of(link_type: i32) -> Self {
        match link_type {
            1 => Self::Ethernet,
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            0 | 108 => Self::Null,
            113 => Self::Cooked,
            276 => Self::CookedV2,
            _ => Self::Unknown,
        }
    }
}

/// The IP packet in a frame.
pub fn ip_of(link: Link, data: &[u8]) -> Option<LaxIpSlice<'_>> {
    let (ether_type, payload) = match link {
        Link::Ethernet => match pppoe_payload(data) {
            Some(ip) => return ip_at(ip),
            None => (ether_type_at(data, 2 * MAC)?, data.get(2 * MAC + 2..)?),
        },
        Link::Ip => return ip_at(data),
        Link::Null => return ip_at(data.get(4..)?),
        Link::Cooked => (ether_type_at(data, 14)?, data.get(16..)?),
        Link::CookedV2 => (ether_type_at(data, 0)?, data.get(20..)?),
        Link::Unknown => return None,
    };
    if matches!(ether_type, ether_type::IPV4 | ether_type::IPV6) {
        return ip_at(payload);
    }
    match LaxSlicedPacket::from_ether_type(ether_type, payload).net? {
        LaxNetSlice::Ipv4(ip) => Some(LaxIpSlice::Ipv4(ip)),
        LaxNetSlice::Ipv6(ip) => Some(LaxIpSlice::Ipv6(ip)),
        LaxNetSlice::Arp(_) => None,
    }
}

pub fn ethernet_ip(frame: &[u8]) -> Option<LaxIpSlice<'_>> {
    ip_of(Link::Ethernet, frame)
}

pub fn ip_at(bytes: &[u8]) -> Option<LaxIpSlice<'_>> {
    LaxIpSlice::from_slice(bytes).ok().map(|(ip, _)| ip)
}

fn ether_type_at(data: &[u8], at: usize) -> Option<EtherType> {
    let ether_type = data.get(at..)?.first_chunk()?;
    Some(EtherType(u16::from_be_bytes(*ether_type)))
}

/// What a frame of PPPoE carries of IP; None where it is none.
fn pppoe_payload(frame: &[u8]) -> Option<&[u8]> {
    const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
    const SESSION: u16 = 0x8864;
    const IP: [u16; 2] = [0x0021, 0x0057];
    let word = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk::<2>()?));
    let mut at = 2 * MAC;
    while TAGS.contains(&word(at)?) {
        at += 4;
    }
    if word(at)? != SESSION || !IP.contains(&word(at + 8)?) {
        return None;
    }
    frame.get(at + 10..)
}
