// SPDX-License-Identifier: Apache-2.0
//! A record of fixed size for each captured packet, and what was left out.

use std::hash::{BuildHasher, RandomState};

use napi_derive::napi;

/// Bytes of a record: src/capture/segment.ts has where its fields lie.
pub const SEGMENT: usize = 144;

pub const A_SEGMENT: u8 = 1;
pub const AN_ICMP_ERROR: u8 = 2;
const A_GAP: u8 = 3;

const BY_SECOND_END: u8 = 1;
pub const HAS_TIMESTAMPS: u8 = 2;
pub const OUTGOING: u8 = 4;
pub const INCOMING: u8 = 8;
pub const OPTIONS_CUT: u8 = 16;
pub const HAS_MPTCP: u8 = 32;

const KEY_AT: usize = 48;
const KEY: usize = 36;
const ADDRESS: usize = 16;
pub const DEVICE_AT: usize = 136;
const SLOT_AT: usize = 36;
const ADDRESS_SLOT_AT: usize = 128;
const FIRST_HASH_AT: usize = 132;
const SECOND_HASH_AT: usize = 140;
pub const SUBTYPE_AT: usize = 39;
pub const TOA_KIND_AT: usize = 42;
/// Of the sender.
pub const MAC_AT: usize = 102;
/// A power of two: of so many it is known that they were told before.
const SLOTS: usize = 1 << 12;
/// Beside the number of a slot: what it has was not told of last.
const ANEW: u16 = 1 << 15;
const NO_SCALE: u8 = 0xff;
const NO_SUBTYPE: u8 = 0xff;

/// What was left out of what it gave.
#[napi(object)]
#[derive(Default, Clone)]
pub struct CaptureCounts {
    pub packets: f64,
    /// TCP, but not enough of its headers was captured.
    pub cut: f64,
    pub fragments: f64,
    /// Of a kind of link that is not read, and the last such.
    pub unknown_link: f64,
    pub link_type: i32,
    /// As whoever captured counted them.
    pub dropped: f64,
    /// Bytes that are not as they were written.
    pub damaged: f64,
    /// Bytes of a packet that was not whole at the end.
    pub rest: f64,
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
pub struct Ends {
    pub from: [u8; 16],
    pub to: [u8; 16],
    pub ports: [u8; 4],
}

/// IPv4 is ::ffff:a.b.c.d.
pub fn mapped(v4: [u8; 4]) -> [u8; 16] {
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

    pub fn write_slots(&mut self, record: &mut [u8; SEGMENT]) {
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

    pub fn add(&mut self, record: &[u8; SEGMENT]) {
        self.0.extend_from_slice(record);
    }
}

pub fn write_gap(packet: &Packet, out: &mut Records) {
    out.add(&begin(packet, A_GAP));
}

pub fn begin(packet: &Packet, what: u8) -> [u8; SEGMENT] {
    let mut record = [0; SEGMENT];
    record[..4].copy_from_slice(&packet.sec.to_le_bytes());
    record[4..8].copy_from_slice(&packet.nsec.to_le_bytes());
    record[8] = what;
    record[38] = NO_SCALE;
    record[SUBTYPE_AT] = NO_SUBTYPE;
    record[DEVICE_AT..DEVICE_AT + 4].copy_from_slice(&packet.interface.to_le_bytes());
    record
}

/// The key is the same for both directions: the lower end first.
pub fn write_ends(record: &mut [u8; SEGMENT], ends: &Ends) {
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
