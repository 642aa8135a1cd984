//! The rules of `firebase/firestore.rules`, in Rust: what a signed-in user may do.

use std::collections::{BTreeMap, BTreeSet};

use moonforge_model::{DocRef, Fields, Timestamp};
use moonforge_ports::{Filter, RemoteError, RemoteErrorKind, RemoteQuery};
use serde_json::{Map, Value};

use super::database::{Database, error};
use super::membership::check_campaign;
use super::roles::{Role, affected, changed, dates, for_players, role, texts};

const CHILDREN: [&str; 7] = [
    "adventures",
    "chapters",
    "scenes",
    "entities",
    "encounters",
    "sessions",
    "mediaAssets",
];

/// What the rules of a collection are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Campaign,
    Child,
    Secret,
    Beacon,
    Unknown,
}

fn kind(doc: &str) -> Kind {
    match doc {
        "campaigns" => Kind::Campaign,
        "secrets" => Kind::Secret,
        "beacons" => Kind::Beacon,
        name if CHILDREN.contains(&name) => Kind::Child,
        _ => Kind::Unknown,
    }
}

/// Firestore's text is the same for every denial. What follows it here is for whoever reads a failing test.
pub(super) fn denied<T>(why: impl std::fmt::Display) -> Result<T, RemoteError> {
    let message = format!("Missing or insufficient permissions. ({why})");
    Err(error(RemoteErrorKind::PermissionDenied, message))
}

/// The campaigns that one request looked up.
struct Lookups<'a> {
    database: &'a Database,
    after: Option<&'a BTreeMap<DocRef, Fields>>,
    limit: usize,
    seen: BTreeSet<String>,
}

impl<'a> Lookups<'a> {
    fn new(
        database: &'a Database,
        after: Option<&'a BTreeMap<DocRef, Fields>>,
        limit: usize,
    ) -> Self {
        Self {
            database,
            after,
            limit,
            seen: BTreeSet::new(),
        }
    }

    /// What `uid` is in a campaign, as it is after the commit (`getAfter`).
    fn role(&mut self, campaign: &str, uid: &str) -> Result<Role, RemoteError> {
        self.seen.insert(campaign.to_owned());
        if self.seen.len() > self.limit {
            return denied("too many look-ups");
        }
        let Ok(doc) = DocRef::parse("campaigns", campaign) else {
            return denied("campaignId is no id");
        };
        let fields = self
            .after
            .and_then(|after| after.get(&doc))
            .or_else(|| self.database.documents.get(&doc).map(|d| &d.fields));
        match fields.and_then(|fields| role(fields, uid)) {
            Some(role) => Ok(role),
            None => denied(format!("{uid} is no member of {campaign}")),
        }
    }
}

/// Whether `uid` may read all of these by name. What isn't there may be asked for.
pub(super) fn check_get(
    database: &Database,
    uid: &str,
    docs: &[DocRef],
) -> Result<(), RemoteError> {
    let mut lookups = Lookups::new(database, None, database.limits.campaigns);
    for doc in docs {
        let kind = kind(doc.collection.as_str());
        if kind == Kind::Unknown {
            return denied(format!("{} is closed", doc.collection));
        }
        let Some(found) = database.documents.get(doc) else {
            continue;
        };
        if kind == Kind::Campaign {
            if role(&found.fields, uid).is_none() {
                return denied(format!("{uid} is no member of {}", doc.id));
            }
            continue;
        }
        let role = lookups.role(campaign_id(&found.fields)?, uid)?;
        let open = match kind {
            Kind::Child => role.leads() || for_players(&found.fields),
            Kind::Secret => role.leads(),
            _ => true,
        };
        if !open {
            return denied(format!("{doc} is not for {uid}"));
        }
    }
    Ok(())
}

/// Whether a list is provably open to `uid`, from the query alone.
pub(super) fn check_list(
    database: &Database,
    uid: &str,
    query: &RemoteQuery,
) -> Result<(), RemoteError> {
    let kind = kind(query.collection.as_str());
    let filters_on = |name: &str| {
        query.filters.iter().find_map(|filter| match filter {
            Filter::Equals(path, value) if path.segments() == [name] => {
                Some(std::slice::from_ref(value))
            }
            Filter::In(path, values) if path.segments() == [name] => Some(values.as_slice()),
            _ => None,
        })
    };
    match kind {
        Kind::Unknown => return denied(format!("{} is closed", query.collection)),
        Kind::Campaign => {
            let own = query.filters.iter().any(|filter| {
                matches!(filter, Filter::Contains(path, value)
                    if path.segments() == ["memberUids"] && value == uid)
            });
            return if own {
                Ok(())
            } else {
                denied("campaigns are listed by one's own uid")
            };
        }
        _ => {}
    }
    let Some(campaigns) = filters_on("campaignId") else {
        return denied("a list needs its campaigns");
    };
    let players_only = filters_on("visibility").is_some_and(|values| values == ["players"]);
    let mut lookups = Lookups::new(database, None, database.limits.queried_campaigns);
    for campaign in campaigns {
        let role = lookups.role(campaign, uid)?;
        let open = match kind {
            Kind::Child => role.leads() || players_only,
            Kind::Secret => role.leads(),
            _ => true,
        };
        if !open {
            return denied(format!("{uid} may not list all of this in {campaign}"));
        }
    }
    Ok(())
}

