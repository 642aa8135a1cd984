//! What a run asks for where the device holds scopes, or one scope is asked for: their campaigns and no others, and of what
//! is in these what a scope reaches.
//!
//! A scope that asks nothing of single documents is read along the very checkpoints of its campaigns, so that scopes which
//! overlap share them. One that does has checkpoints of its own (`claim`), but where another reads the same campaign whole.

use std::collections::{BTreeMap, BTreeSet};

use moonforge_model::{
    Collection, CollectionConfig, DocId, DocRef, FieldMatch, FieldPath, ParkReason, Registry,
    SyncScope,
};
use moonforge_ports::{Filter, RemoteDocument, RemoteErrorKind, RemoteQuery};
use moonforge_store::claim;
use serde_json::Value;

use crate::apply::Seen;
use crate::membership::{Sight, Sights, campaigns, sight};
use crate::pull::EVERY;
use crate::push::CAMPAIGNS_A_REQUEST;
use crate::run::{Failure, Run, Stop};

/// Documents read by name in one request, where no rules limit it further.
const NAMES_A_READ: usize = 100;

/// What was found to be asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    /// The scopes that it is for; none: everything.
    pub(crate) scopes: Vec<SyncScope>,
    /// What may be seen of each campaign; `None` where campaigns don't matter.
    pub(crate) sights: Option<Sights>,
    /// Which of the scopes each campaign is in.
    covering: BTreeMap<String, BTreeSet<usize>>,
    /// What this device held then: checkpoints that are kept under another one would claim too much.
    pub(crate) generation: i64,
}

/// A campaign that was found: what may be seen of it, and the scopes that it is in.
type Found = BTreeMap<String, (Sight, BTreeSet<usize>)>;

impl Listing {
    /// All that is to be asked.
    pub(crate) fn questions(&self, registry: &Registry) -> Vec<Question> {
        let mut questions = Vec::new();
        for config in registry.iter() {
            let Some(sights) = self.sights.as_ref().filter(|_| config.in_campaign) else {
                // Where there are accounts, their campaigns are listed.
                if self.sights.is_some() && config.name == campaigns() {
                    continue;
                }
                for of_document in self.narrowed(registry, config, None) {
                    questions.push(Question {
                        collection: config.name.clone(),
                        campaign: EVERY.to_owned(),
                        restricted: false,
                        of_document,
                    });
                }
                continue;
            };
            for (campaign, sight) in sights {
                let restricted = *sight == Sight::Restricted;
                if restricted && !config.has_visibility {
                    continue;
                }
                for of_document in self.narrowed(registry, config, Some(campaign)) {
                    questions.push(Question {
                        collection: config.name.clone(),
                        campaign: campaign.clone(),
                        restricted,
                        of_document,
                    });
                }
            }
        }
        questions
    }

    /// The checkpoints along which all that is asked.
    pub(crate) fn claims(&self, registry: &Registry) -> Vec<(Collection, String)> {
        let questions = self.questions(registry).into_iter();
        questions
            .map(|q| (q.collection.clone(), q.claim()))
            .collect()
    }

    /// What is to be asked of the documents of a collection in a campaign (`None`: where campaigns don't matter), one entry
    /// a query; one that is empty asks for all of them.
    fn narrowed(
        &self,
        registry: &Registry,
        config: &CollectionConfig,
        campaign: Option<&str>,
    ) -> Vec<Vec<FieldMatch>> {
        if self.scopes.is_empty() {
            return vec![Vec::new()];
        }
        let covers = |i: &usize| match campaign {
            Some(campaign) => self.covering.get(campaign).is_some_and(|c| c.contains(i)),
            None => true,
        };
        let mut narrowed: Vec<Vec<FieldMatch>> = Vec::new();
        for (i, scope) in self.scopes.iter().enumerate() {
            let reach = scope.reach(registry, config);
            let Some(reach) = reach.filter(|_| !scope.is_accessed() && covers(&i)) else {
                continue;
            };
            if reach.of_document.is_empty() {
                return vec![Vec::new()];
            }
            if !narrowed.contains(&reach.of_document) {
                narrowed.push(reach.of_document);
            }
        }
        narrowed
    }
}

/// What is asked of one collection in one campaign.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) collection: Collection,
    /// The campaign, or [`EVERY`].
    pub(crate) campaign: String,
    /// Only what players may see.
    pub(crate) restricted: bool,
    /// What a scope asks of the documents themselves.
    pub(crate) of_document: Vec<FieldMatch>,
}

impl Question {
    /// What its checkpoint is kept under.
    pub(crate) fn claim(&self) -> String {
        claim(&self.campaign, &self.of_document)
    }
}

/// The same condition as the remote takes it.
pub(crate) fn filter(wanted: &FieldMatch) -> Filter {
    let (path, value) = (wanted.path.clone(), wanted.value.clone());
    match wanted.in_list {
        true => Filter::Contains(path, value),
        false => Filter::Equals(path, value),
    }
}

