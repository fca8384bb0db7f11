//! Writes what is made of the `.proto` files of the examples: the code of the services, and the
//! descriptor set of the proving ground.

use std::{error::Error, fs, path::Path};

use prost::Message;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/proto");
    for name in ["ground", "shop"] {
        let set = protox::compile([format!("{name}.proto")], [&folder])?;
        if name == "ground" {
            fs::write(folder.join("ground.bin"), set.encode_to_vec())?;
        }
        tonic_prost_build::configure()
            .out_dir(&folder)
            .compile_fds(set)?;
    }
    Ok(())
}
