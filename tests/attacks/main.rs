//! Attacks on a running server, over HTTP/1.1 by raw sockets and over HTTP/2.
//!
//! Every row of the table is a way in which a shared cache was once made to leak, to serve what an
//! attacker put there, or to fall over. `src/docs/security.md` keeps the results; a run that
//! differs from it fails, and one with `LARDER_BLESS=1` in the environment rewrites it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test may panic, prints its table and measures time"
)]

mod calls;
mod deception;
mod denial;
mod flood;
mod invalidation;
mod leaks;
mod poisoning;
mod report;
mod row;
mod smuggling;
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each suite uses its part")]
mod support;

use self::{
    report::{Line, Result},
    row::Row,
    support::{process::Ground, script::Bench, wire::Wire},
};

/// The attacks of all chapters, in the order of the report.
fn rows() -> Vec<Row> {
    let mut denial = denial::rows();
    denial.extend(flood::rows());
    denial.sort_by_key(|row| row.id[1..].parse::<u32>().unwrap_or(u32::MAX));
    [
        leaks::rows(),
        poisoning::rows(),
        calls::rows(),
        deception::rows(),
        denial,
        invalidation::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn no_attack_succeeds() {
    let rows = rows();
    let [first, second] = [0, 1].map(|version| play_all(&rows, version));
    let results = first.into_iter().zip(second);
    let lines: Vec<Line<'_>> = rows
        .iter()
        .zip(results)
        .map(|(row, (first, second))| Line { row, first, second })
        .collect();
    println!("{}", report::table(&lines));
    let faults = report::faults(&lines);
    assert!(
        faults.is_empty(),
        "{} attacks succeeded:\n{}",
        faults.len(),
        faults.join("\n")
    );
    report::keep(&lines);
}

/// Plays every row over one version of HTTP, each version on servers of its own.
fn play_all(rows: &[Row], version: usize) -> Vec<Result> {
    let ground = Ground::start(&[("ADMIN_TOKEN", invalidation::ADMIN_TOKEN)]);
    let gateway = Ground::start(&[("PRESET", "gateway")]);
    let [wire, gateway] = [&ground, &gateway].map(|server| {
        let wires = Wire::both(server.address()).unwrap();
        wires[version].clone()
    });
    // Only some rows, to look into one.
    let wanted = std::env::var("LARDER_ATTACK").ok();
    let play = |row: &Row| {
        if wanted
            .as_ref()
            .is_some_and(|wanted| !wanted.split(',').any(|id| id == row.id))
        {
            return Result::NotSent("not asked for");
        }
        if let (Wire::Two(_), Some(why)) = (&wire, row.first_only) {
            return Result::NotSent(why);
        }
        let authority = format!("{}.test", row.id.to_ascii_lowercase());
        // A connection of its own: what one row breaks is no matter of the next.
        let wire = wire.another().unwrap();
        let bench = Bench {
            ground: &ground,
            wire: &wire,
            gateway: &gateway,
            authority,
        };
        Result::from(row.play(&bench))
    };
    rows.iter().map(play).collect()
}
