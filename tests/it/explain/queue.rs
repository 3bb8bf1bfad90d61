//! The queue of a namespace: what waits, since when, and who could serve it.

use tstr_shared::explain::QueueClass;
use tstr_shared::namespace::Namespace;
use tstr_shared::page::{Page, PageRequest};
use tstr_shared::testdef::Priority;

use super::*;

async fn queue(lab: &Lab) -> Vec<QueueClass> {
    page_of(lab, "default", 0, "").await.items
}

async fn page_of(lab: &Lab, namespace: &str, size: u32, token: &str) -> Page<QueueClass> {
    let page = PageRequest { size, token: token.to_owned() };
    lab.ops().list_queue(&lab.admin, &Namespace::parse(namespace).unwrap(), page).await.unwrap()
}

#[tokio::test]
async fn a_class_is_told_with_its_depths_its_age_and_its_runners() {
    let lab = Lab::start().await;
    assert!(queue(&lab).await.is_empty());
    let nyc = ("/labels/region", json!("nyc"));
    let first = lab.run_of(std::slice::from_ref(&nyc)).await;
    for priority in ["normal", "urgent", "low", "low"] {
        lab.run_of(&[nyc.clone(), ("/priority", json!(priority))]).await;
    }
    lab.run_of(&[("/labels/region", json!("fra"))]).await;
    // Another namespace has a queue of its own.
    lab.namespace("other").await;
    runner(&lab, "nyc", &[".*"], selectors(&[("region", "nyc")], &[])).await;
    runner(&lab, "nyc-gone", &[".*"], selectors(&[("region", "n..")], &[])).await;
    runner(&lab, "foreign", &["other"], SelectorSources::default()).await;
    gone(&lab, "nyc-gone").await;

    let listed = queue(&lab).await;
    assert_eq!(listed.iter().map(|class| class.labels.text()).collect::<Vec<_>>(), ["region=nyc", "region=fra"]);
    let [nyc_class, fra] = listed.as_slice() else { panic!("two classes") };
    assert_eq!(nyc_class.depth, some(5));
    let depths: Vec<_> = nyc_class.priorities.iter().map(|one| (one.priority, one.depth)).collect();
    assert_eq!(depths, [(Priority::Urgent, some(1)), (Priority::Normal, some(2)), (Priority::Low, some(2))]);
    let made = lab.get(first).await.created_at;
    let oldest = nyc_class.oldest.unwrap();
    assert!((oldest - made).num_milliseconds().abs() < 100, "{oldest} is {made}");
    assert_eq!(nyc_class.priorities[1].oldest, oldest, "the first one is of priority normal");
    assert_eq!((nyc_class.live_runners, nyc_class.known_runners), (1, 2));
    assert_eq!((&nyc_class.stranded, nyc_class.delayed, nyc_class.next_due), (&None, some(0), None));

    assert_eq!((fra.depth, fra.live_runners, fra.known_runners), (some(1), 0, 0));
    let because = fra.stranded.as_ref().unwrap();
    let words = "none of the 2 known runners could ever take it: 2 do not accept the label region";
    assert_eq!((because.why, because.sentence.as_str()), (Why::NoRunnerCould, words));
    assert!(page_of(&lab, "other", 0, "").await.items.is_empty());

    // Those that could are gone: flagged too.
    gone(&lab, "nyc").await;
    let listed = queue(&lab).await;
    let because = listed[0].stranded.as_ref().unwrap();
    let words = "none of the 2 runners that could take it does now: 2 are not live";
    assert_eq!((because.why, because.sentence.as_str()), (Why::NoLiveRunner, words));
    assert_eq!((listed[0].live_runners, listed[0].known_runners), (0, 2));
}

