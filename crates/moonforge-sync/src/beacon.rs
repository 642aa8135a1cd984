//! Beacons: one small document a campaign, which says what of it moved last. A poll reads it instead of every collection.
//!
//! Architecture invariant: correctness never rests on a beacon. All collections are queried at their intervals whatever the
//! beacons say, and one that can't be written or read is only news that comes later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use moonforge_model::{Collection, DocId, DocRef, FieldPath, Timestamp};
use moonforge_ports::{
    Filter, Precondition, RemoteDocument, RemoteError, RemoteErrorKind, RemoteQuery, RemoteWrite,
};
use serde_json::{Value, json};

use crate::push::CAMPAIGNS_A_REQUEST;
use crate::run::{Failure, Run};

/// A beacon's time precedes its appearance, so each poll looks back over what the last one saw.
const LOOK_BACK: Duration = Duration::from_secs(60);

/// Collections that moved, by campaign.
pub(crate) type Moves = BTreeMap<String, BTreeSet<Collection>>;

/// What an engine keeps of beacons between its runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beacons {
    /// What was written here and isn't told yet.
    pub(crate) owed: Moves,
    /// The newest `updatedAt` seen, or when everything was last asked for.
    pub(crate) since: Option<Timestamp>,
    /// The newest move of each collection that was acted on.
    heeded: BTreeMap<(String, Collection), Value>,
}

/// What a look at the beacons found.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// What moved since the last look.
    pub(crate) moves: Moves,
    /// Campaigns whose beacon may not be read any more.
    pub(crate) denied: BTreeSet<String>,
    heeded: BTreeMap<(String, Collection), Value>,
    since: Option<Timestamp>,
}

impl Beacons {
    /// Keeps that the news was acted on.
    pub(crate) fn heed(&mut self, news: News) {
        self.since = self.since.max(news.since);
        self.heeded.extend(news.heeded);
    }
}

fn beacons() -> Collection {
    Collection::new("beacons").expect("a fixed and valid name")
}

/// The write that says what moved in a campaign.
fn touch(campaign: &str, collections: &BTreeSet<Collection>) -> Option<RemoteWrite> {
    let path = FieldPath::field("campaignId");
    let touched = FieldPath::field("touched");
    let moved = collections.iter().map(|c| touched.child(c.as_str()));
    Some(RemoteWrite {
        doc: DocRef::new(beacons(), DocId::new(campaign).ok()?),
        fields: json!({ "campaignId": campaign }).as_object()?.clone(),
        mask: Some(vec![path]),
        server_time: std::iter::once(FieldPath::field("updatedAt"))
            .chain(moved)
            .collect(),
        precondition: Precondition::None,
    })
}

