use std::sync::Arc;

use moonforge_ports::RemoteStore;
use moonforge_testkit::conformance::{Capabilities, run_all};

use crate::support::{project, store};

#[tokio::test(flavor = "multi_thread")]
async fn does_what_every_remote_store_does() {
    if project("probe").await.is_none() {
        return;
    }
    let make = || async {
        let project = project("conformance")
            .await
            .expect("the emulator that was there");
        Arc::new(store(&project)) as Arc<dyn RemoteStore>
    };
    run_all(
        make,
        Capabilities {
            aggregates: true,
            enforces_rev: false,
        },
    )
    .await;
}
