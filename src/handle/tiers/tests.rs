//! One suite for whatever keeps responses: this process's memory, Redis, both as two nodes share them,
//! and a Redis that comes and goes behind its guard.
//!
//! A cache may forget. What it may never do is the same everywhere: give what is another key's or
//! another variant's, give a part, or let what is void look valid.
//!
//! One that forgets everything would do none of that, and keeps nothing. So each case is tried on one
//! that may forget until all that the case wants to find has been found at some time.

mod keepers;
mod trial;

use std::time::Duration;

use http::HeaderMap;

use self::{
    keepers::{Comes, Keeper, LARGEST},
    trial::Trial,
};
use crate::{
    entry::{Coding, Entry, samples::fields},
    fence::Verdict,
};

/// Runs every case for every keeper.
macro_rules! everywhere {
    ($($case:ident),* $(,)?) => {
        everywhere!(memory Memory passes: $($case)*);
        everywhere!(redis Redis passes: $($case)*);
        everywhere!(tiered Tiered passes: $($case)*);
        everywhere!(guarded Guarded passes: $($case)*);
        everywhere!(forgetful Forgetful fails: $($case)*);
    };
    ($keeper:ident $type:ident $ends:ident: $($case:ident)*) => {
        mod $keeper {
            use super::{keepers::$type, trial::Trial};

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    Trial::<$type>::$ends(async |trial| super::$case(trial).await).await;
                }
            )*
        }
    };
}

everywhere!(
    what_is_stored_is_found_under_its_own_key_alone,
    a_request_selects_the_variant_whose_fields_it_has,
    the_newest_takes_the_place_of_the_one_like_it,
    the_newest_says_whether_a_url_varies,
    what_is_removed_is_gone_with_its_variants,
    what_has_come_to_its_end_is_gone,
    everything_of_a_response_comes_back,
    bodies_of_every_length_come_back_whole,
    what_is_too_large_is_not_kept_and_leaves_the_others,
    what_an_invalidation_has_hit_is_void_however_late_it_was_stored,
    what_was_softly_purged_is_known_to_be_so,
    writers_at_one_time_are_not_in_each_others_way,
);

const NOBODY: [(&str, &str); 0] = [];

