// SPDX-License-Identifier: Apache-2.0

use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};

use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use crate::error::{Result, fail_errno, last_errno};
use crate::netns::run_in;
use crate::refused;

/// IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES; those of IPv6 have the same numbers.
const GET_INFO: libc::c_int = 64;
const GET_ENTRIES: libc::c_int = 65;
const NAME: usize = 32;
/// struct ipt_getinfo, and where it has the size of all entries.
const INFO: usize = 84;
const SIZE_AT: usize = 80;
/// struct ipt_get_entries before its entries.
const HEAD: usize = 40;
const MOST_BYTES: usize = 4 << 20;

/// A table of iptables-legacy in the namespace at `netns`, or in ours: struct ipt_getinfo, then its entries;
/// null where there is more of it than anybody looks through. One that is not there yet would be made: ask for
/// those that are there. Errors: the errno of entering the namespace, or of asking.
#[napi(catch_unwind)]
pub fn ip_table(name: String, is_v6: bool, netns: Option<String>) -> Result<Option<Buffer>> {
    let read = run_in(netns.as_deref(), move || read(name.as_bytes(), is_v6))??;
    Ok(read.map(Buffer::from))
}

fn read(name: &[u8], is_v6: bool) -> Result<Option<Vec<u8>>> {
    let (family, level) = if is_v6 {
        (libc::AF_INET6, libc::SOL_IPV6)
    } else {
        (libc::AF_INET, libc::SOL_IP)
    };
    // SAFETY: no pointers; the file owns the new descriptor.
    let socket = unsafe {
        // Any socket of the family is answered; a raw one would take CAP_NET_RAW.
        let fd = libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(fail_errno(refused::note(last_errno()), "iptables-legacy"));
        }
        File::from_raw_fd(fd)
    };
    let name = &name[..name.len().min(NAME - 1)];
    let mut info = vec![0; INFO];
    info[..name.len()].copy_from_slice(name);
    get(&socket, level, GET_INFO, &mut info)?;
    let size = u32::from_ne_bytes(info[SIZE_AT..INFO].try_into().unwrap()) as usize;
    if size > MOST_BYTES {
        return Ok(None);
    }
    let mut entries = vec![0; HEAD + size];
    entries[..name.len()].copy_from_slice(name);
    entries[NAME..NAME + 4].copy_from_slice(&(size as u32).to_ne_bytes());
    get(&socket, level, GET_ENTRIES, &mut entries)?;
    info.extend_from_slice(&entries[HEAD..]);
    Ok(Some(info))
}

fn get(socket: &File, level: libc::c_int, option: libc::c_int, value: &mut [u8]) -> Result<()> {
    let mut length = value.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if failed != 0 {
        return Err(fail_errno(refused::note(last_errno()), "iptables-legacy"));
    }
    Ok(())
}
