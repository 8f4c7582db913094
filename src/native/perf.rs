// SPDX-License-Identifier: Apache-2.0
//! The perf buffer's user side: every CPU's ring, emptied on demand and never waited for.

use std::ffi::{c_int, c_void};
use std::mem::{size_of, size_of_val};
use std::ptr::NonNull;

use libbpf_rs::libbpf_sys::{
    LIBBPF_PERF_EVENT_CONT, LIBBPF_PERF_EVENT_DONE, PERF_COUNT_SW_BPF_OUTPUT, PERF_FORMAT_LOST,
    PERF_RECORD_LOST, PERF_RECORD_SAMPLE, PERF_SAMPLE_RAW, PERF_TYPE_SOFTWARE, bpf_perf_event_ret,
    perf_buffer, perf_buffer__buffer_fd, perf_buffer__consume_buffer, perf_buffer__free,
    perf_buffer__new_raw, perf_buffer_raw_opts, perf_event_attr, perf_event_header, size_t,
};

use napi_derive::napi;

use crate::cpus;
use crate::error::{Result, fail, fail_errno, last_errno};
use crate::framing;
use crate::log;

/// A drain stops after the record that reaches this many bytes.
const DRAIN_BYTES: usize = 16 << 20;

/// Bytes that one drain takes at most: a perf sample's length is a number of 16 bits.
#[napi]
pub const MAX_DRAINED: u32 = (DRAIN_BYTES + (1 << 16)) as u32;

/// What was taken from the rings by one drain.
#[derive(Default)]
pub struct Taken {
    /// Where whole records go, one after another: only while a drain goes on.
    into: Option<NonNull<u8>>,
    /// Bytes of them.
    pub bytes: usize,
    /// Records the kernel had no room for, by CPU number.
    pub lost: Vec<u64>,
    /// Samples that were no record.
    pub malformed: u64,
}

pub struct Rings {
    rings: NonNull<perf_buffer>,
    taken: Box<Taken>,
    /// The CPU of each ring.
    cpus: Vec<c_int>,
    /// Losses returned so far, by CPU number.
    told: Vec<u64>,
    /// The kernel counts losses itself, and not only with the next record that fits (Linux 6.0).
    counts_lost: bool,
    next: usize,
}

impl Rings {
    /// Opens a ring of `pages` pages on every online CPU and puts them in the perf event array.
    pub fn new(map_fd: c_int, pages: u32) -> Result<Self> {
        if !pages.is_power_of_two() {
            return Err(fail(
                "EINVAL",
                format!("perfPages must be a power of two, not {pages}"),
            ));
        }
        let possible = cpus::possible_cpus()? as usize;
        let mut taken = Box::new(Taken {
            lost: vec![0; possible],
            ..Taken::default()
        });
        let mut cpus = cpus::online()?;
        let ctx = (&raw mut *taken).cast();
        let mut counts_lost = true;
        let mut opened = open(map_fd, pages, &mut cpus, PERF_FORMAT_LOST, ctx);
        if matches!(opened, Err((libc::EINVAL, _))) {
            counts_lost = false;
            opened = open(map_fd, pages, &mut cpus, 0, ctx);
        }
        match opened {
            Ok(rings) => Ok(Self {
                rings,
                taken,
                cpus,
                told: vec![0; possible],
                counts_lost,
                next: 0,
            }),
            Err((libc::EPERM | libc::EACCES, log)) => Err(fail(
                "EPERM",
                format!(
                    "no permission for a perf buffer of {pages} pages a CPU: needs CAP_PERFMON, and \
                     CAP_IPC_LOCK when larger than kernel.perf_event_mlock_kb: {log}"
                ),
            )),
            Err((errno, log)) => Err(fail_errno(errno, &format!("perf buffer: {log}"))),
        }
    }

    /// Empties the rings, or as much of them as one drain may return. Starts with another CPU when
    /// the last drain was cut short, so that a busy one cannot starve the rest. A loss shows with
    /// the next record that fits; with `settle`, for when no more will come, all of it shows now.
    pub fn drain(&mut self, into: &mut [u8], settle: bool) -> Result<&Taken> {
        assert!(into.len() >= MAX_DRAINED as usize);
        self.taken.into = NonNull::new(into.as_mut_ptr());
        self.taken.bytes = 0;
        let drained = self.consume(settle);
        self.taken.into = None;
        drained?;
        Ok(&self.taken)
    }

