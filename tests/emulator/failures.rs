//! Networks and servers that fail: nothing is ever dropped, and the work goes out later.

use std::time::Duration;

use moonforge_e2e::device::{Device, Form, World};
use moonforge_testkit::proxy::{Fault, Matcher, Reply};
use serde_json::{Value, json};

use crate::scenario::two;

crate::scenario::scenarios! {
    calm:
        storms_of_failures_drop_nothing,
        a_retry_after_is_waited_for_and_a_long_one_ends_the_run,
        a_token_that_is_refused_keeps_the_work,
        each_fault_of_a_commit_leaves_both_devices_converged,
        each_fault_of_a_read_by_name_leaves_both_devices_converged,
        each_fault_of_a_query_leaves_both_devices_converged;
}

fn chest() -> (&'static str, &'static str, Value) {
    (
        "entities",
        "e1",
        json!({ "name": "Chest", "kind": "item", "props": { "gold": 0 } }),
    )
}

async fn inc(device: &Device, by: i64) {
    device
        .patch("entities", "e1", &[("inc", "props.gold", json!(by))])
        .await;
}

async fn storms_of_failures_drop_nothing(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    let unavailable = || Fault::Status(Reply::error(503, "UNAVAILABLE"));
    let mut storms = vec![
        unavailable(),
        Fault::StatusAfter(Reply::error(503, "UNAVAILABLE")),
        Fault::Status(Reply::error(429, "RESOURCE_EXHAUSTED")),
        Fault::StatusAfter(Reply::error(504, "DEADLINE_EXCEEDED")),
        Fault::Cut(10),
        Fault::Html,
    ];
    if world.form == Form::CommandLine {
        // There a try waits in earnest.
        storms.truncate(3);
    }
    let mut expected = 0;
    for storm in storms {
        expected += 1;
        inc(&a, 1).await;
        a.proxy.fail(Matcher::any().always(), storm.clone());
        for _ in 0..2 {
            let report = a.sync().await;
            let ended = report["offline"] == true || report["stopped"].is_string();
            assert!(ended, "{storm:?}: {report}");
            assert_eq!(report["parked"], 0, "{storm:?}: {report}");
            assert_eq!(report["waiting"], 1, "{storm:?}: {report}");
        }
        assert_eq!(a.value("entities", "e1", "/props/gold").await, expected);
        a.go_online();
        // One run as it is, one with two failures on its way.
        if expected % 2 == 0 {
            a.proxy
                .fail(Matcher::path(":commit").times(2), unavailable());
        }
        a.sync_well().await;
        assert_eq!(a.outbox().await, [] as [Value; 0]);
    }
    world.settle(&[&a, &b]).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, expected);
}

async fn a_retry_after_is_waited_for_and_a_long_one_ends_the_run(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    let busy = |seconds: &str| {
        Fault::Status(Reply::error(429, "RESOURCE_EXHAUSTED").header("Retry-After", seconds))
    };
    inc(&a, 1).await;
    a.proxy.fail(Matcher::path(":commit"), busy("2"));
    let report = a.sync_well().await;
    assert_eq!(report["pushed"], 1, "{report}");
    // The library's test clock waits a tenth of the time.
    assert!(report["elapsed_ms"].as_u64() >= Some(200), "{report}");
    inc(&a, 1).await;
    a.proxy.fail(Matcher::path(":commit"), busy("600"));
    let report = a.sync().await;
    assert!(report["stopped"].is_string(), "{report}");
    assert!(report["elapsed_ms"].as_u64() < Some(20_000), "{report}");
    assert_eq!(report["waiting"], 1, "{report}");
    world.settle(&[&a, &b]).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, 2);
}

async fn a_token_that_is_refused_keeps_the_work(world: World) {
    let (a, b) = two(&world, &[chest()]).await;
    inc(&a, 1).await;
    let refused = Fault::Status(Reply::error(401, "UNAUTHENTICATED"));
    a.proxy.fail(Matcher::any().always(), refused);
    let report = a.sync().await;
    assert_eq!(report["unauthenticated"], true, "{report}");
    assert_eq!(
        (&report["parked"], &report["waiting"]),
        (&json!(0), &json!(1)),
        "{report}"
    );
    a.go_online();
    world.settle(&[&a, &b]).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, 1);
}

fn faults() -> Vec<Fault> {
    let unavailable = Reply::error(503, "UNAVAILABLE");
    vec![
        Fault::Drop,
        Fault::LoseAnswer,
        Fault::DeliverLate(Duration::from_millis(40)),
        Fault::Status(unavailable.clone()),
        Fault::Status(Reply::error(500, "INTERNAL").in_array()),
        Fault::Status(Reply::error(409, "ABORTED")),
        Fault::StatusAfter(unavailable.clone()),
        Fault::StatusAfter(Reply::error(409, "ABORTED")),
        Fault::Stall(Duration::from_millis(200)),
        Fault::StallBody(5, Duration::from_millis(200)),
        Fault::Cut(0),
        Fault::Cut(40),
        Fault::Truncate(40),
        Fault::ErrorElementAtEnd(unavailable),
        Fault::Html,
    ]
}

/// Both devices edit; b's edit arrives first, so that a's commit is stale, its document is read by name, and both merge.
/// One of a's requests to `method` fails on the way. b learns of it when it writes again.
async fn each_fault(world: World, method: &str) {
    let (a, b) = two(&world, &[chest()]).await;
    let mut faults = faults();
    if world.form == Form::CommandLine {
        // There a try waits in earnest, and the adapter is the same.
        faults = faults.into_iter().step_by(3).collect();
    }
    let mut expected = 0;
    for (number, fault) in (0..).zip(faults) {
        expected += 11;
        inc(&a, 1).await;
        let summary = json!(format!("{fault:?}\n"));
        a.patch("entities", "e1", &[("set", "summary", summary.clone())])
            .await;
        inc(&b, 10).await;
        b.sync_well().await;
        // Another of the queries each time.
        let skip = if method == ":runQuery" { number % 9 } else { 0 };
        a.proxy
            .fail(Matcher::path(method).skip(skip), fault.clone());
        let came = a.proxy.count(method);
        a.sync().await;
        assert!(a.proxy.count(method) > came, "{fault:?}: a used {method}");
        a.proxy.settled().await;
        a.go_online();
        if !a.outbox().await.is_empty() {
            a.sync_well().await;
            assert_eq!(a.outbox().await, [] as [Value; 0], "{fault:?}");
        }
        let chest = a.get("entities", "e1").await.expect("it is there");
        assert_eq!(chest["props"]["gold"], expected, "{fault:?}: {chest}");
        assert_eq!(chest["summary"], summary);
    }
    world.settle(&[&a, &b]).await;
    assert_eq!(b.value("entities", "e1", "/props/gold").await, expected);
    for device in [&a, &b] {
        assert_eq!(device.conflicts().await, [] as [Value; 0]);
    }
}

async fn each_fault_of_a_commit_leaves_both_devices_converged(world: World) {
    each_fault(world, ":commit").await;
}

async fn each_fault_of_a_read_by_name_leaves_both_devices_converged(world: World) {
    each_fault(world, ":batchGet").await;
}

async fn each_fault_of_a_query_leaves_both_devices_converged(world: World) {
    each_fault(world, ":runQuery").await;
}
