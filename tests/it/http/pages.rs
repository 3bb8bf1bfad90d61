//! Pages of lists: their size, their tokens, and that together they are the list, also while it changes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tstr_shared::permission::Scope;
use tstr_tests::worker::Worker;
use tstr_tests::{Person, Stack, eventually, factory};

use super::{RUNS, TESTS};

/// Walks a list to its end; returns its pages. `between` is called after each page.
async fn walk(person: &Person, path: &str, size: u32, mut between: impl AsyncFnMut()) -> Vec<Vec<String>> {
    let (mut pages, mut token) = (Vec::new(), None);
    let join = if path.contains('?') { '&' } else { '?' };
    loop {
        let more = token.map(|token: String| format!("&page_token={token}")).unwrap_or_default();
        let page = person.get(&format!("{path}{join}page_size={size}{more}")).await.expect(200);
        let name = |item: &Value| item.get("id").unwrap_or(&item["name"]).as_str().unwrap().to_owned();
        pages.push(page["items"].as_array().unwrap().iter().map(name).collect());
        token = page["next_page_token"].as_str().map(str::to_owned);
        assert!(token.is_some() || page.get("next_page_token").is_none(), "absent at the end");
        if token.is_none() {
            return pages;
        }
        assert!(pages.len() < 1000, "the list does not end");
        between().await;
    }
}

#[tokio::test]
async fn the_pages_of_every_list_are_the_list_without_gaps_and_doubles() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let mut tests = BTreeSet::new();
    for i in 0..7 {
        tests.insert(admin.register(&factory::test(&format!("t{i}"))).await["id"].as_str().unwrap().to_owned());
        stack.namespace(&format!("n{i}")).await;
        stack.token(&[Scope::Data], &["default"]).await;
        Worker::register(&stack, 0, &format!("w{i}")).await;
    }
    let axis = (0..50).map(|i| i.to_string()).collect::<Vec<_>>();
    admin.register(&factory::with(factory::test("many"), "/matrix/labels/i", json!(axis))).await;
    let runs: BTreeSet<String> = admin.trigger("many").await.into_iter().collect();
    assert_eq!(runs.len(), 50);

    let lists = [TESTS, RUNS, "/api/v1/namespaces", "/api/v1/tokens", "/api/v1/namespaces/default/runners"];
    for list in lists {
        let whole = walk(&admin, list, 1000, async || {}).await.concat();
        for size in [1, 3, 7, 49, 50] {
            let pages = walk(&admin, list, size, async || {}).await;
            assert!(pages.iter().all(|page| page.len() <= size as usize), "{list} by {size}");
            assert_eq!(pages.concat(), whole, "{list} by {size}");
        }
        assert_eq!(whole.iter().collect::<BTreeSet<_>>().len(), whole.len(), "{list} has no doubles");
        assert!(whole.len() >= 7, "{list}");
    }
    // 50 unless said, and a filter holds over all pages.
    for unsaid in ["", "?page_size=0"] {
        assert_eq!(admin.get(&format!("{RUNS}{unsaid}")).await.expect(200)["items"].as_array().unwrap().len(), 50);
    }
    assert!(walk(&admin, &format!("{RUNS}?test=t0"), 3, async || {}).await.concat().is_empty());
    assert_eq!(walk(&admin, &format!("{RUNS}?test=many"), 11, async || {}).await.concat().len(), 50);
}

