use std::time::Duration;

use moonforge_ports::{RemoteErrorKind, RemoteStore};
use moonforge_testkit::conformance::doc;
use moonforge_testkit::proxy::{Fault, Matcher, Reply};
use serde_json::json;

use crate::support::{PATIENCE, all, behind_proxy, ids, impatient, project, put};

#[tokio::test]
async fn a_commit_without_an_answer_is_undecided_and_not_repeated() {
    let Some(project) = project("lost").await else {
        return;
    };
    let (proxy, store) = behind_proxy(&project).await;
    // A connection that is in use already: the client must not take its end for leave to try another.
    store
        .commit(&[put("scenes", "warm", json!({}))])
        .await
        .unwrap();
    let late = Duration::from_millis(300);
    for (id, fault, applied) in [
        ("dropped", Fault::Drop, false),
        ("lost", Fault::LoseAnswer, true),
        ("late", Fault::DeliverLate(late), true),
        ("cut", Fault::Cut(20), true),
        ("short", Fault::Truncate(20), true),
        ("page", Fault::Html, false),
    ] {
        let sent = proxy.count(":commit");
        proxy.fail(Matcher::path(":commit"), fault);
        let error = store
            .commit(&[put("scenes", id, json!({}))])
            .await
            .unwrap_err();
        assert_eq!(error.kind, RemoteErrorKind::NoAnswer, "{id}: {error}");
        assert_eq!(proxy.count(":commit"), sent + 1, "{id}");
        proxy.settled().await;
        let answer = store.batch_get(&[doc("scenes", id)]).await.unwrap();
        assert_eq!(answer.found.len(), usize::from(applied), "{id}");
    }
}

#[tokio::test]
async fn statuses_come_through_with_how_long_to_wait() {
    let Some(project) = project("statuses").await else {
        return;
    };
    let (proxy, store) = behind_proxy(&project).await;
    for (reply, kind) in [
        (
            Reply::error(503, "UNAVAILABLE"),
            RemoteErrorKind::Unavailable,
        ),
        (
            Reply::error(429, "RESOURCE_EXHAUSTED").in_array(),
            RemoteErrorKind::ResourceExhausted,
        ),
        (
            Reply::error(401, "UNAUTHENTICATED"),
            RemoteErrorKind::Unauthenticated,
        ),
        (
            Reply::error(504, "DEADLINE_EXCEEDED").in_array(),
            RemoteErrorKind::DeadlineExceeded,
        ),
        (
            Reply {
                body: "<html>".into(),
                ..Reply::error(413, "")
            },
            RemoteErrorKind::TooLarge,
        ),
        (
            Reply {
                body: String::new(),
                ..Reply::error(403, "")
            },
            RemoteErrorKind::NoAnswer,
        ),
        (
            Reply {
                body: "<html>".into(),
                ..Reply::error(302, "")
            }
            .header("Location", "http://127.0.0.1:9/"),
            RemoteErrorKind::NoAnswer,
        ),
    ] {
        let fault = Fault::Status(reply.header("Retry-After", "7"));
        proxy.fail(Matcher::any().times(3), fault);
        for error in [
            store
                .commit(&[put("scenes", "s", json!({}))])
                .await
                .unwrap_err(),
            store.batch_get(&[doc("scenes", "s")]).await.unwrap_err(),
            ids(&store, &all("scenes")).await.1.unwrap_err(),
        ] {
            assert_eq!(error.kind, kind, "{error}");
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        }
    }
}

#[tokio::test]
async fn a_streamed_answer_is_whole_or_it_fails() {
    let Some(project) = project("cut").await else {
        return;
    };
    let (proxy, store) = behind_proxy(&project).await;
    let writes: Vec<_> = ["a", "b", "c"]
        .map(|id| put("scenes", id, json!({"s": "]}"})))
        .into();
    store.commit(&writes).await.unwrap();
    let query = Matcher::path(":runQuery");
    let mut complete = 0;
    for bytes in (0..2500).step_by(61) {
        for fault in [Fault::Cut(bytes), Fault::Truncate(bytes)] {
            proxy.fail(query.clone(), fault);
            let (came, end) = ids(&store, &all("scenes")).await;
            assert_eq!(came, ["a", "b", "c"][..came.len()]);
            match end {
                Ok(()) => complete += usize::from(came.len() == 3),
                Err(error) => assert_eq!(error.kind, RemoteErrorKind::NoAnswer, "{error}"),
            }
        }
    }
    assert!(complete > 0);
    proxy.fail(
        query.clone(),
        Fault::ErrorElementAtEnd(Reply::error(503, "UNAVAILABLE")),
    );
    let (came, end) = ids(&store, &all("scenes")).await;
    assert_eq!(came, ["a", "b", "c"]);
    assert_eq!(end.unwrap_err().kind, RemoteErrorKind::Unavailable);
}

#[tokio::test]
async fn an_answer_that_stands_still_is_none() {
    let Some(project) = project("stall").await else {
        return;
    };
    let (proxy, patient) = behind_proxy(&project).await;
    patient
        .commit(&[put("scenes", "a", json!({}))])
        .await
        .unwrap();
    let store = impatient(&project, &proxy);
    let (headers, idle) = (PATIENCE.connect + PATIENCE.headers, PATIENCE.idle);
    for fault in [Fault::Stall(headers * 2), Fault::StallBody(20, idle * 3)] {
        proxy.fail(Matcher::any().times(2), fault);
        let error = store
            .commit(&[put("scenes", "b", json!({}))])
            .await
            .unwrap_err();
        assert_eq!(error.kind, RemoteErrorKind::NoAnswer, "{error}");
        let error = ids(&store, &all("scenes")).await.1.unwrap_err();
        assert_eq!(error.kind, RemoteErrorKind::NoAnswer, "{error}");
    }
    let there = patient.batch_get(&[doc("scenes", "b")]).await.unwrap();
    assert_eq!(there.found.len(), 1);
    // A pause that is shorter than the patience is none.
    proxy.fail(Matcher::any(), Fault::StallBody(20, idle));
    assert_eq!(ids(&patient, &all("scenes")).await.0, ["a", "b"]);
}

#[tokio::test]
async fn a_batch_is_whole_or_it_fails() {
    let Some(project) = project("batch").await else {
        return;
    };
    let (proxy, store) = behind_proxy(&project).await;
    store
        .commit(&[put("scenes", "a", json!({}))])
        .await
        .unwrap();
    let both = ["a", "gone"].map(|id| doc("scenes", id));
    for (fault, kind) in [
        (Fault::Cut(60), RemoteErrorKind::NoAnswer),
        (Fault::Truncate(60), RemoteErrorKind::NoAnswer),
        (
            Fault::ErrorElementAtEnd(Reply::error(403, "PERMISSION_DENIED")),
            RemoteErrorKind::PermissionDenied,
        ),
    ] {
        proxy.fail(Matcher::path(":batchGet"), fault);
        assert_eq!(store.batch_get(&both).await.unwrap_err().kind, kind);
    }
    let answer = store.batch_get(&both).await.unwrap();
    assert_eq!(
        (answer.found.len(), answer.missing),
        (1, vec![doc("scenes", "gone")])
    );
}
