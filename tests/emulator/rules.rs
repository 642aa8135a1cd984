//! What the tests of `firebase/firestore.rules` share: a world of two campaigns, plain HTTP requests into it, and a
//! table of forbidden requests, each beside an allowed twin, so that a rule can be neither too loose nor too strict.

use moonforge_testkit::emulator::{Answer, Caller, Emulator, Project, fields};
use serde_json::{Map, Value, json};

/// Everything in `campaigns/c1` but the campaign itself carries this.
pub(crate) const CAMPAIGN: &str = "c1";
const EARLIER: &str = "2026-01-01T00:00:00.000Z";

/// A project under our rules. In `c1` gm owns, dee is a dm, noa a member without a role, pia and pete play, vic looks
/// on. `c2` is zed's, and nobody's of the others.
pub(crate) struct World {
    pub(crate) project: Project,
}

/// Who asks: a user, or nobody who signed in.
pub(crate) type Who = Option<&'static str>;

/// A request as it goes over the wire.
pub(crate) enum Request {
    Commit(Vec<Value>),
    Get(String),
    BatchGet(Vec<String>),
    Query(Value),
    Aggregate(Value),
}

/// One line of a table: a forbidden request and an allowed one that differs in what the rule is about.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) forbidden: (Who, Request),
    pub(crate) allowed: (Who, Request),
}

