use std::sync::Arc;

use http::StatusCode;
use proptest::prelude::*;

use super::*;
use crate::{
    clock::Timestamp,
    entry::{
        Coding, Entry, Fields, Head, HeadParts, Life, Origin, Place, Position, Seal, StoredBody,
        Variation, samples::fields,
    },
    error::ErrorKind,
    policy::{Target, TargetId},
    semantics::reuse::ReuseFlags,
};

const ORIGIN: Origin<'_> = Origin {
    authority: "shop.test",
    path: "/items/%31",
    query: Some("page=2"),
    route: Some("/items/{id}"),
};

/// A response that has everything that one can have.
fn full() -> Entry {
    let mut headers = fields(&[
        ("content-type", "text/plain"),
        ("vary", "x-a"),
        ("vary", "x-b"),
        ("x-secret", "s"),
        ("cache-status", "origin; hit"),
    ]);
    headers.get_mut("x-secret").unwrap().set_sensitive(true);
    let tags = ["items", "item:1"];
    let mut targets = Vec::new();
    TargetId::of_request(
        ORIGIN.authority,
        ORIGIN.path,
        ORIGIN.query,
        ORIGIN.route,
        &mut targets,
    );
    targets.extend(tags.map(|tag| Target::tag(tag).id()));
    let at = Timestamp::from_millis;
    let position = Position {
        epoch: 8,
        sequence: 9,
        local: 10,
    };
    let head = Head::new(HeadParts {
        key: b"full key".as_slice().into(),
        status: StatusCode::NON_AUTHORITATIVE_INFORMATION,
        fields: Fields::new(&headers),
        life: Life {
            received: at(1_767_225_600_000),
            initial_age: 2,
            fresh_until: at(1_767_225_600_003),
            refresh_from: at(4),
            revalidate_until: at(5),
            error_until: at(6),
            gone_at: Timestamp::NEVER,
        },
        seal: Seal::new(position, targets),
        tags: tags.map(Into::into).into(),
        variation: Some(Variation {
            names: ["x-a", "x-b"].map(http::HeaderName::from_static).into(),
            selecting: [1, 0, 0, 0, b'1', 0xfe, 0xff, 0xff, 0xff].into(),
        }),
        reuse: ReuseFlags {
            no_cache: false,
            must_revalidate: true,
            immutable: false,
        },
        negotiated: true,
    });
    let body = StoredBody {
        bytes: Bytes::from_static(b"hello, world"),
        coding: Coding::Identity,
        length: 12,
    };
    let trailers = Box::new(fields(&[("grpc-status", "0")]));
    Entry::new(head.into(), body, Some(trailers))
}

fn bytes(entry: &Entry) -> Bytes {
    let encoded = encode(entry, &entry.life, &ORIGIN);
    [encoded.head.as_slice(), &encoded.body].concat().into()
}

fn entry(bytes: &Bytes) -> Entry {
    match decode(bytes, None).unwrap() {
        Decoded::Entry(entry) => *entry,
        other => panic!("{other:?}"),
    }
}

/// Returns `bytes` with what `change` does to them, and the right checksum.
fn changed(bytes: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    let check = crc32fast::hash(&bytes[PREAMBLE..]);
    bytes[5..9].copy_from_slice(&check.to_le_bytes());
    bytes.into()
}

#[test]
fn an_entry_of_the_place_that_is_asked_about_has_its_targets_and_another_has_its_own() {
    let bytes = bytes(&full());
    let read = |place| match decode(&bytes, place).unwrap() {
        Decoded::Entry(entry) => entry.seal.targets.clone(),
        other => panic!("{other:?}"),
    };
    let known = [TargetId(1), TargetId(2)];
    let key = full().key.clone();
    let place = |origin| {
        Some(Place {
            key: &key,
            origin,
            targets: &known,
        })
    };
    let own = read(None);
    assert_eq!(own, full().seal.targets);
    let tags = &own[own.len() - 2..];
    assert_eq!(*read(place(ORIGIN)), *[&known, tags].concat());
    for other in [
        Origin {
            authority: "shop.test:80",
            ..ORIGIN
        },
        Origin {
            path: "/items/1",
            ..ORIGIN
        },
        Origin {
            query: None,
            ..ORIGIN
        },
        Origin {
            query: Some(""),
            ..ORIGIN
        },
        Origin {
            route: None,
            ..ORIGIN
        },
    ] {
        assert_eq!(read(place(other)), own, "{other:?}");
    }
}

/// The length of what comes before the sections.
const FIXED: usize = PREAMBLE + 4 + 10 * 8;

