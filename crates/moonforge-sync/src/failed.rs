//! A commit that failed: what becomes of its documents.

use moonforge_model::coverage::reached;
use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{DocId, DocRef, ParkReason};
use moonforge_ports::{Precondition, RemoteError};

use crate::apply::{Incoming, Seen};
use crate::membership::campaigns;
use crate::mutants::drop_rows;
use crate::outcome::{Answer, Company, Look, Marks, Next, answer_of, outcome};
use crate::pace::Pace;
use crate::plan::Planned;
use crate::push::Consignment;
use crate::run::{Failure, Run, Stop};

impl Run<'_> {
    /// Does what the outcome table says, and looks at the documents where it asks for that.
    pub(crate) async fn commit_failed(
        &self,
        error: RemoteError,
        planned: Vec<Planned>,
        consignment: &mut Consignment,
        pace: &Pace,
    ) -> Result<(), Stop> {
        let bytes = planned.iter().map(|p| p.bytes).sum();
        let answer = answer_of(&error, bytes);
        let docs: Vec<DocRef> = planned.iter().map(|p| p.write.doc.clone()).collect();
        let (mut next, marks) = outcome(answer, Look::None, company(&docs, pace));
        reached(|| format!("commit: {answer:?}, {:?}", company(&docs, pace)));
        if answer == Answer::StaleOrDenied
            && (planted(Mutant::ForbiddenFinal) || planted(Mutant::BatchParksAll) && docs.len() > 1)
        {
            next = Next::Park(ParkReason::Denied);
        }
        tracing::debug!(?answer, ?next, documents = docs.len(), error = %error, "commit failed");
        if marks == Marks::Go {
            let fresh: Vec<u64> = planned.iter().flat_map(|p| p.fresh.clone()).collect();
            self.store
                .write(move |tx| Box::pin(async move { tx.mark_sent(&fresh, false).await }))
                .await?;
        }
        match next {
            Next::Backoff | Next::Refresh => {
                consignment.tries += 1;
                if planted(Mutant::DroppedAfterTries) && consignment.tries >= 2 {
                    for doc in docs {
                        let dropping = self
                            .store
                            .write(move |tx| Box::pin(async move { drop_rows(tx, &doc).await }));
                        dropping.await?;
                    }
                    return Ok(());
                }
                match self.after_failure(error, consignment.tries).await {
                    Ok(()) => consignment.work.push(docs),
                    Err(Failure::Stop(stop)) => return Err(stop),
                    // The kinds that lead here are never final.
                    Err(Failure::Answer(error)) => return Err(Stop::GaveUp(error)),
                }
            }
            Next::Halve | Next::Bisect => {
                pace.halve();
                consignment.work.extend(halves(docs));
            }
            Next::Look => {
                let looks = self.look_each(&docs).await?;
                self.after_look(answer, &error, planned, looks, consignment, pace)
                    .await?;
            }
            Next::Park(reason) => {
                for sent in &planned {
                    let reason = match reason {
                        ParkReason::Invalid if sent.is_too_large() => ParkReason::TooLarge,
                        reason => reason,
                    };
                    self.park(&sent.write.doc, reason, &error).await?;
                }
            }
            Next::Door | Next::Again => consignment.work.push(docs),
        }
        Ok(())
    }

    /// Decides a failed commit by a look at its documents.
    async fn after_look(
        &self,
        answer: Answer,
        error: &RemoteError,
        planned: Vec<Planned>,
        looks: Vec<(DocRef, Result<Incoming, RemoteError>)>,
        consignment: &mut Consignment,
        pace: &Pace,
    ) -> Result<(), Stop> {
        let docs: Vec<DocRef> = planned.iter().map(|p| p.write.doc.clone()).collect();
        let company = company(&docs, pace);
        let (mut again, mut stuck, mut moved) = (Vec::new(), Vec::new(), false);
        for (doc, look) in looks {
            let precondition = planned
                .iter()
                .find(|p| p.write.doc == doc)
                .map(|p| p.write.precondition);
            let precondition = match &look {
                Ok(Incoming {
                    seen: Seen::Version(version),
                    ..
                }) if planted(Mutant::RereadAgainstBase) => {
                    Some(Precondition::UpdateTime(version.envelope.update_time))
                }
                _ => precondition,
            };
            let shown = shown(look.as_ref().ok().map(|l| &l.seen), precondition);
            let words = look.as_ref().err().unwrap_or(error).to_string();
            if let Ok(look) = look {
                self.apply(vec![look]).await?;
            }
            reached(|| format!("look: {shown:?}, {company:?}"));
            match outcome(answer, shown, company).0 {
                Next::Again if shown == Look::Newer => {
                    moved = true;
                    if pace.again(&doc) >= self.options.document_tries {
                        pace.set_aside(doc);
                    } else {
                        again.push(doc);
                    }
                }
                Next::Again => {
                    pace.note_unchanged(doc.clone());
                    again.push(doc);
                }
                Next::Park(reason) => {
                    moved = true;
                    let reason = self.sharpen(reason, &doc).await?;
                    self.park_saying(&doc, reason, words).await?;
                }
                Next::Bisect
                | Next::Door
                | Next::Backoff
                | Next::Halve
                | Next::Refresh
                | Next::Look => {
                    stuck.push(doc);
                }
            }
        }
        if moved {
            again.extend(stuck);
        } else {
            consignment.work.extend(halves(stuck));
        }
        if !again.is_empty() {
            consignment.work.push(again);
        }
        Ok(())
    }

    /// A denial whose cause can be named: the campaign that the document says it is in isn't there.
    async fn sharpen(&self, reason: ParkReason, doc: &DocRef) -> Result<ParkReason, Stop> {
        if reason != ParkReason::Denied || doc.collection == campaigns() {
            return Ok(reason);
        }
        let campaign = self
            .store
            .campaign_of(doc)
            .await?
            .and_then(|id| DocId::new(id).ok());
        let Some(campaign) = campaign.map(|id| DocRef::new(campaigns(), id)) else {
            return Ok(reason);
        };
        let looks = self.look_each(&[campaign]).await?;
        let missing = looks.iter().any(|(_, l)| {
            matches!(
                l,
                Ok(Incoming {
                    seen: Seen::Absent,
                    ..
                })
            )
        });
        Ok(if missing {
            ParkReason::MissingParent
        } else {
            reason
        })
    }
}

fn company(docs: &[DocRef], pace: &Pace) -> Company {
    match docs {
        [doc] if pace.was_unchanged(doc) => Company::AloneAgain,
        [_] => Company::Alone,
        _ => Company::Batch,
    }
}

/// What a look showed, against the precondition of the write that failed.
fn shown(seen: Option<&Seen>, precondition: Option<Precondition>) -> Look {
    let newer = |time| !matches!(precondition, Some(Precondition::UpdateTime(t)) if time <= t);
    match seen {
        None => Look::Denied,
        Some(Seen::Version(version)) if newer(version.envelope.update_time) => Look::Newer,
        Some(Seen::Unreadable { update_time, .. }) if newer(*update_time) => Look::Unreadable,
        Some(Seen::Version(_) | Seen::Unreadable { .. }) => Look::Unchanged,
        Some(Seen::Absent) => match precondition {
            Some(Precondition::UpdateTime(_)) => Look::Newer,
            _ => Look::Unchanged,
        },
    }
}

fn halves(mut docs: Vec<DocRef>) -> Vec<Vec<DocRef>> {
    let second = docs.split_off(docs.len() / 2);
    // The last one pushed is worked on first: keep the order.
    [second, docs]
        .into_iter()
        .filter(|half| !half.is_empty())
        .collect()
}
