//! Whom does larder trust behind TLS, and what does it show there?
//!
//! By default the authorities that the system knows, and nothing. Certificates of an application's
//! own are read when its handle is built: connections are made behind everybody's back, where nobody
//! would learn what is wrong with them.

#[cfg(feature = "redis-cluster")]
use redis::cluster::ClusterClientBuilder;
#[cfg(feature = "redis-sentinel")]
use redis::sentinel::SentinelClientBuilder;
use redis::{Client, ClientTlsConfig, ConnectionInfo, RedisResult, TlsCertificates};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use crate::error::{Error, ErrorKind};

/// The certificates of an application's own, as the texts of PEM files.
#[derive(Clone, Default)]
pub(crate) struct Certificates {
    /// The authorities that vouch for servers, in the place of those that the system knows.
    pub(crate) roots: Option<Vec<u8>>,
    pub(crate) client: Option<ClientCertificate>,
}

/// What is shown to a server that asks for it.
#[derive(Clone)]
pub(crate) struct ClientCertificate {
    /// The certificate first, then those that vouch for it.
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Certificates {
    /// Sees to it that TLS can be spoken, if that `is_wanted`, and fails if the certificates can not
    /// be used.
    pub(super) fn check(&self, is_wanted: bool) -> Result<(), Error> {
        if is_wanted {
            // Fails if the application has chosen a library of ciphers, which then stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        } else if self.given().is_some() {
            return Err(unusable(
                "certificates are given, and the address of redis is one without TLS; write \
                 `rediss://..`, `rediss-cluster://..` or `rediss-sentinel://..`",
            ));
        }
        let roots = self.roots.as_deref().map(authorities).transpose()?;
        self.client.as_ref().map_or(Ok(()), |own| {
            own.check(roots.unwrap_or_else(RootCertStore::empty))
        })
    }

    /// Returns them as the client wants them; none if there are none.
    fn given(&self) -> Option<TlsCertificates> {
        let is_none = self.roots.is_none() && self.client.is_none();
        (!is_none).then(|| TlsCertificates {
            client_tls: self.client.as_ref().map(|own| ClientTlsConfig {
                client_cert: own.chain.clone(),
                client_key: own.key.clone(),
            }),
            root_cert: self.roots.clone(),
        })
    }

    /// Returns the client of one server.
    pub(super) fn client(&self, server: ConnectionInfo) -> RedisResult<Client> {
        match self.given() {
            Some(given) => Client::build_with_tls(server, given),
            None => Client::open(server),
        }
    }

    #[cfg(feature = "redis-cluster")]
    pub(super) fn cluster(&self, builder: ClusterClientBuilder) -> ClusterClientBuilder {
        match self.given() {
            Some(given) => builder.certs(given),
            None => builder,
        }
    }

    /// The sentinels and the servers that they name are spoken to in the same way.
    #[cfg(feature = "redis-sentinel")]
    pub(super) fn sentinel(&self, builder: SentinelClientBuilder) -> SentinelClientBuilder {
        match self.given() {
            Some(given) => builder
                .set_client_to_sentinel_certificates(given.clone())
                .set_client_to_redis_certificates(given),
            None => builder,
        }
    }
}

impl ClientCertificate {
    fn check(&self, roots: RootCertStore) -> Result<(), Error> {
        let chain = CertificateDer::pem_slice_iter(&self.chain);
        let chain = chain.collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| unreadable("the client certificate", &error))?;
        if chain.is_empty() {
            let error = pem::Error::NoItemsFound;
            return Err(unreadable("the client certificate", &error));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|error| unreadable("the key of the client certificate", &error))?;
        // Nobody connects with it: this is what finds a key that goes with another certificate.
        let used = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key);
        used.map(drop).map_err(|error| {
            unusable(format!(
                "the client certificate for redis can not be used with its key: {error}; give \
                 `Redis::client_certificate` the two that were issued together"
            ))
        })
    }
}

/// Reads the authorities out of a PEM text.
fn authorities(text: &[u8]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(text) {
        let root = root.map_err(|error| unreadable("the root certificates", &error))?;
        roots.add(root).map_err(|error| {
            unusable(format!(
                "a root certificate for redis is none: {error}; give `Redis::root_certificates` \
                 those of authorities"
            ))
        })?;
    }
    if roots.is_empty() {
        let error = pem::Error::NoItemsFound;
        return Err(unreadable("the root certificates", &error));
    }
    Ok(roots)
}

fn unreadable(what: &str, error: &pem::Error) -> Error {
    unusable(format!(
        "{what} for redis can not be read: {error}; give the text of a PEM file, which begins with \
         `-----BEGIN`"
    ))
}

fn unusable(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    /// Returns a certificate and its key.
    fn issued() -> (Vec<u8>, Vec<u8>) {
        let issued = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let CertifiedKey { cert, signing_key } = issued;
        (
            cert.pem().into_bytes(),
            signing_key.serialize_pem().into_bytes(),
        )
    }

    fn with(roots: Option<Vec<u8>>, client: Option<(Vec<u8>, Vec<u8>)>) -> Certificates {
        Certificates {
            roots,
            client: client.map(|(chain, key)| ClientCertificate { chain, key }),
        }
    }

    #[test]
    fn certificates_that_can_be_used_are_taken() {
        let (chain, key) = issued();
        let both = [chain.clone(), issued().0].concat();
        for good in [
            with(None, None),
            with(Some(both), None),
            with(None, Some((chain.clone(), key.clone()))),
            with(Some(chain.clone()), Some((chain, key))),
        ] {
            good.check(true).unwrap();
        }
    }

    #[test]
    fn what_is_wrong_with_certificates_is_told_with_its_mend() {
        let (chain, key) = issued();
        let (_, others) = issued();
        let garbage =
            || b"-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----".to_vec();
        for (bad, told) in [
            (with(Some(Vec::new()), None), "the root certificates"),
            (with(Some(key.clone()), None), "the root certificates"),
            (with(Some(garbage()), None), "root certificate"),
            (
                with(None, Some((Vec::new(), key.clone()))),
                "the client certificate",
            ),
            (with(None, Some((garbage(), key))), "the client certificate"),
            (with(None, Some((chain.clone(), chain.clone()))), "the key"),
            (with(None, Some((chain.clone(), others))), "issued together"),
        ] {
            let error = bad.check(true).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(told), "{error}, not {told}");
        }
        let error = with(Some(chain), None).check(false).unwrap_err();
        assert!(error.to_string().contains("`rediss://..`"), "{error}");
    }
}
