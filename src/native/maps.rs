// SPDX-License-Identifier: Apache-2.0

use std::collections::HashSet;
use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{MapCore, MapFlags, MapMut, MapType, Object, libbpf_sys};

use crate::cpus::possible_cpus;
use crate::error::{Result, fail, fail_errno, last_errno};

/// Errno the kernel keeps to itself but bpf(2) returns: this map type cannot do that.
const ENOTSUPP: i32 = 524;
const BATCH: u32 = 1024;

/// A whole map. `values` has `per_key` values of `value_size` bytes for each key of `keys`.
#[derive(Default)]
pub struct Contents {
    pub keys: Vec<u8>,
    pub values: Vec<u8>,
    pub key_size: usize,
    pub value_size: usize,
    pub per_key: usize,
}

/// Given a key and its values.
pub type Take<'a> = dyn FnMut(&[u8], &[u8]) + 'a;

struct Shape {
    fd: i32,
    key: usize,
    /// Bytes of one value, and of one as bpf(2) copies it.
    value: usize,
    stride: usize,
    per_key: usize,
    max_entries: usize,
    /// An array has every key from the start: a place of zeros was never written.
    array: bool,
}

/// The map called `name`. EINVAL if the object has none.
pub fn find<'a>(object: &'a mut Object, name: &str) -> Result<MapMut<'a>> {
    object
        .maps_mut()
        .find(|map| map.name() == name)
        .ok_or_else(|| fail("EINVAL", format!("no map {name} in the object")))
}

/// Every key with its value or, of a per-CPU map, its value on each possible CPU. Entries that come
/// or go meanwhile may be missed; none is returned twice. Of an array, places of zeros are left out.
pub fn read(map: &impl MapCore) -> Result<Contents> {
    let shape = Shape::of(map)?;
    let mut contents = shape.empty();
    each(map, &mut |key, values| {
        shape.push(key, values, &mut contents)
    })?;
    Ok(contents)
}

/// As `read`, one key at a time: each of its values takes a multiple of 8 bytes where there is one for
/// each CPU.
pub fn each(map: &impl MapCore, take: &mut Take) -> Result<()> {
    let shape = Shape::of(map)?;
    let mut seen = HashSet::new();
    match shape.read_batches(&mut seen, take) {
        Err(libc::EINVAL | ENOTSUPP | libc::EOPNOTSUPP) => shape.read_singly(&mut seen, take),
        done => done,
    }
    .map_err(|errno| fail_errno(errno, &format!("reading map {}", map.name().display())))
}

/// The values of some keys, which stand one after another; keys that the map lacks are left out.
/// EINVAL where the bytes are no whole number of keys.
pub fn read_keys(map: &impl MapCore, keys: &[u8]) -> Result<Contents> {
    let shape = Shape::of(map)?;
    let mut contents = shape.empty();
    each_of(map, keys, &mut |key, values| {
        shape.push(key, values, &mut contents)
    })?;
    Ok(contents)
}

/// As `read_keys`, one key at a time, as `each` gives them.
pub fn each_of(map: &impl MapCore, keys: &[u8], take: &mut Take) -> Result<()> {
    let shape = Shape::of(map)?;
    if !keys.len().is_multiple_of(shape.key) {
        let (name, size, given) = (map.name().display(), shape.key, keys.len());
        let message =
            format!("map {name}: keys are {size} bytes each, which {given} is no multiple of");
        return Err(fail("EINVAL", message));
    }
    let mut values = vec![0u8; shape.stride * shape.per_key];
    for key in keys.chunks_exact(shape.key) {
        match shape.look_up(key, &mut values) {
            0 => take(key, &values),
            libc::ENOENT => {}
            errno => {
                let what = format!("reading map {}", map.name().display());
                return Err(fail_errno(errno, &what));
            }
        }
    }
    Ok(())
}

/// Deletes the keys; those already gone are no error.
pub fn delete(map: &MapMut, keys: &[&[u8]]) -> Result<()> {
    for key in keys {
        check_length(map, "key", key.len(), map.key_size())?;
        // SAFETY: the key has the map's key size.
        let failed = unsafe {
            libbpf_sys::bpf_map_delete_elem(map.as_fd().as_raw_fd(), key.as_ptr().cast())
        };
        if failed < 0 && failed != -libc::ENOENT {
            return Err(fail_errno(
                -failed,
                &format!("deleting from {}", map.name().display()),
            ));
        }
    }
    Ok(())
}

/// Sets one value of a map that is not per-CPU.
pub fn write(map: &MapMut, key: &[u8], value: &[u8]) -> Result<()> {
    let name = map.name().display();
    if map.map_type().is_percpu() {
        return Err(fail(
            "EINVAL",
            format!("map {name} is per-CPU and cannot be written"),
        ));
    }
    check_length(map, "key", key.len(), map.key_size())?;
    check_length(map, "value", value.len(), map.value_size())?;
    map.update(key, value, MapFlags::ANY)
        .map_err(|_| fail_errno(last_errno(), &format!("writing map {name}")))
}

