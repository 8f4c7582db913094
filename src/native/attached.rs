// SPDX-License-Identifier: Apache-2.0
//! Programs of the lab at hooks that no command attaches to.

use libbpf_rs::{Link, Object, ObjectBuilder};
use napi_derive::napi;

use crate::error::{Result, fail};
use crate::log;

#[napi]
pub struct Attached {
    links: Vec<Link>,
    _object: Object,
}

#[napi]
impl Attached {
    /// Attaches every program of the object, until it is closed or this process ends. EPERM: the kernel takes none.
    #[napi(factory, catch_unwind)]
    pub fn open(path: String) -> Result<Self> {
        let (attached, log) = log::catch(|| attach(&path));
        attached.map_err(|error| fail("EPERM", format!("{path}: {error}: {log}")))
    }

    #[napi(catch_unwind)]
    pub fn close(&mut self) {
        self.links.clear();
    }
}

fn attach(path: &str) -> libbpf_rs::Result<Attached> {
    let object = ObjectBuilder::default().open_file(path)?.load()?;
    let links = object.progs_mut().map(|program| program.attach());
    Ok(Attached {
        links: links.collect::<libbpf_rs::Result<_>>()?,
        _object: object,
    })
}
