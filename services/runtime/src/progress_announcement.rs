//! How far views have got, as projectors tell it to query services: through the cache, as soon as the rows are durable.
//!
//! Progress is stored in the read database, and that is what a restart goes by. But a store in another process tells nobody what is saved in it,
//! and a caller who waits for his own write cannot be helped by a save that has not happened yet. So a projector puts the progress of a partition
//! into the cache as well, as a row of a view of no domain, and the query service looks there while somebody waits. A look costs the cache little,
//! and it is the same for lists, sums and single rows.
//!
//! News is true when it is told: everything up to its position is in the read database. It may be lost at any time, as everything in a cache
//! may; then what was saved has to do. Whoever replaces the read database by an older or an empty one empties the cache too: the rows in it are of
//! the other one as well.

use diptych_kernel::{
    Partition, Position, StreamId, Timestamp, Version,
    domain::{RowKey, ViewId},
    ports::{CachedRow, Offset, Parked, Progress, ProgressUpdate},
};
use prost::Message;

/// Where the cache keeps news. Another encoding gets another generation, so that two versions of the program do not misread each other.
pub const PROGRESS_ANNOUNCEMENTS: ViewId = ViewId { name: "progress_announcements", generation: 1 };

/// The key of a partition's news.
#[must_use]
pub fn progress_announcement_key(partition: Partition) -> RowKey {
    RowKey::single(&partition.number().to_string())
}

/// Encodes how far views have got in one partition. Its position is that of the view that is farthest, so that older news never takes the
/// place of newer.
#[must_use]
pub fn encode_progress_announcement(updates: &[ProgressUpdate]) -> CachedRow {
    let progress = || updates.iter().map(|update| &update.progress);
    let position = progress().map(|progress| progress.position).max().unwrap_or_default();
    let as_of_time = progress().map(|progress| progress.as_of).max().unwrap_or_default();
    let news = News { views: updates.iter().map(ViewNews::from).collect() };
    CachedRow { position, as_of: position, as_of_time, body: Some(news.encode_to_vec().into()) }
}

/// What the news of a partition says of these views. Views that it does not name, and what cannot be read, are left out.
#[must_use]
pub fn decode_progress_announcement(row: &CachedRow, partition: Partition, views: &[ViewId]) -> Vec<ProgressUpdate> {
    let news = row.body.as_deref().and_then(|body| News::decode(body).ok()).unwrap_or_default();
    let updates = news.views.into_iter().filter_map(|news| {
        let is_named = |view: &&ViewId| view.name == news.name && u32::from(view.generation) == news.generation;
        let view = *views.iter().find(is_named)?;
        Some(ProgressUpdate { view, partition, progress: news.into_progress()? })
    });
    updates.collect()
}

#[derive(Clone, PartialEq, Message)]
struct News {
    #[prost(message, repeated, tag = "1")]
    views: Vec<ViewNews>,
}

#[derive(Clone, PartialEq, Message)]
struct ViewNews {
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
    parked: Vec<ParkedNews>,
}

#[derive(Clone, PartialEq, Message)]
struct ParkedNews {
    #[prost(string, tag = "1")]
    stream_id: String,
    #[prost(uint32, tag = "2")]
    version: u32,
    #[prost(string, tag = "3")]
    reason: String,
}

impl From<&ProgressUpdate> for ViewNews {
    fn from(ProgressUpdate { view, progress, .. }: &ProgressUpdate) -> Self {
        let parked = progress.parked.iter().map(|parked| ParkedNews {
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

impl ViewNews {
    /// `None` where it is not what a projector has told: a parked stream that cannot be read must not be taken for none.
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
    use super::*;

    const SEATS: ViewId = ViewId { name: "seats", generation: 2 };
    const TOTALS: ViewId = ViewId { name: "totals", generation: 1 };

    fn hall() -> Partition {
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
        ProgressUpdate { view, partition: hall(), progress }
    }

    #[test]
    fn what_is_told_is_heard() {
        let told = [update(SEATS, 5, &["seat-1", "seat-2"]), update(TOTALS, 4, &[])];
        let row = encode_progress_announcement(&told);
        assert_eq!((row.position.as_i64(), row.as_of.as_i64(), row.as_of_time.as_micros()), (5, 5, 50));
        assert_eq!(decode_progress_announcement(&row, hall(), &[TOTALS, SEATS]), told);
    }

    #[test]
    fn who_does_not_know_a_view_does_not_hear_of_it() {
        let row = encode_progress_announcement(&[update(SEATS, 5, &[]), update(TOTALS, 4, &[])]);
        assert_eq!(decode_progress_announcement(&row, hall(), &[TOTALS]), [update(TOTALS, 4, &[])]);
        let earlier = ViewId { generation: 1, ..SEATS };
        assert_eq!(decode_progress_announcement(&row, hall(), &[earlier]), []);
    }

    #[test]
    fn what_cannot_be_read_says_nothing() {
        let row = encode_progress_announcement(&[update(SEATS, 5, &[])]);
        let with = |body: Option<Vec<u8>>| CachedRow { body: body.map(Into::into), ..row.clone() };
        for body in [None, Some(vec![0xff; 9])] {
            assert_eq!(decode_progress_announcement(&with(body), hall(), &[SEATS]), []);
        }
        let odd = |change: fn(&mut ViewNews)| {
            let mut view = ViewNews::from(&update(SEATS, 5, &["seat-1"]));
            change(&mut view);
            decode_progress_announcement(&with(Some(News { views: vec![view] }.encode_to_vec())), hall(), &[SEATS])
        };
        assert_eq!(odd(|_| {}).len(), 1);
        assert_eq!(odd(|view| view.position = -1), [], "a position that cannot be");
        assert_eq!(odd(|view| view.parked.push(ParkedNews::default())), [], "a parked stream without a name");
    }
}