#[tokio::test]
async fn pages_have_no_doubles_and_miss_nothing_while_rows_are_inserted() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let axis = (0..30).map(|i| i.to_string()).collect::<Vec<_>>();
    admin.register(&factory::with(factory::test("many"), "/matrix/labels/i", json!(axis))).await;
    admin.register(&factory::test("one")).await;
    let before: BTreeSet<String> = admin.trigger("many").await.into_iter().collect();
    let seen = walk(&admin, RUNS, 4, async || drop(admin.trigger("one").await)).await.concat();
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "no doubles");
    assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), before, "newer runs lie before the first page");

    // Tests are in the order of their names: new ones may be seen or not, the old ones all are, once.
    let mut count = 0;
    let names: Vec<String> = walk(&admin, TESTS, 1, async || {
        count += 1;
        if count < 6 {
            admin.register(&factory::test(&format!("a{count}"))).await;
            admin.register(&factory::test(&format!("z{count}"))).await;
        }
    })
    .await
    .concat();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "no doubles");
    for old in ["many", "one"] {
        let id = admin.get(&format!("{TESTS}/{old}")).await.expect(200)["id"].as_str().unwrap().to_owned();
        assert!(names.contains(&id), "{old} is missing");
    }
}

#[tokio::test]
async fn a_page_token_belongs_to_the_parameters_that_it_was_given_for() {
    let stack = Stack::start_with(2, |_| {}).await;
    let admin = stack.admin();
    stack.namespace("other").await;
    for name in ["a", "b", "c"] {
        admin.register(&factory::test(name)).await;
        admin.trigger(name).await;
    }
    let token = async |path: &str| admin.get(path).await.expect(200)["next_page_token"].as_str().unwrap().to_owned();
    let tests = token(&format!("{TESTS}?page_size=1")).await;
    let runs = token(&format!("{RUNS}?page_size=1&state=queued")).await;
    let tokens = token("/api/v1/namespaces?page_size=1").await;
    // Another size is no other list, and any replica goes on.
    let there = admin.at(stack.url(1));
    assert_eq!(
        there.get(&format!("{TESTS}?page_size=2&page_token={tests}")).await.expect(200)["items"][1]["name"],
        "c"
    );
    assert_eq!(
        there.get(&format!("{RUNS}?state=queued&page_token={runs}")).await.expect(200)["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let mut forged = tests.clone().into_bytes();
    forged[3] = if forged[3] == b'A' { b'B' } else { b'A' };
    for path in [
        format!("{TESTS}?q=a&page_token={tests}"),
        format!("{TESTS}?label=a%3Db&page_token={tests}"),
        format!("{TESTS}?paused=false&page_token={tests}"),
        format!("/api/v1/namespaces/other/tests?page_token={tests}"),
        format!("{RUNS}?page_token={tests}"),
        format!("{RUNS}?page_token={runs}"),
        format!("{RUNS}?state=running&page_token={runs}"),
        format!("{RUNS}?state=queued&test=a&page_token={runs}"),
        format!("/api/v1/tokens?page_token={tokens}"),
        format!("{TESTS}?page_token={}", String::from_utf8(forged).unwrap()),
        format!("{TESTS}?page_token={}", &tests[..tests.len() - 1]),
        format!("{TESTS}?page_token=x"),
        format!("{TESTS}?page_token={}", "A".repeat(2000)),
    ] {
        admin.get(&path).await.refused(400, "malformed");
    }
    // Tokens end with the parameter that is repeated.
    assert_eq!(admin.get(&format!("{TESTS}?page_token=a&page_token=b")).await.faults(), ["page_token"]);
}

#[tokio::test]
async fn a_page_holds_a_thousand_items_at_most() {
    let stack = Stack::start().await;
    let admin = stack.admin();
    let mut conn = stack.db.connect().await;
    sqlx::query("INSERT INTO namespace (name) SELECT 'n' || g FROM generate_series(1, 1005) g")
        .execute(&mut conn)
        .await
        .unwrap();
    let page = eventually("the namespaces are known", Duration::from_secs(10), async || {
        let page = admin.get("/api/v1/namespaces?page_size=4000000000").await.expect(200);
        (page["items"].as_array().unwrap().len() > 1).then_some(page)
    })
    .await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1000);
    let rest = format!("/api/v1/namespaces?page_token={}", page["next_page_token"].as_str().unwrap());
    assert_eq!(admin.get(&rest).await.expect(200)["items"].as_array().unwrap().len(), 6);
    assert_eq!(admin.get("/api/v1/namespaces?page_size=4294967296").await.faults(), ["page_size"]);
}
