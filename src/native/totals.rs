// SPDX-License-Identifier: Apache-2.0
//! What the programs counted of each key: summed here, for a host may have a value of each key on
//! hundreds of CPUs.

use std::collections::HashMap;

use libbpf_rs::{MapMut, Object};

use crate::error::Result;
use crate::maps;

/// struct total of bpf/include/maps.h.
const KEY: usize = 0;
const COUNT: usize = 8;
const PENDING: usize = 16;
const KIND: usize = 44;
const REASON: usize = 48;

/// Above it reading a map whole, in batches, takes less than asking for each place.
const MANY_PLACES: usize = 256;

/// Of one key, over all CPUs; `pending` occurrences go with its next record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Total {
    pub key: u64,
    pub count: u64,
    pub pending: u64,
    pub kind: u32,
    pub reason: u32,
}

/// The maps have room for thousands of keys and mostly a handful: they are read whole only when a place
/// in them was taken or many are, else only the places in use.
#[derive(Default)]
pub struct Places {
    begun: Option<u64>,
    /// Keys of the places in use, by map, where they are few.
    used: HashMap<&'static str, Vec<u8>>,
}

#[derive(Default)]
pub struct Sums {
    keys: HashMap<u64, Total>,
    overflowed: Vec<Total>,
}

impl Total {
    /// As `session::Totals::rows` says.
    pub fn to_bytes(&self) -> Vec<u8> {
        let longs = [self.key, self.count, self.pending];
        let words = [self.kind, self.reason];
        let mut bytes: Vec<u8> = longs.iter().flat_map(|long| long.to_ne_bytes()).collect();
        bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        bytes
    }

    fn of(value: &[u8]) -> Self {
        Self {
            key: long(value, KEY),
            count: long(value, COUNT),
            pending: long(value, PENDING),
            kind: word(value, KIND),
            reason: word(value, REASON),
        }
    }
}

impl Sums {
    pub fn rows(&self) -> impl Iterator<Item = &Total> {
        self.keys.values().chain(&self.overflowed)
    }

    /// A place of the array holds another key on each CPU.
    fn add(&mut self, value: &[u8]) {
        let total = Total::of(value);
        if total.key == 0 {
            return;
        }
        let sum = self.keys.entry(total.key).or_insert_with(|| Total {
            count: 0,
            pending: 0,
            ..total.clone()
        });
        sum.count += total.count;
        sum.pending += total.pending;
    }

    fn add_overflowed(&mut self, kind: u32, values: &[u8], size: usize) {
        let each = || values.chunks_exact(size).map(Total::of);
        let total = Total {
            count: each().map(|total| total.count).sum(),
            pending: each().map(|total| total.pending).sum(),
            kind,
            ..Total::default()
        };
        if total.count > 0 {
            self.overflowed.push(total);
        }
    }
}

/// The sums, and how many places were read for them.
pub fn read(object: &mut Object, places: &mut Places, whole: bool) -> Result<(Sums, usize)> {
    // First: a place that is taken while the maps are read is found the next time.
    let begun = maps::read(&maps::find(object, ".data.totals_begun")?)?;
    let begun = begun
        .values
        .first_chunk()
        .map_or(0, |&bytes| u64::from_ne_bytes(bytes));
    let known = !whole && places.begun == Some(begun);
    places.begun = Some(begun);
    let mut sums = Sums::default();
    let mut read = 0;
    for name in ["totals", "more_totals"] {
        let map = maps::find(object, name)?;
        let size = map_value(&map);
        let mut keys = Vec::new();
        let mut take = |key: &[u8], values: &[u8]| {
            read += 1;
            keys.extend_from_slice(key);
            values.chunks_exact(size).for_each(|value| sums.add(value));
        };
        match places.used.get(name) {
            Some(used) if known => maps::each_of(&map, used, &mut take)?,
            _ => {
                maps::each(&map, &mut take)?;
                let key = libbpf_rs::MapCore::key_size(&map) as usize;
                if keys.len() > MANY_PLACES * key {
                    places.used.remove(name);
                } else {
                    places.used.insert(name, keys);
                }
            }
        }
    }
    let map = maps::find(object, "overflow")?;
    let size = map_value(&map);
    maps::each(&map, &mut |key, values| {
        sums.add_overflowed(word(key, 0), values, size);
    })?;
    Ok((sums, read))
}

fn map_value(map: &MapMut) -> usize {
    (libbpf_rs::MapCore::value_size(map) as usize).next_multiple_of(8)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |&long| u64::from_ne_bytes(long))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |&word| u32::from_ne_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::{Sums, Total};

    fn value(key: u64, count: u64, pending: u64) -> Vec<u8> {
        let mut bytes: Vec<u8> = [key, count, pending]
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect();
        bytes.resize(44, 0);
        bytes.extend([17u32, 3, 0].iter().flat_map(|n| n.to_ne_bytes()));
        bytes
    }

    #[test]
    fn sums_a_key_wherever_it_lies() {
        let mut sums = Sums::default();
        for (key, count, pending) in [(7, 5, 1), (9, 2, 0), (0, 99, 99), (7, 6, 2)] {
            sums.add(&value(key, count, pending));
        }
        let mut rows: Vec<Total> = sums.rows().cloned().collect();
        rows.sort_by_key(|row| row.key);
        let of = |key, count, pending| Total {
            key,
            count,
            pending,
            kind: 17,
            reason: 3,
        };
        assert_eq!(rows, [of(7, 11, 3), of(9, 2, 0)]);
        let bytes = rows[0].to_bytes();
        assert_eq!(bytes.len(), 32);
        assert_eq!(bytes[8..16], 11u64.to_ne_bytes());
        assert_eq!(bytes[24..28], 17u32.to_ne_bytes());
    }

    #[test]
    fn what_found_no_room_has_its_kind_and_no_key() {
        let mut sums = Sums::default();
        let values = [value(0, 4, 1), value(0, 3, 0)].concat();
        sums.add_overflowed(19, &values, 56);
        sums.add_overflowed(20, &value(0, 0, 0), 56);
        let rows: Vec<&Total> = sums.rows().collect();
        let total = Total {
            key: 0,
            count: 7,
            pending: 1,
            kind: 19,
            reason: 0,
        };
        assert_eq!(rows, [&total]);
    }
}