impl Run<'_> {
    /// Finds out what to ask for.
    pub(crate) async fn list(&mut self) -> Result<Listing, Failure> {
        loop {
            let scopes = self.scopes_to_ask().await?;
            let mut listing = match scopes.is_empty() {
                true => Listing {
                    sights: self.list_sights().await?,
                    ..Listing::default()
                },
                false => self.list_scopes(scopes).await?,
            };
            // Once the campaigns are known: what came into a scope, or left it, with them is no news any more.
            listing.generation = self.store.scope_generation().await?;
            if self.scopes_to_ask().await? == listing.scopes {
                return Ok(listing);
            }
        }
    }

    /// Whether a listing is still what this device holds.
    pub(crate) async fn is_current(&self, listing: &Listing) -> Result<bool, Failure> {
        Ok(listing.scopes == self.scopes_to_ask().await?
            && listing.generation == self.store.scope_generation().await?)
    }

    async fn scopes_to_ask(&self) -> Result<Vec<SyncScope>, Failure> {
        Ok(match &self.options.scope {
            Some(scope) => vec![scope.clone()],
            None => self.store.joined_scopes().await?,
        })
    }

    async fn list_sights(&mut self) -> Result<Option<Sights>, Failure> {
        match self.uid.clone() {
            Some(uid) => Ok(Some(self.list_campaigns(&uid).await?)),
            None => Ok(None),
        }
    }

    async fn list_scopes(&mut self, scopes: Vec<SyncScope>) -> Result<Listing, Failure> {
        let (mut found, mut by_name) = (Found::new(), BTreeSet::new());
        let mut asked: Vec<Vec<FieldMatch>> = Vec::new();
        let campaigns_config = self.store.config(&campaigns())?.clone();
        for scope in scopes.iter().filter(|s| !s.is_accessed()) {
            let reach = scope.reach(self.store.registry(), &campaigns_config);
            let Some(reach) = reach else { continue };
            if let Some(id) = reach.campaign {
                by_name.insert(id);
            } else if reach.of_campaign.is_empty() {
                asked.insert(0, Vec::new());
            } else if !asked.contains(&reach.of_campaign) {
                asked.push(reach.of_campaign);
            }
        }
        // A list of all makes the others superfluous.
        if asked.first().is_some_and(Vec::is_empty) {
            asked.truncate(1);
        }
        for of_campaign in asked {
            self.list_matching(&scopes, &of_campaign, &mut found)
                .await?;
        }
        for scope in scopes
            .iter()
            .filter(|s| s.campaign_id().is_none() && !s.is_accessed())
        {
            for (id, _) in self.store.held_in_scope(&campaigns(), scope).await? {
                by_name.insert(id);
            }
        }
        by_name.retain(|id| !found.contains_key(id));
        self.look_at(&scopes, &by_name, &mut found).await?;
        let missed: Vec<&String> = by_name
            .iter()
            .filter(|id| !found.contains_key(*id))
            .collect();
        if !missed.is_empty() {
            // What was parked when a campaign was left goes once it is clean.
            let orphaned = self.store.orphaned_campaigns().await?;
            for campaign in orphaned.iter().filter(|c| missed.contains(c)) {
                self.report.pulled += self.store.leave_campaign(campaign).await?;
            }
        }
        let sights: Sights = found
            .iter()
            .map(|(id, (sight, _))| (id.clone(), *sight))
            .collect();
        if self.uid.is_some() {
            self.change_sight(&sights).await?;
        }
        Ok(Listing {
            covering: found
                .into_iter()
                .map(|(id, (_, scopes))| (id, scopes))
                .collect(),
            scopes,
            sights: Some(sights),
            generation: 0,
        })
    }

    /// Lists campaigns of which something holds. A query asks about one list only, and under an account that is the members.
    async fn list_matching(
        &mut self,
        scopes: &[SyncScope],
        of_campaign: &[FieldMatch],
        found: &mut Found,
    ) -> Result<(), Failure> {
        let members = self.uid.clone().map(|uid| {
            let path = FieldPath::field("memberUids");
            Filter::Contains(path, uid)
        });
        let own = of_campaign
            .iter()
            .filter(|m| members.is_none() || !m.in_list)
            .map(filter);
        let query = RemoteQuery {
            filters: members.clone().into_iter().chain(own).collect(),
            ..RemoteQuery::all(campaigns())
        };
        let (documents, read_time) = self.query_all(&query).await?;
        self.learn_time(read_time).await?;
        for document in documents {
            self.note_campaign(scopes, &document, found)?;
            let look = self.incoming(document, read_time);
            self.apply(vec![look]).await?;
        }
        Ok(())
    }

    /// Reads campaigns by name: then they are there, gone, or closed to the account.
    async fn look_at(
        &mut self,
        scopes: &[SyncScope],
        ids: &BTreeSet<String>,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let docs: Vec<DocRef> = ids
            .iter()
            .filter_map(|id| Some(DocRef::new(campaigns(), DocId::new(id.clone()).ok()?)))
            .collect();
        for docs in docs.chunks(CAMPAIGNS_A_REQUEST) {
            for (doc, look) in self.look_each(docs).await? {
                match look {
                    Ok(look) => {
                        match &look.seen {
                            Seen::Version(version) => {
                                let document = RemoteDocument {
                                    doc,
                                    fields: version.fields.clone(),
                                    update_time: version.envelope.update_time,
                                };
                                if self.is_member(&document) {
                                    self.note_campaign(scopes, &document, found)?;
                                }
                            }
                            // Without accounts there may be something in a campaign that nobody made.
                            Seen::Absent if self.uid.is_none() => {
                                let document = RemoteDocument {
                                    doc,
                                    fields: moonforge_model::Fields::new(),
                                    update_time: look.read_time,
                                };
                                self.note_campaign(scopes, &document, found)?;
                            }
                            Seen::Absent | Seen::Unreadable { .. } => {}
                        }
                        self.apply(vec![look]).await?;
                    }
                    Err(error) if error.kind == RemoteErrorKind::PermissionDenied => {
                        self.leave(&doc).await?;
                    }
                    Err(error) => return Err(Failure::Answer(error)),
                }
            }
        }
        Ok(())
    }

    fn is_member(&self, campaign: &RemoteDocument) -> bool {
        let Some(uid) = &self.uid else { return true };
        let members = campaign.fields.get("memberUids").and_then(Value::as_array);
        members.is_some_and(|m| m.iter().any(|member| member.as_str() == Some(uid)))
    }

    /// Notes which scopes a campaign is in, if any.
    fn note_campaign(
        &self,
        scopes: &[SyncScope],
        document: &RemoteDocument,
        found: &mut Found,
    ) -> Result<(), Failure> {
        let config = self.store.config(&campaigns())?;
        let covers = |scope: &SyncScope| {
            let reach = scope.reach(self.store.registry(), config);
            reach.is_some_and(|reach| {
                let id = reach.campaign.as_deref();
                id.is_none_or(|id| id == document.doc.id.as_str())
                    && reach
                        .of_campaign
                        .iter()
                        .all(|m| filter(m).holds(&document.fields))
            })
        };
        let covering: BTreeSet<usize> = scopes
            .iter()
            .enumerate()
            .filter(|(_, scope)| !scope.is_accessed() && covers(scope))
            .map(|(i, _)| i)
            .collect();
        if !covering.is_empty() {
            let sight = match &self.uid {
                Some(uid) => sight(&document.fields, uid),
                None => Sight::Full,
            };
            found.insert(document.doc.id.to_string(), (sight, covering));
        }
        Ok(())
    }

    /// Fetches, by name, what was opened here and what that links to.
    pub(crate) async fn pull_accessed(
        &mut self,
        listing: &Listing,
        wanted: impl Fn(&DocRef) -> bool,
    ) -> Result<(), Failure> {
        if !listing.scopes.iter().any(SyncScope::is_accessed) {
            return Ok(());
        }
        let only = self.options.scope.clone();
        let mut looked = BTreeSet::new();
        // What is fetched in the first round may link to more; that is read no further.
        for _ in 0..2 {
            self.store.relink_accessed().await?;
            let mut docs = self
                .store
                .accessed_documents(only.as_ref(), self.door.now)
                .await?;
            docs.retain(|doc| wanted(doc) && looked.insert(doc.clone()));
            for docs in self.by_request(docs).await? {
                self.fetch_accessed(&docs).await?;
            }
        }
        Ok(())
    }

    /// Parts documents so that each request spans few enough campaigns for rules. One whose campaign isn't known may be in
    /// any.
    async fn by_request(&self, docs: Vec<DocRef>) -> Result<Vec<Vec<DocRef>>, Failure> {
        let campaigns = self.store.campaigns_of(&docs).await?;
        let mut requests: Vec<Vec<DocRef>> = Vec::new();
        let mut spanned: BTreeSet<String> = BTreeSet::new();
        for doc in docs {
            let campaign = campaigns.get(&doc).cloned();
            let campaign = campaign.unwrap_or_else(|| doc.to_string());
            let full = requests
                .last()
                .is_none_or(|docs| docs.len() >= NAMES_A_READ)
                || self.uid.is_some()
                    && spanned.len() >= CAMPAIGNS_A_REQUEST
                    && !spanned.contains(&campaign);
            if full {
                requests.push(Vec::new());
                spanned.clear();
            }
            spanned.insert(campaign);
            if let Some(last) = requests.last_mut() {
                last.push(doc);
            }
        }
        Ok(requests)
    }

    async fn fetch_accessed(&mut self, docs: &[DocRef]) -> Result<(), Stop> {
        for (doc, look) in self.look_each(docs).await? {
            let error = match look {
                Ok(look) => {
                    let is_there = !matches!(look.seen, Seen::Absent);
                    self.apply(vec![look]).await?;
                    if is_there {
                        continue;
                    }
                    None
                }
                Err(error) => Some(error),
            };
            match error {
                Some(error) if self.store.is_dirty(&doc).await? => {
                    self.park(&doc, ParkReason::Denied, &error).await?;
                }
                _ => {
                    let went = self.store.note_missing(doc, self.door.now).await?;
                    self.report.pulled += u64::from(went);
                }
            }
        }
        Ok(())
    }
}
