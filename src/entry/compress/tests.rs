use proptest::prelude::*;

use super::*;

/// Returns about `length` bytes that look like JSON.
fn json(length: usize) -> Bytes {
    let mut text = String::from("[");
    let mut seed = 1_u64;
    while text.len() < length {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!(
            "{{\"id\": {}, \"name\": \"thing\"}}, ",
            seed >> 48
        ));
    }
    text.truncate(length);
    text.into()
}

/// Returns `length` bytes that do not shrink.
fn noise(length: usize) -> Bytes {
    let mut seed = 1_u64;
    let bytes = (0..length).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        seed.to_be_bytes()[0]
    });
    bytes.collect::<Vec<u8>>().into()
}

#[test]
fn a_body_kept_as_it_is_lets_go_of_the_buffer_it_was_read_into() {
    let buffer = Bytes::from(vec![1; 4096]);
    let body = pack(buffer.slice(..100), Coding::Identity);
    assert!(buffer.is_unique());
    assert_eq!(unpack(&body, 100).unwrap(), buffer.slice(..100));
}

#[test]
fn a_body_kept_as_it_is_is_not_copied_when_nobody_else_has_it() {
    let bytes = Bytes::from(vec![1; 4096]);
    let at = bytes.as_ptr();
    assert_eq!(pack(bytes, Coding::Identity).bytes.as_ptr(), at);
}

#[test]
fn a_body_is_never_longer_than_the_cap() {
    for wish in [Coding::Identity, Coding::Gzip, Coding::Lz4] {
        let body = pack(json(5000), wish);
        assert!(unpack(&body, 4999).is_err(), "{wish:?}");
        assert_eq!(unpack(&body, 5000).unwrap(), json(5000), "{wish:?}");
    }
}

#[test]
fn a_length_that_the_bytes_can_not_have_is_refused_before_it_is_allocated() {
    for coding in [Coding::Identity, Coding::Gzip, Coding::Lz4] {
        let body = StoredBody {
            bytes: Bytes::from_static(b"tiny"),
            coding,
            length: 1 << 40,
        };
        let heap = allocation_counter::measure(|| assert!(unpack(&body, 1 << 50).is_err()));
        assert!(heap.bytes_max < 1000, "{coding:?}: {heap:?}");
    }
}

#[test]
fn nothing_is_compressed_that_saves_less_than_a_tenth() {
    for wish in [Coding::Gzip, Coding::Lz4] {
        let body = pack(noise(10_000), wish);
        assert_eq!(body.coding, Coding::Identity);
        assert_eq!(body.bytes, noise(10_000));
    }
}

#[test]
fn long_work_is_told_from_short_by_the_coding() {
    assert!(!packs_long(Coding::Gzip, 16 << 10) && packs_long(Coding::Gzip, (16 << 10) + 1));
    assert!(!packs_long(Coding::Lz4, 128 << 10) && packs_long(Coding::Lz4, (128 << 10) + 1));
    assert!(!packs_long(Coding::Identity, 1 << 20));
    assert!(!unpacks_long(&pack(noise(200_000), Coding::Identity)));
}

#[cfg(feature = "lz4")]
#[test]
fn lz4_begins_at_two_kibibytes() {
    assert_eq!(pack(json(2047), Coding::Lz4).coding, Coding::Identity);
    assert_eq!(pack(json(2048), Coding::Lz4).coding, Coding::Lz4);
}

#[cfg(feature = "lz4")]
#[test]
fn an_lz4_body_that_is_not_as_long_as_it_says_is_an_error() {
    let body = pack(json(5000), Coding::Lz4);
    for length in [4999, 5001] {
        let lying = StoredBody {
            length,
            ..body.clone()
        };
        assert!(unpack(&lying, 10_000).is_err());
    }
    // The same lie in the block's own prefix.
    let mut bytes = body.bytes.to_vec();
    bytes[0] += 1;
    let lying = StoredBody {
        bytes: bytes.into(),
        length: 5001,
        ..body
    };
    assert!(unpack(&lying, 10_000).is_err());
}

#[cfg(feature = "gzip")]
mod gzip {
    use std::io::Read;

    use super::*;

    #[test]
    fn gzip_begins_at_one_kibibyte() {
        assert_eq!(pack(json(1023), Coding::Gzip).coding, Coding::Identity);
        assert_eq!(pack(json(1024), Coding::Gzip).coding, Coding::Gzip);
    }