fn assert_same(a: &Entry, b: &Entry) {
    assert_eq!((&a.key, a.status, a.life), (&b.key, b.status, b.life));
    assert_eq!(a.headers(), b.headers());
    assert_eq!((&a.tags, &a.trailers), (&b.tags, &b.trailers));
    assert_eq!(
        (&a.variation, a.reuse, a.negotiated),
        (&b.variation, b.reuse, b.negotiated)
    );
    assert_eq!(a.seal.targets, b.seal.targets);
    assert_eq!(a.seal.position.epoch, b.seal.position.epoch);
    assert_eq!(a.seal.position.sequence, b.seal.position.sequence);
    assert_eq!(a.body.bytes, b.body.bytes);
    assert_eq!(
        (a.body.coding, a.body.length),
        (b.body.coding, b.body.length)
    );
}

#[test]
fn what_is_written_is_read() {
    let written = full();
    let read = entry(&bytes(&written));
    assert_same(&written, &read);
    assert!(read.headers()["x-secret"].is_sensitive());
    assert!(!read.headers()["content-type"].is_sensitive());
}

#[test]
fn a_local_number_never_leaves_the_process() {
    assert_eq!(
        entry(&bytes(&full())).seal.position,
        Position {
            epoch: 8,
            sequence: 9,
            local: 0
        }
    );
}

#[test]
fn the_body_is_not_copied() {
    let written = full();
    let encoded = encode(&written, &written.life, &ORIGIN);
    assert_eq!(encoded.body.as_ptr(), written.body.bytes.as_ptr());
    let bytes = bytes(&written);
    let read = entry(&bytes);
    assert_eq!(read.body.bytes.as_ptr(), bytes[bytes.len() - 12..].as_ptr());
}

/// The fixture stays as it is for as long as format 1 is read. It holds what [`full`] returns.
#[test]
fn the_fixture_of_format_1_is_read() {
    const FIXTURE: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/entry-format-1.bin"
    ));
    assert_same(&full(), &entry(&Bytes::from_static(FIXTURE)));
}

/// This one too stays as it is.
#[test]
fn the_names_of_format_1_are_read() {
    const FIXTURE: &[u8] = include_bytes!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/names-format-1.bin"
    ));
    let Decoded::Names(read) = decode(&Bytes::from_static(FIXTURE), None).unwrap() else {
        panic!("no names");
    };
    assert_eq!(*read.key, *b"key");
    assert_eq!(*read.names, ["x-a", "accept-language"]);
}

#[test]
fn every_cut_is_an_error() {
    let bytes = bytes(&full());
    for length in 0..bytes.len() {
        let error = decode(&bytes.slice(..length), None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Entry);
        if length > PREAMBLE {
            // The checksum would have seen it alone; the parser sees it too.
            let cut = changed(&bytes.slice(..length), |_| {});
            assert!(decode(&cut, None).is_err(), "cut at {length}");
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error_or_a_newer_version() {
    let bytes = bytes(&full());
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.to_vec();
            flipped[at] ^= 1_u8 << bit;
            match decode(&flipped.into(), None) {
                Err(_) => {}
                Ok(Decoded::Newer) => assert_eq!(at, 4),
                Ok(Decoded::Entry(_) | Decoded::Names(_)) => panic!("bit {bit} of byte {at}"),
            }
        }
    }
}

#[test]
fn something_after_the_body_is_an_error() {
    assert!(decode(&changed(&bytes(&full()), |bytes| bytes.push(0)), None).is_err());
}

#[test]
fn an_unknown_section_is_skipped() {
    let with_more = changed(&bytes(&full()), |bytes| {
        bytes.splice(FIXED..FIXED, [200, 3, 0, 0, 0, 1, 2, 3]);
    });
    assert_same(&full(), &entry(&with_more));
}

#[test]
fn a_section_that_comes_twice_or_not_at_all_is_an_error() {
    let twice = changed(&bytes(&full()), |bytes| {
        bytes.splice(FIXED..FIXED, [section::KEY, 0, 0, 0, 0]);
    });
    assert!(decode(&twice, None).is_err());
    let without_key = changed(&bytes(&full()), |bytes| bytes[FIXED] = 200);
    assert!(decode(&without_key, None).is_err());
}

#[test]
fn newer_versions_flags_and_codings_are_no_errors() {
    for (at, value) in [(4, 2), (4, 255), (PREAMBLE, 3), (PREAMBLE + 1, 16)] {
        let newer = changed(&bytes(&full()), |bytes| bytes[at] = value);
        match decode(&newer, None).unwrap() {
            Decoded::Newer => {}
            Decoded::Entry(_) | Decoded::Names(_) => panic!("byte {at} is {value}"),
        }
    }
    assert!(decode(&changed(&bytes(&full()), |bytes| bytes[4] = 0), None).is_err());
}

#[test]
fn a_line_end_in_a_field_is_an_error() {
    for evil in [b'\n', b'\r', 0] {
        let split = changed(&bytes(&full()), |bytes| {
            let text = bytes
                .windows(10)
                .position(|part| part == b"text/plain")
                .unwrap();
            bytes[text + 4] = evil;
        });
        assert!(decode(&split, None).is_err(), "{evil}");
    }
    let name = changed(&bytes(&full()), |bytes| {
        let name = bytes
            .windows(8)
            .position(|part| part == b"x-secret")
            .unwrap();
        bytes[name] = b':';
    });
    assert!(decode(&name, None).is_err());
}

#[test]
fn lengths_that_lie_allocate_nothing() {
    let bytes = bytes(&full());
    for at in FIXED..bytes.len() - 4 {
        let lying = changed(&bytes, |bytes| bytes[at..at + 4].fill(0xff));
        let heap = allocation_counter::measure(|| drop(decode(&lying, None)));
        assert!(heap.bytes_max < 20_000, "{heap:?} at {at}");
    }
}

#[test]
fn names_of_fields_are_read_as_they_were_written() {
    let names = ["x-a", "accept-language"].map(http::HeaderName::from_static);
    let bytes = Bytes::from(encode_names(b"key", &names));
    let Decoded::Names(read) = decode(&bytes, None).unwrap() else {
        panic!("no names");
    };
    assert_eq!(*read.key, *b"key");
    assert_eq!(*read.names, names);
}

#[test]
fn names_that_are_cut_off_or_damaged_are_an_error() {
    let names = ["x-a", "accept-language"].map(http::HeaderName::from_static);
    let bytes = encode_names(b"key", &names);
    for end in 0..bytes.len() {
        assert!(decode(&Bytes::copy_from_slice(&bytes[..end]), None).is_err());
    }
    for at in (0..bytes.len()).filter(|at| *at != 4) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(decode(&damaged.into(), None).is_err(), "{at}");
    }
}

