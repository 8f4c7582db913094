// SPDX-License-Identifier: Apache-2.0
//! Socket calls one by one, for making real failures happen. Descriptors never block and are closed
//! on exec. What a call says is an `Outcome`, never an exception: refusals are the point here.

use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr};
use std::ptr::null_mut;
use std::time::{Duration, Instant};

use libc::{c_int, c_void, socklen_t};
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

use crate::address::RawAddress;
use crate::error::{Result, fail, last_errno};
use crate::netns;

const FLAGS: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
const HELD_WITHIN_MS: c_int = 2000;
/// <linux/userfaultfd.h>
const UFFD_API: u64 = 0xaa;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;
const UFFDIO_API: libc::c_ulong = 0xc018_aa3f;
const UFFDIO_REGISTER: libc::c_ulong = 0xc020_aa00;
const LONGEST_POLL: Duration = Duration::from_secs(10);

/// What a call returned: an errno, or 0 and whatever it gives.
#[napi(object)]
#[derive(Default)]
pub struct Outcome {
    pub errno: i32,
    /// A descriptor or a number of bytes.
    pub value: i32,
    pub address: Option<String>,
    pub port: Option<u16>,
    pub data: Option<Buffer>,
}

impl Outcome {
    /// Of a call that returns -1 and sets errno, or a value.
    fn of(returned: impl TryInto<i32>) -> Self {
        match returned.try_into() {
            Ok(value) if value >= 0 => Self {
                value,
                ..Self::default()
            },
            _ => Self {
                errno: last_errno(),
                ..Self::default()
            },
        }
    }

    fn with_address(mut self, address: Option<SocketAddr>) -> Self {
        self.address = address.map(|address| address.ip().to_string());
        self.port = address.map(|address| address.port());
        self
    }
}

/// Opens a socket in the network namespace at path `netns`, or in ours. `protocol` is the
/// EtherType for a packet socket.
#[napi(catch_unwind)]
pub fn socket_open(
    netns: Option<String>,
    family: u32,
    kind: String,
    protocol: i32,
) -> Result<Outcome> {
    let family = match family {
        4 => libc::AF_INET,
        6 => libc::AF_INET6,
        other => return Err(fail("EINVAL", format!("no such address family: {other}"))),
    };
    let (family, kind, protocol) = match kind.as_str() {
        "stream" => (family, libc::SOCK_STREAM, protocol),
        "packet" => {
            let ether_type = (protocol as u16).to_be();
            (libc::AF_PACKET, libc::SOCK_RAW, ether_type.into())
        }
        other => return Err(fail("EINVAL", format!("no such socket type: {other}"))),
    };
    netns::run_in(netns.as_deref(), || {
        // SAFETY: no pointers.
        Outcome::of(unsafe { libc::socket(family, kind | FLAGS, protocol) })
    })
}

#[napi(catch_unwind)]
pub fn socket_bind(fd: i32, address: String, port: u16) -> Result<Outcome> {
    let address = parse(&address, port)?;
    // SAFETY: address and length agree.
    Ok(Outcome::of(unsafe {
        libc::bind(fd, address.as_ptr(), address.len())
    }))
}

#[napi(catch_unwind)]
pub fn socket_listen(fd: i32, backlog: i32) -> Outcome {
    // SAFETY: no pointers.
    Outcome::of(unsafe { libc::listen(fd, backlog) })
}

#[napi(catch_unwind)]
pub fn socket_connect(fd: i32, address: String, port: u16) -> Result<Outcome> {
    let address = parse(&address, port)?;
    // SAFETY: address and length agree.
    Ok(Outcome::of(unsafe {
        libc::connect(fd, address.as_ptr(), address.len())
    }))
}

/// Takes a socket away from its connection.
#[napi(catch_unwind)]
pub fn socket_disconnect(fd: i32) -> Outcome {
    // SAFETY: all zeroes is a valid sockaddr; AF_UNSPEC is 0.
    let nobody: libc::sockaddr = unsafe { zeroed() };
    let length = size_of_val(&nobody) as socklen_t;
    // SAFETY: address and length agree.
    Outcome::of(unsafe { libc::connect(fd, &nobody, length) })
}

