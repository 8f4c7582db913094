// SPDX-License-Identifier: Apache-2.0
//! The perf buffer's user side: every CPU's ring, emptied on demand.

use std::ffi::{c_int, c_void};
use std::mem::size_of;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use libbpf_rs::MapHandle;
use libbpf_rs::libbpf_sys::{
    LIBBPF_PERF_EVENT_CONT, LIBBPF_PERF_EVENT_DONE, PERF_COUNT_SW_BPF_OUTPUT, PERF_RECORD_SAMPLE,
    PERF_SAMPLE_RAW, PERF_TYPE_SOFTWARE, bpf_perf_event_ret, perf_buffer, perf_buffer__buffer,
    perf_buffer__buffer_fd, perf_buffer__consume_buffer, perf_buffer__free, perf_buffer__new_raw,
    perf_buffer_raw_opts, perf_event_attr, perf_event_header, perf_event_mmap_page, size_t,
};

use napi_derive::napi;

use crate::clock;
use crate::cpus;
use crate::error::{Result, fail, fail_errno, last_errno};
use crate::framing;
use crate::log;
use crate::maps;

/// A drain stops after the record that reaches this many bytes.
const DRAIN_BYTES: usize = 16 << 20;

/// Bytes that one drain takes at most: a perf sample's length is a number of 16 bits.
#[napi]
pub const MAX_DRAINED: u32 = (DRAIN_BYTES + (1 << 16)) as u32;

/// How often it is looked for CPUs that came online.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who waits is woken when a ring has so much of itself more.
const WAKES: usize = 4;

/// What a step of the wall clock, or sleep of the host, is at least: NTP slews by less between two looks.
const STEP_NS: u64 = 1_000_000;

/// Places of the map of what was not written: enum unwritten of bpf/include/maps.h.
const FULL: u32 = 0;
const NO_RING: u32 = 1;

/// What was taken from the rings by one drain.
#[derive(Default)]
pub struct Taken {
    /// Where whole records go, one after another: only while a drain goes on.
    into: Option<NonNull<u8>>,
    /// Bytes of the ring that is read that are to be taken still.
    left: u64,
    /// Bytes of records.
    pub bytes: usize,
    /// Records that were not written, by CPU number.
    pub lost: Vec<u64>,
    /// Samples that were no record.
    pub malformed: u64,
    /// The room was used up: what was in the rings when this round began is not all taken.
    pub more: bool,
}

/// Why waiting ended.
#[napi(string_enum = "lowercase")]
#[derive(Debug, PartialEq)]
pub enum Waited {
    /// Something can be read of the descriptor, or nobody will write to it any more.
    Asked,
    /// There is something to drain, what could not be written included; or the clock was set.
    Written,
    /// The time is over.
    Over,
}

/// The rings of the CPUs that run. They are emptied in rounds: one takes what was there when it began.
pub struct Rings {
    rings: Vec<Ring>,
    /// The ring where this round goes on; none are left where it is their number.
    at: usize,
    map_fd: c_int,
    pages: usize,
    /// Per-CPU counts of records that were not written, and what they were.
    unwritten: Option<MapHandle>,
    seen: Vec<[u64; 2]>,
    looked: Instant,
    taken: Box<Taken>,
}

struct Ring {
    buffer: NonNull<perf_buffer>,
    cpu: c_int,
    /// Bytes of it that belong to this round.
    left: u64,
    /// Its CPU went offline, and with that the kernel forgot it: nothing will be written to it.
    dead: bool,
}

