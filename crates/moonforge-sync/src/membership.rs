//! Which campaigns an account is in, and what of them it may see.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use moonforge_model::mutant::{Mutant, planted};
use moonforge_model::{Collection, DocId, DocRef, FieldPath, Fields, Timestamp};
use moonforge_ports::{
    Filter, QueryEvent, RemoteDocument, RemoteError, RemoteErrorKind, RemoteQuery,
};
use moonforge_store::StoreError;
use serde_json::Value;

use crate::apply::{Incoming, Seen};
use crate::mutants::wipe;
use crate::pull::{EVERY, Group};
use crate::push::CAMPAIGNS_A_REQUEST;
use crate::run::{Failure, Run};
use crate::scoped::Listing;

/// What a role lets its bearer see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Owner and dm: everything.
    Full,
    /// Players and viewers: what is visible to players, and no secrets.
    Restricted,
}

/// What may be seen of each campaign of an account.
pub(crate) type Sights = BTreeMap<String, Sight>;

/// What `uid` may see of a campaign: a member without a role is a dm, the owner sees everything, and a role that isn't
/// known, also one that is no text, gives what a viewer sees.
pub(crate) fn sight(campaign: &Fields, uid: &str) -> Sight {
    if campaign.get("ownerUid").and_then(Value::as_str) == Some(uid) {
        return Sight::Full;
    }
    match campaign.get("roles").and_then(|roles| roles.get(uid)) {
        None => Sight::Full,
        Some(role) if role == "dm" => Sight::Full,
        Some(_) => Sight::Restricted,
    }
}

