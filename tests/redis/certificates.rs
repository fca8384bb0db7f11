//! Certificates by an authority of a test's own, and servers that have them.

use std::fs;

use larder::Redis;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::support::folder::Folder;

/// An authority that nobody knows but who is told, and certificates by it for this machine and for a
/// client.
pub(crate) struct Certificates(Folder);

impl Certificates {
    pub(crate) fn new() -> Self {
        let folder = Folder::new("certificates");
        let own = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = authority.self_signed(&own).unwrap();
        let issuer = Issuer::new(authority, own);
        fs::write(folder.path().join("root"), root.pem()).unwrap();
        for (name, key_name, places) in [
            ("server", "key", &["localhost", "127.0.0.1"][..]),
            ("client", "client-key", &["a client"]),
        ] {
            let key = KeyPair::generate().unwrap();
            let places: Vec<_> = places.iter().map(|place| (*place).to_owned()).collect();
            let mut issued = CertificateParams::new(places).unwrap();
            // One of the same name as its authority is taken for one that vouches for itself.
            issued.distinguished_name.push(DnType::CommonName, name);
            let issued = issued.signed_by(&key, &issuer).unwrap();
            fs::write(folder.path().join(name), issued.pem()).unwrap();
            fs::write(folder.path().join(key_name), key.serialize_pem()).unwrap();
        }
        Self(folder)
    }

    /// Returns the name of a file: `root`, `server`, `key`, `client` or `client-key`.
    pub(crate) fn file(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    pub(crate) fn text(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap()
    }

    /// Returns the settings of a server that is spoken to by TLS at `port`, and asks for certificates
    /// of its clients if it `asks`.
    pub(crate) fn settings(&self, port: u16, asks: bool) -> Vec<(&'static str, String)> {
        vec![
            ("tls-port", port.to_string()),
            ("tls-ca-cert-file", self.file("root")),
            ("tls-cert-file", self.file("server")),
            ("tls-key-file", self.file("key")),
            (
                "tls-auth-clients",
                if asks { "yes" } else { "no" }.to_owned(),
            ),
        ]
    }

    /// Returns a way to servers that ask for certificates.
    pub(crate) fn way(&self, url: &str) -> Redis {
        Redis::new(url)
            .root_certificates(self.text("root"))
            .client_certificate(self.text("client"), self.text("client-key"))
    }
}

/// Returns the same settings as a server is given them.
pub(crate) fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    let settings = settings.iter();
    settings.map(|(name, value)| (*name, &**value)).collect()
}
