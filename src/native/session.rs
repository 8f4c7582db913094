// SPDX-License-Identifier: Apache-2.0

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use libbpf_rs::libbpf_sys::{bpf_iter_create, bpf_prog_get_info_by_fd, bpf_prog_info};
use libbpf_rs::{MapHandle, Object};
use napi::bindgen_prelude::{Buffer, BufferSlice};
use napi_derive::napi;

use crate::clock;
use crate::error::{Result, errno_name, fail, fail_errno};
use crate::load;
use crate::maps;
use crate::netns;
use crate::object::Source;
use crate::perf::{MAX_DRAINED, Rings, Waited};
use crate::program::{Program, ProgramState};
use crate::totals::{self, Places};

/// An iterator that writes more than this is not read to its end but fails.
const ITERATOR_BYTES: usize = 256 << 20;

#[napi(object)]
pub struct AttachOptions {
    /// Path of the linked BPF object.
    pub object: String,
    /// Path of a BTF file to relocate against instead of the running kernel's.
    pub btf: Option<String>,
    /// Bytes of `const volatile` variables by name.
    pub rodata: HashMap<String, Buffer>,
    /// The map that records are written to.
    pub perf_map: String,
    /// Bytes of each CPU's ring, a power of two; at least a page.
    pub ring_bytes: u32,
    /// The per-CPU map of what could not be written: enum unwritten of bpf/include/maps.h.
    pub unwritten_map: Option<String>,
    /// Programs not to load, with the reason to report for each.
    pub skip: Option<HashMap<String, String>>,
    /// An iterator to run before anything is attached, if it could be loaded: what it writes is
    /// dropped.
    pub first: Option<String>,
    /// Paths of the network namespaces to run it in; one that is gone is left out.
    pub first_netns: Option<Vec<String>>,
}

#[napi(object)]
pub struct Drained {
    /// How many bytes the records take: whole ones, one after another, a length-delimited protobuf
    /// stream.
    pub bytes: u32,
    /// Records lost on each possible CPU.
    pub lost: Vec<f64>,
    /// Samples dropped for not being a record.
    pub malformed: f64,
    /// Of what was there when this round of drains began there is more: drain again.
    pub more: bool,
}

#[napi(object)]
pub struct PackedMap {
    pub keys: Buffer,
    pub values: Buffer,
    pub key_size: u32,
    pub value_size: u32,
    pub per_key: u32,
}

impl From<maps::Contents> for PackedMap {
    fn from(contents: maps::Contents) -> Self {
        Self {
            keys: contents.keys.into(),
            values: contents.values.into(),
            key_size: contents.key_size as u32,
            value_size: contents.value_size as u32,
            per_key: contents.per_key as u32,
        }
    }
}

#[napi(object)]
pub struct Totals {
    /// For each key 32 bytes, numbers in the order of this machine: key (0: what found no room of its
    /// own), count and pending of 8 bytes, kind and reason of 4.
    pub rows: Buffer,
    /// How many places of the maps were read.
    pub places: u32,
}

#[napi(object)]
pub struct Counted {
    pub name: String,
    pub count: f64,
}

/// Every program of the object; those that cannot run here have their reason, as far as programs of two
/// instructions at the same hooks tell: nothing of the object itself is loaded. Error codes as of attach.
#[napi(catch_unwind)]
pub fn try_hooks(object: String, btf: Option<String>) -> Result<Vec<ProgramState>> {
    load::try_hooks(&Source {
        path: object,
        btf,
        rodata: HashMap::new(),
    })
}

/// Fields drop in this order: detach, stop reading, unload.
struct Live {
    links: Vec<OwnedFd>,
    rings: Rings,
    object: Object,
    places: Places,
    /// CLOCK_MONOTONIC when the first program was attached.
    began_ns: i64,
}

/// BPF programs attached to this kernel. Nothing is pinned: it all ends with the process.
#[napi]
pub struct Session {
    live: Option<Live>,
    programs: Vec<Program>,
}

