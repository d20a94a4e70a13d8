//! Records: their queues, by alias, and the pipeline behind them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use scouter_export::{FlushError, LocalCapture, Pipeline, Stats};
pub use scouter_queue::*;
use scouter_span::scope::ScopeId;
use scouter_span::{Scope, SpanContext};
use scouter_transport::Signal;

use crate::handle::worker;
use crate::settings::Settings;

/// How long dropping the handle may take.
const DROP_DEADLINE: Duration = Duration::from_secs(5);

/// Takes records by the aliases of their profiles, and brings them where spans go. Dropping it sends what is left, for at
/// most five seconds.
///
/// Records share the worker's thread with spans, and have a pipeline of their own: bounds, batches, retries and numbers.
///
/// ```
/// use scouter::queue::{Content, Entity, Metric, MetricSpec, Metrics, Outcome, Profile, ScouterQueue};
/// # use scouter::{Environment, Protocol, Settings};
/// # let mut settings = Settings::from_environment(&Environment::default())?;
/// # settings.server.protocol = Protocol::Memory(scouter::transport::memory::Memory::default());
///
/// let profile = Profile::new(Entity::new("shop", "basket", "1.0.0"), Content::Custom(vec![MetricSpec::new("cost")]))?;
/// let queue = ScouterQueue::from_profiles(&settings, [("basket".to_owned(), profile)])?;
/// let record = Metrics(vec![Metric::new("cost", 12.5)]).into();
/// assert_eq!(queue.insert("basket", &record, None)?, Outcome::Accepted);
/// queue.flush(std::time::Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "dropping this ends it: keep it as long as the program inserts records"]
pub struct ScouterQueue {
    queues: BTreeMap<String, Arc<RecordQueue>>,
    /// None when the SDK is disabled: then records are looked at by nobody and nothing runs.
    pipeline: Option<Arc<Pipeline>>,
}

/// What has become of all records.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueStats {
    /// At the way in, by alias.
    pub records: BTreeMap<String, RecordStats>,
    /// On the way from there: what was accepted or turned away at the way in was started here.
    pub export: Stats,
}

/// A program used an alias that no profile has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no queue has the alias {alias:?}: known are {}", listed(known))]
pub struct UnknownAlias {
    /// What the program said.
    pub alias: String,
    /// The aliases that there are.
    pub known: Vec<String>,
}

impl ScouterQueue {
    /// Queues for these profiles, each under an alias of the caller's choice. Records go where `settings` says that the server
    /// is, and to its [`record_collectors`](Settings::record_collectors).
    ///
    /// # Errors
    /// There is no profile, one alias is there twice or empty, or a setting cannot work.
    pub fn from_profiles(
        settings: &Settings,
        profiles: impl IntoIterator<Item = (String, Profile)>,
    ) -> Result<Self, crate::Error> {
        let mut by_alias = BTreeMap::new();
        for (alias, profile) in profiles {
            if alias.is_empty() {
                return Err(crate::Error::Setting("an alias of a profile is empty, give it a name".to_owned()));
            }
            if by_alias.contains_key(&alias) {
                return Err(crate::Error::Setting(format!("two profiles have the alias {alias:?}, rename one")));
            }
            by_alias.insert(alias, profile);
        }
        if by_alias.is_empty() {
            return Err(crate::Error::Setting("a queue has at least one profile, give one".to_owned()));
        }
        let (pipeline, sink): (_, Arc<dyn RecordSink>) = if settings.disabled {
            (None, Arc::new(Nowhere))
        } else {
            let pipeline = settings.pipeline(Signal::Logs, settings.resource())?.build(&worker()?)?;
            (Some(Arc::clone(&pipeline)), pipeline)
        };
        let queue = |(alias, profile): (String, Profile)| {
            (alias.clone(), Arc::new(RecordQueue::new(alias, profile, Arc::clone(&sink))))
        };
        Ok(Self { queues: by_alias.into_iter().map(queue).collect(), pipeline })
    }

    /// As [`from_profiles`](Self::from_profiles), from files.
    ///
    /// # Errors
    /// A file cannot be read or is no profile, and as for [`from_profiles`](Self::from_profiles).
    pub fn from_paths(
        settings: &Settings,
        paths: impl IntoIterator<Item = (String, PathBuf)>,
    ) -> Result<Self, crate::Error> {
        let read = |(alias, path): (String, PathBuf)| match Profile::from_path(path) {
            Ok(profile) => Ok((alias, profile)),
            Err(source) => Err(crate::Error::Profile { alias, source }),
        };
        let profiles: Vec<_> = paths.into_iter().map(read).collect::<Result<_, _>>()?;
        Self::from_profiles(settings, profiles)
    }

