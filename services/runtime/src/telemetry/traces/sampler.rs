//! Which traces are exported.

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId},
};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, ShouldSample};

/// Those of callers that say so, and this share of those that begin here.
pub(super) fn sampler(ratio: f64) -> Sampler {
    Sampler::ParentBased(Box::new(Roots(Sampler::TraceIdRatioBased(ratio.clamp(0.0, 1.0)))))
}

/// Decides about spans without a parent. The share is of what callers ask for. Any other root is a batch of things that are traced: it is made
/// only where there are such, they are tied to it, and so it must be there.
#[derive(Clone, Debug)]
struct Roots(Sampler);

impl ShouldSample for Roots {
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
    fn callers_decide_about_their_own_traces() {
        assert!(samples(0.0, &SpanKind::Server, Some(TraceFlags::SAMPLED)));
        assert!(!samples(1.0, &SpanKind::Server, Some(TraceFlags::NOT_SAMPLED)));
    }

    #[test]
    fn the_ratio_is_of_calls_that_begin_a_trace() {
        assert!(samples(1.0, &SpanKind::Server, None));
        assert!(!samples(0.0, &SpanKind::Server, None));
        assert!(samples(7.0, &SpanKind::Server, None), "more than all is all");
        assert!(!samples(-7.0, &SpanKind::Server, None), "less than none is none");
    }

    #[test]
    fn a_batch_of_what_is_traced_is_always_there() {
        assert!(samples(0.0, &SpanKind::Internal, None));
        assert!(samples(0.0, &SpanKind::Client, None));
    }
}
