//! What is to be warmed.

use std::{fs, path::Path};

use http::{HeaderValue, Request, Uri, header};

use super::{hottest, run::WarmFailure, sitemap};
use crate::error::{Error, ErrorKind};

/// The largest file that is read, in bytes: a sitemap may have 50 MB (sitemaps.org), a list of URLs
/// as much.
const LARGEST_FILE: u64 = 64 << 20;

/// The requests that [`Larder::warm`](crate::Larder::warm) sends.
///
/// They come from an iterator, a file of URLs, a sitemap, or from what was asked for most in the last
/// run, in any order and together. One that can not be sent is not an error: it is among the failures
/// of the report.
///
/// ```no_run
/// use larder::WarmList;
///
/// let list = WarmList::new()
///     .host("shop.test")
///     .urls(["/", "/products?page=1", "https://cdn.shop.test/logo.svg"])
///     .file("urls.txt")?
///     .hottest("hottest.txt")?;
/// # Ok::<(), larder::Error>(())
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct WarmList {
    host: Option<String>,
    pub(super) requests: Vec<(String, Request<()>)>,
    pub(super) failed: Vec<WarmFailure>,
}

impl WarmList {
    /// Returns a list of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the host of the paths that are added from here on, with its port if clients name one.
    ///
    /// The host is part of every key: warmed for another one, a page is not found.
    pub fn host(mut self, authority: &str) -> Self {
        self.host = Some(authority.to_owned());
        self
    }

    /// Adds a GET of a URL, or of a path on the [`host`](Self::host).
    pub fn url(mut self, url: &str) -> Self {
        match get(url, self.host.as_deref()) {
            Ok(request) => self.requests.push((url.to_owned(), request)),
            Err(reason) => self.failed.push(WarmFailure::new(url, reason)),
        }
        self
    }

    /// Adds GETs of several URLs or paths.
    pub fn urls<T: AsRef<str>>(self, urls: impl IntoIterator<Item = T>) -> Self {
        urls.into_iter()
            .fold(self, |list, url| list.url(url.as_ref()))
    }

    /// Adds a request as it is, for pages that vary on header fields. It has to name its host.
    ///
    /// ```
    /// use larder::WarmList;
    ///
    /// let request = http::Request::get("https://shop.test/").header("accept-language", "de");
    /// # fn add(request: http::request::Builder) -> http::Result<WarmList> {
    /// let list = WarmList::new().request(request.body(())?);
    /// # Ok(list)
    /// # }
    /// # assert!(add(request).is_ok());
    /// ```
    pub fn request(mut self, request: Request<()>) -> Self {
        let url = request.uri().to_string();
        self.requests.push((url, request));
        self
    }

    /// Adds the URLs of a file, one a line; empty lines and those that start with `#` are skipped.
    ///
    /// # Errors
    ///
    /// Fails if the file can not be read, is larger than 64 MiB or is no UTF-8.
    pub fn file(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let text = read(path.as_ref())?;
        Ok(self.urls(lines(&text)))
    }

    /// Adds the URLs of a sitemap (<https://www.sitemaps.org>), given as XML.
    ///
    /// # Errors
    ///
    /// Fails if it is an index of sitemaps, which are to be given one by one, or names no URL.
    pub fn sitemap(self, xml: &str) -> Result<Self, Error> {
        Ok(self.urls(sitemap::locations(xml)?))
    }

    /// Adds what was asked for most, as [`Larder::save_hottest`](crate::Larder::save_hottest) wrote
    /// it down. A file that is not there adds nothing: the first run has no last one.
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file).
    pub fn hottest(self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        if !path.exists() {
            return Ok(self);
        }
        let text = read(path)?;
        Ok(self.urls(lines(&text).filter_map(hottest::url)))
    }

    /// Returns how many requests there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Returns whether there is nothing to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn read(path: &Path) -> Result<String, Error> {
    let fault = |reason: String| {
        let message = format!("list of URLs `{}` {reason}", path.display());
        Error::new(ErrorKind::Configuration, message)
    };
    let length = fs::metadata(path)
        .map_err(|cause| fault(format!("can not be read: {cause}")))?
        .len();
    if length > LARGEST_FILE {
        return Err(fault(format!(
            "has {length} bytes; split it at {LARGEST_FILE}"
        )));
    }
    fs::read_to_string(path).map_err(|cause| fault(format!("can not be read: {cause}")))
}

/// Returns a GET as a client of HTTP/1.1 sends it: the path, and the host in its field.
fn get(url: &str, host: Option<&str>) -> Result<Request<()>, String> {
    let uri: Uri = url.parse().map_err(|cause| format!("is no URL: {cause}"))?;
    let authority = uri.authority().map(http::uri::Authority::as_str).or(host);
    let authority = authority.ok_or("names no host; set one with `host`")?;
    let host = HeaderValue::from_str(authority).map_err(|_| "has a bad host")?;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let request = Request::get(target).header(header::HOST, host);
    request.body(()).map_err(|cause| cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(list: &WarmList) -> Vec<String> {
        let line = |request: &Request<()>| {
            let host = request.headers()["host"].to_str().unwrap();
            format!("{host} {}", request.uri())
        };
        list.requests.iter().map(|(_, one)| line(one)).collect()
    }

    #[test]
    fn urls_and_paths_become_requests_of_their_host() {
        let list = WarmList::new().host("a.test:8080").urls([
            "/x?y=1",
            "https://b.test/z",
            "http://c.test",
        ]);
        assert_eq!(
            targets(&list),
            ["a.test:8080 /x?y=1", "b.test /z", "c.test /"]
        );
    }

    #[test]
    fn what_can_not_be_sent_is_a_failure_and_stops_nothing() {
        let list = WarmList::new().urls(["/x", "http://a.test/ b", "http://a.test/c"]);
        assert_eq!(targets(&list), ["a.test /c"]);
        let failed: Vec<_> = list.failed.iter().map(|one| one.url.as_str()).collect();
        assert_eq!(failed, ["/x", "http://a.test/ b"]);
    }

    #[test]
    fn a_file_has_a_url_a_line() {
        let folder = std::env::temp_dir().join(format!("larder-list-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("urls.txt");
        fs::write(&path, "# pages\nhttp://a.test/1\n\n  http://a.test/2  \n").unwrap();
        let list = WarmList::new().file(&path).unwrap();
        assert_eq!(targets(&list), ["a.test /1", "a.test /2"]);
        fs::write(&path, "12 http://a.test/1\nno line of ours\n").unwrap();
        let list = WarmList::new().hottest(&path).unwrap();
        assert_eq!(targets(&list), ["a.test /1"]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(WarmList::new().file(&path).is_err());
        assert!(WarmList::new().hottest(&path).unwrap().is_empty());
    }
}
