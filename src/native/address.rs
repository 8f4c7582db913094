// SPDX-License-Identifier: Apache-2.0
//! Socket addresses as the kernel takes them.

use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};

use libc::{
    in_addr, in6_addr, sa_family_t, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage,
    socklen_t,
};

/// Room for any address, and how much of it is used.
pub struct RawAddress {
    storage: sockaddr_storage,
    length: socklen_t,
}

impl RawAddress {
    /// Empty, for the kernel to fill.
    pub fn room() -> Self {
        Self {
            // SAFETY: all zeroes is a valid sockaddr_storage.
            storage: unsafe { zeroed() },
            length: size_of::<sockaddr_storage>() as socklen_t,
        }
    }

    pub fn new(address: SocketAddr) -> Self {
        let mut raw = Self::room();
        let port = address.port().to_be();
        let storage: *mut sockaddr_storage = &mut raw.storage;
        // SAFETY: sockaddr_storage is large and aligned enough for either.
        match address.ip() {
            IpAddr::V4(ip) => unsafe {
                let v4 = &mut *storage.cast::<sockaddr_in>();
                v4.sin_family = libc::AF_INET as sa_family_t;
                v4.sin_port = port;
                v4.sin_addr = in_addr {
                    s_addr: u32::from_ne_bytes(ip.octets()),
                };
                raw.length = size_of::<sockaddr_in>() as socklen_t;
            },
            IpAddr::V6(ip) => unsafe {
                let v6 = &mut *storage.cast::<sockaddr_in6>();
                v6.sin6_family = libc::AF_INET6 as sa_family_t;
                v6.sin6_port = port;
                v6.sin6_addr = in6_addr {
                    s6_addr: ip.octets(),
                };
                raw.length = size_of::<sockaddr_in6>() as socklen_t;
            },
        }
        raw
    }

    pub fn as_ptr(&self) -> *const sockaddr {
        (&raw const self.storage).cast()
    }

    pub fn len(&self) -> socklen_t {
        self.length
    }

    /// For a call that fills the address and its length.
    pub fn as_mut_ptrs(&mut self) -> (*mut sockaddr, *mut socklen_t) {
        ((&raw mut self.storage).cast(), &mut self.length)
    }

    /// None if the kernel put nothing of the internet families there.
    pub fn to_socket_addr(&self) -> Option<SocketAddr> {
        let storage: *const sockaddr_storage = &self.storage;
        // SAFETY: the family says which of the two it is.
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => unsafe {
                let v4 = &*storage.cast::<sockaddr_in>();
                let octets = v4.sin_addr.s_addr.to_ne_bytes();
                Some((octets, u16::from_be(v4.sin_port)).into())
            },
            libc::AF_INET6 => unsafe {
                let v6 = &*storage.cast::<sockaddr_in6>();
                Some((v6.sin6_addr.s6_addr, u16::from_be(v6.sin6_port)).into())
            },
            _ => None,
        }
    }
}