/// Checks what a request for `key` gets: `now`, or where that may have been forgotten, nothing, or
/// what stood there `before`.
async fn gets<K: Keeper>(
    keeper: &Trial<K>,
    key: &str,
    request: &[(&'static str, &str)],
    now: Option<&str>,
    before: &[&str],
) {
    let found = keeper.find(key, &fields(request)).await;
    let found = found.map(|entry| text(&entry));
    let found = found.as_deref();
    let is_forgotten = found.is_none_or(|found| before.contains(&found));
    match now {
        Some(_) => keeper.wants(found == now, is_forgotten, &(key, request, found, now)),
        None => assert!(
            found.is_none() || K::MAY_FORGET && is_forgotten,
            "{key:?} {request:?}: {found:?}"
        ),
    }
}

fn text(entry: &Entry) -> String {
    String::from_utf8_lossy(&entry.body.bytes).into_owned()
}

async fn put(keeper: &Trial<impl Keeper>, key: &str, body: &str) {
    let sample = keeper.sample(key).body(body.to_owned());
    keeper.put(&sample.entry()).await;
}

/// Stores a response to a request with `values` that varies on their fields.
async fn vary(keeper: &Trial<impl Keeper>, key: &str, values: &[(&'static str, &str)], body: &str) {
    let sample = keeper.sample(key).varying(&["x-a"], &fields(values));
    keeper.put(&sample.body(body.to_owned()).entry()).await;
}

async fn what_is_stored_is_found_under_its_own_key_alone(keeper: &Trial<impl Keeper>) {
    let long = "long".repeat(2000);
    let keys = [
        "url", "url2", "u", "URL", "a\0b", "a\r\nb", "{a}", "é", &long,
    ];
    for (at, key) in keys.iter().enumerate() {
        put(keeper, key, &at.to_string()).await;
    }
    for (at, key) in keys.iter().enumerate() {
        gets(keeper, key, &NOBODY, Some(&at.to_string()), &[]).await;
    }
    for other in ["ur", "", "a\0", "a\nb", "{a", "a"] {
        assert!(keeper.find(other, &HeaderMap::new()).await.is_none());
    }
}

async fn a_request_selects_the_variant_whose_fields_it_has(keeper: &Trial<impl Keeper>) {
    vary(keeper, "url", &[("x-a", "1")], "one").await;
    vary(keeper, "url", &[("x-a", "2")], "two").await;
    vary(keeper, "url", &[("x-a", "1"), ("x-a", "2")], "both").await;
    vary(keeper, "url", &[("x-a", "")], "empty").await;
    vary(keeper, "url", &[], "none").await;
    gets(keeper, "url", &[("x-a", "1")], Some("one"), &[]).await;
    gets(
        keeper,
        "url",
        &[("x-b", "7"), ("x-a", "2")],
        Some("two"),
        &[],
    )
    .await;
    gets(keeper, "url", &[("x-a", "")], Some("empty"), &[]).await;
    gets(keeper, "url", &[("x-b", "1")], Some("none"), &[]).await;
    gets(keeper, "url", &[("x-a", "3")], None, &[]).await;
    gets(keeper, "other", &[("x-a", "1")], None, &[]).await;
    let both = [("x-a", "1"), ("x-a", "2")];
    gets(keeper, "url", &both, Some("both"), &[]).await;
}

async fn the_newest_takes_the_place_of_the_one_like_it(keeper: &Trial<impl Keeper>) {
    put(keeper, "plain", "old").await;
    put(keeper, "plain", "new").await;
    gets(keeper, "plain", &NOBODY, Some("new"), &["old"]).await;
    vary(keeper, "url", &[("x-a", "1")], "old").await;
    vary(keeper, "url", &[("x-a", "2")], "two").await;
    vary(keeper, "url", &[("x-a", "1")], "new").await;
    gets(keeper, "url", &[("x-a", "1")], Some("new"), &["old"]).await;
    gets(keeper, "url", &[("x-a", "2")], Some("two"), &[]).await;
}

async fn the_newest_says_whether_a_url_varies(keeper: &Trial<impl Keeper>) {
    put(keeper, "url", "plain").await;
    vary(keeper, "url", &[("x-a", "1")], "one").await;
    gets(keeper, "url", &[("x-a", "1")], Some("one"), &["plain"]).await;
    gets(keeper, "url", &[("x-a", "2")], None, &["plain"]).await;
    put(keeper, "url", "plain again").await;
    let before = ["plain", "one"];
    gets(keeper, "url", &[("x-a", "1")], Some("plain again"), &before).await;
    gets(keeper, "url", &NOBODY, Some("plain again"), &["plain"]).await;
}

async fn what_is_removed_is_gone_with_its_variants(keeper: &Trial<impl Keeper>) {
    put(keeper, "other", "other").await;
    put(keeper, "plain", "plain").await;
    for value in ["1", "2"] {
        vary(keeper, "url", &[("x-a", value)], value).await;
    }
    keeper.remove("plain", &HeaderMap::new()).await;
    keeper.remove("url", &fields(&[("x-a", "1")])).await;
    keeper.remove("never stored", &HeaderMap::new()).await;
    gets(keeper, "plain", &NOBODY, None, &["plain"]).await;
    for value in ["1", "2"] {
        gets(keeper, "url", &[("x-a", value)], None, &[value]).await;
    }
    gets(keeper, "other", &NOBODY, Some("other"), &[]).await;
}

async fn what_has_come_to_its_end_is_gone(keeper: &Trial<impl Keeper>) {
    let soon = Duration::from_millis(400);
    for (key, left) in [("gone", Duration::ZERO), ("going", soon)] {
        let mut sample = keeper.sample(key).body("short");
        sample.life.gone_at = keeper.now().after(left);
        sample.life.fresh_until = sample.life.gone_at;
        keeper.put(&sample.entry()).await;
    }
    put(keeper, "stays", "long").await;
    assert!(keeper.find("gone", &HeaderMap::new()).await.is_none());
    // The time is that of a server.
    tokio::time::sleep(2 * soon).await;
    assert!(keeper.find("going", &HeaderMap::new()).await.is_none());
    gets(keeper, "stays", &NOBODY, Some("long"), &[]).await;
}

async fn everything_of_a_response_comes_back(keeper: &Trial<impl Keeper>) {
    let mut sample = keeper.sample("url").body((0..=255).collect::<Vec<u8>>());
    let lines = [("x-a", "1"), ("x-b", ""), ("x-a", "2"), ("etag", "\"1\"")];
    sample.headers = fields(&lines);
    sample.trailers = Some(fields(&[("x-checksum", "7")]));
    let put = keeper.tagged(sample, &["product:7", "products"]).entry();
    keeper.put(&put).await;
    let found = keeper.find("url", &HeaderMap::new()).await;
    keeper.wants(found.is_some(), found.is_none(), &"it is gone");
    let Some(found) = found else { return };
    assert_eq!((&found.key, found.status), (&put.key, put.status));
    assert_eq!(found.headers(), put.headers());
    assert_eq!(found.body.bytes, put.body.bytes);
    assert_eq!(found.body.length, 256);
    assert_eq!(found.trailers, put.trailers);
    assert_eq!(found.tags, put.tags);
    assert_eq!(found.variation, put.variation);
    let [mut own, mut its] = [&found, &put].map(|entry| entry.seal.targets.to_vec());
    own.sort_unstable();
    its.sort_unstable();
    assert_eq!(own, its, "what can hit it");
    let [own, its] = [&found, &put].map(|entry| entry.seal.position);
    assert_eq!((own.epoch, own.sequence), (its.epoch, its.sequence));
    // Clocks of nodes are compared by way of the server's.
    let [own, its] = [&found, &put].map(|entry| &entry.life);
    for (own, its) in [
        (own.received, its.received),
        (own.fresh_until, its.fresh_until),
        (own.gone_at, its.gone_at),
    ] {
        let apart = own.since(its).max(its.since(own));
        assert!(apart < Duration::from_secs(2), "{own:?} for {its:?}");
    }
}

async fn bodies_of_every_length_come_back_whole(keeper: &Trial<impl Keeper>) {
    let lengths = [0_u64, 1, 15, 1024, 65_535, 65_536, 700_000];
    for coding in [Coding::Identity, Coding::Gzip] {
        for length in lengths {
            let body: Vec<u8> = (0..length)
                .map(|at| (at * at / 7).to_le_bytes()[0])
                .collect();
            let mut sample = keeper.sample("url").body(body);
            sample.coding = coding;
            let put = sample.entry();
            keeper.put(&put).await;
            let found = keeper.find("url", &HeaderMap::new()).await;
            // One that was forgotten may have left the one before it, which was whole as well.
            let found = found.filter(|found| found.body.length == put.body.length);
            keeper.wants(found.is_some(), true, &length);
            if let Some(found) = found {
                assert_eq!(found.body.coding, put.body.coding, "{length}");
                assert!(found.body.bytes == put.body.bytes, "{length} {coding:?}");
            }
        }
    }
}

async fn what_is_too_large_is_not_kept_and_leaves_the_others(keeper: &Trial<impl Keeper>) {
    put(keeper, "small", "small").await;
    let large = keeper.sample("large").body(vec![7; LARGEST]);
    keeper.put(&large.entry()).await;
    assert!(keeper.find("large", &HeaderMap::new()).await.is_none());
    gets(keeper, "small", &NOBODY, Some("small"), &[]).await;
    put(keeper, "next", "next").await;
    gets(keeper, "next", &NOBODY, Some("next"), &[]).await;
}

/// Returns how what is found stands; none if nothing is, or only what is void.
async fn stands(keeper: &Trial<impl Keeper>, key: &str) -> Option<(String, Verdict)> {
    let found = keeper.find(key, &HeaderMap::new()).await?;
    let verdict = keeper.judge(&found);
    (!matches!(verdict, Verdict::Dead(_))).then(|| (text(&found), verdict))
}

async fn what_an_invalidation_has_hit_is_void_however_late_it_was_stored(
    keeper: &Trial<impl Keeper>,
) {
    let sample = |body: &'static str| keeper.tagged(keeper.sample("url").body(body), &["a"]);
    let other = keeper.tagged(keeper.sample("other").body("other"), &["b"]);
    keeper.put(&other.entry()).await;
    let (early, late) = (sample("early").entry(), sample("late").entry());
    keeper.put(&early).await;
    let before = stands(keeper, "url").await;
    keeper.wants(is("early", &before), before.is_none(), &before);
    keeper.invalidate("a", Comes::Hard).await;
    assert_eq!(stands(keeper, "url").await, None);
    let new = sample("new").entry();
    keeper.put(&new).await;
    let renewed = stands(keeper, "url").await;
    keeper.wants(is("new", &renewed), renewed.is_none(), &renewed);
    // Its handler began before the invalidation.
    keeper.put(&late).await;
    let after = stands(keeper, "url").await;
    assert!(after.is_none_or(|(body, _)| body == "new"));
    let other = stands(keeper, "other").await;
    keeper.wants(is("other", &other), other.is_none(), &other);
}

/// Says whether this stands, and is valid.
fn is(body: &str, stands: &Option<(String, Verdict)>) -> bool {
    *stands == Some((body.to_owned(), Verdict::Valid))
}

async fn what_was_softly_purged_is_known_to_be_so(keeper: &Trial<impl Keeper>) {
    let sample = |key: &str, tag| keeper.tagged(keeper.sample(key).body("body"), &[tag]);
    let other = sample("other", "b").entry();
    keeper.put(&other).await;
    keeper.put(&sample("url", "a").entry()).await;
    keeper.invalidate("a", Comes::Soft).await;
    let verdict = stands(keeper, "url").await.map(|(_, verdict)| verdict);
    let is_soft = matches!(verdict, Some(Verdict::Soft(_)));
    keeper.wants(is_soft, verdict.is_none(), &verdict);
    keeper.put(&sample("url", "a").entry()).await;
    let verdict = stands(keeper, "url").await.map(|(_, verdict)| verdict);
    // What was put anew may have been forgotten, and not what stood before it.
    let is_forgotten = matches!(verdict, None | Some(Verdict::Soft(_)));
    keeper.wants(verdict == Some(Verdict::Valid), is_forgotten, &verdict);
    keeper.invalidate("a", Comes::Hard).await;
    assert_eq!(stands(keeper, "url").await, None);
    let other = stands(keeper, "other").await.map(|(_, verdict)| verdict);
    keeper.wants(other == Some(Verdict::Valid), other.is_none(), &other);
}

async fn writers_at_one_time_are_not_in_each_others_way(keeper: &Trial<impl Keeper>) {
    let write = |writer: usize| async move {
        for at in 0..20 {
            let body = format!("{writer} {at}");
            put(keeper, &body, &body).await;
            let own = writer.to_string();
            vary(keeper, "shared", &[("x-a", &own)], &own).await;
        }
    };
    tokio::join!(write(0), write(1), write(2), write(3));
    for writer in 0..4 {
        for at in 0..20 {
            let body = format!("{writer} {at}");
            gets(keeper, &body, &NOBODY, Some(&body), &[]).await;
        }
        let own = writer.to_string();
        gets(keeper, "shared", &[("x-a", &own)], Some(&own), &[]).await;
    }
}
