//! A person who writes while a call stands still.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use moonforge_model::{DocRef, PatchOp};
use moonforge_ports::Clock;
use moonforge_store::{EditTime, Store};
use moonforge_testkit::clock::ManualClock;
use moonforge_testkit::simulated::{CallKind, Gate, GatePoint, Moment};

pub(super) struct Writes {
    store: Store,
    clock: Arc<ManualClock>,
    target: DocRef,
    done: AtomicBool,
}

impl Writes {
    /// Writes a description once, when a beacon was touched and the answer is on its way.
    pub(super) fn at_beacon(store: Store, clock: Arc<ManualClock>, target: DocRef) -> Arc<Self> {
        Arc::new(Self {
            store,
            clock,
            target,
            done: AtomicBool::new(false),
        })
    }
}

#[async_trait]
impl Gate for Writes {
    async fn pass(&self, point: GatePoint) {
        let beacon = point.call.kind == CallKind::Commit
            && point
                .call
                .docs
                .iter()
                .any(|d| d.collection.as_str() == "beacons");
        let now = beacon && point.moment == Moment::Answering;
        if !now || self.done.swap(true, Ordering::Relaxed) {
            return;
        }
        let at = EditTime {
            local: self.clock.now(),
            server: self.clock.now(),
        };
        let op = PatchOp::Set {
            path: "description".parse().unwrap(),
            value: "written meanwhile".into(),
        };
        let patched = self.store.patch(self.target.clone(), None, vec![op], at);
        patched.await.unwrap();
    }
}