impl Rings {
    /// Opens a ring of `bytes`, a power of two, on every online CPU and puts them in the perf event
    /// array. `unwritten` counts for each CPU what was not written because a ring was full, and because
    /// there was none.
    pub fn new(map_fd: c_int, bytes: u32, unwritten: Option<MapHandle>) -> Result<Self> {
        let pages = pages(bytes as usize, page_size()).ok_or_else(|| {
            fail(
                "EINVAL",
                format!("ringBytes must be a power of two, not {bytes}"),
            )
        })?;
        let possible = cpus::possible_cpus()? as usize;
        let mut rings = Self {
            rings: Vec::new(),
            at: 0,
            map_fd,
            pages,
            unwritten,
            seen: vec![[0; 2]; possible],
            looked: Instant::now(),
            taken: Box::new(Taken {
                lost: vec![0; possible],
                ..Taken::default()
            }),
        };
        for cpu in cpus::online()? {
            match rings.open(cpu) {
                // It went offline just now.
                Ok(()) | Err((libc::ENODEV, _)) => {}
                Err((libc::EPERM | libc::EACCES, log)) => {
                    let message = format!(
                        "no permission for a perf buffer of {pages} pages a CPU: needs \
                         CAP_PERFMON, and CAP_IPC_LOCK when larger than \
                         kernel.perf_event_mlock_kb: {log}"
                    );
                    return Err(fail("EPERM", message));
                }
                Err((errno, log)) => {
                    return Err(fail_errno(errno, &format!("perf buffer: {log}")));
                }
            }
        }
        rings.at = rings.rings.len();
        Ok(rings)
    }

    /// Takes what is in the rings as this begins or, where the last drain left more of that, goes on
    /// with it: however fast they are filled, there is an end.
    pub fn drain(&mut self, into: &mut [u8]) -> Result<&Taken> {
        assert!(into.len() >= MAX_DRAINED as usize);
        self.taken.bytes = 0;
        self.taken.malformed = 0;
        self.taken.lost.fill(0);
        if self.at == self.rings.len() {
            self.begin()?;
        }
        self.taken.into = NonNull::new(into.as_mut_ptr());
        let drained = self.consume();
        self.taken.into = None;
        drained?;
        self.taken.more = self.at < self.rings.len();
        Ok(&self.taken)
    }

    fn consume(&mut self) -> Result<()> {
        while let Some(ring) = self.rings.get_mut(self.at) {
            self.taken.left = ring.left;
            if ring.left > 0 {
                // SAFETY: the buffer is live until drop; the callback writes only to `taken`.
                let failed = unsafe { perf_buffer__consume_buffer(ring.buffer.as_ptr(), 0) };
                if failed < 0 {
                    return Err(fail_errno(-failed, "reading a perf ring"));
                }
            }
            ring.left = self.taken.left;
            if ring.left > 0 && self.taken.full() {
                return Ok(());
            }
            self.at += 1;
        }
        Ok(())
    }

    /// A round begins: of the rings that there are by now all that is in them.
    fn begin(&mut self) -> Result<()> {
        let before = self.rings.len();
        // They were emptied by the last round.
        self.rings.retain(|ring| !ring.dead);
        let gone = self.rings.len() < before;
        let without_ring = self.count_unwritten()?;
        if gone || !without_ring.is_empty() || self.looked.elapsed() >= LOOK_EVERY {
            self.looked = Instant::now();
            self.follow(&without_ring)?;
        }
        for ring in &mut self.rings {
            ring.left = ring.filled();
        }
        self.at = 0;
        Ok(())
    }

    /// Adds what was not written since the last time; the CPUs where that was for want of a ring.
    fn count_unwritten(&mut self) -> Result<Vec<c_int>> {
        let mut without_ring = Vec::new();
        let counts = self.not_written()?;
        for (cpu, (seen, now)) in self.seen.iter_mut().zip(counts).enumerate() {
            self.taken.lost[cpu] += now[0] - seen[0] + now[1] - seen[1];
            if now[1] > seen[1] {
                without_ring.push(cpu as c_int);
            }
            *seen = now;
        }
        Ok(without_ring)
    }

    /// What was not written so far, on each CPU: for want of room, and of a ring. None where nobody counts it.
    fn not_written(&self) -> Result<Vec<[u64; 2]>> {
        let Some(map) = &self.unwritten else {
            return Ok(Vec::new());
        };
        let keys = [FULL.to_ne_bytes(), NO_RING.to_ne_bytes()].concat();
        let counts = maps::read_keys(map, &keys)?.values;
        let (counts, _) = counts.as_chunks::<8>();
        let (full, no_ring) = counts.split_at(self.seen.len());
        let both = full.iter().zip(no_ring);
        Ok(both
            .map(|(&full, &none)| [full, none].map(u64::from_ne_bytes))
            .collect())
    }

