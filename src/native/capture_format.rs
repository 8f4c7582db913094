// SPDX-License-Identifier: Apache-2.0
//! What pcap and pcapng say of packets besides what is in them.

use crate::capture_link::Link;

/// No packet is longer as it was captured: MAXIMUM_SNAPLEN of libpcap.
const MOST_CAPTURED: u32 = 256 << 10;
const NANOS: u64 = 1_000_000_000;

#[derive(Clone, Copy)]
pub struct Interface {
    pub link: Link,
    pub link_type: i32,
    /// Units of its times in a second, and what is added to them, in seconds.
    pub resolution: u64,
    pub offset_s: i64,
    pub dropped: u64,
}

/// As if_tsresol tells it: a power of ten or, with its upper bit, of two.
pub fn units_a_second(resolution: u8) -> Option<u64> {
    let power = u32::from(resolution & 0x7f);
    if resolution & 0x80 == 0 {
        10u64.checked_pow(power)
    } else {
        1u64.checked_shl(power)
    }
}

/// Whether it is the head of a record of pcap.
pub fn plausible(bytes: &[u8], big_endian: bool, nanos: bool) -> bool {
    let word = |at: usize| {
        let word: [u8; 4] = bytes[at..at + 4].try_into().unwrap_or_default();
        if big_endian {
            u32::from_be_bytes(word)
        } else {
            u32::from_le_bytes(word)
        }
    };
    let (fraction, captured, length) = (word(4), word(8), word(12));
    fraction < if nanos { 1_000_000_000 } else { 1_000_000 }
        && captured <= MOST_CAPTURED
        && captured <= length
        // An empty packet is none, and zeros look like one.
        && length > 0
}

/// Kind and length of the block that begins here.
pub fn ng_head(bytes: &[u8], big_endian: bool) -> Option<(u32, u32)> {
    let word = |at: usize| {
        let word = bytes.get(at..)?.first_chunk::<4>()?;
        Some(if big_endian {
            u32::from_be_bytes(*word)
        } else {
            u32::from_le_bytes(*word)
        })
    };
    Some((word(0)?, word(4)?))
}

/// Seconds and nanoseconds of wall clock; None where they are none.
pub fn time_of(high: u32, low: u32, interface: &Interface) -> Option<(u32, u32)> {
    let units = u64::from(high) << 32 | u64::from(low);
    let seconds = i64::try_from(units / interface.resolution).ok()?;
    let seconds = seconds.checked_add(interface.offset_s)?;
    let part = u128::from(units % interface.resolution) * u128::from(NANOS);
    let nsec = part / u128::from(interface.resolution);
    Some((u32::try_from(seconds).ok()?, nsec as u32))
}
