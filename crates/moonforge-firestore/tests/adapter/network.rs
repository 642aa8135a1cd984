//! What can go wrong before there is a server: no emulator is needed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use moonforge_firestore::{Firestore, Timeouts};
use moonforge_ports::{
    Identity, RemoteErrorKind, RemoteStore, StaticToken, TokenError, TokenProvider,
};
use moonforge_testkit::conformance::doc;
use moonforge_testkit::proxy::{FaultProxy, Reply};
use secrecy::SecretString;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{PATIENCE, all, answering, at, ids, owner, put};

async fn failures(store: &Firestore) -> Vec<RemoteErrorKind> {
    vec![
        store
            .commit(&[put("scenes", "s", json!({}))])
            .await
            .unwrap_err()
            .kind,
        store
            .batch_get(&[doc("scenes", "s")])
            .await
            .unwrap_err()
            .kind,
        ids(store, &all("scenes")).await.1.unwrap_err().kind,
        store.aggregate(&all("scenes")).await.unwrap_err().kind,
    ]
}

fn store(host: &str) -> Firestore {
    Firestore::new(at("p", host).timeouts(PATIENCE), owner()).unwrap()
}

#[tokio::test]
async fn a_refused_connection_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    assert_eq!(
        failures(&store(&host)).await,
        [RemoteErrorKind::NeverSent; 4]
    );
}

#[tokio::test]
async fn a_connection_that_doesnt_come_about_sent_nothing() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Whoever comes when the queue is full waits.
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(PATIENCE.connect, TcpStream::connect(address)).await
    {
        queue.push(stream);
        assert!(queue.len() < 100, "this machine's queues have no end");
    }
    assert_eq!(
        failures(&store(&address.to_string())).await,
        [RemoteErrorKind::NeverSent; 4]
    );
}

#[tokio::test]
async fn a_server_that_speaks_no_http_gave_no_answer() {
    for greeting in [
        "",
        "220 mail.example ESMTP\r\n",
        "HTTP/1.1 200 OK\r\nContent-Le",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                client.write_all(greeting.as_bytes()).await.unwrap();
            }
        });
        assert_eq!(
            failures(&store(&host)).await,
            [RemoteErrorKind::NoAnswer; 4],
            "{greeting}"
        );
        server.abort();
    }
}

struct NoToken(TokenError);

#[async_trait]
impl TokenProvider for NoToken {
    async fn token(&self) -> Result<Option<SecretString>, TokenError> {
        Err(self.0.clone())
    }

    async fn refresh(&self) -> Result<(), TokenError> {
        Err(self.0.clone())
    }

    fn identity(&self) -> Identity {
        Identity {
            uid: Some("anna".to_owned()),
        }
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let proxy = FaultProxy::start("127.0.0.1:9").await;
    for (error, kind) in [
        (
            TokenError::Unreachable("down".into()),
            RemoteErrorKind::NeverSent,
        ),
        (
            TokenError::SignInNeeded("gone".into()),
            RemoteErrorKind::Unauthenticated,
        ),
    ] {
        let config = at("p", &proxy.addr().to_string());
        let store = Firestore::new(config, Arc::new(NoToken(error))).unwrap();
        assert_eq!(failures(&store).await, [kind; 4]);
        assert_eq!(store.refresh_credentials().await.unwrap_err().kind, kind);
        assert_eq!(store.uid().as_deref(), Some("anna"));
    }
    let odd = StaticToken::new("line\nbreak".to_owned().into(), None);
    let store = Firestore::new(at("p", &proxy.addr().to_string()), Arc::new(odd)).unwrap();
    let error = store
        .commit(&[put("scenes", "s", json!({}))])
        .await
        .unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::Unauthenticated);
    assert!(!format!("{error:?} {error}").contains("break"));
    assert_eq!(proxy.seen(), []);
}