    /// Waits until something can be read of `fd`, a ring is a quarter fuller, or, looked at each `look`, there is
    /// anything to drain at all.
    pub fn wait(&self, fd: c_int, look: Duration, at_most: Duration) -> Result<Waited> {
        let began = Instant::now();
        let offset_ns = clock::offset_ns();
        let wanted = std::iter::once(fd).chain(self.rings.iter().map(Ring::fd));
        let mut fds: Vec<_> = wanted
            .map(|fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            })
            .collect();
        let mut next = look;
        loop {
            let until = next.min(at_most).saturating_sub(began.elapsed());
            let (count, ms) = (fds.len() as libc::nfds_t, until.as_millis() as c_int + 1);
            // SAFETY: as many as there are.
            let ready = unsafe { libc::poll(fds.as_mut_ptr(), count, ms) };
            if ready < 0 {
                match last_errno() {
                    libc::EINTR => continue,
                    errno => return Err(fail_errno(errno, "waiting for a perf ring")),
                }
            }
            if fds[0].revents != 0 {
                return Ok(Waited::Asked);
            }
            for one in &mut fds[1..] {
                if one.revents & libc::POLLIN != 0 {
                    return Ok(Waited::Written);
                }
                // Its CPU went offline: it would be ready always, and is left out by its number.
                if one.revents != 0 {
                    one.fd = -1;
                }
            }
            if began.elapsed() < next.min(at_most) {
                continue;
            }
            let set = clock::offset_ns().abs_diff(offset_ns) > STEP_NS;
            if set || self.has_more()? {
                return Ok(Waited::Written);
            }
            if began.elapsed() >= at_most {
                return Ok(Waited::Over);
            }
            next += look;
        }
    }

    /// Whether a drain would have anything to take, to count or to follow.
    fn has_more(&self) -> Result<bool> {
        if self.at < self.rings.len() || self.rings.iter().any(|ring| ring.filled() > 0) {
            return Ok(true);
        }
        let counts = self.not_written()?;
        if counts.iter().zip(&self.seen).any(|(now, seen)| now != seen) {
            return Ok(true);
        }
        if self.looked.elapsed() < LOOK_EVERY {
            return Ok(false);
        }
        let online = cpus::online()?;
        let has = |cpu: &c_int| self.rings.iter().any(|ring| ring.cpu == *cpu);
        Ok(online.len() != self.rings.len() || !online.iter().all(has))
    }

    /// Opens rings where there are none. A CPU that was offline has lost its own, and that it was shows
    /// only by what could not be written when it came back. Where one cannot be opened what is lost is
    /// counted, and it is tried again.
    fn follow(&mut self, without_ring: &[c_int]) -> Result<()> {
        let online = cpus::online()?;
        for ring in &mut self.rings {
            ring.dead = !online.contains(&ring.cpu) || without_ring.contains(&ring.cpu);
        }
        let (dead, live) = std::mem::take(&mut self.rings)
            .into_iter()
            .partition(|ring| ring.dead && ring.filled() == 0);
        self.rings = live;
        // Before the new ones: this takes them out of the array.
        drop::<Vec<Ring>>(dead);
        for cpu in online {
            if !self.rings.iter().any(|ring| ring.cpu == cpu) {
                let _ = self.open(cpu);
            }
        }
        Ok(())
    }

    /// The error is an errno and what libbpf said.
    fn open(&mut self, cpu: c_int) -> std::result::Result<(), (i32, String)> {
        let mut attr = perf_event_attr {
            type_: PERF_TYPE_SOFTWARE,
            size: size_of::<perf_event_attr>() as u32,
            config: PERF_COUNT_SW_BPF_OUTPUT.into(),
            sample_type: PERF_SAMPLE_RAW.into(),
            ..Default::default()
        };
        // Each wake-up is work for the CPU that writes: few are enough to empty a ring in time.
        attr.set_watermark(1);
        attr.__bindgen_anon_2.wakeup_watermark = (self.pages * page_size() / WAKES) as u32;
        let mut cpus = [cpu];
        let opts = perf_buffer_raw_opts {
            sz: size_of::<perf_buffer_raw_opts>() as size_t,
            cpu_cnt: 1,
            cpus: cpus.as_mut_ptr(),
            map_keys: cpus.as_mut_ptr(),
            ..Default::default()
        };
        let ctx = (&raw mut *self.taken).cast();
        let (map_fd, pages) = (self.map_fd, self.pages as size_t);
        // SAFETY: attr and opts are copied by the call; ctx is a box that outlives the rings.
        let ((buffer, errno), log) = log::catch(|| unsafe {
            let buffer = perf_buffer__new_raw(map_fd, pages, &mut attr, Some(on_event), ctx, &opts);
            (buffer, last_errno())
        });
        let buffer = NonNull::new(buffer).ok_or_else(|| (errno, log.trim().to_string()))?;
        self.rings.push(Ring {
            buffer,
            cpu,
            left: 0,
            dead: false,
        });
        Ok(())
    }
}

