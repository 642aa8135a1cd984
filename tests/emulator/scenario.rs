//! How a scenario becomes tests, and what scenarios begin with.

use std::future::Future;

use moonforge_e2e::device::{Device, Form, Weather, World};
use serde_json::{Value, json};

/// The campaign in which most scenarios play.
pub(crate) const C: &str = "keep";

/// Makes tests of scenarios: `everywhere` in all weathers, `calm` where a scenario makes its own.
macro_rules! scenarios {
    ($(everywhere: $($any:ident),+ ;)? $(calm: $($calm:ident),+ ;)?) => {
        crate::scenario::scenarios!(@ library Library Calm: $($($any)+)? $($($calm)+)?);
        crate::scenario::scenarios!(@ command_line CommandLine Calm: $($($any)+)? $($($calm)+)?);
        $(crate::scenario::scenarios!(@ edits_in_flight Library EditsInFlight: $($any)+);)?
        $(crate::scenario::scenarios!(@ lost_answers Library LostAnswers: $($any)+);)?
    };
    (@ $module:ident $form:ident $weather:ident: $($name:ident)+) => {
        mod $module {
            use moonforge_e2e::device::{Form, Weather};
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let play = crate::scenario::play(
                        stringify!($name),
                        Form::$form,
                        Weather::$weather,
                        super::$name,
                    );
                    Box::pin(play).await;
                }
            )+
        }
    };
}
pub(crate) use scenarios;

/// Plays a scenario in a world of its own, where there is an emulator.
pub(crate) async fn play<F: Future<Output = ()>>(
    name: &str,
    form: Form,
    weather: Weather,
    scenario: impl FnOnce(World) -> F,
) {
    if let Some(world) = World::new(name, form, weather).await {
        scenario(world).await;
    }
}

/// A campaign that gm owns. dee is a member without a role, and so a dm; pia plays.
pub(crate) fn campaign(name: &str) -> Value {
    json!({
        "name": name, "ownerUid": "gm", "memberUids": ["gm", "dee", "pia"],
        "roles": { "pia": "player" },
    })
}

/// `document` with the campaign that it belongs to.
pub(crate) fn child(mut document: Value) -> Value {
    document["campaignId"] = C.into();
    document
}

/// Two devices of gm that both hold the campaign and these documents.
pub(crate) async fn two(world: &World, documents: &[(&str, &str, Value)]) -> (Device, Device) {
    let a = world.device("gm", "a").await;
    let b = world.device("gm", "b").await;
    a.put("campaigns", C, campaign("The Ember Keep")).await;
    for (collection, id, document) in documents {
        a.put(collection, id, child(document.clone())).await;
    }
    a.sync_well().await;
    b.sync_well().await;
    (a, b)
}
