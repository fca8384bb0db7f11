//! The page about the admin routes: every route has a line on it, and every line works.

use std::{collections::BTreeSet, process::Command};

use serde_json::Value;

use crate::support::{message::Request, process::Ground, wire::Wire};

const PAGE: &str = include_str!("../../src/docs/admin.md");
const TOKEN: &str = "for this run alone";

/// Returns the shell blocks of the page, each with the heading that it stands under.
fn lines() -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut heading = String::new();
    let mut block: Option<String> = None;
    for line in PAGE.lines() {
        match (&mut block, line) {
            (None, "```sh") => block = Some(String::new()),
            (Some(text), "```") => {
                all.push((heading.clone(), std::mem::take(text)));
                block = None;
            }
            (Some(text), line) => *text += &format!("{line}\n"),
            (None, line) => {
                if let Some(text) = line.strip_prefix("### ") {
                    text.clone_into(&mut heading);
                }
            }
        }
    }
    all
}

#[test]
fn every_route_has_a_line_to_try_it() {
    let document = include_str!("../../src/admin/openapi.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.trim_start_matches('/');
            routes.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let headings: BTreeSet<String> = lines().into_iter().map(|(heading, _)| heading).collect();
    assert_eq!(headings, routes);
}

#[test]
fn every_line_of_the_page_works() {
    let ground = Ground::start(&[("ADMIN_TOKEN", TOKEN)]);
    let [wire, _] = Wire::both(ground.address()).unwrap();
    for path in ["/items/1", "/items/2"] {
        wire.send(&Request::get(path)).unwrap();
    }
    let site = "http://ground.test";
    let cache = format!("http://{}/admin/cache", ground.address());
    let run = |line: &str, id: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .env("CACHE", &cache)
            .env("SITE", site)
            .env("TOKEN", TOKEN)
            .env("ID", id);
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}\n{told}\n{error}");
        told
    };
    let keys = r#"curl -sS --fail -H "Authorization: Bearer $TOKEN" "$CACHE/keys""#;
    let keys: Value = serde_json::from_str(&run(keys, "")).unwrap();
    let id = keys["keys"][0]["id"].as_str().unwrap();
    for (heading, line) in lines() {
        let told = run(&line, id);
        if heading == "GET events" {
            assert!(told.contains(": listening"), "{told}");
        } else {
            let told: Result<Value, _> = serde_json::from_str(&told);
            assert!(told.is_ok_and(|told| told.is_object()), "{heading}");
        }
    }
    let warmed = wire.send(&Request::get("/items/2")).unwrap();
    assert!(warmed.is_hit());
    // And the routes are what keeps the cache shut for others.
    let denied = wire
        .send(&Request::new("POST", "/admin/cache/purge"))
        .unwrap();
    assert_eq!(denied.status, 401);
}
