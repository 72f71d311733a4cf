// SPDX-License-Identifier: MIT OR Apache-2.0
//! MPEG transport streams that begin at 0. `mpegtsmux` adds an hour to all times (`CLOCK_BASE` in
//! its `basetsmux.c`), so that its clock can run ahead of the pictures, and has no property for it:
//! the times in the packets are brought forward here (ISO/IEC 13818-1, 2.4.3).
//!
//! And the head of a packet of AAC has three bits for the channels (ISO/IEC 13818-7, 6.2.1), of a number that has four in
//! MPEG-4: ffmpeg's encoder since its version 9 gives 7.1 the number 12, which `mpegtsmux` cuts to 4, and no player hears
//! anything of that. 7 is the same elements in the same order, and what that encoder said before.

use std::sync::Mutex;

use gst::prelude::*;

use crate::sync::lock;

/// Bytes of a packet.
const PACKET: usize = 188;

/// Times have 33 bits, in units of 1/90 000 s.
const WRAP: u64 = 1 << 33;

/// Where the stream begins when a picture or sound comes before the clock does: later than 0 by what
/// `mpegtsmux` has its clock run ahead (0.125 s), and a little for a stream that begins earlier.
const AHEAD: u64 = 17_100;

/// What is taken off all times, once it is known: the first value of the clock.
#[derive(Debug, Default)]
struct Forward(Option<u64>);

impl Forward {
    /// Brings the times in whole packets forward.
    fn apply(&mut self, packets: &mut [u8]) {
        for packet in packets.chunks_exact_mut(PACKET) {
            self.apply_to_packet(packet);
        }
    }

    fn apply_to_packet(&mut self, packet: &mut [u8]) -> Option<()> {
        let (&mut [sync, flags, _, control], mut rest) = packet.split_first_chunk_mut::<4>()?;
        if sync != 0x47 {
            return None;
        }
        if control & 0x20 != 0 {
            let (length, behind) = rest.split_first_mut()?;
            let (field, payload) = behind.split_at_mut_checked(usize::from(*length))?;
            self.apply_to_clock(field);
            rest = payload;
        }
        let begins_unit = flags & 0x40 != 0 && control & 0x10 != 0;
        begins_unit.then(|| self.apply_to_unit(rest)).flatten()
    }

    /// The clock, and the original one, in an adaptation field.
    fn apply_to_clock(&mut self, field: &mut [u8]) -> Option<()> {
        let (flags, rest) = field.split_first_mut()?;
        let clocks = [*flags & 0x10, *flags & 0x08].into_iter();
        let present = clocks.filter(|flag| *flag != 0).count();
        for clock in rest.chunks_exact_mut(6).take(present) {
            let base = clock.first_chunk_mut::<5>()?;
            let [a, b, c, d, e] = *base;
            let high = u64::from(u32::from_be_bytes([a, b, c, d]));
            let time = self.moved(high << 1 | u64::from(e >> 7), 0);
            let [a, b, c, d] = ((time >> 1) as u32).to_be_bytes();
            *base = [a, b, c, d, (time as u8 & 1) << 7 | e & 0x7f];
        }
        Some(())
    }

    /// The times of presentation and decoding at the head of a unit of sound or picture.
    fn apply_to_unit(&mut self, unit: &mut [u8]) -> Option<()> {
        let (&mut [0, 0, 1, id], rest) = unit.split_first_chunk_mut::<4>()? else {
            return None;
        };
        // Those that have the optional head: private stream 1, sound, pictures, extended ids.
        if !matches!(id, 0xbd | 0xc0..=0xef | 0xfd) {
            return None;
        }
        let (&mut [_, _, _, flags, _], rest) = rest.split_first_chunk_mut::<5>()?;
        let present = match flags >> 6 {
            0b10 => 1,
            0b11 => 2,
            _ => 0,
        };
        for stamp in rest.chunks_exact_mut(5).take(present) {
            let stamp = stamp.first_chunk_mut::<5>()?;
            let [a, b, c, d, e] = stamp.map(u64::from);
            let time = (a >> 1 & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1;
            let time = self.moved(time, AHEAD);
            *stamp = [
                a as u8 & 0xf1 | (time >> 29) as u8 & 0x0e,
                (time >> 22) as u8,
                (time >> 14) as u8 | 1,
                (time >> 7) as u8,
                (time << 1) as u8 | 1,
            ];
        }
        Some(())
    }

    /// A time brought forward; the first one becomes `first`.
    fn moved(&mut self, time: u64, first: u64) -> u64 {
        let by = *self.0.get_or_insert((time + WRAP - first) % WRAP);
        (time + WRAP - by) % WRAP
    }
}

/// The `AudioSpecificConfig` of 7.1 with a number that a transport stream has room for (ISO/IEC 14496-3, 1.6.2.1 and
/// table 1.19), if it has another.
fn with_room(config: &[u8]) -> Option<Vec<u8>> {
    let (&[kind, channels], _) = config.split_first_chunk::<2>()?;
    // Kinds and rates that do not fit there have longer fields, and the channels elsewhere.
    let is_short = kind >> 3 != 31 && !(kind & 7 == 7 && channels & 0x80 != 0);
    if !is_short || channels >> 3 & 0xf != 12 {
        return None;
    }
    let mut other = config.to_vec();
    *other.get_mut(1)? = channels & 0x87 | 7 << 3;
    Some(other)
}

/// Has a muxer that is told of AAC with 7.1 be told of it as above.
fn tell_of_channels(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && let gst::EventView::Caps(caps) = event.view()
            && let Some(structure) = caps.caps().structure(0)
            && structure.name() == "audio/mpeg"
            && let Ok(config) = structure.get::<gst::Buffer>("codec_data")
            && let Some(other) = config.map_readable().ok().and_then(|it| with_room(&it))
        {
            let mut caps = caps.caps_owned();
            caps.make_mut()
                .set("codec_data", gst::Buffer::from_slice(other));
            *event = gst::event::Caps::builder(&caps)
                .seqnum(event.seqnum())
                .build();
        }
        gst::PadProbeReturn::Ok
    });
}