impl Run<'_> {
    /// Tells others what was written. What can't be told now stays owed; a campaign that denies it is let go.
    pub(crate) async fn touch_beacons(&mut self, beacons: &mut Beacons) {
        let owed: Vec<String> = beacons.owed.keys().cloned().collect();
        let mut work: Vec<Vec<String>> = owed
            .chunks(CAMPAIGNS_A_REQUEST)
            .map(<[String]>::to_vec)
            .collect();
        while let Some(campaigns) = work.pop() {
            let writes: Vec<RemoteWrite> = campaigns
                .iter()
                .filter_map(|c| touch(c, &beacons.owed[c]))
                .collect();
            match self.remote.commit(&writes).await {
                Ok(_) => {}
                Err(error) if is_answer(&error) && campaigns.len() > 1 => {
                    work.extend(campaigns.into_iter().map(|c| vec![c]));
                    continue;
                }
                Err(error) if is_answer(&error) => {
                    tracing::debug!(%error, ?campaigns, "a beacon was refused");
                }
                Err(error) => {
                    tracing::debug!(%error, "the beacons are touched later");
                    return;
                }
            }
            beacons.owed.retain(|c, _| !campaigns.contains(c));
        }
    }

    /// What moved in these campaigns (`None`: in all) since the last look.
    pub(crate) async fn read_beacons(
        &mut self,
        known: &Beacons,
        campaigns: Option<&[String]>,
    ) -> Result<News, Failure> {
        let mut news = News::default();
        let Some(campaigns) = campaigns else {
            let (found, read_time) = self.query_beacons(known, None).await?;
            note(&mut news, known, found, read_time);
            return Ok(news);
        };
        let mut work: Vec<&[String]> = campaigns.chunks(CAMPAIGNS_A_REQUEST).collect();
        while let Some(some) = work.pop() {
            match self.query_beacons(known, Some(some)).await {
                Ok((found, read_time)) => note(&mut news, known, found, read_time),
                Err(Failure::Answer(_)) if some.len() > 1 => work.extend(some.chunks(1)),
                Err(Failure::Answer(error)) if error.kind == RemoteErrorKind::PermissionDenied => {
                    news.denied.extend(some.iter().cloned());
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(news)
    }

    async fn query_beacons(
        &mut self,
        known: &Beacons,
        campaigns: Option<&[String]>,
    ) -> Result<(Vec<RemoteDocument>, Timestamp), Failure> {
        let path = FieldPath::field("campaignId");
        let filter = match campaigns {
            Some([one]) => Some(Filter::Equals(path, one.clone())),
            Some(several) => Some(Filter::In(path, several.to_vec())),
            None => None,
        };
        let since = known.since.unwrap_or(Timestamp::MIN);
        let query = RemoteQuery {
            filters: filter.into_iter().collect(),
            since: Some(since.saturating_sub(LOOK_BACK)),
            by_updated_at: true,
            ..RemoteQuery::all(beacons())
        };
        let mut tries = 0;
        loop {
            tries += 1;
            match self.collect(&query).await {
                Ok((found, read_time)) => {
                    self.learn_time(read_time).await?;
                    return Ok((found, read_time));
                }
                Err(error) => self.after_failure(error, tries).await?,
            }
        }
    }
}

/// Whether the remote decided, so that asking again changes nothing.
fn is_answer(error: &RemoteError) -> bool {
    matches!(
        error.kind,
        RemoteErrorKind::PermissionDenied
            | RemoteErrorKind::FailedPrecondition
            | RemoteErrorKind::NotFound
            | RemoteErrorKind::AlreadyExists
            | RemoteErrorKind::InvalidArgument
            | RemoteErrorKind::TooLarge
    )
}

/// Adds what beacons say that wasn't acted on yet.
fn note(news: &mut News, known: &Beacons, found: Vec<RemoteDocument>, read_time: Timestamp) {
    let time = |value: &Value| -> Option<Timestamp> {
        let text = value.get("$timestamp").unwrap_or(value);
        text.as_str()?.parse().ok()
    };
    let earliest = known.since.map(|s| s.saturating_sub(LOOK_BACK));
    for document in found {
        let updated_at = document.fields.get("updatedAt").and_then(time);
        // Nobody but a console writes a time that hasn't come.
        news.since = news.since.max(updated_at.filter(|at| *at <= read_time));
        let touched = document.fields.get("touched").and_then(Value::as_object);
        for (name, at) in touched.into_iter().flatten() {
            let Ok(collection) = Collection::new(name) else {
                continue;
            };
            let key = (document.doc.id.to_string(), collection);
            let told = known.heeded.get(&key) == Some(at);
            let old = time(at).is_some_and(|at| earliest.is_some_and(|e| at < e));
            if told || old {
                continue;
            }
            news.heeded.insert(key.clone(), at.clone());
            news.moves.entry(key.0).or_default().insert(key.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
    }

    fn beacon(campaign: &str, touched: &[(&str, i64)]) -> RemoteDocument {
        let newest = touched.iter().map(|(_, s)| *s).max().unwrap_or(0);
        let touched: serde_json::Map<_, _> = touched
            .iter()
            .map(|(c, s)| ((*c).to_owned(), json!({"$timestamp": at(*s).to_string()})))
            .collect();
        let fields = json!({"campaignId": campaign, "updatedAt": at(newest).to_string(), "touched": touched});
        RemoteDocument {
            doc: DocRef::parse("beacons", campaign).unwrap(),
            fields: fields.as_object().unwrap().clone(),
            update_time: at(newest),
        }
    }

    fn look(known: &Beacons, found: Vec<RemoteDocument>) -> (Vec<String>, News) {
        let mut news = News::default();
        note(&mut news, known, found, at(1000));
        let moves = news.moves.iter();
        let moves = moves.flat_map(|(c, names)| names.iter().map(move |n| format!("{c}/{n}")));
        (moves.collect(), news)
    }

    #[test]
    fn what_was_acted_on_is_no_news_and_what_moved_again_is() {
        let mut known = Beacons {
            since: Some(at(100)),
            ..Beacons::default()
        };
        let (moves, news) = look(
            &known,
            vec![beacon("c", &[("scenes", 90), ("entities", 20)])],
        );
        assert_eq!(moves, ["c/scenes"], "the other moved before the last look");
        known.heed(news);
        let (moves, _) = look(&known, vec![beacon("c", &[("scenes", 90)])]);
        assert_eq!(moves, [""; 0]);
        let (moves, news) = look(
            &known,
            vec![beacon("c", &[("scenes", 130), ("sessions", 95)])],
        );
        assert_eq!(moves, ["c/scenes", "c/sessions"]);
        known.heed(news);
        assert_eq!(known.since, Some(at(130)));
    }

    #[test]
    fn a_time_that_hasnt_come_moves_no_cursor() {
        let mut known = Beacons {
            since: Some(at(100)),
            ..Beacons::default()
        };
        let (moves, news) = look(&known, vec![beacon("c", &[("scenes", 9_000_000)])]);
        assert_eq!(moves, ["c/scenes"]);
        known.heed(news);
        assert_eq!(known.since, Some(at(100)));
    }
}
