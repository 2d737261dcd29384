//! Flow matching: a continuous teacher learns the straight lines from rows to noise, and no equation is solved (Lipman et al. 2023).

use super::pairing::paired;
use super::{Epochs, MaximumLikelihood, Objective, Outcome};
use crate::error::{Error, Result};
use crate::flow::{BaseConfig, Flow, FlowConfig, LayerShape, Space};
use crate::ops::chunks::{for_each_piece, to_lanes, CHUNK};
use crate::ops::joint::{Joint, Kind};
use crate::ops::lanes::padded;
use crate::ops::map::Map;
use crate::seed::{open_unit, Stream};
use dfdx::prelude::*;

/// Mean of ‖f(x_t, t) − (z − x)‖² / d over rows x, noise z and times t, with x_t = (1 − t) x + t z. Within a batch, noise is given to the rows
/// that it is nearest to in the mean of squares (Tong et al. 2024): paths that cross less are straighter.
///
/// Validation is the log density, as under maximum likelihood.
pub struct FlowMatching {
    dim: usize,
    train: Vec<f64>,
    epochs: Epochs,
    noise: Stream,
    likelihood: MaximumLikelihood,
}

impl FlowMatching {
    /// An objective over standardised rows (row-major); `likelihood` judges, and `streams` shuffle the epochs and make the noise.
    pub fn new(dim: usize, train: Vec<f64>, batch: usize, likelihood: MaximumLikelihood, streams: [Stream; 2]) -> Self {
        let [of_epochs, noise] = streams;
        let epochs = Epochs::new(train.len() / dim, batch, of_epochs);
        Self { dim, train, epochs, noise, likelihood }
    }

    /// What of a flow on a space it cannot train.
    pub fn fault(config: &FlowConfig, space: Space) -> Option<String> {
        if space.given > 0 {
            return Some("layers: flow matching knows no columns that are given; `MaximumLikelihood` is right".into());
        }
        let one = matches!(config.shapes().as_slice(), [LayerShape::Joint(Joint::Formula(Kind::Continuous(_)))]);
        if !one {
            return Some("layers: flow matching trains `[Continuous(…)]`, one such layer".into());
        }
        let plain = config.base == BaseConfig::Normal && config.tail_limit.is_none();
        (!plain).then(|| "base: flow matching needs the base `Normal` without `tail_limit`".into())
    }

    /// The rows of a step with their times, and the velocities that are right there.
    fn examples(&mut self, step: u64) -> (Vec<f64>, Vec<f64>) {
        let (dim, batch) = (self.dim, self.epochs.batch());
        let rows: Vec<f64> = (self.epochs.rows_of(step))
            .flat_map(|row| self.train[row * dim..(row + 1) * dim].iter().copied())
            .collect();
        let first = step * batch as u64;
        let mut noise = vec![0.0; batch * dim];
        self.noise.normals(first, dim, &mut noise);
        let noise = paired(&rows, noise, dim);
        let times = self.noise.child("times");
        let (mut inputs, mut velocities) = (Vec::new(), Vec::new());
        for (r, (x, z)) in rows.chunks_exact(dim).zip(noise.chunks_exact(dim)).enumerate() {
            let t = open_unit(&mut times.row(first + r as u64));
            inputs.extend(x.iter().zip(z).map(|(x, z)| (1.0 - t) * x + t * z).chain([t]));
            velocities.extend(x.iter().zip(z).map(|(x, z)| z - x));
        }
        (inputs, velocities)
    }
}

impl Objective for FlowMatching {
    fn evaluate(&mut self, flow: &Flow<f32, Cpu>, step: u64, gradients: &mut [Vec<f32>]) -> Result<Outcome> {
        let (dim, batch) = (self.dim, self.epochs.batch());
        let (inputs, velocities) = self.examples(step);
        let maps: Vec<Map<f64, _>> = flow.layers().iter().map(|layer| layer.on_slices(false)).collect();
        let [Map::Joint(map)] = maps.as_slice() else {
            return Err(Error::invalid("flow matching of a flow that is not one continuous layer"));
        };
        let mut parts: Vec<(f64, Vec<f64>)> = vec![(0.0, Vec::new()); batch.div_ceil(CHUNK)];
        let chunks = inputs.chunks(CHUNK * (dim + 1)).zip(velocities.chunks(CHUNK * dim)).zip(&mut parts);
        for_each_piece(
            chunks,
            batch * map.work(),
            || (),
            |(), ((inputs, velocities), part)| {
                let stride = padded(velocities.len() / dim);
                let [mut x, mut v] = [Vec::new(), Vec::new()];
                to_lanes(dim + 1, inputs, stride, &mut x, |value| value);
                to_lanes(dim, velocities, stride, &mut v, |value| value);
                *part = map.match_velocities((stride, velocities.len() / dim), &x, &v);
            },
        );
        // Of all rows, in their order.
        let mut sums = vec![0.0; parts[0].1.len()];
        let mut loss = 0.0;
        for (of_part, sums_of_part) in &parts {
            loss += of_part;
            sums.iter_mut().zip(sums_of_part).for_each(|(sum, part)| *sum += part);
        }
        let share = 1.0 / (batch * dim) as f64;
        for (gradient, values) in gradients.iter_mut().zip(map.pull_back(&sums)) {
            gradient.iter_mut().zip(values).for_each(|(gradient, value)| *gradient = (share * value) as f32);
        }
        Ok(Outcome { loss: share * loss, ..Outcome::default() })
    }

    fn validate(&self, flow: &Flow<f32, Cpu>) -> Option<f64> {
        self.likelihood.validate(flow)
    }
}