#[napi]
impl Session {
    /// Loads the object and attaches every program that can be; `programs` says which, and why not
    /// the others. Error codes: EPERM, ENOENT no object, ENOBTF, EINVAL an option that does not fit
    /// the object, or the errno of what the kernel refused.
    #[napi(catch_unwind)]
    pub fn attach(options: AttachOptions) -> Result<Session> {
        let rodata = options.rodata.iter();
        let source = Source {
            path: options.object,
            btf: options.btf,
            rodata: rodata
                .map(|(name, bytes)| (name.clone(), bytes.to_vec()))
                .collect(),
        };
        let (mut object, mut programs) = load::load(&source, &options.skip.unwrap_or_default())?;
        let perf_map = maps::find(&mut object, &options.perf_map)?
            .as_fd()
            .as_raw_fd();
        let unwritten = options.unwritten_map.map(|name| {
            MapHandle::try_from(&maps::find(&mut object, &name)?)
                .map_err(|error| fail("EUNKNOWN", format!("map {name}: {error}")))
        });
        let rings = Rings::new(perf_map, options.ring_bytes, unwritten.transpose()?)?;
        if let Some(first) = options.first
            && let Ok(iterator) = iterator(&programs, &first)
        {
            for netns in options.first_netns.unwrap_or_default() {
                let _ = iterate(iterator, Some(&netns));
            }
        }
        let began_ns = clock::monotonic_ns();
        let links = load::attach(&mut programs);
        let live = Some(Live {
            links,
            rings,
            object,
            places: Places::default(),
            began_ns,
        });
        Ok(Self { live, programs })
    }

    /// Every program of the object, in its order. Works on a closed session too.
    #[napi(catch_unwind)]
    pub fn programs(&self) -> Vec<ProgramState> {
        let states = self.programs.iter().map(|program| &program.state);
        states.cloned().collect()
    }

    /// CLOCK_MONOTONIC in nanoseconds just before the first program was attached: nothing that they write is
    /// older.
    #[napi(catch_unwind)]
    pub fn began_ns(&mut self) -> Result<f64> {
        Ok(self.live()?.began_ns as f64)
    }

    /// Takes what the programs have written by now, at most about 16 MiB, without waiting, to the
    /// beginning of `into`, which has room for MAX_DRAINED bytes. Where that is not all (`more`), the
    /// calls that follow take the rest of it, and nothing that is written meanwhile. Records of one CPU
    /// are in order, those of different CPUs are not. Error codes: EINVAL where `into` is too short.
    #[napi(catch_unwind)]
    pub fn drain(&mut self, mut into: BufferSlice) -> Result<Drained> {
        if into.len() < MAX_DRAINED as usize {
            return Err(fail("EINVAL", format!("a drain needs {MAX_DRAINED} bytes")));
        }
        let live = self.live()?;
        let taken = live.rings.drain(&mut into)?;
        Ok(Drained {
            bytes: taken.bytes as u32,
            lost: taken.lost.iter().map(|&lost| lost as f64).collect(),
            malformed: taken.malformed as f64,
            more: taken.more,
        })
    }

    /// Waits until something can be read of `fd`, or there is something to drain: as soon as that is much, else where
    /// there is any at one of the looks, each `look_ms`. No longer than `at_most_ms`.
    #[napi(catch_unwind)]
    pub fn wait(&mut self, fd: i32, look_ms: u32, at_most_ms: u32) -> Result<Waited> {
        let [look, at_most] = [look_ms, at_most_ms].map(|ms| Duration::from_millis(ms.into()));
        self.live()?.rings.wait(fd, look, at_most)
    }

    /// A whole map, packed.
    #[napi(catch_unwind)]
    pub fn read_map(&mut self, name: String) -> Result<PackedMap> {
        Ok(maps::read(&maps::find(&mut self.live()?.object, &name)?)?.into())
    }

    /// What was counted of each key, over all CPUs: see `Totals`. All of the maps is read with `whole`,
    /// else only the places in use, where these are few.
    #[napi(catch_unwind)]
    pub fn totals(&mut self, whole: bool) -> Result<Totals> {
        let live = self.live()?;
        let (read, places) = totals::read(&mut live.object, &mut live.places, whole)?;
        let rows = read.rows().map(|row| row.to_bytes()).collect::<Vec<_>>();
        Ok(Totals {
            rows: rows.concat().into(),
            places: places as u32,
        })
    }

    /// Some keys of a map, which stand one after another; those it does not have are left out.
    #[napi(catch_unwind)]
    pub fn read_keys(&mut self, name: String, keys: Buffer) -> Result<PackedMap> {
        Ok(maps::read_keys(&maps::find(&mut self.live()?.object, &name)?, &keys)?.into())
    }

    /// Deletes keys from a map; those it does not have are no error.
    #[napi(catch_unwind)]
    pub fn delete_keys(&mut self, name: String, keys: Vec<Buffer>) -> Result<()> {
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        maps::delete(&maps::find(&mut self.live()?.object, &name)?, &keys)
    }

    /// Sets one value of a map that is not per-CPU.
    #[napi(catch_unwind)]
    pub fn write_map(&mut self, name: String, key: Buffer, value: Buffer) -> Result<()> {
        maps::write(&maps::find(&mut self.live()?.object, &name)?, &key, &value)
    }

