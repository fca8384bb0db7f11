//! What the environment asks for; whatever can not be read is refused before anything starts.

use std::{env, ffi::OsString, net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

/// The server as it was asked for.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) namespace: String,
    /// Where the second tier is; none asks for the first alone.
    pub(crate) redis: Option<String>,
    /// Whether every read asks how things stand; with the first tier alone it is so anyway.
    pub(crate) strict: bool,
    /// Whether one node of all runs a handler at a time.
    pub(crate) lock: bool,
    /// The file of the truth about items; none asks for a fresh temporary one.
    pub(crate) database: Option<PathBuf>,
    pub(crate) preset: Preset,
    pub(crate) ttl: Duration,
    pub(crate) stale_while_revalidate: Duration,
    pub(crate) stale_if_error: Duration,
    pub(crate) memory_bytes: u64,
    /// The token of the admin routes, which are there only with one.
    pub(crate) admin_token: Option<String>,
    /// Runtime threads; none asks for one per core.
    pub(crate) workers: Option<NonZeroUsize>,
}

/// Which defaults the layer starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preset {
    Application,
    Gateway,
}

impl Settings {
    /// Reads the process environment.
    pub(crate) fn from_environment() -> Result<Self, String> {
        Self::from_variables(|name| env::var_os(name))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let read = |name: &'static str| Variable::new(name, variable(name));
        Ok(Self {
            listen: read("LISTEN")?
                .parsed("127.0.0.1:3000", "an address such as 127.0.0.1:3000")?,
            namespace: read("NAMESPACE")?.parsed("ground", "a name")?,
            redis: read("REDIS_URL")?.value,
            strict: read("CONSISTENCY")?.is("strict", "bounded")?,
            lock: read("LOCK")?.is("on", "off")?,
            database: variable("DATABASE").map(PathBuf::from),
            preset: if read("PRESET")?.is("gateway", "application")? {
                Preset::Gateway
            } else {
                Preset::Application
            },
            ttl: read("TTL")?.seconds(60)?,
            stale_while_revalidate: read("SWR")?.seconds(0)?,
            stale_if_error: read("SIE")?.seconds(0)?,
            memory_bytes: read("MEMORY_BYTES")?.parsed("67108864", "a number of bytes")?,
            admin_token: read("ADMIN_TOKEN")?.token()?,
            workers: read("WORKERS")?.optional("a number of threads from 1")?,
        })
    }
}

/// One variable of the environment, set or not.
struct Variable {
    name: &'static str,
    value: Option<String>,
}

impl Variable {
    fn new(name: &'static str, value: Option<OsString>) -> Result<Self, String> {
        let value = value.map(OsString::into_string).transpose();
        let value = value.map_err(|raw| format!("{name}={} is not UTF-8", raw.display()))?;
        Ok(Self { name, value })
    }

    /// The value is left out of the message: it is a secret, however short.
    fn token(self) -> Result<Option<String>, String> {
        match self.value {
            Some(token) if token.trim().is_empty() => {
                Err(format!("{} is empty; set a token or unset it", self.name))
            }
            token => Ok(token),
        }
    }

    fn or(self, default: &str) -> String {
        self.value.unwrap_or_else(|| default.to_owned())
    }

    fn parsed<T: std::str::FromStr>(self, default: &str, what: &str) -> Result<T, String> {
        let name = self.name;
        let value = self.or(default);
        value
            .parse()
            .map_err(|_| format!("{name}={value} can not be read; it takes {what}"))
    }

    fn optional<T: std::str::FromStr>(self, what: &str) -> Result<Option<T>, String> {
        match self.value {
            None => Ok(None),
            Some(_) => self.parsed("", what).map(Some),
        }
    }

    fn seconds(self, default: u64) -> Result<Duration, String> {
        let seconds = self.parsed(&default.to_string(), "a whole number of seconds")?;
        Ok(Duration::from_secs(seconds))
    }

    /// Says whether it is `this` and not `other`, which is the default.
    fn is(self, this: &str, other: &str) -> Result<bool, String> {
        let name = self.name;
        match self.or(other) {
            value if value == this => Ok(true),
            value if value == other => Ok(false),
            value => Err(format!("{name}={value} is neither {this} nor {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::from_variables(|name| {
            let set = variables.iter().find(|(set, _)| *set == name)?;
            Some(set.1.into())
        })
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let settings = settings(&[]).unwrap();
        assert_eq!(settings.listen, "127.0.0.1:3000".parse().unwrap());
        assert_eq!(settings.namespace, "ground");
        assert_eq!(settings.redis, None);
        assert!(!settings.strict);
        assert_eq!(settings.database, None);
        assert_eq!(settings.preset, Preset::Application);
        assert_eq!(settings.ttl, Duration::from_secs(60));
        assert_eq!(settings.stale_while_revalidate, Duration::ZERO);
        assert_eq!(settings.stale_if_error, Duration::ZERO);
        assert_eq!(settings.memory_bytes, 64 << 20);
        assert_eq!(settings.workers, None);
    }

    #[test]
    fn every_value_that_can_not_be_read_is_refused_by_name() {
        for (name, value) in [
            ("LISTEN", "nowhere"),
            ("PRESET", "foo"),
            ("TTL", "abc"),
            ("SWR", "-1"),
            ("SIE", "1.5"),
            ("MEMORY_BYTES", "64MB"),
            ("WORKERS", "0"),
            ("LOCK", "maybe"),
            ("CONSISTENCY", "eventual"),
        ] {
            let refusal = settings(&[(name, value)]).unwrap_err();
            assert!(refusal.contains(&format!("{name}={value}")), "{refusal}");
        }
    }

    #[test]
    fn a_second_tier_is_read_with_its_switches() {
        let settings = settings(&[
            ("REDIS_URL", "redis://127.0.0.1:6379"),
            ("CONSISTENCY", "strict"),
            ("LOCK", "on"),
        ]);
        let settings = settings.unwrap();
        assert_eq!(settings.redis.as_deref(), Some("redis://127.0.0.1:6379"));
        assert!(settings.strict && settings.lock);
    }
}
