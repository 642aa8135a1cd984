//! Syncs in the background that a read or a write asked for: one at a time of each kind, however many ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use moonforge_model::SyncScope;
use moonforge_sync::{Job, SyncOptions, SyncReport};
use tokio::sync::watch;

use crate::error::{Error, Kind};
use crate::forge::Moonforge;

/// What to do in the background.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Errand {
    /// Sync a scope, or everything.
    Sync(Option<SyncScope>),
    /// Send what waits.
    Push,
}

type Outcome = Option<Result<SyncReport, Arc<Error>>>;

#[derive(Debug)]
struct Flight {
    outcome: watch::Receiver<Outcome>,
    /// Asked for again since it began, by somebody who wants what he wrote since to be in it.
    again: bool,
}

/// The errands that are under way.
#[derive(Debug, Default)]
pub(crate) struct Refreshes(Mutex<HashMap<Errand, Flight>>);

/// What an errand came to, once it has.
pub(crate) type Refreshed = BoxFuture<'static, Result<SyncReport, Error>>;

impl Moonforge {
    /// Begins an errand, or shares the one that is under way. It goes on also when nobody waits for it. One that sends is
    /// done once more where it was under way, so that no edit is left behind.
    pub(crate) fn refresh(&self, errand: Errand) -> Refreshed {
        let mut flights = self.flights();
        let outcome = match flights.get_mut(&errand) {
            Some(flight) => {
                flight.again |= errand == Errand::Push;
                flight.outcome.clone()
            }
            None => {
                let (sender, outcome) = watch::channel(None);
                let flight = Flight {
                    outcome: outcome.clone(),
                    again: false,
                };
                flights.insert(errand.clone(), flight);
                tokio::spawn(self.clone().carry_out(errand, sender));
                outcome
            }
        };
        drop(flights);
        wait(outcome).boxed()
    }

    async fn carry_out(self, errand: Errand, sender: watch::Sender<Outcome>) {
        // Taken away also where the run panics, or the runtime ends.
        let mut under_way = UnderWay {
            forge: self.clone(),
            errand: errand.clone(),
            landed: false,
        };
        let outcome = loop {
            let done = match &errand {
                Errand::Sync(scope) => {
                    let options = SyncOptions {
                        scope: scope.clone(),
                        ..SyncOptions::default()
                    };
                    self.sync_with(&options).await
                }
                Errand::Push => {
                    let options = SyncOptions::default();
                    self.run_job(&Job::Push, &options, &|_| {}).await
                }
            };
            if let Err(error) = &done {
                tracing::info!(%error, ?errand, "a sync in the background failed");
            }
            let mut flights = self.flights();
            match flights.get_mut(&errand) {
                Some(flight) if flight.again => flight.again = false,
                _ => {
                    flights.remove(&errand);
                    break done;
                }
            }
        };
        under_way.landed = true;
        // Nobody may be waiting.
        let _ = sender.send(Some(outcome.map_err(Arc::new)));
    }

    fn flights(&self) -> std::sync::MutexGuard<'_, HashMap<Errand, Flight>> {
        let refreshes = &self.inner().refreshes;
        refreshes.0.lock().expect("no panic while held")
    }
}

struct UnderWay {
    forge: Moonforge,
    errand: Errand,
    landed: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.landed {
            self.forge.flights().remove(&self.errand);
        }
    }
}

async fn wait(mut outcome: watch::Receiver<Outcome>) -> Result<SyncReport, Error> {
    let done = outcome.wait_for(Option::is_some).await;
    match done.as_deref() {
        Ok(Some(Ok(report))) => Ok(report.clone()),
        Ok(Some(Err(error))) => Err(Kind::Shared(error.clone()).into()),
        // It was given up with the runtime.
        Ok(None) | Err(_) => Err(moonforge_store::StoreError::Interrupted.into()),
    }
}