#[test]
fn the_target_of_a_cache_group_is_read_again() {
    let mut written = full();
    let mut head = Arc::into_inner(written.head).unwrap();
    let group = Target::group("shop.test", "scripts");
    let Target::Tag(tag) = &group else {
        panic!("a group is a tag");
    };
    head.tags = [Arc::clone(tag)].into();
    written.head = head.into();
    assert!(entry(&bytes(&written)).seal.targets.contains(&group.id()));
}

#[test]
fn a_head_of_too_many_lines_is_an_error() {
    let many = changed(&bytes(&full()), |bytes| {
        let line = [0, 1, 0, b'a', 0, 0, 0, 0];
        let lines = line.repeat(40_000);
        let mut section = vec![section::TRAILERS];
        section.extend_from_slice(&u32::try_from(lines.len()).unwrap().to_le_bytes());
        section.extend_from_slice(&lines);
        bytes.splice(FIXED..FIXED, section);
    });
    assert!(decode(&many, None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_entry_is_read_as_it_was_written(
        key in prop::collection::vec(any::<u8>(), 0..200),
        lines in prop::collection::vec(("[a-z-]{1,20}", "[ -~]{0,50}"), 0..30),
        tags in prop::collection::vec("[a-z:0-9]{1,20}", 0..5),
        numbers in any::<[u64; 4]>(),
        (body, path) in (prop::collection::vec(any::<u8>(), 0..2000), "(/[!-~]{0,9}){1,5}"),
    ) {
        let mut written = full();
        let mut headers = http::HeaderMap::new();
        for (name, value) in &lines {
            headers.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                http::HeaderValue::from_str(value).unwrap(),
            );
        }
        headers.remove("age");
        headers.remove("content-length");
        headers.remove("cache-status");
        let origin = Origin { path: &path, query: None, route: None, ..ORIGIN };
        let mut targets = Vec::new();
        TargetId::of_request(origin.authority, &path, None, None, &mut targets);
        targets.extend(tags.iter().map(|tag| Target::tag(tag).id()));
        written.head = Head::new(HeadParts {
            key: key.as_slice().into(),
            status: StatusCode::OK,
            fields: Fields::new(&headers),
            life: Life {
                received: Timestamp::from_millis(numbers[0]),
                initial_age: numbers[1],
                ..written.life
            },
            seal: Seal::new(
                Position { epoch: numbers[2], sequence: numbers[3], local: 0 },
                targets,
            ),
            tags: tags.iter().map(|tag| tag.as_str().into()).collect(),
            variation: None,
            reuse: ReuseFlags::default(),
            negotiated: false,
        }).into();
        written.body.length = body.len() as u64;
        written.body.bytes = body.into();
        written.trailers = None;
        let encoded = encode(&written, &written.life, &origin);
        let bytes = Bytes::from([encoded.head.as_slice(), &encoded.body].concat());
        assert_same(&written, &entry(&bytes));
    }

    #[test]
    fn what_is_no_entry_is_an_error_and_never_a_panic(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        at in 0..300_usize,
    ) {
        let bytes = bytes(&full());
        let _ = decode(&changed(&bytes, |bytes| {
            bytes.splice(at.clamp(PREAMBLE, bytes.len()).., noise);
        }), None);
    }
}
