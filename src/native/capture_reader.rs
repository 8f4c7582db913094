// SPDX-License-Identifier: Apache-2.0

use std::collections::VecDeque;
use std::hash::RandomState;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;

use crate::capture::{Parser, Taken};
use crate::capture_record::{CaptureCounts, SEGMENT, hash_end};
use crate::error::{Result, fail};

/// So many bytes are read before what they tell can be taken.
const AT_ONCE: usize = 64 << 10;
const STACK: usize = 256 << 10;
/// As many as a megabyte takes, and what it tells.
const MOST_SPARE: usize = 32;

/// Bytes of one record.
#[napi]
pub const SEGMENT_BYTES: u32 = SEGMENT as u32;

/// Memory that was used: from the kernel it would come page by page.
#[derive(Clone, Default)]
struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spare {
    fn get(&self) -> Vec<u8> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.pop().unwrap_or_default()
    }

    fn put(&self, mut one: Vec<u8>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST_SPARE {
            one.clear();
            all.push(one);
        }
    }
}

/// Some of the bytes, and whether they are the last of those that were given together.
type Piece = (Vec<u8>, bool);

enum Reading {
    Here(Box<Parser>, VecDeque<Taken>),
    /// On a thread of its own, which ends with the sender.
    There(Sender<Piece>, Receiver<Taken>),
}

/// Reads a capture (pcap, pcapng) as it comes, in pieces of any size: of each TCP segment, and each ICMP error
/// that quotes one, what its headers say. Ahead it reads on another thread, while whoever has what came
/// before looks at that. What it holds is bounded by what is given at once.
#[napi]
pub struct CaptureReader {
    reading: Reading,
    spare: Spare,
    /// What was given, and not taken to its end.
    given: usize,
    hashing: RandomState,
    records: Vec<u8>,
    used: usize,
    last: bool,
    counts: CaptureCounts,
}

#[napi]
impl CaptureReader {
    /// TCP options of `toa_kinds` are laid out as 254.
    #[napi(constructor)]
    pub fn new(toa_kinds: Vec<u32>) -> Self {
        let hashing = RandomState::new();
        let parser = Parser::new(&toa_kinds, hashing.clone());
        Self {
            reading: Reading::Here(Box::new(parser), VecDeque::new()),
            spare: Spare::default(),
            hashing,
            given: 0,
            records: Vec::new(),
            used: 0,
            last: false,
            counts: CaptureCounts::default(),
        }
    }

    /// The next bytes: what they tell is taken before what later ones do. `ahead`: on another thread, from now on.
    #[napi(catch_unwind)]
    pub fn give(&mut self, bytes: &[u8], ahead: bool) {
        if self.given == 0 && ahead {
            self.go_there();
        }
        self.given += 1;
        let mut pieces = bytes.chunks(AT_ONCE).peekable();
        loop {
            // Nothing may be a piece too.
            let piece = pieces.next().unwrap_or_default();
            let last = pieces.peek().is_none();
            match &mut self.reading {
                Reading::Here(parser, taken) => {
                    taken.push_back(parser.parse(piece, last, self.spare.get()));
                }
                Reading::There(to, _) => {
                    let mut copy = self.spare.get();
                    copy.extend_from_slice(piece);
                    // Where it has ended, take() says so.
                    let _ = to.send((copy, last));
                }
            }
            if last {
                return;
            }
        }
    }

    /// Where there can be no thread, it stays here.
    fn go_there(&mut self) {
        if matches!(self.reading, Reading::There(..)) {
            return;
        }
        let (to, pieces) = channel::<Piece>();
        let (give, taken) = channel();
        let (hand_over, handed) = channel::<Box<Parser>>();
        let spare = self.spare.clone();
        let read = move || {
            let Ok(mut parser) = handed.recv() else {
                return;
            };
            while let Ok((bytes, last)) = pieces.recv() {
                let taken = parser.parse(&bytes, last, spare.get());
                spare.put(bytes);
                if give.send(taken).is_err() {
                    return;
                }
            }
        };
        if Builder::new().stack_size(STACK).spawn(read).is_err() {
            return;
        }
        let there = Reading::There(to, taken);
        if let Reading::Here(parser, _) = std::mem::replace(&mut self.reading, there) {
            let _ = hand_over.send(parser);
        }
    }

    /// Puts records of `SEGMENT_BYTES` each (src/capture/segment.ts) into `into`, as many as it takes: how many. None
    /// where those of what was given at once are at an end. Errors: ENOCAPTURE where it is no capture.
    #[napi(catch_unwind)]
    pub fn take(&mut self, mut into: BufferSlice) -> Result<u32> {
        while self.used == self.records.len() {
            if self.last || self.given == 0 {
                self.given = self.given.saturating_sub(1);
                self.last = false;
                return Ok(0);
            }
            let taken = match &mut self.reading {
                Reading::Here(_, taken) => taken.pop_front(),
                Reading::There(_, taken) => taken.recv().ok(),
            };
            let taken = taken.ok_or_else(|| fail("EUNKNOWN", "who reads the capture ended"))?;
            self.counts = taken.counts;
            self.last = taken.last;
            self.used = 0;
            self.spare.put(std::mem::take(&mut self.records));
            self.records = taken.records?;
        }
        let rest = &self.records[self.used..];
        let size = rest.len().min(into.len() / SEGMENT * SEGMENT);
        into[..size].copy_from_slice(&rest[..size]);
        self.used += size;
        Ok((size / SEGMENT) as u32)
    }

    /// Of an end as it stands in a key, as records have it.
    #[napi]
    pub fn hash(&self, end: &[u8]) -> u32 {
        hash_end(&self.hashing, end)
    }

    /// Up to what was taken.
    #[napi]
    pub fn counts(&self) -> CaptureCounts {
        self.counts.clone()
    }
}
