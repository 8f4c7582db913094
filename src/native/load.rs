// SPDX-License-Identifier: Apache-2.0
//! Loads every program that can be loaded: one that cannot keeps its reason and the rest go on.
//!
//! libbpf prepares the object, maps and relocations; then each program is loaded for itself, several
//! at once: verifying them is most of what starting takes.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use libbpf_rs::libbpf_sys::{self, bpf_insn, bpf_prog_load_opts};
use libbpf_rs::{AsRawLibbpf, Object, OpenObject, OpenProgram};

use crate::btf;
use crate::error::{Errno, Result, describe, errno_name, fail};
use crate::hook::Hook;
use crate::log;
use crate::object::Source;
use crate::program::{self, Program, ProgramState};
use crate::reason;

/// A program as libbpf left it, ready for the kernel.
struct Image<'a> {
    hook: &'a Hook,
    name: CString,
    instructions: &'a [bpf_insn],
    flags: u32,
    /// The object's BTF; negative: the kernel takes none.
    btf: i32,
    functions: &'a [libbpf_sys::bpf_func_info],
    lines: &'a [libbpf_sys::bpf_line_info],
}

/// Every program of the object; those that cannot run have their reason, as far as that is known
/// before the object is loaded. Errors as `load`.
pub fn try_hooks(source: &Source) -> Result<Vec<ProgramState>> {
    let mut programs = open(source)?.1;
    let mut tried = HashMap::new();
    for program in programs.iter_mut().filter(|program| program.is_wanted()) {
        let hook = &program.hook;
        let refused = tried.entry(hook.clone()).or_insert_with(|| hook.refused());
        program.state.error = refused.clone();
    }
    Ok(programs.into_iter().map(|program| program.state).collect())
}

/// Loads the object. EPERM where this process may load nothing, ENOBTF where there is no BTF to
/// relocate against, ENOENT and EINVAL as `Source::open`.
pub fn load(source: &Source, skip: &HashMap<String, String>) -> Result<(Object, Vec<Program>)> {
    let (object, mut programs) = open(source)?;
    for (name, why) in skip {
        let program = programs
            .iter_mut()
            .find(|program| program.state.name == *name)
            .ok_or_else(|| fail("EINVAL", format!("skip: no program {name} in the object")))?;
        program.state.error = Some(why.clone());
    }
    let mut object = prepare(source, object, &mut programs)?;
    for (at, loaded) in load_each(&object, &programs) {
        match loaded {
            Ok(fd) => programs[at].fd = Some(fd),
            Err(errno) => match load_again(source, &object, &programs, at, errno) {
                Ok(fd) => programs[at].fd = Some(fd),
                Err(why) => programs[at].state.error = Some(why),
            },
        }
    }
    for Program { state, fd, .. } in &mut programs {
        state.loaded = fd.is_some();
    }
    if !reason::privileged() && programs.iter().all(|program| program.fd.is_none()) {
        let why = programs.into_iter().find_map(|program| program.state.error);
        return Err(fail("EPERM", why.unwrap_or_default()));
    }
    // With no program left to load, this frees what only loading needs.
    select(&mut object, |_| false);
    load_whole(object)
        .map(|object| (object, programs))
        .map_err(|(errno, log)| fail(errno_name(errno), reason::of_load("BPF", errno, &log)))
}

/// Attaches what was loaded. Iterators are left for when they are asked for.
pub fn attach(programs: &mut [Program]) -> Vec<OwnedFd> {
    let mut links = Vec::new();
    for Program { state, hook, fd } in programs {
        let Some(fd) = fd.as_ref().filter(|_| !hook.is_iterator()) else {
            continue;
        };
        match hook.attach(fd.as_fd()) {
            Ok(link) => {
                state.attached = true;
                links.push(link);
            }
            Err(errno) => state.error = Some(hook.not_attached(errno)),
        }
    }
    links
}

fn open(source: &Source) -> Result<(OpenObject, Vec<Program>)> {
    let object = source.open()?;
    let kernel = btf::kernel(None);
    match (&source.btf, &kernel) {
        (Some(path), _) => drop(btf::kernel(Some(path))?),
        (None, Err(_)) => return Err(kernel.unwrap_err()),
        (None, Ok(_)) => {}
    }
    let programs = program::programs(&object, kernel.as_ref().ok());
    Ok((object, programs))
}

/// Makes the maps and relocates the programs that have no error yet. Where one of them cannot be
/// relocated, libbpf gives up the object: it is opened again, and prepared without that one.
fn prepare(
    source: &Source,
    mut object: OpenObject,
    programs: &mut [Program],
) -> Result<OpenObject> {
    loop {
        select(&mut object, |at| programs[at].is_wanted());
        // SAFETY: the object is live; where this fails its owner closes it.
        let (failed, log) = log::catch(|| unsafe {
            libbpf_sys::bpf_object__prepare(object.as_libbpf_object().as_ptr())
        });
        if failed == 0 {
            return Ok(object);
        }
        blame(programs, -failed, &log)?;
        object = source.open()?;
    }
}

/// Which programs libbpf relocates, and would load.
fn select(object: &mut OpenObject, wanted: impl Fn(usize) -> bool) {
    for (at, mut program) in object.progs_mut().enumerate() {
        program.set_autoload(wanted(at));
    }
}