    #[test]
    fn a_gzip_body_is_what_any_gzip_reader_reads() {
        let body = pack(json(100_000), Coding::Gzip);
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(&*body.bytes)
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, json(100_000));
    }

    #[test]
    fn a_gzip_body_has_no_room_to_grow() {
        let body = pack(json(50_000), Coding::Gzip);
        let vector = Vec::from(body.bytes);
        assert_eq!(vector.capacity(), vector.len());
    }

    #[test]
    fn a_stream_comes_in_pieces_of_64_kibibytes_at_most() {
        let body = pack(json(200_000), Coding::Gzip);
        let pieces: Vec<Bytes> = Gunzip::new(&body, 200_000)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(pieces.iter().map(Bytes::len).max(), Some(64 << 10));
        assert_eq!(pieces.concat(), json(200_000));
    }

    #[test]
    fn a_stream_of_exactly_one_piece_ends_after_it() {
        let body = pack(json(64 << 10), Coding::Gzip);
        let mut pieces = Gunzip::new(&body, 64 << 10).unwrap();
        assert_eq!(pieces.next().unwrap().unwrap(), json(64 << 10));
        assert!(pieces.next().is_none());
    }

    #[test]
    fn a_decoder_that_met_an_error_is_as_good_as_new() {
        let body = pack(json(5000), Coding::Gzip);
        let mut bytes = body.bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle..].fill(0xff);
        let broken = StoredBody {
            bytes: bytes.into(),
            ..body
        };
        for _ in 0..20 {
            assert!(unpack(&broken, 5000).is_err());
            assert_eq!(unpack(&body, 5000).unwrap(), json(5000));
        }
    }

    #[test]
    fn the_last_piece_of_a_damaged_body_is_kept_back() {
        let body = pack(json(100_000), Coding::Gzip);
        let mut bytes = body.bytes.to_vec();
        let check = bytes.len() - 8;
        bytes[check] ^= 1;
        let broken = StoredBody {
            bytes: bytes.into(),
            ..body
        };
        let mut pieces = Gunzip::new(&broken, 100_000).unwrap();
        assert!(pieces.next().unwrap().is_ok());
        assert!(pieces.next().unwrap().is_err());
        assert!(pieces.next().is_none());
    }

    #[test]
    fn a_bomb_is_cut_off_at_the_length_it_says() {
        // Honest about its size: refused by the cap.
        let bomb = pack(Bytes::from(vec![0; 10 << 20]), Coding::Gzip);
        assert!(unpack(&bomb, 1 << 20).is_err());
        // Not honest: it says 100,000 in both places and holds ten million.
        let mut bytes = bomb.bytes.to_vec();
        let length = bytes.len() - 4;
        bytes[length..].copy_from_slice(&100_000_u32.to_le_bytes());
        let lying = StoredBody {
            bytes: bytes.into(),
            length: 100_000,
            ..bomb
        };
        let heap = allocation_counter::measure(|| assert!(unpack(&lying, 1 << 30).is_err()));
        assert!(heap.bytes_max < 400_000, "{heap:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_cut_or_flip_is_an_error_or_the_same_body(at in any::<prop::sample::Index>(), bit in 0..8) {
            let body = pack(json(3000), Coding::Gzip);
            let at = at.index(body.bytes.len());
            let cut = StoredBody { bytes: body.bytes.slice(..at), ..body };
            prop_assert!(unpack(&cut, 10_000).is_err());
            let mut bytes = body.bytes.to_vec();
            bytes[at] ^= 1_u8 << bit;
            let flipped = StoredBody { bytes: bytes.into(), ..body };
            if let Ok(bytes) = unpack(&flipped, 10_000) {
                prop_assert_eq!(bytes, json(3000));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_packed_is_unpacked(
        words in prop::collection::vec("[a-e]{1,6}|[0-9]{3}", 0..2000),
        wish in prop::sample::select(vec![Coding::Identity, Coding::Gzip, Coding::Lz4]),
    ) {
        let bytes = Bytes::from(words.join(" "));
        let body = pack(bytes.clone(), wish);
        prop_assert!(body.bytes.len() <= bytes.len());
        prop_assert_eq!(body.length, bytes.len() as u64);
        prop_assert_eq!(unpack(&body, body.length).unwrap(), bytes);
    }
}
