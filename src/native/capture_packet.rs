// SPDX-License-Identifier: Apache-2.0
//! What the headers of one captured packet say, as a record of fixed size.

use std::hash::{BuildHasher, RandomState};

use etherparse::{EtherType, LaxIpSlice, LaxNetSlice, LaxSlicedPacket, ether_type, ip_number};

use crate::capture::CaptureCounts;

/// Bytes of a record: src/capture/segment.ts has where its fields lie.
pub const SEGMENT: usize = 144;

const A_SEGMENT: u8 = 1;
const AN_ICMP_ERROR: u8 = 2;
const A_GAP: u8 = 3;

const BY_SECOND_END: u8 = 1;
const HAS_TIMESTAMPS: u8 = 2;
const OUTGOING: u8 = 4;
const INCOMING: u8 = 8;
const OPTIONS_CUT: u8 = 16;
const HAS_MPTCP: u8 = 32;

const KEY_AT: usize = 48;
const KEY: usize = 36;
const ADDRESS: usize = 16;
const DEVICE_AT: usize = 136;
const SLOT_AT: usize = 36;
const ADDRESS_SLOT_AT: usize = 128;
const FIRST_HASH_AT: usize = 132;
const SECOND_HASH_AT: usize = 140;
const SUBTYPE_AT: usize = 39;
const TOA_KIND_AT: usize = 42;
/// A power of two: of so many it is known that they were told before.
const SLOTS: usize = 1 << 12;
/// Beside the number of a slot: what it has was not told of last.
const ANEW: u16 = 1 << 15;
const TCP_HEADER: usize = 20;
/// What an ICMP error quotes at least: ports and sequence number.
const QUOTED: usize = 8;
const ICMP_HEADER: usize = 8;
/// Of the sender, and how long it is; ARPHRD_ETHER.
const MAC_AT: usize = 102;
const MAC: usize = 6;
const ETHERNET: u8 = 1;
const NO_SCALE: u8 = 0xff;
const NO_SUBTYPE: u8 = 0xff;
const RST: u8 = 4;
/// With MSS, SACK, timestamps and a window scale; with timestamps alone.
const USUAL_SYN_HEADER: usize = 40;
const TIMESTAMPS_HEADER: usize = 32;

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

pub struct Packet<'a> {
    pub sec: u32,
    pub nsec: u32,
    pub interface: u32,
    /// As much as was captured.
    pub data: &'a [u8],
    /// Bytes that it had.
    pub length: u32,
}

/// Both ends of a segment, from its sender.
struct Ends {
    from: [u8; 16],
    to: [u8; 16],
    ports: [u8; 4],
}

/// IPv4 is ::ffff:a.b.c.d.
fn mapped(v4: [u8; 4]) -> [u8; 16] {
    let mut address = [0; 16];
    address[10] = 0xff;
    address[11] = 0xff;
    address[12..].copy_from_slice(&v4);
    address
}

/// Which were told of, and something of each: whoever reads the records has them by their slot, and makes each only
/// once.
struct Told<const BYTES: usize, T>(Vec<([u8; BYTES], T)>);

impl<const BYTES: usize, T: Copy + Default> Told<BYTES, T> {
    fn new() -> Self {
        Self(vec![([0; BYTES], T::default()); SLOTS])
    }

    fn slot(&mut self, one: &[u8; BYTES], of: impl FnOnce() -> T) -> (u16, T) {
        let mut hash = 0u64;
        for four in one.chunks_exact(4) {
            let four = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            hash = (hash ^ u64::from(four)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 32;
        }
        let slot = hash as usize % SLOTS;
        let (known, has) = &mut self.0[slot];
        if known == one {
            return (slot as u16, *has);
        }
        *known = *one;
        *has = of();
        (slot as u16 | ANEW, *has)
    }
}

/// Keys of connections, with the hash of either end, and both addresses of each.
pub struct Keys {
    keys: Told<KEY, [u32; 2]>,
    addresses: Told<{ 2 * ADDRESS }, ()>,
    hashing: RandomState,
}

impl Keys {
    pub fn new(hashing: RandomState) -> Self {
        Self {
            keys: Told::new(),
            addresses: Told::new(),
            hashing,
        }
    }

