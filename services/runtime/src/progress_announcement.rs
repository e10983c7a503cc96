//! Announcements of projection progress from projectors to query services, through the cache.
//!
//! Progress is stored in the read database, and a restart resumes from there. But a query service is not notified of a
//! save by another process, and a query that waits for its caller's own write should not wait for the next save. So,
//! as soon as rows are durable, a projector also puts the progress of their partition into the cache, as a row of a
//! view that belongs to no domain, and query services poll that row while queries wait. A poll is cheap for the cache,
//! and it serves lists, sums and single rows alike.
//!
//! While versions of the program are replaced, projectors of several sets of views run side by side. Each set has keys
//! of its own, as an announcement has only the views of its set, and would hide that of another one. A query service
//! looks under the key of its own views, and uses stored progress while nobody announces there.
//!
//! An announcement is true when it is made: everything up to its position is in the read database. It may be lost at
//! any time, as anything in a cache may; then the stored progress is used. An operator who replaces the read database
//! by an older or an empty one must also flush the cache: the rows in it are those of the old database as well.

use diptych_kernel::{
    Partition, Position, StreamId, Timestamp, Version,
    domain::{RowKey, ViewId},
    ports::{CachedRow, Offset, Parked, Progress, ProgressUpdate},
};
use prost::Message;

/// The view under which the cache keeps announcements. A change of the encoding gets a new generation, so that two
/// versions of the program do not misread each other.
pub const PROGRESS_ANNOUNCEMENTS: ViewId = ViewId { name: "progress_announcements", generation: 1 };

/// The key of a partition's announcement by the projectors of the set of views with this name.
#[must_use]
pub fn progress_announcement_key(partition: Partition, view_set_name: &str) -> RowKey {
    RowKey::single(&format!("{}.{view_set_name}", partition.number()))
}

/// Encodes the progress of views in one partition. The position of the row is that of the most advanced view, so that
/// an older announcement never replaces a newer one.
#[must_use]
pub fn encode_progress_announcement(updates: &[ProgressUpdate]) -> CachedRow {
    let progress = || updates.iter().map(|update| &update.progress);
    let position = progress().map(|progress| progress.position).max().unwrap_or_default();
    let as_of = progress().map(|progress| progress.as_of).max().unwrap_or_default();
    let announcement = Announcement { views: updates.iter().map(ViewProgress::from).collect() };
    CachedRow { position, current_up_to: position, as_of, body: Some(announcement.encode_to_vec().into()) }
}

/// Decodes the progress of these views from the announcement of a partition. Views that it does not contain, and
/// entries that cannot be read, are left out.
#[must_use]
pub fn decode_progress_announcement(row: &CachedRow, partition: Partition, views: &[ViewId]) -> Vec<ProgressUpdate> {
    let announcement = row.body.as_deref().and_then(|body| Announcement::decode(body).ok()).unwrap_or_default();
    let updates = announcement.views.into_iter().filter_map(|announced| {
        let is_named =
            |view: &&ViewId| view.name == announced.name && u32::from(view.generation) == announced.generation;
        let view = *views.iter().find(is_named)?;
        Some(ProgressUpdate { view, partition, progress: announced.into_progress()? })
    });
    updates.collect()
}

#[derive(Clone, PartialEq, Message)]
struct Announcement {
    #[prost(message, repeated, tag = "1")]
    views: Vec<ViewProgress>,
}

#[derive(Clone, PartialEq, Message)]
struct ViewProgress {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    generation: u32,
    #[prost(int64, tag = "3")]
    position: i64,
    #[prost(int64, tag = "4")]
    as_of_micros: i64,
    #[prost(uint64, tag = "5")]
    next_offset: u64,
    #[prost(message, repeated, tag = "6")]
    parked: Vec<ParkedStream>,
}

#[derive(Clone, PartialEq, Message)]
struct ParkedStream {
    #[prost(string, tag = "1")]
    stream_id: String,
    #[prost(uint32, tag = "2")]
    version: u32,
    #[prost(string, tag = "3")]
    reason: String,
}

