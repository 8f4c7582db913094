// SPDX-License-Identifier: Apache-2.0

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd};

use libbpf_rs::libbpf_sys::{bpf_iter_create, bpf_prog_get_info_by_fd, bpf_prog_info};
use libbpf_rs::{IterOpts, Link, MapHandle, Object};
use napi::bindgen_prelude::{Buffer, BufferSlice};
use napi_derive::napi;

use crate::error::{Result, fail, fail_errno, last_errno};
use crate::load;
use crate::log;
use crate::maps;
use crate::netns;
use crate::object::Source;
use crate::perf::{MAX_DRAINED, Rings};
use crate::program::ProgramState;
use crate::reason;
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
    /// `max_entries` by map.
    pub map_sizes: Option<HashMap<String, u32>>,
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

/// Fields drop in this order: detach, stop reading, unload.
struct Live {
    links: Vec<Link>,
    rings: Rings,
    object: Object,
    places: Places,
}

/// BPF programs attached to this kernel. Nothing is pinned: it all ends with the process.
#[napi]
pub struct Session {
    live: Option<Live>,
    programs: Vec<ProgramState>,
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
            map_sizes: options.map_sizes.unwrap_or_default(),
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
            && check_iterator(&programs, &first).is_ok()
        {
            for netns in options.first_netns.unwrap_or_default() {
                let _ = iterate(&object, &first, Some(&netns));
            }
        }
        let links = load::attach(&object, &mut programs);
        let live = Some(Live {
            links,
            rings,
            object,
            places: Places::default(),
        });
        Ok(Self { live, programs })
    }

    /// Every program of the object, in its order. Works on a closed session too.
    #[napi(catch_unwind)]
    pub fn programs(&self) -> Vec<ProgramState> {
        self.programs.clone()
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
        check_iterator(&self.programs, &program)?;
        iterate(&self.live()?.object, &program, netns.as_deref()).map(Buffer::from)
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
        self.live()?
            .object
            .progs_mut()
            .filter_map(|program| {
                let fd = program.as_fd().as_raw_fd();
                (fd >= 0).then(|| {
                    let name: String = program.name().to_string_lossy().into();
                    let count = count(&info_of(fd, &name)?);
                    Ok(Counted { name, count })
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
            program.attached = false;
        }
    }

    /// Detaches and unloads everything. Closing twice is fine.
    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.detach();
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

/// Whether there is such an iterator, and it could be loaded.
fn check_iterator(programs: &[ProgramState], program: &str) -> Result<()> {
    let state = programs.iter().find(|state| state.name == program);
    match state {
        None => Err(fail(
            "EINVAL",
            format!("no program {program} in the object"),
        )),
        Some(state) if !state.is_iterator() => Err(fail(
            "EINVAL",
            format!("program {program} is not an iterator"),
        )),
        Some(ProgramState {
            loaded: false,
            error,
            ..
        }) => {
            let why = error.as_deref().unwrap_or_default();
            Err(fail(
                "EINVAL",
                format!("iterator {program} is not loaded: {why}"),
            ))
        }
        Some(_) => Ok(()),
    }
}

/// Runs an iterator to its end: what it wrote. ENOENT where the namespace is gone.
fn iterate(object: &Object, program: &str, netns: Option<&str>) -> Result<Vec<u8>> {
    let iterator = object
        .progs_mut()
        .find(|iterator| iterator.name() == program);
    let iterator = iterator.ok_or_else(|| fail("EINVAL", "the program is gone"))?;
    let ((link, errno), log) =
        log::catch(|| (iterator.attach_iter_with_opts(IterOpts::None), last_errno()));
    let link = link.map_err(|_| {
        fail(
            crate::error::errno_name(errno),
            reason::of_attach("iter", errno, &log),
        )
    })?;
    let link_fd = link.as_fd().as_raw_fd();
    // SAFETY: no pointers; the file owns the new descriptor.
    let file = netns::run_in(netns, || match unsafe { bpf_iter_create(link_fd) } {
        fd if fd < 0 => Err(fail_errno(-fd, &format!("iterator {program}"))),
        fd => Ok(unsafe { File::from_raw_fd(fd) }),
    })??;
    read_iterator(file, program)
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
