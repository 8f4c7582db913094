// SPDX-License-Identifier: Apache-2.0

use std::hash::RandomState;

use pcap_parser::{
    Block, PcapHeader, nom, parse_block_be, parse_block_le, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header, parse_sectionheaderblock,
};

use crate::capture_format::{Interface, ng_head, plausible, time_of, units_a_second};
use crate::capture_link::Link;
use crate::capture_packet::read_packet;
use crate::capture_record::{CaptureCounts, Keys, Packet, Records, write_gap};
use crate::error::{Result, fail};

/// No block of pcapng is longer.
const MOST_BLOCK: u32 = 16 << 20;
/// Interfaces of one section.
const MOST_INTERFACES: usize = 4096;
const PCAP_RECORD: usize = 16;
const NG_SECTION: u32 = 0x0a0d_0d0a;
const NG_SHORTEST: u32 = 12;
/// Interface description, packet (obsolete), simple packet, names, statistics, enhanced packet.
const NG_BLOCKS: std::ops::RangeInclusive<u32> = 1..=6;

enum Format {
    /// Nothing was read yet.
    Unknown,
    Pcap {
        header: PcapHeader,
        interface: Interface,
        nanos: bool,
    },
    Ng {
        big_endian: bool,
        interfaces: Vec<Interface>,
    },
}

/// Where it goes on.
enum Step {
    /// So many bytes were read.
    Took(usize),
    More,
    /// They are not as they were written.
    Damaged,
}

/// What was read of some of the bytes.
pub struct Taken {
    pub records: Result<Vec<u8>>,
    pub counts: CaptureCounts,
    /// Of the bytes that were given together.
    pub last: bool,
}

/// Reads pcap and pcapng as they come, in pieces of any size.
pub struct Parser {
    format: Format,
    rest: Vec<u8>,
    counts: CaptureCounts,
    /// Something that can be read is looked for.
    lost: bool,
    /// Since the last that was read.
    gap: bool,
    toa_kinds: [bool; 256],
    keys: Keys,
}

impl Parser {
    /// TCP options of `toa_kinds` are laid out as 254.
    pub fn new(toa_kinds: &[u32], hashing: RandomState) -> Self {
        let mut kinds = [false; 256];
        for kind in toa_kinds {
            kinds[(kind & 0xff) as usize] = true;
        }
        Self {
            format: Format::Unknown,
            rest: Vec::new(),
            counts: CaptureCounts::default(),
            lost: false,
            gap: false,
            toa_kinds: kinds,
            keys: Keys::new(hashing),
        }
    }

    /// The next bytes: what they tell, in memory that is `spare`. `last` goes with it.
    pub fn parse(&mut self, bytes: &[u8], last: bool, spare: Vec<u8>) -> Taken {
        let mut out = Records::new(spare);
        let records = self.next(bytes, &mut out).map(|()| out.take());
        Taken {
            records,
            counts: self.counts(),
            last,
        }
    }

    fn next(&mut self, bytes: &[u8], out: &mut Records) -> Result<()> {
        let mut held = std::mem::take(&mut self.rest);
        held.extend_from_slice(bytes);
        let used = self.read(&held, out)?;
        held.drain(..used);
        self.rest = held;
        Ok(())
    }

    fn counts(&self) -> CaptureCounts {
        let mut counts = self.counts.clone();
        counts.rest = self.rest.len() as f64;
        if let Format::Ng { interfaces, .. } = &self.format {
            counts.dropped += interfaces.iter().map(|one| one.dropped as f64).sum::<f64>();
        }
        counts
    }

    fn read(&mut self, bytes: &[u8], out: &mut Records) -> Result<usize> {
        let mut at = 0;
        loop {
            let step = match self.format {
                Format::Unknown => self.begin(&bytes[at..])?,
                Format::Pcap { .. } => self.pcap(&bytes[at..], out),
                Format::Ng { .. } => self.ng(&bytes[at..], out),
            };
            match step {
                Step::Took(used) => at += used,
                Step::More => return Ok(at),
                Step::Damaged => {
                    let skip = if matches!(self.format, Format::Ng { .. }) {
                        4
                    } else {
                        1
                    };
                    let skip = skip.min(bytes.len() - at);
                    self.counts.damaged += skip as f64;
                    self.lost = true;
                    self.gap = true;
                    at += skip;
                    if skip == 0 {
                        return Ok(at);
                    }
                }
            }
        }
    }

    fn begin(&mut self, bytes: &[u8]) -> Result<Step> {
        let Some(magic) = bytes.first_chunk::<4>() else {
            return Ok(Step::More);
        };
        if u32::from_le_bytes(*magic) == NG_SECTION {
            self.format = Format::Ng {
                big_endian: false,
                interfaces: Vec::new(),
            };
            return Ok(Step::Took(0));
        }
        match parse_pcap_header(bytes) {
            Ok((rest, header)) => {
                // Its upper bits say how long the checksum of a frame is.
                let link_type = header.network.0 & 0xffff;
                self.format = Format::Pcap {
                    interface: Interface {
                        link: Link::of(link_type),
                        link_type,
                        resolution: 0,
                        offset_s: 0,
                        dropped: 0,
                    },
                    nanos: header.is_nanosecond_precision(),
                    header,
                };
                Ok(Step::Took(bytes.len() - rest.len()))
            }
            Err(nom::Err::Incomplete(_)) => Ok(Step::More),
            Err(_) => Err(fail("ENOCAPTURE", "neither pcap nor pcapng")),
        }
    }