/// Nobody's request was judged by what somebody may do: whoever signs in may be let in.
#[tokio::test]
async fn a_denial_without_a_token_asks_for_a_sign_in() {
    let denied = Reply::error(403, "PERMISSION_DENIED");
    let in_answer = Reply {
        code: 200,
        ..denied.clone().in_array()
    };
    for reply in [denied.clone(), denied.clone().in_array(), in_answer] {
        let (proxy, signed) = answering(reply).await;
        let config = at("p", &proxy.addr().to_string());
        let unsigned = Firestore::new(config, Arc::new(StaticToken::none())).unwrap();
        for (store, kind) in [
            (&signed, RemoteErrorKind::PermissionDenied),
            (&unsigned, RemoteErrorKind::Unauthenticated),
        ] {
            let mut kinds = failures(store).await;
            // A commit's answer is no array.
            let commit = kinds.remove(0);
            assert_eq!(kinds, [kind; 3]);
            assert!(
                commit == kind || commit == RemoteErrorKind::NoAnswer,
                "{commit:?}"
            );
        }
        for error in [
            unsigned.batch_get(&[doc("scenes", "s")]).await.unwrap_err(),
            unsigned.refresh_credentials().await.unwrap_err(),
        ] {
            assert_eq!(error.kind, RemoteErrorKind::Unauthenticated);
            assert!(error.message.contains("no sign-in"), "{error}");
        }
    }
}

/// Names whom it is told to.
struct Named(std::sync::Mutex<String>);

#[async_trait]
impl TokenProvider for Named {
    async fn token(&self) -> Result<Option<SecretString>, TokenError> {
        Ok(Some("t".to_owned().into()))
    }

    async fn refresh(&self) -> Result<(), TokenError> {
        Ok(())
    }

    fn identity(&self) -> Identity {
        Identity {
            uid: Some(self.0.lock().unwrap().clone()),
        }
    }
}

/// On the wire such a name has another number of dollars: rules would look for his role in vain, and make him a dm.
#[tokio::test]
async fn a_uid_that_begins_with_a_dollar_is_refused() {
    let proxy = FaultProxy::start("127.0.0.1:9").await;
    let store = |uid: &str| {
        let tokens = Arc::new(Named(std::sync::Mutex::new(uid.to_owned())));
        let made = Firestore::new(at("p", &proxy.addr().to_string()), tokens.clone());
        (made, tokens)
    };
    let error = store("$anna").0.unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::InvalidArgument);
    assert!(error.message.contains("`$anna`"), "{error}");
    let (store, tokens) = store("an$na");
    let store = store.unwrap();
    *tokens.0.lock().unwrap() = "$anna".to_owned();
    // Nobody's edits are parked for it.
    assert_eq!(
        failures(&store).await,
        [RemoteErrorKind::Unauthenticated; 4]
    );
    let error = store.refresh_credentials().await.unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::Unauthenticated);
    assert!(error.message.contains("`$anna`"), "{error}");
    assert_eq!(proxy.seen(), []);
}

/// Firestore's patience begins when it has the request.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a slow uplink takes real time")]
async fn a_large_request_has_time_to_leave() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::time::sleep(Duration::from_millis(700)).await;
            let body = r#"{"writeResults":[{"updateTime":"2026-01-01T00:00:00Z",
                "transformResults":[{"timestampValue":"2026-01-01T00:00:00Z"}]}],
                "commitTime":"2026-01-01T00:00:00Z"}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let (mut reader, mut writer) = client.split();
            let mut sink = tokio::io::sink();
            let read = tokio::io::copy(&mut reader, &mut sink);
            let write = async {
                writer.write_all(answer.as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            };
            tokio::select! { _ = read => {}, () = write => {} }
        }
    });
    let timeouts = Timeouts {
        connect: Duration::from_millis(200),
        headers: Duration::from_millis(200),
        ..PATIENCE
    };
    let store = Firestore::new(at("p", &host).timeouts(timeouts), owner()).unwrap();
    let write = |text: &str| [put("scenes", "s", json!({ "content": text }))];
    let error = store.commit(&write("small")).await.unwrap_err();
    assert_eq!(error.kind, RemoteErrorKind::NoAnswer);
    store.commit(&write(&"x".repeat(64 * 1024))).await.unwrap();
    server.abort();
}

#[tokio::test]
async fn no_token_shows_in_what_is_printed() {
    let secret = StaticToken::new("s3cr3t".to_owned().into(), None);
    let store = Firestore::new(at("p", "127.0.0.1:9"), Arc::new(secret)).unwrap();
    let error = store
        .commit(&[put("scenes", "s", json!({}))])
        .await
        .unwrap_err();
    assert!(!format!("{store:?} {error:?} {error}").contains("s3cr3t"));
}