/// Whether `uid` may make each of these documents out of what is there. `after` holds them merged, with server times.
pub(super) fn check_commit(
    database: &Database,
    uid: &str,
    after: &BTreeMap<DocRef, Fields>,
    request_time: Timestamp,
) -> Result<(), RemoteError> {
    let mut lookups = Lookups::new(database, Some(after), database.limits.campaigns);
    for (doc, new) in after {
        let old = database.documents.get(doc).map(|d| &d.fields);
        let kind = kind(doc.collection.as_str());
        if kind == Kind::Unknown {
            return denied(format!("{} is closed", doc.collection));
        }
        let guarded = kind != Kind::Beacon && doc.collection.as_str() != "sessions";
        if guarded {
            check_rev(doc, old, new)?;
        }
        if new.get("updatedAt").and_then(Value::as_str) != Some(&request_time.to_string()) {
            return denied(format!("{doc}: updatedAt is not the time of the request"));
        }
        if kind != Kind::Beacon {
            check_maps(doc, uid, old, new)?;
            check_tombstone(doc, old, new, request_time)?;
        }
        if kind == Kind::Campaign {
            check_campaign(doc, uid, old, new)?;
            continue;
        }
        let campaign = campaign_id(new)?;
        if old.is_some_and(|old| old.get("campaignId") != new.get("campaignId")) {
            return denied(format!("{doc}: campaignId is not what it was"));
        }
        let role = lookups.role(campaign, uid)?;
        let open = match kind {
            Kind::Beacon => is_beacon(doc, campaign, new),
            Kind::Child => role.leads() || (role == Role::Player && player_may(doc, uid, old, new)),
            _ => role.leads(),
        };
        if !open {
            return denied(format!("{uid} ({role:?}) may not write {doc}"));
        }
    }
    Ok(())
}

fn campaign_id(fields: &Fields) -> Result<&str, RemoteError> {
    match fields.get("campaignId").and_then(Value::as_str) {
        Some(id) => Ok(id),
        None => denied("a document without campaignId"),
    }
}

fn check_rev(doc: &DocRef, old: Option<&Fields>, new: &Fields) -> Result<(), RemoteError> {
    let expected = match old.map(|old| old.get("rev")) {
        None | Some(None) => Some(0),
        Some(Some(rev)) => rev.as_i64().and_then(|rev| rev.checked_add(1)),
    };
    if expected.is_some() && new.get("rev").and_then(Value::as_i64) == expected {
        return Ok(());
    }
    denied(format!(
        "{doc}: rev is {:?}, not {expected:?}",
        new.get("rev")
    ))
}

/// `edited` is a map; only one's own entry of `writers` changes, and none of its keys is forgotten.
fn check_maps(
    doc: &DocRef,
    uid: &str,
    old: Option<&Fields>,
    new: &Fields,
) -> Result<(), RemoteError> {
    let empty = Map::new();
    let map = |fields: Option<&Fields>, name: &str| match fields.and_then(|f| f.get(name)) {
        None => Ok(empty.clone()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(_) => denied(format!("{doc}: `{name}` is no map")),
    };
    map(Some(new), "edited")?;
    let (before, now) = (map(old, "writers")?, map(Some(new), "writers")?);
    if affected(&before, &now).iter().any(|key| *key != uid) {
        return denied(format!("{doc}: another's entry of writers changed"));
    }
    let (before, now) = (map(Some(&before), uid)?, map(Some(&now), uid)?);
    match before.keys().find(|key| !now.contains_key(*key)) {
        Some(key) => denied(format!("{doc}: {key} is forgotten in writers")),
        None => Ok(()),
    }
}

/// A tombstone says when. Only a tombstone is purged by a TTL policy, and not at once.
fn check_tombstone(
    doc: &DocRef,
    old: Option<&Fields>,
    new: &Fields,
    request_time: Timestamp,
) -> Result<(), RemoteError> {
    fn time(value: Option<&Value>) -> Option<Timestamp> {
        value?.as_str()?.parse().ok()
    }
    let present = |name: &str| new.get(name).filter(|value| !value.is_null());
    let deleted_at = time(present("deletedAt"));
    if present("deletedAt").is_some() && deleted_at.is_none() {
        return denied(format!("{doc}: deletedAt is no time"));
    }
    let Some(purge_at) = present("purgeAt") else {
        return Ok(());
    };
    let later = time(purge_at.get("$timestamp")).is_some_and(|at| at > request_time);
    let same = |name: &str| old.and_then(|old| old.get(name)) == new.get(name);
    if (deleted_at.is_some() && later) || (same("deletedAt") && same("purgeAt")) {
        return Ok(());
    }
    denied(format!("{doc}: purgeAt is {purge_at}"))
}

/// Players write the entities that name them, but not who sees or plays them nor whether they are there, and the shared
/// log of a session, a text. What they may not write they may not say to have edited either.
fn player_may(doc: &DocRef, uid: &str, old: Option<&Fields>, new: &Fields) -> bool {
    let Some(old) = old.filter(|old| for_players(old)) else {
        return false;
    };
    let (fields, edited) = (affected(old, new), changed(old, new, "edited"));
    match doc.collection.as_str() {
        "entities" => {
            let closed = [
                "playerUids",
                "visibility",
                "deletedAt",
                "deleteId",
                "purgeAt",
            ];
            texts(old.get("playerUids")).contains(&uid)
                && !fields.iter().any(|key| closed.contains(key))
                && !edited.iter().any(|key| dates(key, &closed[..2]))
        }
        "sessions" => {
            new.get("log").is_none_or(Value::is_string)
                && fields
                    .iter()
                    .all(|key| ["log", "updatedAt", "edited", "writers"].contains(key))
                && edited.iter().all(|key| *key == "log")
        }
        _ => false,
    }
}

/// A beacon is named after its campaign and holds nothing else than what moved.
fn is_beacon(doc: &DocRef, campaign: &str, new: &Fields) -> bool {
    doc.id.as_str() == campaign
        && new
            .keys()
            .all(|key| ["campaignId", "updatedAt", "touched"].contains(&key.as_str()))
        && new.get("touched").is_none_or(Value::is_object)
}