    fn write_slots(&mut self, record: &mut [u8; SEGMENT]) {
        let mut key = [0; KEY];
        key.copy_from_slice(&record[KEY_AT..KEY_AT + KEY]);
        let (first, second) = key.split_at(KEY / 2);
        let mut addresses = [0; 2 * ADDRESS];
        addresses[..ADDRESS].copy_from_slice(&first[..ADDRESS]);
        addresses[ADDRESS..].copy_from_slice(&second[..ADDRESS]);
        let hash = |end| hash_end(&self.hashing, end);
        let (slot, [first, second]) = self.keys.slot(&key, || [hash(first), hash(second)]);
        let (address_slot, ()) = self.addresses.slot(&addresses, || ());
        record[SLOT_AT..SLOT_AT + 2].copy_from_slice(&slot.to_le_bytes());
        record[ADDRESS_SLOT_AT..ADDRESS_SLOT_AT + 2].copy_from_slice(&address_slot.to_le_bytes());
        record[FIRST_HASH_AT..FIRST_HASH_AT + 4].copy_from_slice(&first.to_le_bytes());
        record[SECOND_HASH_AT..SECOND_HASH_AT + 4].copy_from_slice(&second.to_le_bytes());
    }
}

/// Nobody who made a capture knows which ends have the same. Small to whoever reads the records: below 2^30.
pub fn hash_end(hashing: &RandomState, end: &[u8]) -> u32 {
    (hashing.hash_one(end) >> 34) as u32
}

/// Records, one after the other.
pub struct Records(Vec<u8>);

impl Records {
    pub fn new(into: Vec<u8>) -> Self {
        Self(into)
    }

    pub fn take(self) -> Vec<u8> {
        self.0
    }

