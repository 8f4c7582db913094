// SPDX-License-Identifier: Apache-2.0
//! What the headers of one captured packet say.

use etherparse::{LaxIpSlice, ip_number};

use crate::capture_link::{Link, MAC, ip_at, ip_of};
use crate::capture_record::{
    A_SEGMENT, AN_ICMP_ERROR, CaptureCounts, DEVICE_AT, Ends, INCOMING, Keys, MAC_AT, OUTGOING,
    Packet, Records, SEGMENT, begin, mapped, write_ends,
};
use crate::capture_segment::{TCP_HEADER, read_segment, word};
use crate::capture_tunnel::innermost;

/// What an ICMP error quotes at least: ports and sequence number.
const QUOTED: usize = 8;
const ICMP_HEADER: usize = 8;
/// ARPHRD_ETHER.
const ETHERNET: u8 = 1;

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
    let Some(outer) = ip_of(link, data) else {
        return;
    };
    let inner = innermost(&outer);
    let in_tunnel = inner.is_some();
    let ip = inner.unwrap_or(outer);
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
        // MAC and direction are those of the tunnel's end.
        _ if in_tunnel => {}
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

/// As cooked captures tell it: 0 to this host, 4 from it.
fn direction(packet_type: u16) -> u8 {
    match packet_type {
        0 => INCOMING,
        4 => OUTGOING,
        _ => 0,
    }
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
