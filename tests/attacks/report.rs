//! The table of results, as it is printed and as the documentation keeps it.

use std::{env, fs, path::PathBuf};

use crate::{row::Row, support::script::Verdict};

const BEGIN: &str = "<!-- attack table: written by the test `attacks` -->\n";
const END: &str = "<!-- end of the attack table -->\n";

/// How an attack went over one version of HTTP.
#[derive(Debug)]
pub(crate) enum Result {
    Withstood,
    /// What went wrong.
    Succeeded(String),
    /// Why it was not sent.
    NotSent(&'static str),
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(crate) row: &'a Row,
    pub(crate) first: Result,
    pub(crate) second: Result,
}

impl From<Verdict> for Result {
    fn from(verdict: Verdict) -> Self {
        verdict.map_or_else(Self::Succeeded, |()| Self::Withstood)
    }
}

impl Result {
    fn cell(&self) -> &str {
        match self {
            Self::Withstood => "withstood",
            Self::Succeeded(_) => "**SUCCEEDED**",
            Self::NotSent(why) => why,
        }
    }

    fn fault(&self) -> Option<&str> {
        match self {
            Self::Succeeded(fault) => Some(fault),
            Self::Withstood | Self::NotSent(_) => None,
        }
    }
}

pub(crate) fn table(lines: &[Line<'_>]) -> String {
    let mut table = "| id | attack | HTTP/1.1 | HTTP/2 |\n| --- | --- | --- | --- |\n".to_owned();
    for Line { row, first, second } in lines {
        table += &format!(
            "| {} | {} | {} | {} |\n",
            row.id,
            row.what,
            first.cell(),
            second.cell()
        );
    }
    table
}

pub(crate) fn faults(lines: &[Line<'_>]) -> Vec<String> {
    let of = |line: &Line<'_>| {
        let versions = [("HTTP/1.1", &line.first), ("HTTP/2", &line.second)];
        let faults = versions.map(|(version, result)| {
            let fault = result.fault()?;
            Some(format!("{} over {version}: {fault}", line.row.id))
        });
        faults.into_iter().flatten().collect::<Vec<_>>()
    };
    lines.iter().flat_map(of).collect()
}

/// Compares the table with the one in the documentation, or writes it there when asked to.
pub(crate) fn keep(lines: &[Line<'_>]) {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/docs/security.md"));
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (kept, after) = rest.split_once(END).unwrap();
    let table = format!("\n{}\n", table(lines));
    if env::var_os("LARDER_BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    if env::var_os("LARDER_ATTACK").is_none() {
        assert_eq!(
            kept,
            table,
            "{} differs; LARDER_BLESS=1 rewrites it",
            path.display()
        );
    }
}