/// Accepts a connection. Without `name` the kernel is given no room for the peer's address, and
/// does not look it up.
#[napi(catch_unwind)]
pub fn socket_accept(fd: i32, name: bool) -> Outcome {
    let mut peer = RawAddress::room();
    let (address, length) = if name {
        peer.as_mut_ptrs()
    } else {
        (null_mut(), null_mut())
    };
    // SAFETY: both pointers are null or of `peer`.
    Outcome::of(unsafe { libc::accept4(fd, address, length, FLAGS) })
        .with_address(peer.to_socket_addr())
}

#[napi(catch_unwind)]
pub fn socket_peer(fd: i32) -> Outcome {
    let mut peer = RawAddress::room();
    let (address, length) = peer.as_mut_ptrs();
    // SAFETY: both pointers are of `peer`.
    Outcome::of(unsafe { libc::getpeername(fd, address, length) })
        .with_address(peer.to_socket_addr())
}

#[napi(catch_unwind)]
pub fn socket_local(fd: i32) -> Outcome {
    let mut local = RawAddress::room();
    let (address, length) = local.as_mut_ptrs();
    // SAFETY: both pointers are of `local`.
    Outcome::of(unsafe { libc::getsockname(fd, address, length) })
        .with_address(local.to_socket_addr())
}

#[napi(catch_unwind)]
pub fn socket_send(fd: i32, data: Buffer) -> Outcome {
    // SAFETY: data is as long as said.
    Outcome::of(unsafe { libc::send(fd, data.as_ptr().cast(), data.len(), libc::MSG_NOSIGNAL) })
}

