//! Writes what is made of `ground.proto`: the code of the service, and its descriptor set.

use std::{error::Error, fs, path::Path};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/proto");
    let set = protox::compile(["ground.proto"], [&folder])?;
    fs::write(folder.join("ground.bin"), set.encode_to_vec())?;
    tonic_prost_build::configure()
        .out_dir(&folder)
        .compile_fds(set)?;

    Ok(())
}
