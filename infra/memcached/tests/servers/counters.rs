//! A metrics recorder that lets tests read the counters of the cache.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use parking_lot::Mutex;

static COUNTERS: LazyLock<Counters> = LazyLock::new(|| {
    let counters = Counters::default();
    metrics::set_global_recorder(counters.clone()).unwrap();
    counters
});

#[derive(Clone, Default)]
struct Counters(Arc<Mutex<HashMap<String, Arc<AtomicU64>>>>);

/// Installs the recorder. To be called before a cache is opened.
pub(crate) fn install() {
    LazyLock::force(&COUNTERS);
}

/// The value of a counter, of one server where it is labelled by server. All tests of the program share the counters.
pub(crate) fn count(name: &str, server: Option<&str>) -> u64 {
    let name = server.map_or(name.to_owned(), |server| format!("{name} {server}"));
    COUNTERS.0.lock().get(&name).map_or(0, |counter| counter.load(Ordering::SeqCst))
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: String = key.labels().map(|label| format!(" {}", label.value())).collect();
        let counter = Arc::clone(self.0.lock().entry(format!("{}{labels}", key.name())).or_default());
        Counter::from_arc(counter)
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