    fn consume(&mut self, settle: bool) -> Result<()> {
        self.taken.lost.fill(0);
        self.taken.malformed = 0;
        for _ in 0..self.cpus.len() {
            let ring = self.next % self.cpus.len();
            // SAFETY: rings is live until drop; the callback writes only to `taken`.
            let failed =
                unsafe { perf_buffer__consume_buffer(self.rings.as_ptr(), ring as size_t) };
            if failed < 0 {
                return Err(fail_errno(-failed, "reading a perf ring"));
            }
            self.next = ring + 1;
            if self.taken.full() {
                break;
            }
        }
        for (told, lost) in self.told.iter_mut().zip(&self.taken.lost) {
            *told += lost;
        }
        if settle && self.counts_lost && !self.taken.full() {
            self.settle()?;
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        for (ring, &cpu) in self.cpus.iter().enumerate() {
            let mut counts = [0u64; 2];
            // SAFETY: PERF_FORMAT_LOST makes the kernel write the event's value and its losses.
            let read = unsafe {
                let fd = perf_buffer__buffer_fd(self.rings.as_ptr(), ring as size_t);
                libc::read(fd, counts.as_mut_ptr().cast(), size_of_val(&counts))
            };
            if read != size_of_val(&counts) as isize {
                return Err(fail_errno(
                    last_errno(),
                    "asking a perf ring for its losses",
                ));
            }
            let [_, total] = counts;
            let cpu = cpu as usize;
            self.taken.lost[cpu] += total.saturating_sub(self.told[cpu]);
            self.told[cpu] = self.told[cpu].max(total);
        }
        Ok(())
    }
}

/// Opens the rings; the error is an errno and what libbpf said.
fn open(
    map_fd: c_int,
    pages: u32,
    cpus: &mut [c_int],
    read_format: u32,
    ctx: *mut c_void,
) -> std::result::Result<NonNull<perf_buffer>, (i32, String)> {
    let mut attr = perf_event_attr {
        type_: PERF_TYPE_SOFTWARE,
        size: size_of::<perf_event_attr>() as u32,
        config: PERF_COUNT_SW_BPF_OUTPUT.into(),
        sample_type: PERF_SAMPLE_RAW.into(),
        read_format: read_format.into(),
        ..Default::default()
    };
    // Nobody waits, so wake-ups are wasted work: the kernel clamps this to one per full ring.
    attr.set_watermark(1);
    attr.__bindgen_anon_2.wakeup_watermark = u32::MAX;
    let opts = perf_buffer_raw_opts {
        sz: size_of::<perf_buffer_raw_opts>() as size_t,
        cpu_cnt: cpus.len() as c_int,
        cpus: cpus.as_mut_ptr(),
        map_keys: cpus.as_mut_ptr(),
        ..Default::default()
    };
    let pages = pages.into();
    // SAFETY: attr and opts are copied by the call; ctx is a box that outlives the rings.
    let ((rings, errno), log) = log::catch(|| unsafe {
        let rings = perf_buffer__new_raw(map_fd, pages, &mut attr, Some(on_event), ctx, &opts);
        (rings, last_errno())
    });
    NonNull::new(rings).ok_or_else(|| (errno, log.trim().to_string()))
}

impl Drop for Rings {
    fn drop(&mut self) {
        // SAFETY: made by perf_buffer__new_raw, freed once.
        unsafe { perf_buffer__free(self.rings.as_ptr()) }
    }
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

#[repr(C)]
struct Lost {
    header: perf_event_header,
    id: u64,
    lost: u64,
}

/// Called by libbpf for each event of a ring; `DONE` leaves the rest there.
unsafe extern "C" fn on_event(
    ctx: *mut c_void,
    cpu: c_int,
    event: *mut perf_event_header,
) -> bpf_perf_event_ret {
    // SAFETY: ctx is the box of `Rings::new`; libbpf hands a whole event, 8-byte aligned.
    unsafe {
        let taken = &mut *ctx.cast::<Taken>();
        match (*event).type_ {
            PERF_RECORD_SAMPLE => {
                let size = (*event.cast::<Sample>()).size as usize;
                let data = event.cast::<u8>().add(size_of::<Sample>());
                match framing::record(std::slice::from_raw_parts(data, size)) {
                    Some(record) => taken.take(record),
                    None => taken.malformed += 1,
                }
            }
            PERF_RECORD_LOST => {
                if let Some(lost) = taken.lost.get_mut(cpu as usize) {
                    *lost += (*event.cast::<Lost>()).lost;
                }
            }
            _ => {}
        }
        if taken.full() {
            LIBBPF_PERF_EVENT_DONE
        } else {
            LIBBPF_PERF_EVENT_CONT
        }
    }
}