/// Has the files of `muxer` begin at 0 and tell of all channels, if it is `mpegtsmux` and has no pads yet.
pub(crate) fn put_right(muxer: &gst::Element) {
    let factory = muxer.factory().map(|factory| factory.name());
    let Some(source) = muxer.static_pad("src") else {
        return;
    };
    if factory.as_deref() != Some("mpegtsmux") {
        return;
    }
    muxer.connect_pad_added(|_, pad| tell_of_channels(pad));
    let forward = Mutex::new(Forward::default());
    let kinds = gst::PadProbeType::BUFFER
        | gst::PadProbeType::BUFFER_LIST
        | gst::PadProbeType::EVENT_DOWNSTREAM;
    source.add_probe(kinds, move |_, info| {
        let mut forward = lock(&forward);
        let mut apply = |buffer: &mut gst::BufferRef| {
            if let Ok(mut packets) = buffer.map_writable() {
                forward.apply(&mut packets);
            }
            // It is the picture's, which parsers call one where parameter sets are in it; the stream's own are in the
            // caps. Sinks of the network take it for one of those, and leave the picture out (`srtsink`).
            buffer.unset_flags(gst::BufferFlags::HEADER);
        };
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => apply(buffer.make_mut()),
            Some(gst::PadProbeData::BufferList(list)) => {
                list.make_mut().foreach_mut(|mut buffer, _| {
                    apply(buffer.make_mut());
                    std::ops::ControlFlow::Continue(Some(buffer))
                });
            }
            // Another file.
            Some(gst::PadProbeData::Event(event))
                if event.type_() == gst::EventType::StreamStart =>
            {
                *forward = Forward::default();
            }
            _ => (),
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with a clock and the times of a picture, in units of 1/90 000 s.
    fn packet(clock: u64, shown: u64, decoded: u64) -> Vec<u8> {
        let mut packet = vec![0x47, 0x40, 0x41, 0x30, 7, 0x10];
        packet.extend(((clock >> 1) as u32).to_be_bytes());
        packet.extend([(clock as u8 & 1) << 7 | 0x7e, 0x2a]);
        packet.extend([0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10]);
        for (prefix, time) in [(0x31, shown), (0x11, decoded)] {
            packet.extend([
                prefix | (time >> 29) as u8 & 0x0e,
                (time >> 22) as u8,
                (time >> 14) as u8 | 1,
                (time >> 7) as u8,
                (time << 1) as u8 | 1,
            ]);
        }
        packet.resize(PACKET, 0xff);
        packet
    }

    #[test]
    fn all_times_begin_at_0() {
        let hour = 90_000 * 3600;
        let mut forward = Forward::default();
        for (clock, shown, decoded) in [(0, 11_250, 11_250), (3_601, 22_500, 14_850)] {
            let mut bytes = packet(hour + clock, hour + shown, hour + decoded);
            forward.apply(&mut bytes);
            assert_eq!(bytes, packet(clock, shown, decoded));
        }
    }

    #[test]
    fn channels_have_a_number_that_there_is_room_for() {
        // Low complexity at 16 kHz: 7.1 as ffmpeg's encoder tells of it, and what it told before.
        let before = [0x14, 0x38, 0x56, 0xe5, 0];
        assert_eq!(with_room(&[0x14, 0x60, 0x56, 0xe5, 0]), Some(before.into()));
        // 44.1 and 22.05 kHz, whose rates are in both bytes.
        assert_eq!(with_room(&[0x12, 0x60]), Some(vec![0x12, 0x38]));
        assert_eq!(with_room(&[0x13, 0xe0]), Some(vec![0x13, 0xb8]));
        // Stereo; 7.1 that is right; channels that are listed elsewhere; longer fields; nothing.
        for other in [
            &[0x12, 0x10][..],
            &before,
            &[0x14, 0, 6],
            &[0xf9, 0x60, 0],
            &[0x17, 0xe0, 0],
            &[0x14],
            &[],
        ] {
            assert_eq!(with_room(other), None, "{other:x?}");
        }
    }

    #[test]
    fn a_clock_that_wraps_goes_on() {
        let mut forward = Forward::default();
        let mut bytes = packet(WRAP - 10, 11_240, 11_240);
        forward.apply(&mut bytes);
        assert_eq!(bytes, packet(0, 11_250, 11_250));
    }

    #[test]
    fn what_is_no_packet_of_times_stays_as_it_is() {
        let mut forward = Forward::default();
        let mut table = packet(0, 0, 0);
        table[3] = 0x10;
        table[4..].fill(0xb0);
        let mut cut = packet(5, 5, 5);
        cut.truncate(100);
        for mut bytes in [table, cut, vec![0; PACKET], vec![0x47; PACKET]] {
            let before = bytes.clone();
            forward.apply(&mut bytes);
            assert_eq!(bytes, before);
        }
        // An adaptation field that is longer than the packet.
        let mut long = packet(5, 5, 5);
        long[4] = 200;
        forward.apply(&mut long);
    }
}
