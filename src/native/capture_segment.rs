// SPDX-License-Identifier: Apache-2.0
//! What the header of a TCP segment says.

use crate::capture_record::{
    HAS_MPTCP, HAS_TIMESTAMPS, OPTIONS_CUT, SEGMENT, SUBTYPE_AT, TOA_KIND_AT, mapped,
};

pub const TCP_HEADER: usize = 20;
const RST: u8 = 4;
/// With MSS, SACK, timestamps and a window scale; with timestamps alone.
const USUAL_SYN_HEADER: usize = 40;
const TIMESTAMPS_HEADER: usize = 32;

pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// False where it is none.
pub fn read_segment(
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