    fn pcap(&mut self, bytes: &[u8], out: &mut Records) -> Step {
        let Format::Pcap {
            ref header,
            interface,
            nanos,
        } = self.format
        else {
            return Step::More;
        };
        if bytes.len() < PCAP_RECORD {
            return Step::More;
        }
        let big_endian = header.is_bigendian();
        let modified = header.is_modified_format();
        if !plausible(bytes, big_endian, nanos) {
            return Step::Damaged;
        }
        let parsed = if modified {
            parse_pcap_frame_modified(bytes)
        } else if big_endian {
            parse_pcap_frame_be(bytes)
        } else {
            parse_pcap_frame(bytes)
        };
        let (rest, frame) = match parsed {
            Ok(parsed) => parsed,
            Err(nom::Err::Incomplete(_)) => return Step::More,
            Err(_) => return Step::Damaged,
        };
        // After damage, what looks like a packet is one where another follows.
        if self.lost && !modified {
            if rest.len() < PCAP_RECORD {
                return Step::More;
            }
            if !plausible(rest, big_endian, nanos) {
                return Step::Damaged;
            }
        }
        let nsec = if nanos {
            frame.ts_usec
        } else {
            frame.ts_usec * 1000
        };
        let packet = Packet {
            sec: frame.ts_sec,
            nsec,
            interface: 0,
            data: frame.data,
            length: frame.origlen,
        };
        self.packet(interface, &packet, out);
        Step::Took(bytes.len() - rest.len())
    }

    fn ng(&mut self, bytes: &[u8], out: &mut Records) -> Step {
        let Format::Ng {
            ref mut big_endian,
            ref mut interfaces,
        } = self.format
        else {
            return Step::More;
        };
        let Some((kind, length)) = ng_head(bytes, *big_endian) else {
            return Step::More;
        };
        if kind == NG_SECTION {
            return match parse_sectionheaderblock(bytes) {
                Ok((rest, section)) => {
                    let dropped = interfaces.iter().map(|one| one.dropped as f64).sum::<f64>();
                    self.counts.dropped += dropped;
                    *big_endian = section.big_endian();
                    interfaces.clear();
                    self.lost = false;
                    Step::Took(bytes.len() - rest.len())
                }
                Err(nom::Err::Incomplete(_)) if bytes.len() < MOST_BLOCK as usize => Step::More,
                Err(_) => Step::Damaged,
            };
        }
        if length < NG_SHORTEST || length % 4 != 0 || length > MOST_BLOCK {
            return Step::Damaged;
        }
        // Kinds of blocks that nobody knows are no landmarks.
        if self.lost && !NG_BLOCKS.contains(&kind) {
            return Step::Damaged;
        }
        let length = length as usize;
        if bytes.len() < length {
            return Step::More;
        }
        let bytes = &bytes[..length];
        let parsed = if *big_endian {
            parse_block_be(bytes)
        } else {
            parse_block_le(bytes)
        };
        let block = match parsed {
            Ok(([], block)) => block,
            Ok(_) | Err(_) => return Step::Damaged,
        };
        self.lost = false;
        match block {
            Block::InterfaceDescription(one) => {
                if interfaces.len() >= MOST_INTERFACES {
                    return Step::Damaged;
                }
                let Some(resolution) = units_a_second(one.if_tsresol) else {
                    return Step::Damaged;
                };
                interfaces.push(Interface {
                    link: Link::of(one.linktype.0),
                    link_type: one.linktype.0,
                    resolution,
                    offset_s: one.ts_offset(),
                    dropped: 0,
                });
            }
            Block::EnhancedPacket(one) => {
                let Some(&interface) = interfaces.get(one.if_id as usize) else {
                    return Step::Damaged;
                };
                let Some((sec, nsec)) = time_of(one.ts_high, one.ts_low, &interface) else {
                    return Step::Damaged;
                };
                let data = &one.data[..one.data.len().min(one.caplen as usize)];
                let packet = Packet {
                    sec,
                    nsec,
                    interface: one.if_id,
                    data,
                    length: one.origlen,
                };
                self.packet(interface, &packet, out);
            }
            // A simple packet has no time: nothing can be said of it.
            Block::SimplePacket(_) => {
                self.counts.packets += 1.0;
                self.counts.cut += 1.0;
                self.gap = true;
            }
            Block::InterfaceStatistics(one) => {
                if let (Some(of), Some(Ok(dropped))) =
                    (interfaces.get_mut(one.if_id as usize), one.isb_ifdrop())
                {
                    of.dropped = if *big_endian {
                        dropped.swap_bytes()
                    } else {
                        dropped
                    };
                }
            }
            _ => {}
        }
        Step::Took(length)
    }

    fn packet(&mut self, interface: Interface, packet: &Packet, out: &mut Records) {
        self.lost = false;
        if self.gap {
            self.gap = false;
            write_gap(packet, out);
        }
        self.counts.packets += 1.0;
        if matches!(interface.link, Link::Unknown) {
            self.counts.unknown_link += 1.0;
            self.counts.link_type = interface.link_type;
            return;
        }
        read_packet(
            interface.link,
            packet,
            &self.toa_kinds,
            &mut self.counts,
            &mut self.keys,
            out,
        );
    }
}
