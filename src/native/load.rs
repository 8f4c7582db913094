// SPDX-License-Identifier: Apache-2.0
//! Loads every program that can be loaded: one that cannot keeps its reason and the rest go on.

use std::collections::HashMap;

use libbpf_rs::{AsRawLibbpf, Link, Object, OpenObject, libbpf_sys};

use crate::btf;
use crate::error::{Result, fail};
use crate::log;
use crate::object::{self, Source};
use crate::program::ProgramState;
use crate::reason;
use crate::trace_event;

struct Failure {
    errno: i32,
    log: String,
}

/// Loads the object. EPERM where this process may load nothing, ENOBTF where there is no BTF to
/// relocate against, ENOENT and EINVAL as `Source::open`.
pub fn load(
    source: &Source,
    skip: &HashMap<String, String>,
) -> Result<(Object, Vec<ProgramState>)> {
    let mut programs = object::programs(&source.open()?);
    let kernel = btf::kernel(None);
    match (&source.btf, &kernel) {
        (Some(path), _) => drop(btf::kernel(Some(path))?),
        (None, Err(_)) => return Err(kernel.unwrap_err()),
        (None, Ok(_)) => {}
    }
    for program in programs
        .iter_mut()
        .filter(|program| program.error.is_none())
    {
        program.error = program.missing_target(kernel.as_ref().ok());
    }
    drop(kernel);
    for (name, why) in skip {
        let program = programs
            .iter_mut()
            .find(|program| program.name == *name)
            .ok_or_else(|| fail("EINVAL", format!("skip: no program {name} in the object")))?;
        program.error = Some(why.clone());
    }
    let object = load_what_loads(source, &mut programs)?;
    for program in &mut programs {
        program.loaded = program.error.is_none();
    }
    if !reason::privileged() && programs.iter().all(|program| !program.loaded) {
        let why = programs.into_iter().find_map(|program| program.error);
        return Err(fail("EPERM", why.unwrap_or_default()));
    }
    Ok((object, programs))
}

/// Attaches what was loaded. Iterators are left for when they are asked for.
pub fn attach(object: &Object, programs: &mut [ProgramState]) -> Vec<Link> {
    let mut links = Vec::new();
    for program in programs.iter_mut() {
        if !program.loaded || program.is_iterator() {
            continue;
        }
        let Some(loaded) = object
            .progs_mut()
            .find(|loaded| loaded.name() == program.name.as_str())
        else {
            continue;
        };
        let ((link, errno), log) = log::catch(|| {
            let link = match program.trace_event() {
                Some(event) => trace_event::attach(&loaded, event),
                None => loaded.attach(),
            };
            (link, crate::error::last_errno())
        });
        match link {
            Ok(link) => {
                program.attached = true;
                links.push(link);
            }
            Err(_) => program.error = Some(reason::of_attach(program.kind(), errno, &log)),
        }
    }
    links
}

/// libbpf loads all or nothing and stops at the first failure. So a failure is followed by trial
/// loads of the programs after it, each failure starting one more, until every program that fails
/// is known; then all others are loaded together.
fn load_what_loads(source: &Source, programs: &mut [ProgramState]) -> Result<Object> {
    loop {
        let failure = match try_load(source.open()?, programs, 0) {
            Ok(object) => return Ok(object),
            Err(failure) => failure,
        };
        let mut next = blame(programs, &failure)? + 1;
        while programs[next..]
            .iter()
            .any(|program| program.error.is_none())
        {
            match try_load(with_tiny_maps(source)?, programs, next) {
                Ok(_) => break,
                Err(failure) => next = next.max(blame(programs, &failure)? + 1),
            }
        }
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

/// Loads the programs from `first` on that have no error yet.
fn try_load(
    mut object: OpenObject,
    programs: &[ProgramState],
    first: usize,
) -> std::result::Result<Object, Failure> {
    for (at, mut program) in object.progs_mut().enumerate() {
        program.set_autoload(at >= first && programs[at].error.is_none());
    }
    // SAFETY: the object is live; a negative return leaves it to be closed by its owner.
    let (failed, log) =
        log::catch(|| unsafe { libbpf_sys::bpf_object__load(object.as_libbpf_object().as_ptr()) });
    if failed < 0 {
        let errno = -failed;
        return Err(Failure { errno, log });
    }
    // SAFETY: loaded just now, and owned by nobody else.
    Ok(unsafe { Object::from_ptr(object.take_ptr()) })
}

/// Gives the program that failed its reason and returns its place. Fails when no program is to
/// blame but the whole object: no permission, a map that cannot be made.
fn blame(programs: &mut [ProgramState], failure: &Failure) -> Result<usize> {
    let name = reason::culprit(&failure.log);
    let found = programs
        .iter()
        .position(|program| program.error.is_none() && Some(program.name.as_str()) == name);
    let Some(at) = found else {
        let code = crate::error::errno_name(failure.errno);
        return Err(fail(
            code,
            reason::of_load("BPF", failure.errno, &failure.log),
        ));
    };
    let program = &mut programs[at];
    program.error = Some(reason::of_load(program.kind(), failure.errno, &failure.log));
    Ok(at)
}
