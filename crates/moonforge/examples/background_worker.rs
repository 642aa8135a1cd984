//! What an operating system's background task does (WorkManager, BGTaskScheduler): it gets some seconds, exchanges what it
//! can, and reports whether it has to come back. It can be cut off anywhere; nothing is lost.

use std::time::Duration;

use moonforge::{BoundedRun, Campaign, Embedded, Moonforge};

/// The task. The app need not run; the database may be open in it at the same time.
async fn background_task(
    database: &std::path::Path,
    seconds: u64,
) -> Result<bool, moonforge::Error> {
    let forge = Moonforge::builder(database).existing().open().await?;
    let run = forge.run_until(Duration::from_secs(seconds)).await;
    forge.close().await;
    let BoundedRun {
        finished,
        report,
        trouble,
    } = run;
    if let Some(report) = report {
        println!("{} sent, {} received", report.pushed, report.pulled);
    }
    if let Some(trouble) = trouble {
        println!("not done: {} [{}]", trouble.message, trouble.code);
    }
    // The system is asked to come back where it isn't.
    Ok(finished)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let database = folder.path().join("campaigns.db");
    let app = Moonforge::builder(&database).open().await?;
    app.campaigns()
        .upsert(Campaign::new(app.new_id(), "The Ember Keep"))
        .await?;
    // The app is closed before it could send anything.
    drop(app);
    assert!(background_task(&database, 25).await?);

    let cloud = Embedded::dir(folder.path().join("moonforge-cloud"));
    let tablet = Moonforge::memory_builder().cloud(cloud).open().await?;
    assert_eq!(tablet.sync_now().await?.pulled, 1);
    println!("the tablet has it");
    Ok(())
}
