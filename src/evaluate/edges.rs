//! Mass so near a bound of a parameter that values round to it: what lies beyond cannot be told from a density written in those values.

use super::draws::WeightedDraws;
use crate::target::Constraint;
use std::collections::BTreeMap;

/// A bound at which mass is lost in rounding.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// The parameter.
    pub name: String,
    /// Its bound.
    pub bound: f64,
    /// The share of the weighted draws that is there.
    pub share: f64,
}

/// Shares below this are let go.
const LEAST_SHARE: f64 = 1e-3;
/// Draws that are needed to speak of a share.
const FEWEST: usize = 5;

/// The bounds of `constraint` at which these draws lie.
pub fn edges(constraint: &Constraint, dim: usize, own: &WeightedDraws) -> Vec<Edge> {
    let rows = own.points.len() / dim.max(1);
    let largest = own.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |row: usize| Some((own.log_weights[row] - largest).exp()).filter(|weight| weight.is_finite());
    let total: f64 = (0..rows).filter_map(weight).sum();
    let mut found: BTreeMap<(&str, u64), (usize, f64)> = BTreeMap::new();
    for (row, point) in own.points.chunks_exact(dim.max(1)).enumerate() {
        if let (Some((name, bound)), Some(weight)) = (constraint.rounded_at(point), weight(row)) {
            let (count, sum) = found.entry((name, bound.to_bits())).or_default();
            (*count, *sum) = (*count + 1, *sum + weight);
        }
    }
    let edge = |((name, bound), (count, sum)): ((&str, u64), (usize, f64))| {
        let share = sum / total;
        let (name, bound) = (name.to_string(), f64::from_bits(bound));
        (count >= FEWEST && share >= LEAST_SHARE).then_some(Edge { name, bound, share })
    };
    found.into_iter().filter_map(edge).collect()
}

impl Edge {
    /// In words, with what to do about it.
    pub fn words(&self) -> String {
        let Edge { name, bound, share } = self;
        format!(
            "{:.1} % of the mass is so near the bound {bound} of `{name}` that values round to it, and what is nearer cannot be told; a \
             parameter for the distance from that bound is right",
            100.0 * share
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Parameter, Support};

    /// Draws of which one in ten lies at logit `far`.
    fn draws(far: f64) -> WeightedDraws {
        let points = (0..1000).map(|row| if row % 10 == 0 { far } else { 0.3 }).collect();
        WeightedDraws { points, log_weights: vec![0.0; 1000], ..WeightedDraws::default() }
    }

    #[test]
    fn mass_that_rounds_to_a_bound_is_told_and_no_other() {
        let of = |support: Support, far: f64| {
            let constraint = Constraint::Supports(vec![Parameter { name: "p".into(), support }]);
            edges(&constraint, 1, &draws(far))
        };
        let found = of(Support::Interval(0.0, 1.0), 35.0);
        assert_eq!(found, [Edge { name: "p".into(), bound: 1.0, share: 0.1 }]);
        assert!(found[0].words().starts_with("10.0 % of the mass is so near the bound 1 of `p`"));
        // The distance from 0 is never lost, and 1 − e⁻³⁰ is not 1.
        assert_eq!(of(Support::Interval(0.0, 1.0), -200.0), []);
        assert_eq!(of(Support::Interval(0.0, 1.0), 30.0), []);
        assert_eq!(of(Support::Interval(2.0, 5.0), -35.0)[0].bound, 2.0);
        assert_eq!(of(Support::Vector(1, Box::new(Support::Interval(-1.0, 0.0))), 36.0)[0].bound, 0.0);
        assert_eq!(of(Support::Positive, 36.0), []);
    }
}