impl Run<'_> {
    /// Lists the campaigns of the account, applies them, and leaves those that it is no longer in. Returns what may be
    /// seen of each.
    pub(crate) async fn list_campaigns(&mut self, uid: &str) -> Result<Sights, Failure> {
        let collection = campaigns();
        let (documents, read_time) = self.query_campaigns(uid).await?;
        self.learn_time(read_time).await?;
        let mut seen = BTreeMap::new();
        let mut looks = Vec::with_capacity(documents.len());
        for document in documents {
            seen.insert(document.doc.id.to_string(), sight(&document.fields, uid));
            looks.push(self.incoming(document, read_time));
        }
        for look in looks {
            self.apply(vec![look]).await?;
        }
        for (id, update_time) in self.store.held_names(&collection, None, &[]).await? {
            if seen.contains_key(&id) || update_time > read_time {
                continue;
            }
            let Ok(doc_id) = DocId::new(id.clone()) else {
                continue;
            };
            let doc = DocRef::new(collection.clone(), doc_id);
            if let Some(sight) = self.look_at_missing(&doc, uid).await? {
                seen.insert(id, sight);
            }
        }
        // What was parked when a campaign was left goes once it is clean.
        for campaign in self.store.orphaned_campaigns().await? {
            if !seen.contains_key(&campaign) {
                self.report.pulled += self.store.leave_campaign(&campaign).await?;
            }
        }
        self.change_sight(&seen).await?;
        Ok(seen)
    }

    async fn query_campaigns(
        &mut self,
        uid: &str,
    ) -> Result<(Vec<RemoteDocument>, Timestamp), Failure> {
        let query = RemoteQuery {
            filters: vec![Filter::Contains(
                FieldPath::field("memberUids"),
                uid.to_owned(),
            )],
            ..RemoteQuery::all(campaigns())
        };
        self.query_all(&query).await
    }

    /// A whole answer at once, as often as it takes.
    pub(crate) async fn query_all(
        &mut self,
        query: &RemoteQuery,
    ) -> Result<(Vec<RemoteDocument>, Timestamp), Failure> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.collect(query).await {
                Ok(found) => return Ok(found),
                Err(error) => self.after_failure(error, tries).await?,
            }
        }
    }

    /// A whole answer at once, for what is small.
    pub(crate) async fn collect(
        &self,
        query: &RemoteQuery,
    ) -> Result<(Vec<RemoteDocument>, Timestamp), RemoteError> {
        let mut stream = self.remote.query(query).await?;
        let mut documents = Vec::new();
        while let Some(event) = stream.next().await {
            match event? {
                QueryEvent::Document(document) => documents.push(document),
                QueryEvent::Done { read_time } => return Ok((documents, read_time)),
            }
        }
        Err(RemoteError::new(
            RemoteErrorKind::NoAnswer,
            "the answer ended early",
        ))
    }

    /// A campaign that is held here and not in the list: read by name, then kept, gone or left.
    async fn look_at_missing(&mut self, doc: &DocRef, uid: &str) -> Result<Option<Sight>, Failure> {
        let looks = self.look_each(std::slice::from_ref(doc)).await?;
        for (_, look) in looks {
            match look {
                Ok(Incoming {
                    seen: Seen::Version(version),
                    doc,
                    read_time,
                }) => {
                    let member = version
                        .fields
                        .get("memberUids")
                        .and_then(Value::as_array)
                        .is_some_and(|m| m.iter().any(|u| u.as_str() == Some(uid)));
                    let sight = sight(&version.fields, uid);
                    self.apply(vec![Incoming {
                        doc,
                        seen: Seen::Version(version),
                        read_time,
                    }])
                    .await?;
                    if member {
                        return Ok(Some(sight));
                    }
                }
                Ok(gone) => {
                    self.apply(vec![gone]).await?;
                }
                Err(error) if error.kind == RemoteErrorKind::PermissionDenied => {
                    self.leave(doc).await?;
                }
                Err(error) => return Err(Failure::Answer(error)),
            }
        }
        Ok(None)
    }

    /// Leaves a campaign that is closed to the account.
    pub(crate) async fn leave(&mut self, campaign: &DocRef) -> Result<(), StoreError> {
        tracing::info!(campaign = %campaign.id, "left: no longer a member");
        if planted(Mutant::LeavingWipesEdits) {
            wipe(self.store, campaign.id.as_str()).await?;
        }
        self.report.pulled += self.store.leave_campaign(campaign.id.as_str()).await?;
        Ok(())
    }

    /// Where a role changed since the last run: a narrowed one drops what it closed, a raised one reads from the start.
    pub(crate) async fn change_sight(&mut self, seen: &Sights) -> Result<(), Failure> {
        for (campaign, sight) in seen {
            let key = format!("sight:{campaign}");
            let now = match sight {
                Sight::Full => "full",
                Sight::Restricted => "restricted",
            };
            let before = self.store.note(&key).await?;
            if before.as_deref() == Some(now) {
                continue;
            }
            if before.is_some() {
                match sight {
                    Sight::Restricted => {
                        self.report.pulled += self.store.drop_closed(campaign).await?;
                    }
                    Sight::Full => self.store.reset_campaign(campaign).await?,
                }
            }
            // A campaign that is new here, or that the account came back to: what its rules denied may pass now.
            self.store.retry_denied(campaign).await?;
            self.store.set_note(&key, now.to_owned()).await?;
        }
        Ok(())
    }

    /// What to ask for: collections by campaigns that were read equally far.
    pub(crate) async fn groups(&self, listing: &Listing) -> Result<Vec<Group>, Failure> {
        let mut groups: Vec<Group> = Vec::new();
        let mut kept = self.store.checkpoints().await?;
        for question in listing.questions(self.store.registry()) {
            let of = (question.collection.to_string(), question.claim());
            let mut checkpoint = kept.remove(&of).unwrap_or_default();
            checkpoint.generation = listing.generation;
            let fits = |g: &&mut Group| {
                g.collection == question.collection
                    && g.campaigns != [EVERY]
                    && g.restricted == question.restricted
                    && g.of_document == question.of_document
                    && g.checkpoint == checkpoint
                    && g.campaigns.len() < CAMPAIGNS_A_REQUEST
            };
            match groups.iter_mut().find(fits) {
                Some(group) => group.campaigns.push(question.campaign),
                None => groups.push(Group {
                    collection: question.collection,
                    campaigns: vec![question.campaign],
                    restricted: question.restricted,
                    of_document: question.of_document,
                    checkpoint,
                }),
            }
        }
        Ok(groups)
    }
}

pub(crate) fn campaigns() -> Collection {
    Collection::new("campaigns").expect("a fixed and valid name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_role_that_the_rules_dont_know_sees_no_more_than_a_viewer() {
        let sight_of = |roles: Value| {
            let campaign = json!({ "ownerUid": "gm", "memberUids": ["gm", "ann"], "roles": roles });
            sight(campaign.as_object().unwrap(), "ann")
        };
        for roles in [
            json!({}),
            json!({ "bob": "viewer" }),
            json!({ "ann": "dm" }),
        ] {
            assert_eq!(sight_of(roles.clone()), Sight::Full, "{roles}");
        }
        for role in [
            json!("player"),
            json!("viewer"),
            json!("bard"),
            json!("owner"),
            json!(null),
            json!(7),
            json!(["dm"]),
        ] {
            assert_eq!(
                sight_of(json!({ "ann": role })),
                Sight::Restricted,
                "{role}"
            );
        }
        let own = json!({ "ownerUid": "gm", "roles": { "gm": "viewer" } });
        assert_eq!(sight(own.as_object().unwrap(), "gm"), Sight::Full);
    }
}