    /// Queues for these profiles under their own aliases.
    ///
    /// # Errors
    /// As for [`from_profiles`](Self::from_profiles).
    pub fn of(settings: &Settings, profiles: impl IntoIterator<Item = Profile>) -> Result<Self, crate::Error> {
        let named = profiles.into_iter().map(|profile| (profile.entity().alias.clone(), profile));
        Self::from_profiles(settings, named)
    }

    /// Takes a record, which belongs to this span if there is one. Never blocks. When the SDK is disabled, every record counts
    /// as sampled out.
    ///
    /// # Errors
    /// No profile has this alias.
    pub fn insert(&self, alias: &str, record: &Record, span: Option<&SpanContext>) -> Result<Outcome, UnknownAlias> {
        let queue = self.queue(alias)?;
        Ok(if self.is_enabled() { queue.insert(record, span) } else { Outcome::SampledOut })
    }

    /// The queue of this alias, for whoever does not want to look it up for every record.
    ///
    /// # Errors
    /// No profile has this alias.
    pub fn queue(&self, alias: &str) -> Result<&Arc<RecordQueue>, UnknownAlias> {
        let unknown = || UnknownAlias { alias: alias.to_owned(), known: self.queues.keys().cloned().collect() };
        self.queues.get(alias).ok_or_else(unknown)
    }

    /// The queues, by alias.
    pub fn queues(&self) -> impl Iterator<Item = &Arc<RecordQueue>> {
        self.queues.values()
    }

    /// The aliases, in alphabetical order.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.queues.keys().map(String::as_str)
    }

    /// Whether records go anywhere: not when the SDK is disabled.
    pub const fn is_enabled(&self) -> bool {
        self.pipeline.is_some()
    }

    /// Blocks until every record that was inserted before this call is sent, for at most this long.
    ///
    /// # Errors
    /// The time was up, or records were dropped meanwhile.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.pipeline.as_ref().map_or(Ok(()), |pipeline| pipeline.flush(timeout))
    }

    /// Takes no more records, and sends what is left, for at most this long. A second call gives the first one's outcome.
    ///
    /// # Errors
    /// As for [`flush`](Self::flush).
    pub fn shutdown(&self, timeout: Duration) -> Result<(), FlushError> {
        self.pipeline.as_ref().map_or(Ok(()), |pipeline| pipeline.shutdown(timeout))
    }

    /// Begins what [`shutdown`](Self::shutdown) does, and waits for nothing.
    pub fn begin_shutdown(&self, timeout: Duration) {
        if let Some(pipeline) = &self.pipeline {
            pipeline.begin_shutdown(timeout);
        }
    }

    /// Whether a shutdown has begun, or there is nothing to shut down because the SDK is disabled.
    pub fn is_shut_down(&self) -> bool {
        self.pipeline.as_ref().is_none_or(|pipeline| pipeline.is_closed())
    }

    /// The copies of accepted records that this process can keep for itself, for tests; they are drained as one
    /// `ExportLogsServiceRequest`. `None` when the SDK is disabled.
    pub fn capture(&self) -> Option<&LocalCapture> {
        self.pipeline.as_ref().map(|pipeline| pipeline.capture())
    }

    /// What has become of every record; `None` when the SDK is disabled.
    pub fn stats(&self) -> Option<QueueStats> {
        let pipeline = self.pipeline.as_ref()?;
        let records = self.queues.iter().map(|(alias, queue)| (alias.clone(), queue.stats())).collect();
        Some(QueueStats { records, export: pipeline.stats() })
    }
}

impl Drop for ScouterQueue {
    fn drop(&mut self) {
        // Who has shut down already has waited as long as was wanted.
        if self.is_shut_down() {
            return;
        }
        // What did not arrive is counted and reported by the pipeline; a destructor has nobody to tell.
        let _ = self.shutdown(DROP_DEADLINE);
    }
}

/// The sink of queues that are disabled.
#[derive(Debug)]
struct Nowhere;

impl RecordSink for Nowhere {
    fn register(&self, _scope: &Arc<Scope>) -> ScopeId {
        ScopeId(0)
    }

    fn accept(&self, _record: FinishedRecord<'_>) -> bool {
        false
    }
}

fn listed(known: &[String]) -> String {
    known.iter().map(|alias| format!("{alias:?}")).collect::<Vec<_>>().join(", ")
}
