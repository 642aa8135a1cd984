//! What `firebase/firestore.rules` demands of a write for the data's sake. Membership is not among it.

use moonforge_model::{DocRef, Fields};
use moonforge_ports::{RemoteError, RemoteErrorKind};
use serde_json::Value;

use crate::error::refuse;

/// Refuses a version that would break what other devices rely on.
pub(crate) fn check(doc: &DocRef, old: Option<&Fields>, new: &Fields) -> Result<(), RemoteError> {
    let broken = check_rev(old, new)
        .or_else(|| check_campaign(old?, new))
        .or_else(|| check_writers(old?, new));
    match broken {
        None => Ok(()),
        Some(why) => Err(refuse(
            RemoteErrorKind::PermissionDenied,
            format!("{doc}: {why}"),
        )),
    }
}

/// `rev` is 0 when it first appears, rises by one, and stays. A document may be without (sessions, beacons).
fn check_rev(old: Option<&Fields>, new: &Fields) -> Option<String> {
    let (before, now) = (old.and_then(|old| old.get("rev")), new.get("rev"));
    let expected = match before {
        None if now.is_none() => return None,
        None => Some(0),
        Some(rev) => rev.as_i64().and_then(|rev| rev.checked_add(1)),
    };
    let fits = expected.is_some() && now.and_then(Value::as_i64) == expected;
    (!fits).then(|| format!("rev is {now:?} after {before:?}"))
}

/// A document stays in its campaign.
fn check_campaign(old: &Fields, new: &Fields) -> Option<String> {
    let campaign = old.get("campaignId")?;
    (new.get("campaignId") != Some(campaign)).then(|| "campaignId is not what it was".to_owned())
}

/// What says which edits are in a document is never forgotten.
fn check_writers(old: &Fields, new: &Fields) -> Option<String> {
    let map = |value: Option<&Value>| {
        value
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let now = map(new.get("writers"));
    map(old.get("writers")).iter().find_map(|(uid, copies)| {
        let kept = map(now.get(uid));
        let forgotten = map(Some(copies))
            .into_iter()
            .find(|(copy, _)| !kept.contains_key(copy));
        forgotten.map(|(copy, _)| format!("writers forgets {uid}.{copy}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn passes(old: Option<Value>, new: Value) -> bool {
        let doc = DocRef::parse("scenes", "s").unwrap();
        let old = old.map(|old| old.as_object().unwrap().clone());
        check(&doc, old.as_ref(), new.as_object().unwrap()).is_ok()
    }

    #[test]
    fn a_revision_starts_at_zero_and_rises_by_one() {
        assert!(passes(None, json!({})));
        assert!(passes(None, json!({"rev": 0})));
        assert!(!passes(None, json!({"rev": 1})));
        assert!(!passes(None, json!({"rev": 0.0})));
        assert!(passes(Some(json!({})), json!({"rev": 0})));
        assert!(passes(Some(json!({"rev": 4})), json!({"rev": 5})));
        for rev in [json!(4), json!(6), json!(5.0), json!("5"), json!(null)] {
            assert!(
                !passes(Some(json!({"rev": 4})), json!({"rev": rev})),
                "{rev}"
            );
        }
        assert!(!passes(Some(json!({"rev": 4})), json!({})));
        assert!(!passes(
            Some(json!({"rev": i64::MAX})),
            json!({"rev": i64::MIN})
        ));
    }

    #[test]
    fn a_document_stays_in_its_campaign() {
        assert!(passes(Some(json!({})), json!({"campaignId": "c"})));
        assert!(passes(
            Some(json!({"campaignId": "c"})),
            json!({"campaignId": "c"})
        ));
        assert!(!passes(
            Some(json!({"campaignId": "c"})),
            json!({"campaignId": "d"})
        ));
        assert!(!passes(Some(json!({"campaignId": "c"})), json!({})));
    }

    #[test]
    fn writers_are_not_forgotten() {
        let old = || Some(json!({"writers": {"u": {"i": {"n": 1}}, "v": {"j": {"n": 1}}}}));
        let more = json!({"writers": {"u": {"i": {"n": 2}, "k": {"n": 1}}, "v": {"j": {"n": 1}}}});
        assert!(passes(old(), more));
        assert!(!passes(old(), json!({"writers": {"u": {"i": {"n": 1}}}})));
        assert!(!passes(
            old(),
            json!({"writers": {"u": {}, "v": {"j": {"n": 1}}}})
        ));
        assert!(!passes(old(), json!({"writers": 1})));
        assert!(!passes(old(), json!({})));
    }
}
