//! What can go wrong before there is a server: no emulator is needed.

use std::sync::Arc;

use async_trait::async_trait;
use moonforge_firestore::Firestore;
use moonforge_ports::{
    Identity, RemoteErrorKind, RemoteStore, StaticToken, TokenError, TokenProvider,
};
use moonforge_testkit::conformance::doc;
use moonforge_testkit::proxy::FaultProxy;
use secrecy::SecretString;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::{PATIENCE, all, at, ids, owner, put};

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
