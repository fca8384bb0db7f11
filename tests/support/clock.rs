//! Wall clocks of processes that show another time than the machine's.

use std::fs;

/// Returns the library that shifts the wall clock of a process.
pub(crate) fn shifter() -> String {
    let places = fs::read_dir("/usr/lib").unwrap().flatten();
    let libraries = places.map(|place| place.path().join("faketime/libfaketime.so.1"));
    let library = libraries.into_iter().find(|library| library.exists());
    let library = library.unwrap_or_else(|| {
        panic!(
            "libfaketime is not there; install it (Debian: apt-get install faketime) or run \
             scripts/test"
        )
    });
    library.to_string_lossy().into_owned()
}