/// Sends a whole Ethernet frame out of an interface of the packet socket's own namespace.
#[napi(catch_unwind)]
pub fn socket_send_packet(fd: i32, interface: String, frame: Buffer) -> Result<Outcome> {
    let Some(&[mac @ .., kind_high, kind_low]) = frame.first_chunk::<14>() else {
        return Err(fail(
            "EINVAL",
            "a frame begins with 14 bytes of Ethernet header",
        ));
    };
    // SAFETY: all zeroes is a valid ifreq and a valid sockaddr_ll.
    let mut request: libc::ifreq = unsafe { zeroed() };
    let mut to: libc::sockaddr_ll = unsafe { zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(fail(
            "EINVAL",
            format!("no interface has so long a name: {interface}"),
        ));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    // SAFETY: the ioctl reads and fills `request`, in the socket's namespace and not the thread's.
    if unsafe { libc::ioctl(fd, libc::SIOCGIFINDEX, &mut request) } < 0 {
        return Ok(Outcome::of(-1));
    }
    to.sll_family = libc::AF_PACKET as u16;
    to.sll_protocol = u16::from_ne_bytes([kind_high, kind_low]);
    // SAFETY: SIOCGIFINDEX filled this member.
    to.sll_ifindex = unsafe { request.ifr_ifru.ifru_ifindex };
    to.sll_halen = 6;
    to.sll_addr[..6].copy_from_slice(&mac[..6]);
    // SAFETY: frame and address are as long as said.
    Ok(Outcome::of(unsafe {
        libc::sendto(
            fd,
            frame.as_ptr().cast(),
            frame.len(),
            libc::MSG_NOSIGNAL,
            (&raw const to).cast(),
            size_of::<libc::sockaddr_ll>() as socklen_t,
        )
    }))
}

/// Receives at most `max` bytes; none at the end of a stream.
#[napi(catch_unwind)]
pub fn socket_receive(fd: i32, max: u32) -> Outcome {
    let mut data = vec![0u8; max as usize];
    // SAFETY: data has room for `max` bytes.
    let mut outcome =
        Outcome::of(unsafe { libc::recv(fd, data.as_mut_ptr().cast(), data.len(), 0) });
    if outcome.errno == 0 {
        data.truncate(outcome.value as usize);
        outcome.data = Some(data.into());
    }
    outcome
}

/// Has a thread receive into a page that is not there: the kernel holds the socket for it from now on,
/// until the descriptor that this gives is closed. Something has to be there to receive.
#[napi(catch_unwind)]
pub fn socket_hold(fd: i32) -> Outcome {
    let page_bytes = 4096;
    let (read_write, private) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: a new mapping.
    let page = unsafe { libc::mmap(null_mut(), page_bytes, read_write, private, -1, 0) };
    if page == libc::MAP_FAILED {
        return Outcome::of(-1);
    }
    let faults = faults_of(page as u64, page_bytes as u64);
    if faults.errno != 0 {
        // SAFETY: mapped above, and nobody has it.
        unsafe { libc::munmap(page, page_bytes) };
        return faults;
    }
    let address = page as usize;
    std::thread::spawn(move || {
        let page = address as *mut c_void;
        // SAFETY: the page is this thread's from now on.
        unsafe {
            libc::recv(fd, page, 1, 0);
            libc::munmap(page, page_bytes)
        }
    });
    let mut waits = libc::pollfd {
        fd: faults.value,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one descriptor.
    if unsafe { libc::poll(&mut waits, 1, HELD_WITHIN_MS) } == 1 {
        return faults;
    }
    // SAFETY: opened above, and nobody has it.
    unsafe { libc::close(faults.value) };
    Outcome {
        errno: libc::ETIMEDOUT,
        ..Outcome::default()
    }
}

/// A descriptor that tells of faults in the memory, which wait until it is closed (userfaultfd).
fn faults_of(start: u64, bytes: u64) -> Outcome {
    // SAFETY: no pointers.
    let made = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) };
    let opened = Outcome::of(made);
    if opened.errno != 0 {
        return opened;
    }
    let mut api = [UFFD_API, 0, 0];
    let mut register = [start, bytes, UFFDIO_REGISTER_MODE_MISSING, 0];
    // SAFETY: struct uffdio_api and struct uffdio_register, which these ioctls read and fill.
    let done = unsafe {
        if libc::ioctl(opened.value, UFFDIO_API, &mut api) < 0 {
            -1
        } else {
            libc::ioctl(opened.value, UFFDIO_REGISTER, &mut register)
        }
    };
    if done == 0 {
        return opened;
    }
    let failed = Outcome::of(-1);
    // SAFETY: opened above, and nobody has it.
    unsafe { libc::close(opened.value) };
    failed
}

/// A frame and how it passed. Anything but an errno of 0 has none.
#[napi(object)]
#[derive(Default)]
pub struct Frame {
    pub errno: i32,
    pub data: Option<Buffer>,
    /// Sent by this host, not received.
    pub outgoing: bool,
    /// Wall clock of the kernel, in microseconds; needs SO_TIMESTAMPNS.
    pub time_us: f64,
}

/// Receives a frame from a packet socket, at most `max` bytes of it.
#[napi(catch_unwind)]
pub fn socket_receive_frame(fd: i32, max: u32) -> Frame {
    let mut data = vec![0u8; max as usize];
    let mut control = [0u64; 8];
    let mut part = libc::iovec {
        iov_base: data.as_mut_ptr().cast(),
        iov_len: data.len(),
    };
    // SAFETY: all zeroes is a valid sockaddr_ll and a valid msghdr.
    let mut from: libc::sockaddr_ll = unsafe { zeroed() };
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_name = (&raw mut from).cast();
    message.msg_namelen = size_of::<libc::sockaddr_ll>() as socklen_t;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: every pointer in `message` is of something here, as long as said.
    let received = unsafe { libc::recvmsg(fd, &mut message, 0) };
    let Ok(length) = usize::try_from(received) else {
        return Frame {
            errno: last_errno(),
            ..Frame::default()
        };
    };
    data.truncate(length);
    Frame {
        errno: 0,
        data: Some(data.into()),
        outgoing: from.sll_pkttype == libc::PACKET_OUTGOING,
        time_us: timestamp_us(&message).unwrap_or(0.0),
    }
}