impl Ring {
    fn fd(&self) -> c_int {
        // SAFETY: the buffer is live.
        unsafe { perf_buffer__buffer_fd(self.buffer.as_ptr(), 0) }
    }

    /// Bytes that were written and not read.
    fn filled(&self) -> u64 {
        let mut base: *mut c_void = std::ptr::null_mut();
        let mut size: size_t = 0;
        // SAFETY: the buffer is live; it begins with the page that the kernel writes its head to.
        unsafe {
            if perf_buffer__buffer(self.buffer.as_ptr(), 0, &mut base, &mut size) < 0 {
                return 0;
            }
            let page = base.cast::<perf_event_mmap_page>();
            (&raw const (*page).data_head).read_volatile() - (*page).data_tail
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: made by perf_buffer__new_raw, freed once.
        unsafe { perf_buffer__free(self.buffer.as_ptr()) }
    }
}

fn page_size() -> usize {
    // SAFETY: takes a number, gives one.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

/// Pages of a ring of so many bytes, at least one; None where that is no power of two, as rings are.
fn pages(bytes: usize, page_size: usize) -> Option<usize> {
    bytes.is_power_of_two().then(|| (bytes / page_size).max(1))
}

impl Taken {
    pub fn full(&self) -> bool {
        self.bytes >= DRAIN_BYTES
    }

    fn take(&mut self, record: &[u8]) {
        let Some(into) = self.into else { return };
        // SAFETY: `into` has room for MAX_DRAINED bytes, of which DRAIN_BYTES are not taken yet.
        unsafe {
            let to = into.as_ptr().add(self.bytes);
            to.copy_from_nonoverlapping(record.as_ptr(), record.len());
        }
        self.bytes += record.len();
    }
}

#[repr(C)]
struct Sample {
    header: perf_event_header,
    size: u32,
}

/// Called by libbpf for each event of a ring; `DONE` leaves the rest there. The kernel's own events say
/// what was lost, which the programs count.
unsafe extern "C" fn on_event(
    ctx: *mut c_void,
    _cpu: c_int,
    event: *mut perf_event_header,
) -> bpf_perf_event_ret {
    // SAFETY: ctx is the box of `Rings::new`; libbpf hands a whole event, 8-byte aligned.
    unsafe {
        let taken = &mut *ctx.cast::<Taken>();
        taken.left = taken.left.saturating_sub((*event).size.into());
        if (*event).type_ == PERF_RECORD_SAMPLE {
            let size = (*event.cast::<Sample>()).size as usize;
            let data = event.cast::<u8>().add(size_of::<Sample>());
            match framing::record(std::slice::from_raw_parts(data, size)) {
                Some(record) => taken.take(record),
                None => taken.malformed += 1,
            }
        }
        if taken.full() || taken.left == 0 {
            LIBBPF_PERF_EVENT_DONE
        } else {
            LIBBPF_PERF_EVENT_CONT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pages;

    #[test]
    fn a_ring_has_its_bytes_whatever_a_page_has() {
        assert_eq!(pages(2 << 20, 4 << 10), Some(512));
        assert_eq!(pages(2 << 20, 16 << 10), Some(128));
        assert_eq!(pages(2 << 20, 64 << 10), Some(32));
        assert_eq!(pages(4 << 10, 64 << 10), Some(1));
        assert_eq!(pages(3 << 20, 4 << 10), None);
        assert_eq!(pages(0, 4 << 10), None);
    }
}
