//! Sampling of traces.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId},
};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, ShouldSample};

/// Samples callers' traces as their context says, and this share of the traces that begin here.
pub(super) fn sampler(ratio: f64) -> Sampler {
    Sampler::ParentBased(Box::new(RootSampler(Sampler::TraceIdRatioBased(ratio.clamp(0.0, 1.0)))))
}

/// Samples spans without a parent. The share applies to calls. Any other root is the span of a batch: it is made only
/// if something in the batch is traced, and linked to from there, so it is always sampled.
#[derive(Clone, Debug)]
struct RootSampler(Sampler);

impl ShouldSample for RootSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let sampler = if *kind == SpanKind::Server { &self.0 } else { &Sampler::AlwaysOn };
        sampler.should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        SpanId, TraceFlags,
        trace::{SpanContext, TraceContextExt, TraceState},
    };
    use opentelemetry_sdk::trace::SamplingDecision;

    use super::*;

    const TRACE_ID: TraceId = TraceId::from_bytes([7; 16]);

    fn samples(ratio: f64, kind: &SpanKind, caller_flags: Option<TraceFlags>) -> bool {
        let caller = caller_flags.map(|flags| {
            let span = SpanContext::new(TRACE_ID, SpanId::from_bytes([7; 8]), flags, true, TraceState::NONE);
            Context::new().with_remote_span_context(span)
        });
        let result = sampler(ratio).should_sample(caller.as_ref(), TRACE_ID, "", kind, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }

    #[test]
    fn callers_decide_on_their_own_traces() {
        assert!(samples(0.0, &SpanKind::Server, Some(TraceFlags::SAMPLED)));
        assert!(!samples(1.0, &SpanKind::Server, Some(TraceFlags::NOT_SAMPLED)));
    }

    #[test]
    fn the_ratio_applies_to_calls_that_begin_a_trace() {
        assert!(samples(1.0, &SpanKind::Server, None));
        assert!(!samples(0.0, &SpanKind::Server, None));
        assert!(samples(7.0, &SpanKind::Server, None), "above 1 counts as 1");
        assert!(!samples(-7.0, &SpanKind::Server, None), "below 0 counts as 0");
    }

    #[test]
    fn the_span_of_a_batch_is_always_sampled() {
        assert!(samples(0.0, &SpanKind::Internal, None));
        assert!(samples(0.0, &SpanKind::Client, None));
    }
}