fn timestamp_us(message: &libc::msghdr) -> Option<f64> {
    // SAFETY: recvmsg filled the control messages of `message`.
    let header = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
        return None;
    }
    // SAFETY: a control message of this type is a timespec.
    let time = unsafe {
        libc::CMSG_DATA(header)
            .cast::<libc::timespec>()
            .read_unaligned()
    };
    Some(time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3)
}

#[napi(catch_unwind)]
pub fn socket_set_option(fd: i32, level: i32, name: i32, value: Buffer) -> Outcome {
    let length = value.len() as socklen_t;
    // SAFETY: value is as long as said.
    Outcome::of(unsafe { libc::setsockopt(fd, level, name, value.as_ptr().cast(), length) })
}

/// The option's value, at most `max` bytes of it.
#[napi(catch_unwind)]
pub fn socket_get_option(fd: i32, level: i32, name: i32, max: u32) -> Outcome {
    let mut value = vec![0u8; max as usize];
    let mut length = max as socklen_t;
    let room = value.as_mut_ptr().cast::<c_void>();
    // SAFETY: room for `length` bytes, which the call sets to what it wrote.
    let mut outcome = Outcome::of(unsafe { libc::getsockopt(fd, level, name, room, &mut length) });
    if outcome.errno == 0 {
        value.truncate(length as usize);
        outcome.data = Some(value.into());
    }
    outcome
}

#[napi(catch_unwind)]
pub fn socket_shutdown(fd: i32, how: String) -> Result<Outcome> {
    let how = match how.as_str() {
        "read" => libc::SHUT_RD,
        "write" => libc::SHUT_WR,
        "both" => libc::SHUT_RDWR,
        other => return Err(fail("EINVAL", format!("no such direction: {other}"))),
    };
    // SAFETY: no pointers.
    Ok(Outcome::of(unsafe { libc::shutdown(fd, how) }))
}

#[napi(catch_unwind)]
pub fn socket_close(fd: i32) -> Outcome {
    // SAFETY: the caller owns fd.
    Outcome::of(unsafe { libc::close(fd) })
}

#[napi(object)]
pub struct PollWish {
    pub fd: i32,
    pub events: i32,
}

/// Waits, blocking this thread, until one of the descriptors has an event or the time is over, at
/// most ten seconds. Returns each one's events.
#[napi(catch_unwind)]
pub fn socket_poll(wishes: Vec<PollWish>, timeout_ms: u32) -> Result<Vec<i32>> {
    let timeout = Duration::from_millis(timeout_ms.into());
    if timeout > LONGEST_POLL {
        let longest = LONGEST_POLL.as_millis();
        return Err(fail(
            "EINVAL",
            format!("a poll lasts {longest} ms at most, not {timeout_ms}"),
        ));
    }
    let mut fds: Vec<libc::pollfd> = wishes
        .iter()
        .map(|wish| libc::pollfd {
            fd: wish.fd,
            events: wish.events as i16,
            revents: 0,
        })
        .collect();
    let end = Instant::now() + timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = left.as_micros().div_ceil(1000) as c_int;
        // SAFETY: fds is as long as said.
        let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, left) };
        match (ready, last_errno()) {
            (0.., _) => return Ok(fds.iter().map(|fd| fd.revents.into()).collect()),
            (_, libc::EINTR) => continue,
            (_, errno) => return Err(crate::error::fail_errno(errno, "poll")),
        }
    }
}

fn parse(address: &str, port: u16) -> Result<RawAddress> {
    let ip: IpAddr = address
        .parse()
        .map_err(|_| fail("EINVAL", format!("not an IP address: {address}")))?;
    Ok(RawAddress::new(SocketAddr::new(ip, port)))
}