fn check_length(map: &MapMut, what: &str, given: usize, size: u32) -> Result<()> {
    if given == size as usize {
        return Ok(());
    }
    let name = map.name().display();
    Err(fail(
        "EINVAL",
        format!("map {name}: a {what} is {size} bytes, not {given}"),
    ))
}

impl Shape {
    fn of(map: &impl MapCore) -> Result<Self> {
        let value = map.value_size() as usize;
        let percpu = map.map_type().is_percpu();
        if matches!(map.map_type(), MapType::PerfEventArray | MapType::RingBuf) {
            let name = map.name().display();
            return Err(fail("EINVAL", format!("map {name} has no entries to read")));
        }
        Ok(Self {
            fd: map.as_fd().as_raw_fd(),
            key: map.key_size() as usize,
            value,
            stride: if percpu {
                value.next_multiple_of(8)
            } else {
                value
            },
            per_key: if percpu { possible_cpus()? as usize } else { 1 },
            max_entries: map.max_entries() as usize,
            array: matches!(map.map_type(), MapType::Array | MapType::PercpuArray),
        })
    }

    fn empty(&self) -> Contents {
        Contents {
            key_size: self.key,
            value_size: self.value,
            per_key: self.per_key,
            ..Contents::default()
        }
    }

    /// The errno, 0 where the map has the key.
    fn look_up(&self, key: &[u8], values: &mut [u8]) -> i32 {
        // SAFETY: the key has the map's key size, and `values` is as long as bpf(2) writes for it.
        -unsafe {
            libbpf_sys::bpf_map_lookup_elem(
                self.fd,
                key.as_ptr().cast(),
                values.as_mut_ptr().cast(),
            )
        }
    }

    fn read_batches(
        &self,
        seen: &mut HashSet<Vec<u8>>,
        take: &mut Take,
    ) -> std::result::Result<(), i32> {
        let mut room = BATCH.min(self.max_entries.max(1) as u32);
        // The cursor is opaque: a bucket's number for a hash, else a key.
        let mut cursor = vec![0u8; self.key.max(8)];
        let mut next = cursor.clone();
        let mut begun = false;
        loop {
            let mut keys = vec![0u8; room as usize * self.key];
            let mut values = vec![0u8; room as usize * self.stride * self.per_key];
            let mut count = room;
            let from = if begun {
                cursor.as_mut_ptr().cast::<c_void>()
            } else {
                std::ptr::null_mut()
            };
            // SAFETY: the buffers hold `count` keys and values as bpf(2) lays them out.
            let failed = unsafe {
                libbpf_sys::bpf_map_lookup_batch(
                    self.fd,
                    from,
                    next.as_mut_ptr().cast(),
                    keys.as_mut_ptr().cast(),
                    values.as_mut_ptr().cast(),
                    &mut count,
                    std::ptr::null(),
                )
            };
            match -failed {
                0 | libc::ENOENT => {}
                // One bucket holds more than there is room for.
                libc::ENOSPC if (room as usize) < self.max_entries => {
                    room = room.saturating_mul(2);
                    continue;
                }
                errno => return Err(errno),
            }
            let values = values.chunks_exact(self.stride * self.per_key);
            for (key, values) in keys.chunks_exact(self.key).zip(values).take(count as usize) {
                self.keep(key, values, seen, take);
            }
            if failed != 0 {
                return Ok(());
            }
            begun = true;
            std::mem::swap(&mut cursor, &mut next);
        }
    }

    fn read_singly(
        &self,
        seen: &mut HashSet<Vec<u8>>,
        take: &mut Take,
    ) -> std::result::Result<(), i32> {
        let mut key: Option<Vec<u8>> = None;
        let mut values = vec![0u8; self.stride * self.per_key];
        // A key deleted under us restarts the walk; the bound keeps that from lasting for ever.
        for _ in 0..self.max_entries.saturating_mul(2) {
            let mut next = vec![0u8; self.key];
            let from = key
                .as_ref()
                .map_or(std::ptr::null(), |key| key.as_ptr().cast::<c_void>());
            // SAFETY: both are keys of the map's size.
            match -unsafe {
                libbpf_sys::bpf_map_get_next_key(self.fd, from, next.as_mut_ptr().cast())
            } {
                0 => {}
                libc::ENOENT => return Ok(()),
                errno => return Err(errno),
            }
            match self.look_up(&next, &mut values) {
                0 => self.keep(&next, &values, seen, take),
                libc::ENOENT => {}
                errno => return Err(errno),
            }
            key = Some(next);
        }
        Ok(())
    }

    fn keep(&self, key: &[u8], values: &[u8], seen: &mut HashSet<Vec<u8>>, take: &mut Take) {
        if self.array && values.iter().all(|&byte| byte == 0) {
            return;
        }
        if seen.insert(key.to_vec()) {
            take(key, values);
        }
    }

    fn push(&self, key: &[u8], values: &[u8], out: &mut Contents) {
        out.keys.extend_from_slice(key);
        for value in values.chunks_exact(self.stride) {
            out.values.extend_from_slice(&value[..self.value]);
        }
    }
}
