//! An app's own collection: a type, one registration, and it has a repository, sync and streams as the built-in ones have.
//!
//! With Firestore, add its name to `isChild` in `firebase/firestore.rules`, and its `(campaignId, updatedAt)` and
//! `(campaignId, visibility, updatedAt)` indexes to `firestore.indexes.json`.

use std::time::Duration;

use moonforge::{
    Campaign, Collection, CollectionConfig, DocId, Document, Embedded, Field, FieldKind, Fields,
    Moonforge, increment,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Faction {
    id: DocId,
    campaign_id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    influence: i64,
    /// What a newer version of the app writes is kept.
    #[serde(flatten)]
    extra: Fields,
}

impl Document for Faction {
    const COLLECTION: &'static str = "factions";

    fn id(&self) -> &DocId {
        &self.id
    }
}

fn factions() -> CollectionConfig {
    let name = Collection::new(Faction::COLLECTION).expect("a sound name");
    let fields = [
        Field::required("name", FieldKind::String),
        Field::new("influence", FieldKind::Integer),
    ];
    CollectionConfig {
        // Asked for this often also where no beacon says that something moved.
        interval: Duration::from_secs(10 * 60),
        ..CollectionConfig::new(name, fields)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `Moonforge::builder("campaigns.db")` and `Firestore::new(..)` in an app.
    let cloud = Embedded::in_memory();
    let open = || {
        let builder = Moonforge::memory_builder().cloud(cloud.clone());
        builder.register(factions()).open()
    };
    let (laptop, tablet) = (open().await?, open().await?);

    let campaign = Campaign::new(laptop.new_id(), "The Ember Keep");
    let faction = Faction {
        id: laptop.new_id(),
        campaign_id: campaign.id.to_string(),
        name: "Ashen Hand".into(),
        influence: 3,
        extra: Fields::new(),
    };
    let id = faction.id.clone();
    laptop.campaigns().upsert(campaign).await?;
    laptop.repository::<Faction>()?.upsert(faction).await?;
    laptop.sync_now().await?;
    tablet.sync_now().await?;

    // Both change it while they are apart: numbers add up.
    for (device, change) in [(&laptop, 2), (&tablet, -1)] {
        let factions = device.repository::<Faction>()?;
        factions
            .patch(&id, None, [increment("influence", change)])
            .await?;
    }
    for device in [&laptop, &tablet, &laptop] {
        device.sync_now().await?;
    }
    for device in [&laptop, &tablet] {
        let faction = device.repository::<Faction>()?.get(&id).await?;
        let faction = faction.ok_or("it is there")?;
        println!("{} has influence {}", faction.name, faction.influence);
        assert_eq!(faction.influence, 4);
    }
    Ok(())
}
