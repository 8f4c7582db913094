// SPDX-License-Identifier: Apache-2.0
//! A record is its length as a varint padded to four bytes, then that many bytes.

const PREFIX: usize = 4;

/// The record at the start of a perf sample, prefix included, without the padding perf adds.
/// None if the prefix is not a padded varint or claims more bytes than the sample has.
pub fn record(sample: &[u8]) -> Option<&[u8]> {
    let prefix = sample.first_chunk::<PREFIX>()?;
    let continued = prefix.map(|byte| byte & 0x80 != 0);
    if continued != [true, true, true, false] {
        return None;
    }
    let length = prefix
        .iter()
        .rev()
        .fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
    sample.get(..PREFIX + length)
}

#[cfg(test)]
mod tests {
    use super::record;

    #[test]
    fn drops_the_padding() {
        let sample = [0x83, 0x80, 0x80, 0x00, 1, 2, 3, 0xee];
        assert_eq!(record(&sample), Some(&sample[..7]));
    }

    #[test]
    fn reads_all_four_groups_of_seven_bits() {
        let length = 0x7f | 1 << 7;
        let mut sample = vec![0xff, 0x81, 0x80, 0x00];
        sample.resize(4 + length + 5, 7);
        assert_eq!(record(&sample).map(<[u8]>::len), Some(4 + length));
    }

    #[test]
    fn refuses_what_cannot_be_a_record() {
        assert_eq!(record(&[]), None);
        assert_eq!(record(&[0x80, 0x80, 0x80]), None);
        assert_eq!(record(&[0x85, 0x80, 0x80, 0x00, 1, 2, 3, 4]), None);
        assert_eq!(record(&[0x01, 0x80, 0x80, 0x00, 1]), None);
        assert_eq!(record(&[0x81, 0x80, 0x80, 0x80, 1]), None);
    }
}