impl From<&ProgressUpdate> for ViewProgress {
    fn from(ProgressUpdate { view, progress, .. }: &ProgressUpdate) -> Self {
        let parked = progress.parked.iter().map(|parked| ParkedStream {
            stream_id: parked.stream_id.as_str().to_owned(),
            version: parked.version.number(),
            reason: parked.reason.clone(),
        });
        Self {
            name: view.name.to_owned(),
            generation: view.generation.into(),
            position: progress.position.as_i64(),
            as_of_micros: progress.as_of.as_micros(),
            next_offset: progress.next_offset.0,
            parked: parked.collect(),
        }
    }
}

impl ViewProgress {
    /// `None` if an entry cannot be read: a parked stream that cannot be read must not count as not parked.
    fn into_progress(self) -> Option<Progress> {
        let parked = self.parked.into_iter().map(|parked| {
            let stream_id = StreamId::new(&parked.stream_id).ok()?;
            Some(Parked { stream_id, version: Version::new(parked.version), reason: parked.reason })
        });
        Some(Progress {
            position: Position::from_i64(self.position).ok()?,
            as_of: Timestamp::from_micros(self.as_of_micros),
            next_offset: Offset(self.next_offset),
            parked: parked.collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::domain::view_set_name;

    use super::*;

    const SEATS: ViewId = ViewId { name: "seats", generation: 2 };
    const TOTALS: ViewId = ViewId { name: "totals", generation: 1 };

    fn partition() -> Partition {
        Partition::new(7)
    }

    fn update(view: ViewId, at: i64, parked: &[&str]) -> ProgressUpdate {
        let parked = parked.iter().map(|name| Parked {
            stream_id: StreamId::new(name).unwrap(),
            version: Version::new(3),
            reason: "made up".to_owned(),
        });
        let progress = Progress {
            position: Position::from_i64(at).unwrap(),
            as_of: Timestamp::from_micros(at * 10),
            next_offset: Offset(6),
            parked: parked.collect(),
        };
        ProgressUpdate { view, partition: partition(), progress }
    }

    #[test]
    fn an_announcement_is_decoded_as_it_was_encoded() {
        let announced = [update(SEATS, 5, &["seat-1", "seat-2"]), update(TOTALS, 4, &[])];
        let row = encode_progress_announcement(&announced);
        assert_eq!((row.position.as_i64(), row.current_up_to.as_i64(), row.as_of.as_micros()), (5, 5, 50));
        assert_eq!(decode_progress_announcement(&row, partition(), &[TOTALS, SEATS]), announced);
    }

    #[test]
    fn every_set_of_views_has_its_own_key() {
        let key =
            |partition, views: &[ViewId]| progress_announcement_key(Partition::new(partition), &view_set_name(views));
        assert_eq!(key(7, &[SEATS, TOTALS]), key(7, &[TOTALS, SEATS]));
        assert_ne!(key(7, &[SEATS, TOTALS]), key(7, &[ViewId { generation: 1, ..SEATS }, TOTALS]));
        assert_ne!(key(7, &[SEATS]), key(8, &[SEATS]));
    }

    #[test]
    fn views_that_are_not_asked_for_are_left_out() {
        let row = encode_progress_announcement(&[update(SEATS, 5, &[]), update(TOTALS, 4, &[])]);
        assert_eq!(decode_progress_announcement(&row, partition(), &[TOTALS]), [update(TOTALS, 4, &[])]);
        let earlier = ViewId { generation: 1, ..SEATS };
        assert_eq!(decode_progress_announcement(&row, partition(), &[earlier]), []);
    }

    #[test]
    fn entries_that_cannot_be_read_are_left_out() {
        let row = encode_progress_announcement(&[update(SEATS, 5, &[])]);
        let with = |body: Option<Vec<u8>>| CachedRow { body: body.map(Into::into), ..row.clone() };
        for body in [None, Some(vec![0xff; 9])] {
            assert_eq!(decode_progress_announcement(&with(body), partition(), &[SEATS]), []);
        }
        let odd = |change: fn(&mut ViewProgress)| {
            let mut view = ViewProgress::from(&update(SEATS, 5, &["seat-1"]));
            change(&mut view);
            decode_progress_announcement(
                &with(Some(Announcement { views: vec![view] }.encode_to_vec())),
                partition(),
                &[SEATS],
            )
        };
        assert_eq!(odd(|_| {}).len(), 1);
        assert_eq!(odd(|view| view.position = -1), [], "an invalid position");
        assert_eq!(odd(|view| view.parked.push(ParkedStream::default())), [], "a parked stream without a name");
    }
}
