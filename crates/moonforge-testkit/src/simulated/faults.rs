//! What can go wrong with a request, and where a driver can hold it.

use std::time::Duration;

use async_trait::async_trait;
use moonforge_model::DocRef;
use moonforge_ports::RemoteErrorKind;

/// Which method of the port was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// `commit`.
    Commit,
    /// `batch_get`.
    BatchGet,
    /// `query`.
    Query,
    /// `aggregate`.
    Aggregate,
    /// `refresh_credentials`.
    Refresh,
    /// `probe`.
    Probe,
}

/// One call of the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which device made it.
    pub device: String,
    /// For whom.
    pub uid: Option<String>,
    /// Which method.
    pub kind: CallKind,
    /// The how-manieth call of this device's connection, from 0.
    pub number: u64,
    /// The documents that a commit writes or a batch reads.
    pub docs: Vec<DocRef>,
    /// The collection that a query or an aggregation is over.
    pub collection: Option<String>,
}

/// What befalls a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It never leaves: `NeverSent`.
    NeverSent,
    /// It is lost on its way: not applied, `NoAnswer`.
    LostRequest,
    /// It is applied and its answer is lost: `NoAnswer`.
    LostAnswer,
    /// `NoAnswer` now. The request is still on its way, and arrives when the driver delivers it.
    Late,
    /// `NoAnswer` now. The request has arrived, so its REQUEST_TIME is now; it is applied when the driver delivers it.
    LateVisible,
    /// It arrives now and is applied after this span of the server's clock, with the REQUEST_TIME of its arrival.
    Slow(Duration),
    /// Not applied; answered with this.
    Status(RemoteErrorKind, Option<Duration>),
    /// A query's answer breaks off with an error after so many documents. Any other answer is lost.
    CutStream(usize),
    /// A query's answer ends after so many documents, without an error and without its end. Any other answer is lost.
    EndStream(usize),
}

/// Decides what befalls each call, when it is made.
pub trait FaultPlan: Send + Sync {
    /// The fault of this call.
    fn fault(&self, call: &Call) -> Fault;
}

impl<F: Fn(&Call) -> Fault + Send + Sync> FaultPlan for F {
    fn fault(&self, call: &Call) -> Fault {
        self(call)
    }
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Before it leaves the device. Dropped here, it never happened.
    Sending,
    /// At the server, its REQUEST_TIME taken, not applied yet. A commit that is dropped here joins the late ones.
    Arrived,
    /// Applied or refused or lost, and not yet answered.
    Answering,
}

/// A call at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatePoint {
    /// The call.
    pub call: Call,
    /// Where it is.
    pub moment: Moment,
}

/// Holds calls until a driver lets them pass.
#[async_trait]
pub trait Gate: Send + Sync {
    /// A call is made. When its turn comes among others of its device it has a fault drawn, and passes its first moment.
    fn begins(&self, _call: &Call) {}

    /// Returns when the call may go on.
    async fn pass(&self, point: GatePoint);
}
