//! Reading the URLs of a sitemap (<https://www.sitemaps.org/protocol.html>).

use crate::error::{Error, ErrorKind};

/// Returns the locations that a sitemap names.
///
/// No XML beyond that of the protocol is read: comments and processing instructions are skipped, the
/// five named entities and those by number are decoded.
pub(super) fn locations(xml: &str) -> Result<Vec<String>, Error> {
    let fault = |reason: &str| {
        let message = format!("sitemap {reason}");
        Error::new(ErrorKind::Configuration, message)
    };
    let xml = without_comments(xml);
    if xml.contains("<sitemapindex") {
        return Err(fault(
            "is an index of sitemaps; give each of those that it names",
        ));
    }
    let locations: Vec<String> = xml
        .split("<loc>")
        .skip(1)
        .filter_map(|rest| rest.split_once("</loc>"))
        .map(|(location, _)| decoded(location.trim()))
        .collect();
    if locations.is_empty() {
        return Err(fault("names no location; give the XML itself, unpacked"));
    }
    Ok(locations)
}

fn without_comments(xml: &str) -> String {
    let mut pieces = xml.split("<!--");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        text.push_str(piece.split_once("-->").map_or("", |(_, rest)| rest));
    }
    text
}

fn decoded(text: &str) -> String {
    text.strip_prefix("<![CDATA[")
        .and_then(|inner| inner.strip_suffix("]]>"))
        .map_or_else(|| entities(text), |inner| inner.trim().to_owned())
}

fn entities(text: &str) -> String {
    let mut pieces = text.split('&');
    let mut decoded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let character = piece
            .split_once(';')
            .and_then(|(name, rest)| Some((entity(name)?, rest)));
        match character {
            Some((character, rest)) => {
                decoded.push(character);
                decoded.push_str(rest);
            }
            None => {
                decoded.push('&');
                decoded.push_str(piece);
            }
        }
    }
    decoded
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locations_of_a_sitemap_are_read_and_decoded() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
            <urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
              <!-- <url><loc>http://a.test/old</loc></url> -->
              <url><loc> http://a.test/?a=1&amp;b=&#50;&#x33; </loc><priority>0.8</priority></url>
              <url><loc><![CDATA[http://a.test/?c=1&d=2]]></loc></url>
              <url><loc>http://a.test/?e=&unknown;&</loc></url>
            </urlset>"#;
        assert_eq!(
            locations(xml).unwrap(),
            [
                "http://a.test/?a=1&b=23",
                "http://a.test/?c=1&d=2",
                "http://a.test/?e=&unknown;&",
            ]
        );
    }

    #[test]
    fn what_names_no_page_is_refused_with_what_to_do() {
        for (xml, word) in [
            ("", "unpacked"),
            ("<urlset></urlset>", "unpacked"),
            ("<sitemapindex><sitemap><loc>x</loc>", "each"),
        ] {
            let error = locations(xml).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