    fn add(&mut self, record: &[u8; SEGMENT]) {
        self.0.extend_from_slice(record);
    }
}

pub fn write_gap(packet: &Packet, out: &mut Records) {
    out.add(&begin(packet, A_GAP));
}

fn begin(packet: &Packet, what: u8) -> [u8; SEGMENT] {
    let mut record = [0; SEGMENT];
    record[..4].copy_from_slice(&packet.sec.to_le_bytes());
    record[4..8].copy_from_slice(&packet.nsec.to_le_bytes());
    record[8] = what;
    record[38] = NO_SCALE;
    record[SUBTYPE_AT] = NO_SUBTYPE;
    record[DEVICE_AT..DEVICE_AT + 4].copy_from_slice(&packet.interface.to_le_bytes());
    record
}

/// Adds the record of a TCP segment, or of an ICMP error that quotes one; nothing for any other packet.
pub fn read_packet(
    link: Link,
    packet: &Packet,
    toa_kinds: &[bool; 256],
    counts: &mut CaptureCounts,
    keys: &mut Keys,
    out: &mut Records,
) {
    let data = packet.data;
    let Some(ip) = ip_of(link, data) else { return };
    let upper = ip.payload();
    let (ip_header, length, from, to, ttl, id) = match &ip {
        LaxIpSlice::Ipv4(ip) => {
            let header = ip.header();
            (
                header.slice(),
                u32::from(header.total_len()),
                mapped(header.source()),
                mapped(header.destination()),
                header.ttl(),
                header.identification(),
            )
        }
        LaxIpSlice::Ipv6(ip) => {
            let header = ip.header();
            let payload = u32::from(header.payload_length());
            (
                header.slice(),
                if payload == 0 { 0 } else { payload + 40 },
                header.source(),
                header.destination(),
                header.hop_limit(),
                0,
            )
        }
    };
    let is_tcp = upper.ip_number == ip_number::TCP;
    if upper.fragmented {
        counts.fragments += f64::from(u8::from(is_tcp));
        return;
    }
    let ip_at = ip_header.as_ptr() as usize - data.as_ptr() as usize;
    let upper_at = upper.payload.as_ptr() as usize - data.as_ptr() as usize;
    // Of what a device cuts up for the kernel the header may not say how long it is.
    let end = if length == 0 {
        packet.length
    } else {
        (ip_at as u32).saturating_add(length)
    };
    let upper_length = end.saturating_sub(upper_at as u32);

    let mut record = begin(packet, A_SEGMENT);
    record[11] = ttl;
    record[22..24].copy_from_slice(&id.to_le_bytes());
    match link {
        Link::Cooked => {
            record[9] |= direction(u16::from_be_bytes([data[0], data[1]]));
            if data[2..6] == [0, ETHERNET, 0, MAC as u8] {
                record[MAC_AT..MAC_AT + MAC].copy_from_slice(&data[6..6 + MAC]);
            }
        }
        Link::CookedV2 => {
            record[9] |= direction(u16::from(data[10]));
            let device = u32::from_be_bytes([data[4], data[5], data[6], data[7]]);
            record[DEVICE_AT..DEVICE_AT + 4].copy_from_slice(&device.to_le_bytes());
            if data[8..10] == [0, ETHERNET] && data[11] == MAC as u8 {
                record[MAC_AT..MAC_AT + MAC].copy_from_slice(&data[12..12 + MAC]);
            }
        }
        // Whatever is in the frame, it has one.
        Link::Ethernet => record[MAC_AT..MAC_AT + MAC].copy_from_slice(&data[MAC..2 * MAC]),
        _ => {}
    }
    match upper.ip_number {
        ip_number::TCP => {
            if upper.payload.len() < TCP_HEADER {
                counts.cut += 1.0;
                return;
            }
            let ports = [
                upper.payload[0],
                upper.payload[1],
                upper.payload[2],
                upper.payload[3],
            ];
            write_ends(&mut record, &Ends { from, to, ports });
            if read_segment(&mut record, upper.payload, upper_length, toa_kinds) {
                keys.write_slots(&mut record);
                out.add(&record);
            } else {
                counts.cut += 1.0;
            }
        }
        ip_number::ICMP | ip_number::IPV6_ICMP => {
            let is_v6 = upper.ip_number == ip_number::IPV6_ICMP;
            if read_icmp(&mut record, upper.payload, is_v6, from) {
                keys.write_slots(&mut record);
                out.add(&record);
            }
        }
        _ => {}
    }
}

/// The IP packet in a frame.
fn ip_of(link: Link, data: &[u8]) -> Option<LaxIpSlice<'_>> {
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

fn ip_at(bytes: &[u8]) -> Option<LaxIpSlice<'_>> {
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

/// As cooked captures tell it: 0 to this host, 4 from it.
fn direction(packet_type: u16) -> u8 {
    match packet_type {
        0 => INCOMING,
        4 => OUTGOING,
        _ => 0,
    }
}

/// The key is the same for both directions: the lower end first.
fn write_ends(record: &mut [u8; SEGMENT], ends: &Ends) {
    let mut one = [0; 18];
    one[..16].copy_from_slice(&ends.from);
    one[16..].copy_from_slice(&ends.ports[..2]);
    let mut other = [0; 18];
    other[..16].copy_from_slice(&ends.to);
    other[16..].copy_from_slice(&ends.ports[2..]);
    let (first, second) = if one <= other {
        (one, other)
    } else {
        record[9] |= BY_SECOND_END;
        (other, one)
    };
    record[KEY_AT..KEY_AT + 18].copy_from_slice(&first);
    record[KEY_AT + 18..KEY_AT + 36].copy_from_slice(&second);
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// False where it is none.
fn read_segment(
    record: &mut [u8; SEGMENT],
    tcp: &[u8],
    length: u32,
    toa_kinds: &[bool; 256],
) -> bool {
    let header = usize::from(tcp[12] >> 4) * 4;
    if header < TCP_HEADER || (header as u32) > length {
        return false;
    }
    record[10] = tcp[13];
    record[12..16].copy_from_slice(&word(tcp, 4).to_le_bytes());
    record[16..20].copy_from_slice(&word(tcp, 8).to_le_bytes());
    let window = u16::from_be_bytes([tcp[14], tcp[15]]);
    record[20..22].copy_from_slice(&window.to_le_bytes());
    record[24..28].copy_from_slice(&(length - header as u32).to_le_bytes());
    match tcp.get(TCP_HEADER..header) {
        Some(options) => read_options(record, options, toa_kinds),
        None => guess_options(record, tcp, header, toa_kinds),
    }
    true
}

/// Of options that were cut off: those that were captured, and what the rest may be where that matters.
fn guess_options(record: &mut [u8; SEGMENT], tcp: &[u8], header: usize, toa_kinds: &[bool; 256]) {
    record[9] |= OPTIONS_CUT;
    read_options(record, &tcp[TCP_HEADER..], toa_kinds);
    // A reset has timestamps, those of a socket, or says of MPTCP why.
    let is_reset = tcp[13] & RST != 0;
    if is_reset && header == TIMESTAMPS_HEADER {
        record[9] |= HAS_TIMESTAMPS;
    } else if is_reset || header > USUAL_SYN_HEADER {
        record[9] |= HAS_MPTCP;
    }
}

fn read_options(record: &mut [u8; SEGMENT], mut options: &[u8], toa_kinds: &[bool; 256]) {
    while let [kind, rest @ ..] = options {
        match kind {
            0 => return,
            1 => {
                options = rest;
                continue;
            }
            _ => {}
        }
        let size = rest.first().map_or(0, |&size| usize::from(size));
        if size < 2 || size > options.len() {
            return;
        }
        let (option, after) = options.split_at(size);
        options = after;
        match (kind, size) {
            (3, 3) => record[38] = option[2],
            (8, 10) => {
                record[9] |= HAS_TIMESTAMPS;
                record[28..32].copy_from_slice(&word(option, 2).to_le_bytes());
                record[32..36].copy_from_slice(&word(option, 6).to_le_bytes());
            }
            (30, 3..) => {
                record[9] |= HAS_MPTCP;
                record[SUBTYPE_AT] = option[2] >> 4;
            }
            _ => read_toa(record, option, toa_kinds),
        }
    }
}

/// For whom the sender says it sends: as bpf/include/segment.h reads it. 253 beside another is the end that was
/// dialled.
fn read_toa(record: &mut [u8; SEGMENT], option: &[u8], toa_kinds: &[bool; 256]) {
    let kind = option[0];
    let known = matches!(kind, 254 | 253 | 200 | 28) || toa_kinds[usize::from(kind)];
    // Of kind 28 there is a version of one byte where others have the port.
    let portless = usize::from(kind == 28);
    let address = match option.len() + portless {
        _ if !known => return,
        20 => option[4 - portless..20 - portless]
            .try_into()
            .unwrap_or_default(),
        8 => mapped(
            option[4 - portless..8 - portless]
                .try_into()
                .unwrap_or_default(),
        ),
        _ => return,
    };
    let rank = |kind: u8| match kind {
        0 => 0,
        253 => 1,
        28 => 2,
        _ => 3,
    };
    if rank(kind) <= rank(record[TOA_KIND_AT]) {
        return;
    }
    record[TOA_KIND_AT] = kind;
    if portless == 0 {
        let port = u16::from_be_bytes([option[2], option[3]]);
        record[40..42].copy_from_slice(&port.to_le_bytes());
    }
    record[84..100].copy_from_slice(&address);
}

/// False where it is no error that quotes a TCP segment.
fn read_icmp(record: &mut [u8; SEGMENT], icmp: &[u8], is_v6: bool, from: [u8; 16]) -> bool {
    let is_error = |kind: u8| {
        if is_v6 {
            (1..=4).contains(&kind)
        } else {
            matches!(kind, 3 | 11 | 12)
        }
    };
    if icmp.len() < ICMP_HEADER || !is_error(icmp[0]) {
        return false;
    }
    let Some(quoted) = ip_at(&icmp[ICMP_HEADER..]) else {
        return false;
    };
    let (saddr, daddr) = match &quoted {
        LaxIpSlice::Ipv4(ip) => (
            mapped(ip.header().source()),
            mapped(ip.header().destination()),
        ),
        LaxIpSlice::Ipv6(ip) => (ip.header().source(), ip.header().destination()),
    };
    let upper = quoted.payload();
    if upper.ip_number != ip_number::TCP || upper.payload.len() < QUOTED {
        return false;
    }
    let tcp = upper.payload;
    let ports = [tcp[0], tcp[1], tcp[2], tcp[3]];
    record[8] = AN_ICMP_ERROR;
    write_ends(
        record,
        &Ends {
            from: saddr,
            to: daddr,
            ports,
        },
    );
    record[12..16].copy_from_slice(&word(tcp, 4).to_le_bytes());
    record[10] = tcp.get(13).copied().unwrap_or(0);
    record[43] = icmp[0];
    record[44] = icmp[1];
    record[112..128].copy_from_slice(&from);
    true
}