/// A line about a commit of one write each.
pub(crate) fn row(
    what: &'static str,
    forbidden: (&'static str, Value),
    allowed: (&'static str, Value),
) -> Row {
    Row {
        what,
        forbidden: (Some(forbidden.0), Request::Commit(vec![forbidden.1])),
        allowed: (Some(allowed.0), Request::Commit(vec![allowed.1])),
    }
}

/// A campaign that gm owns, as it lies at the server, with `extra` on top.
pub(crate) fn campaign(extra: Value) -> Value {
    let base = json!({
        "name": "The Ember Keep", "rev": 0, "updatedAt": { "$timestamp": EARLIER }, "ownerUid": "gm",
        "memberUids": ["gm", "dee", "noa", "pia", "pete", "vic"],
        "roles": { "dee": "dm", "pia": "player", "pete": "player", "vic": "viewer" },
    });
    with(base, extra)
}

/// A child of `c1` as it lies at the server, at rev 5 and for the GM, with `extra` on top. Null leaves a field out.
pub(crate) fn child(extra: Value) -> Value {
    let base = json!({
        "campaignId": CAMPAIGN, "rev": 5, "updatedAt": { "$timestamp": EARLIER }, "title": "Ash",
    });
    with(base, extra)
}

/// `child` that players see.
pub(crate) fn open_child(extra: Value) -> Value {
    with(child(json!({ "visibility": "players" })), extra)
}

fn with(mut base: Value, extra: Value) -> Value {
    let map = base.as_object_mut().expect("an object");
    map.extend(extra.as_object().expect("an object").clone());
    map.retain(|_, value| !value.is_null());
    base
}

impl World {
    /// None where there is no emulator.
    pub(crate) async fn new(name: &str) -> Option<Self> {
        let project = Emulator::shared()?.project(name);
        project.load_our_rules().await;
        let world = Self { project };
        let theirs = json!({ "ownerUid": "zed", "memberUids": ["zed"], "roles": {} });
        world
            .seed(&[
                ("campaigns/c1", campaign(json!({}))),
                ("campaigns/c2", campaign(theirs)),
            ])
            .await;
        Some(world)
    }

    /// Puts documents there as an operator does, past the rules.
    pub(crate) async fn seed(&self, documents: &[(&str, Value)]) {
        let put = |(path, document): &(&str, Value)| json!({ "update": { "name": self.project.name(path), "fields": fields(document) } });
        let writes: Vec<Value> = documents.iter().map(put).collect();
        let answer = self.project.owner().commit(&writes).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// A write of these fields and of them only, without `updatedAt`. A dotted name reaches into a map; null deletes.
    pub(crate) fn untimed(&self, path: &str, changes: Value) -> Value {
        let changes = changes.as_object().expect("an object").clone();
        let mask: Vec<String> = changes.keys().cloned().collect();
        let mut document = Map::new();
        for (name, value) in changes.into_iter().filter(|(_, value)| !value.is_null()) {
            let mut segments: Vec<&str> = name.split('.').collect();
            let last = segments.pop().expect("split gives one at least");
            let mut map = &mut document;
            for segment in segments {
                let inner = map.entry(segment).or_insert_with(|| json!({}));
                map = inner.as_object_mut().expect("a map was put there");
            }
            map.insert(last.to_owned(), value);
        }
        let name = self.project.name(path);
        json!({
            "update": { "name": name, "fields": fields(&Value::Object(document)) },
            "updateMask": { "fieldPaths": mask },
        })
    }

    /// The same with `updatedAt` set by the server: how every correct write looks.
    pub(crate) fn edit(&self, path: &str, changes: Value) -> Value {
        let mut write = self.untimed(path, changes);
        write["updateTransforms"] =
            json!([{ "fieldPath": "updatedAt", "setToServerValue": "REQUEST_TIME" }]);
        write
    }

    /// A correct edit of a child at rev 5.
    pub(crate) fn next(&self, path: &str, changes: Value) -> Value {
        let mut all = json!({ "rev": 6 });
        let fields = changes.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(fields);
        self.edit(path, all)
    }

    /// A creation of a child of `c1`.
    pub(crate) fn create(&self, path: &str, changes: Value) -> Value {
        let base = json!({ "campaignId": CAMPAIGN, "rev": 0, "title": "New" });
        let mut write = self.edit(path, with(base, changes));
        write["currentDocument"] = json!({ "exists": false });
        write
    }

    fn caller(&self, who: Who) -> Caller {
        match who {
            Some(uid) => self.project.user(uid),
            None => self.project.stranger(),
        }
    }

    /// Sends a request as somebody.
    pub(crate) async fn send(&self, who: Who, request: &Request) -> Answer {
        let caller = self.caller(who);
        match request {
            Request::Commit(writes) => caller.commit(writes).await,
            Request::Get(path) => caller.get(path).await,
            Request::BatchGet(paths) => {
                caller
                    .batch_get(&paths.iter().map(String::as_str).collect::<Vec<_>>())
                    .await
            }
            Request::Query(query) => caller.query(query).await,
            Request::Aggregate(query) => {
                // An order by name leaves no index that SUM could use (400).
                let mut query = query.clone();
                query.as_object_mut().expect("an object").remove("orderBy");
                let body = json!({ "structuredAggregationQuery": {
                    "structuredQuery": query,
                    "aggregations": [
                        { "alias": "n", "count": {} },
                        { "alias": "sum", "sum": { "field": { "fieldPath": "rev" } } },
                    ],
                } });
                caller.call("runAggregationQuery", &body).await
            }
        }
    }

    /// Sends each forbidden request, which must be refused by the rules, then its twin, which must pass.
    pub(crate) async fn check(&self, rows: &[Row]) {
        let mut wrong = Vec::new();
        for Row {
            what,
            forbidden,
            allowed,
        } in rows
        {
            let answer = self.send(forbidden.0, &forbidden.1).await;
            let status = refusal(&answer.body);
            if answer.status != 403 || status != "PERMISSION_DENIED" {
                wrong.push(format!("{what}: not refused: {answer:?}"));
            }
            let answer = self.send(allowed.0, &allowed.1).await;
            if answer.status != 200 {
                wrong.push(format!("{what}: the twin was refused: {answer:?}"));
            }
        }
        assert!(
            wrong.is_empty(),
            "{} of {} wrong:\n{}",
            wrong.len(),
            rows.len(),
            wrong.join("\n")
        );
    }
}

/// The status of an error, which streamed answers wrap into an array.
fn refusal(body: &Value) -> &str {
    let error = body.get(0).unwrap_or(body);
    error["error"]["status"].as_str().unwrap_or_default()
}