#[tokio::test]
async fn what_was_taken_or_waits_for_its_time_is_no_part_of_the_depth() {
    let lab = Lab::start().await;
    let worker = lab.worker("w").await;
    lab.test(factory::test("a")).await;
    lab.trigger("a").await;
    let fence = worker.started().await;
    assert!(queue(&lab).await.is_empty(), "what runs does not wait");
    worker.release(fence, Some(Reason::RuntimeLost)).await.unwrap();
    let later = TriggerRun { not_before: Some(chrono::Utc::now() + chrono::Duration::hours(1)), ..Default::default() };
    lab.ops().trigger(&lab.admin, &default(), "a", later, None).await.unwrap();
    let listed = queue(&lab).await;
    let [class] = listed.as_slice() else { panic!("one class: {listed:?}") };
    assert_eq!((class.depth, class.oldest, class.delayed), (some(0), None, some(2)));
    assert!(class.priorities.is_empty());
    let due = class.next_due.unwrap() - chrono::Utc::now();
    assert!(due < chrono::Duration::minutes(1), "the lost one comes first, in {due}");
    assert_eq!((class.live_runners, &class.stranded), (1, &None), "one that is not full could serve it");

    // A full runner serves it all the same.
    lab.trigger("a").await;
    worker.one().await;
    lab.execute("UPDATE runner SET slots = 1").await.unwrap();
    lab.trigger("a").await;
    let listed = queue(&lab).await;
    assert_eq!((listed[0].depth, listed[0].live_runners, &listed[0].stranded), (some(1), 1, &None));
}

#[tokio::test]
async fn deep_lanes_are_counted_up_to_a_limit_and_many_classes_come_in_pages() {
    let lab = Lab::start().await;
    for priority in ["normal", "low"] {
        let run = lab.run_of(&[("/priority", json!(priority))]).await;
        let more = "INSERT INTO ready (lane, seq, run_id, expires_at)
                    SELECT lane, seq + n, gen_random_uuid(), expires_at
                    FROM ready, generate_series(1, 1200) n WHERE run_id = $1";
        assert_eq!(lab.sql(more, run).await, 1200);
    }
    let listed = queue(&lab).await;
    assert_eq!(listed[0].depth, Counted { count: 2000, more: true });
    assert_eq!(listed[0].priorities[0].depth, Counted { count: 1000, more: true });

    for n in 0..4 {
        lab.run_of(&[("/labels/n", json!(n.to_string()))]).await;
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = page_of(&lab, "default", 2, &token).await;
        assert!((1..=2).contains(&page.items.len()));
        seen.extend(page.items.iter().map(|class| class.labels.text()));
        match page.next_page_token {
            Some(next) => token = next,
            None => break,
        }
    }
    assert_eq!(seen, ["", "n=0", "n=1", "n=2", "n=3"]);
    assert!(page_of(&lab, "default", 1000, "").await.next_page_token.is_none());
    let foreign = PageRequest { size: 2, token: "x".into() };
    let refused = lab.ops().list_queue(&lab.admin, &default(), foreign).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Malformed);
}

#[tokio::test]
async fn runs_behind_a_gate_are_counted_apart() {
    let lab = Lab::start().await;
    let one_at_a_time = json!({"policy": "queue", "limit": 1, "depth": 10});
    let first = lab.run_of(&[("/concurrency", one_at_a_time)]).await;
    let test = lab.get(first).await.test_name;
    for _ in 0..3 {
        lab.trigger(&test).await;
    }
    let listed = queue(&lab).await;
    let [class] = listed.as_slice() else { panic!("one class: {listed:?}") };
    assert_eq!((class.depth, class.gated, class.delayed), (some(1), some(3), some(0)));
    // One that is put off meets its gate only when its time has come.
    let later = TriggerRun { not_before: Some(chrono::Utc::now() + chrono::Duration::hours(1)), ..Default::default() };
    lab.ops().trigger(&lab.admin, &default(), &test, later, None).await.unwrap();
    // With nothing in a lane the class is listed for what waits behind its gate.
    let worker = lab.worker("w").await;
    let fence = worker.started().await;
    let listed = queue(&lab).await;
    let [class] = listed.as_slice() else { panic!("one class: {listed:?}") };
    assert_eq!((class.depth, class.gated, class.delayed), (some(0), some(3), some(1)));
    assert!(class.next_due.is_some() && class.stranded.is_none());
    // Whoever ends lets the next one in.
    worker.finish(fence, RunResult::Pass).await.unwrap();
    let listed = queue(&lab).await;
    assert_eq!((listed[0].depth, listed[0].gated), (some(1), some(2)));
}
