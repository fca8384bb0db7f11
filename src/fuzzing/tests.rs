//! Runs every target on its seeds, and on seeds changed by chance.

use std::{env, fs, panic, path::Path};

use super::*;

/// How many changed seeds each target gets; `FUZZ_RUNS` in the environment sets another number.
const RUNS: u32 = 20_000;

/// No input grows beyond this, in bytes.
const LONGEST: usize = 4 << 10;

/// What stands between the parts of most inputs, and numbers at which readers trip.
const PIECES: [&[u8]; 24] = [
    b",",
    b";",
    b"=",
    b"\"",
    b"\\",
    b"\n",
    b"\n\n",
    b" ",
    b"\t",
    b"*",
    b"-",
    b"%",
    b"%2F",
    b"&",
    b"?",
    b"/",
    b"0",
    b"-1",
    b"18446744073709551615",
    b"18446744073709551616",
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"no-store",
];

/// A fixed sequence (xorshift): each run of the test changes seeds in the same way.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Changes `input` in one place.
fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(input.len() + 1);
    let end = at + chance.below((input.len() - at).min(32) + 1);
    match chance.below(7) {
        0 => drop(input.drain(at..end)),
        1 => {
            let piece = PIECES[chance.below(PIECES.len())];
            drop(input.splice(at..end, piece.iter().copied()));
        }
        2 => {
            let piece = PIECES[chance.below(PIECES.len())];
            drop(input.splice(at..at, piece.iter().copied()));
        }
        3 => {
            let again = input[at..end].to_vec();
            drop(input.splice(at..at, again));
        }
        4 => {
            let other = &seeds[chance.below(seeds.len())];
            let from = chance.below(other.len() + 1);
            let to = from + chance.below((other.len() - from).min(64) + 1);
            drop(input.splice(at..end, other[from..to].iter().copied()));
        }
        5 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = u8::try_from(chance.below(256)).unwrap();
            }
        }
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
    }
    input.truncate(LONGEST);
}

fn run((name, target): Target, input: &[u8]) {
    let ended = panic::catch_unwind(|| target(input));
    assert!(ended.is_ok(), "{name} fails with {}", input.escape_ascii());
}

#[test]
fn every_target_keeps_its_rules_on_seeds_and_on_what_chance_makes_of_them() {
    let runs = env::var("FUZZ_RUNS")
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(RUNS);
    for target in TARGETS {
        let seeds = seeds(target.0);
        assert!(seeds.len() >= 3, "{} has {} seeds", target.0, seeds.len());
        for seed in &seeds {
            run(target, seed);
        }
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
        for _ in 0..runs {
            let mut input = seeds[chance.below(seeds.len())].clone();
            for _ in 0..=chance.below(6) {
                change(&mut input, &seeds, &mut chance);
            }
            run(target, &input);
        }
    }
}

/// A seed that is refused at its first byte leads nowhere.
#[cfg(all(feature = "gzip", feature = "lz4"))]
#[test]
fn every_seed_of_an_entry_is_one_and_unpacks() {
    for seed in seeds("entry") {
        let Ok(Decoded::Entry(entry)) = decode(&seed.into(), None) else {
            panic!("a seed is no entry");
        };
        compress::unpack(&entry.body, MOST_UNPACKED).unwrap();
    }
}

/// A test is worth something only if it can fail.
#[test]
fn a_target_that_fails_is_told_with_its_input() {
    let failing: Target = ("broken", |input| assert!(input.is_empty()));
    let told = panic::catch_unwind(|| run(failing, b"a\n")).unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert_eq!(told, "broken fails with a\\n");
}
