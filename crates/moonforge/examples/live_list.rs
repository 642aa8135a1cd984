//! A list that a UI binds to, and a status line: both change by themselves while two devices exchange in the background.

use std::time::Duration;

use futures_util::StreamExt;
use moonforge::ports::Clock;
use moonforge::{Cadence, Campaign, Embedded, Moonforge, SystemClock, set};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // An app leaves the cadence as it is; this one is for an example that shouldn't take long.
    let cadence = Cadence {
        debounce: Duration::from_millis(50),
        poll: Duration::from_millis(200),
        longest_poll: Duration::from_millis(500),
        ..Cadence::default()
    };
    let cloud = Embedded::in_memory();
    let open = || {
        let builder = Moonforge::memory_builder().cloud(cloud.clone());
        builder.cadence(cadence.clone()).open()
    };
    let (laptop, tablet) = (open().await?, open().await?);
    laptop.start();
    tablet.start();

    let mut list = tablet.campaigns().watch_all();
    let mut status = tablet.watch_status();
    let writes = async {
        let campaign = Campaign::new(laptop.new_id(), "The Ember Keep");
        let id = campaign.id.clone();
        laptop.campaigns().upsert(campaign).await?;
        SystemClock::new().sleep(Duration::from_secs(1)).await;
        let ash = [set("name", "The Ash Keep")];
        laptop.campaigns().patch(&id, None, ash).await?;
        Ok::<_, moonforge::Error>(())
    };
    let shows = async {
        loop {
            tokio::select! {
                Some(campaigns) = list.next() => {
                    let names: Vec<_> = campaigns?.iter().map(|c| c.name.clone()).collect();
                    println!("list:   {names:?}");
                    if names == ["The Ash Keep"] {
                        return Ok::<_, moonforge::Error>(());
                    }
                }
                Some(status) = status.next() => println!("status: {}", status?.sentence()),
            }
        }
    };
    let both = async { tokio::try_join!(writes, shows) };
    tokio::time::timeout(Duration::from_secs(30), both).await??;
    // Edits of the last second leave yet, if they can.
    laptop.drain_and_stop(Duration::from_secs(3)).await?;
    tablet.stop().await;
    Ok(())
}