/// Loads the programs that have no error, each by its place: as many at once as there are CPUs.
fn load_each(
    object: &OpenObject,
    programs: &[Program],
) -> Vec<(usize, std::result::Result<OwnedFd, Errno>)> {
    let mut images: Vec<_> = object
        .progs()
        .zip(programs)
        .enumerate()
        .filter(|(_, (_, program))| program.is_wanted())
        .map(|(at, (prepared, program))| (at, Image::of(object, &prepared, &program.hook)))
        .collect();
    // The last to begin should not be the longest.
    images.sort_by_key(|(_, image)| std::cmp::Reverse(image.instructions.len()));
    let next = AtomicUsize::new(0);
    let work = || {
        let take = || images.get(next.fetch_add(1, Ordering::Relaxed));
        std::iter::from_fn(take)
            .map(|(at, image)| (*at, image.load()))
            .collect::<Vec<_>>()
    };
    let others = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let others: Vec<_> = (1..others.min(images.len()))
            .filter_map(|_| {
                let other = thread::Builder::new().name("load".into());
                other.spawn_scoped(scope, work).ok()
            })
            .collect();
        let mut loaded = work();
        for other in others {
            loaded.extend(other.join().unwrap_or_default());
        }
        loaded
    })
}

impl<'a> Image<'a> {
    fn of(object: &'a OpenObject, prepared: &OpenProgram<'a>, hook: &'a Hook) -> Self {
        let raw = prepared.as_libbpf_object().as_ptr();
        // SAFETY: the program is live as long as the object is, and both of its tables are as long as it says.
        unsafe {
            let btf = libbpf_sys::bpf_object__btf(object.as_libbpf_object().as_ptr());
            let functions = libbpf_sys::bpf_program__func_info(raw);
            let lines = libbpf_sys::bpf_program__line_info(raw);
            Self {
                hook,
                name: CString::new(prepared.name().as_encoded_bytes()).unwrap_or_default(),
                instructions: prepared.insns(),
                flags: libbpf_sys::bpf_program__flags(raw),
                btf: libbpf_sys::btf__fd(btf),
                functions: table(functions, libbpf_sys::bpf_program__func_info_cnt(raw)),
                lines: table(lines, libbpf_sys::bpf_program__line_info_cnt(raw)),
            }
        }
    }

    fn load(&self) -> std::result::Result<OwnedFd, Errno> {
        let mut options = bpf_prog_load_opts {
            prog_flags: self.flags,
            ..Default::default()
        };
        if self.btf >= 0 {
            options.prog_btf_fd = self.btf as u32;
            options.func_info = self.functions.as_ptr().cast();
            options.func_info_cnt = self.functions.len() as u32;
            options.func_info_rec_size = size_of::<libbpf_sys::bpf_func_info>() as u32;
            options.line_info = self.lines.as_ptr().cast();
            options.line_info_cnt = self.lines.len() as u32;
            options.line_info_rec_size = size_of::<libbpf_sys::bpf_line_info>() as u32;
        }
        self.hook.load(&self.name, self.instructions, options)
    }
}

/// # Safety
/// `first` is null, or the first of so many.
unsafe fn table<'a, T>(first: *const T, count: u32) -> &'a [T] {
    match first.is_null() {
        true => &[],
        // SAFETY: as the caller says.
        false => unsafe { std::slice::from_raw_parts(first, count as usize) },
    }
}

/// A program that was refused where its hook is not: libbpf, which knows what was relocated, loads it again,
/// alone, for what the verifier says. Where that goes well it was refused for what passes (no memory), and no
/// worse way has to be looked for.
fn load_again(
    source: &Source,
    object: &OpenObject,
    programs: &[Program],
    at: usize,
    errno: Errno,
) -> std::result::Result<OwnedFd, String> {
    let hook = &programs[at].hook;
    if let Some(why) = hook.refused() {
        return Err(why);
    }
    let alone = with_tiny_maps(source).map(|mut object| {
        select(&mut object, |one| one == at);
        load_whole(object)
    });
    match alone {
        Ok(Err((errno, log))) => Err(reason::of_load(&hook.kind, errno, &log)),
        Ok(Ok(_)) => match object.progs().nth(at) {
            Some(prepared) => Image::of(object, &prepared, hook).load().map_err(describe),
            None => Err(describe(errno)),
        },
        Err(_) => Err(describe(errno)),
    }
}

/// For a trial, which needs no room: the kernel allocates a hash map's entries when it is made.
fn with_tiny_maps(source: &Source) -> Result<OpenObject> {
    let mut object = source.open()?;
    for mut map in object.maps_mut().filter(|map| map.map_type().is_hash_map()) {
        map.set_max_entries(1)
            .map_err(|error| fail("EINVAL", format!("map {}: {error}", map.name().display())))?;
    }
    Ok(object)
}

/// Loads what is selected, or says with which errno that failed, and what libbpf said.
fn load_whole(object: OpenObject) -> std::result::Result<Object, (Errno, String)> {
    // SAFETY: the object is live; a negative return leaves it to be closed by its owner.
    let (failed, log) =
        log::catch(|| unsafe { libbpf_sys::bpf_object__load(object.as_libbpf_object().as_ptr()) });
    if failed < 0 {
        return Err((-failed, log));
    }
    // SAFETY: loaded just now, and owned by nobody else.
    Ok(unsafe { Object::from_ptr(object.take_ptr()) })
}

/// Gives the program that failed its reason. Fails when no program is to blame but the whole object: no
/// permission, a map that cannot be made.
fn blame(programs: &mut [Program], errno: Errno, log: &str) -> Result<()> {
    let name = reason::culprit(log);
    let found = programs
        .iter_mut()
        .find(|program| program.is_wanted() && Some(program.state.name.as_str()) == name);
    let Some(program) = found else {
        let code = errno_name(errno);
        return Err(fail(code, reason::of_load("BPF", errno, log)));
    };
    program.state.error = Some(reason::of_load(&program.hook.kind, errno, log));
    Ok(())
}