    /// Runs an iterator program to its end and returns what it wrote. An iterator over sockets sees
    /// one network namespace: that at path `netns`, or ours.
    #[napi(catch_unwind)]
    pub fn run_iterator(&mut self, program: String, netns: Option<String>) -> Result<Buffer> {
        self.live()?;
        iterate(iterator(&self.programs, &program)?, netns.as_deref()).map(Buffer::from)
    }

    /// How often each loaded program was skipped by the kernel because it was already running on
    /// that CPU.
    #[napi(catch_unwind)]
    pub fn missed(&mut self) -> Result<Vec<Counted>> {
        self.each_program(|info| info.recursion_misses as f64)
    }

    /// Instructions that the verifier went through for each loaded program; 0 before Linux 5.16,
    /// which does not tell.
    #[napi(catch_unwind)]
    pub fn verified(&mut self) -> Result<Vec<Counted>> {
        self.each_program(|info| f64::from(info.verified_insns))
    }

    fn each_program(&mut self, count: impl Fn(&bpf_prog_info) -> f64) -> Result<Vec<Counted>> {
        self.live()?;
        let loaded = self
            .programs
            .iter()
            .filter_map(|Program { state, fd, .. }| Some((&state.name, fd.as_ref()?)));
        loaded
            .map(|(name, fd)| {
                let count = count(&info_of(fd.as_raw_fd(), name)?);
                Ok(Counted {
                    name: name.clone(),
                    count,
                })
            })
            .collect()
    }

    /// Detaches every program; what they wrote can still be drained and their maps read.
    #[napi(catch_unwind)]
    pub fn detach(&mut self) {
        if let Some(live) = &mut self.live {
            live.links.clear();
        }
        for program in &mut self.programs {
            program.state.attached = false;
        }
    }

    /// Detaches and unloads everything. Closing twice is fine.
    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.detach();
        for program in &mut self.programs {
            program.fd = None;
        }
        self.live = None;
    }

    fn live(&mut self) -> Result<&mut Live> {
        self.live
            .as_mut()
            .ok_or_else(|| fail("ECLOSED", "the session is closed"))
    }
}

fn info_of(fd: i32, name: &str) -> Result<bpf_prog_info> {
    let mut info = bpf_prog_info::default();
    let mut size = size_of::<bpf_prog_info>() as u32;
    // SAFETY: the kernel fills at most `size` bytes; fields it does not know stay zero.
    let failed = unsafe { bpf_prog_get_info_by_fd(fd, &mut info, &mut size) };
    if failed < 0 {
        return Err(fail_errno(-failed, &format!("asking about program {name}")));
    }
    Ok(info)
}

/// The iterator of that name. EINVAL where there is none, and where it could not be loaded.
fn iterator<'a>(programs: &'a [Program], name: &str) -> Result<&'a Program> {
    let found = programs.iter().find(|program| program.state.name == name);
    let why = match found {
        None => format!("no program {name} in the object"),
        Some(program) if !program.hook.is_iterator() => {
            format!("program {name} is not an iterator")
        }
        Some(program) if program.fd.is_some() => return Ok(program),
        Some(Program { state, .. }) => {
            let why = state.error.as_deref().unwrap_or_default();
            format!("iterator {name} is not loaded: {why}")
        }
    };
    Err(fail("EINVAL", why))
}

/// Runs an iterator to its end: what it wrote. ENOENT where the namespace is gone.
fn iterate(iterator: &Program, netns: Option<&str>) -> Result<Vec<u8>> {
    let Program { state, hook, fd } = iterator;
    let name = &state.name;
    let fd = fd
        .as_ref()
        .ok_or_else(|| fail("EINVAL", "the program is gone"))?;
    let link = hook
        .attach(fd.as_fd())
        .map_err(|errno| fail(errno_name(errno), hook.not_attached(errno)))?;
    // SAFETY: no pointers; the file owns the new descriptor.
    let file = netns::run_in(netns, || {
        match unsafe { bpf_iter_create(link.as_raw_fd()) } {
            fd if fd < 0 => Err(fail_errno(-fd, &format!("iterator {name}"))),
            fd => Ok(unsafe { File::from_raw_fd(fd) }),
        }
    })??;
    read_iterator(file, name)
}

/// An iterator that skips a million objects without output answers EAGAIN and goes on.
fn read_iterator(mut file: File, program: &str) -> Result<Vec<u8>> {
    let mut output = Vec::new();
    let mut chunk = vec![0u8; 1 << 16];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(output),
            Ok(read) => output.extend_from_slice(&chunk[..read]),
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => continue,
                errno => {
                    let what = format!("reading iterator {program}");
                    return Err(fail_errno(errno.unwrap_or(0), &what));
                }
            },
        }
        if output.len() > ITERATOR_BYTES {
            return Err(fail(
                "EFBIG",
                format!("iterator {program} wrote over 256 MiB"),
            ));
        }
    }
}
