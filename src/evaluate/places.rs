//! Masses of places where a target is known to have some: around each of its modes, by the normal approximation there.

use super::draws::WeightedDraws;
use crate::cholesky;
use crate::seed::Stream;
use crate::shown;
use crate::target::{evaluate_in_pieces, Approximation, Density, Fatal, Faults};
use std::f64::consts::TAU;

/// The ellipsoid around a mode in which nearly all of its normal approximation lies, and what of the density is in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The mode.
    pub mean: Vec<f64>,
    /// The inverse of the covariance there, row-major.
    precision: Vec<f64>,
    /// The square of the ellipsoid's radius in standard deviations.
    squared_radius: f64,
    /// ln ∫ γ over it, by importance sampling from the normal approximation.
    pub log_mass: f64,
}

/// A place where a model has lost most of the mass.
#[derive(Debug, Clone, PartialEq)]
pub struct Lost {
    /// The mode there.
    pub mean: Vec<f64>,
    /// The share of the target that is there, as far as all of it is known.
    pub share: f64,
    /// The share of the model's weighted draws.
    pub found: f64,
}

/// Draws of each approximation.
const DRAWS: usize = 256;
/// The relative standard error of a mass up to which it is used.
const MOST_ERROR: f64 = 0.15;
/// Shares below this are not looked for.
const LEAST_SHARE: f64 = 0.02;
/// A model that has less than this of what is there has lost it, …
const LOST: f64 = 0.5;
/// … beyond so many standard errors of counting.
const CHANCE: f64 = 3.5;

/// The places around `modes`, as far as their masses can be told.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn places(density: &dyn Density, modes: &[Approximation], stream: &Stream) -> Result<Vec<Place>, Fatal> {
    let mut found: Vec<Place> = Vec::new();
    for (k, mode) in modes.iter().enumerate() {
        if let Some(place) = Place::around(density, mode, &stream.child(&k.to_string()))? {
            // What is inside of another is counted there.
            if !found.iter().any(|other| other.holds(&place.mean)) {
                found.push(place);
            }
        }
    }
    Ok(found)
}

impl Place {
    fn around(density: &dyn Density, mode: &Approximation, stream: &Stream) -> Result<Option<Self>, Fatal> {
        let dim = mode.mean.len();
        let Ok((factor, _)) = cholesky::regularised(&mode.covariance, dim) else { return Ok(None) };
        let half_log_det: f64 = factor.iter().step_by(dim + 1).map(|pivot| pivot.ln()).sum();
        let squared_radius = dim as f64 + 4.0 * (2.0 * dim as f64).sqrt() + 4.0;
        let (draws, squares) = cholesky::normals(&factor, &mode.mean, DRAWS, stream);
        let log_q = squares.iter().map(|square| {
            let log = -0.5 * square - half_log_det - 0.5 * dim as f64 * TAU.ln();
            if *square <= squared_radius {
                log
            } else {
                f64::INFINITY
            }
        });
        let (mut values, mut faults) = (vec![0.0; DRAWS], Faults::default());
        evaluate_in_pieces(density, &draws, &mut values, None, &mut faults)?;
        faults.rows().iter().for_each(|&row| values[row] = f64::NEG_INFINITY);
        let logs: Vec<f64> = values.iter().zip(log_q).map(|(value, log_q)| value - log_q).collect();
        let largest = logs.iter().copied().filter(|log| !log.is_nan()).fold(f64::NEG_INFINITY, f64::max);
        let weights = logs.iter().map(|log| if log.is_nan() { 0.0 } else { (log - largest).exp() });
        let (sum, squares) = weights.fold((0.0, 0.0), |(sum, squares), w| (sum + w, squares + w * w));
        let n = DRAWS as f64;
        let error = ((squares / n - (sum / n).powi(2)) / n).max(0.0).sqrt() / (sum / n);
        let log_mass = largest + (sum / n).ln();
        let usable = log_mass.is_finite() && error <= MOST_ERROR;
        let precision = cholesky::inverse(&factor, dim);
        Ok(usable.then_some(Self { mean: mode.mean.clone(), precision, squared_radius, log_mass }))
    }

    /// Whether `point` is in it.
    fn holds(&self, point: &[f64]) -> bool {
        let mut squares = 0.0;
        for (row, (x, mean)) in self.precision.chunks_exact(point.len()).zip(point.iter().zip(&self.mean)) {
            let turned: f64 = row.iter().zip(point.iter().zip(&self.mean)).map(|(p, (x, mean))| p * (x - mean)).sum();
            squares += (x - mean) * turned;
        }
        squares <= self.squared_radius
    }
}

/// Those of `places` that a model with these weighted draws has lost, of a target whose log Z is at least `least_log_z`.
pub fn lost(places: &[Place], own: &WeightedDraws, ess: f64, least_log_z: f64) -> Vec<Lost> {
    let Some(dim) = places.first().map(|place| place.mean.len()) else { return Vec::new() };
    let rows = own.points.len() / dim;
    let largest = own.log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let most = places.iter().map(|place| place.log_mass).fold(least_log_z, f64::max);
    let together = places.iter().map(|place| (place.log_mass - most).exp()).sum::<f64>().ln() + most;
    let log_z = least_log_z.max(together);
    let weights: Vec<f64> = own.log_weights[..rows].iter().map(|w| (w - largest).exp()).collect();
    let total: f64 = weights.iter().filter(|w| w.is_finite()).sum();
    let of_place = |place: &Place| {
        let share = (place.log_mass - log_z).exp();
        let draws = own.points.chunks_exact(dim).zip(&weights).filter(|(point, _)| place.holds(point));
        let found = draws.map(|(_, w)| w).filter(|w| w.is_finite()).sum::<f64>() / total;
        let chance = CHANCE * (share / (rows as f64 * ess).max(1.0)).sqrt();
        (share >= LEAST_SHARE && found + chance < LOST * share).then(|| Lost { mean: place.mean.clone(), share, found })
    };
    places.iter().filter_map(of_place).collect()
}

impl Lost {
    /// In words.
    pub fn words(&self) -> String {
        let (share, found, at) = (self.share, self.found, shown::place(&self.mean));
        format!("even weighted, the student has {found:.3} of its mass around the mode at {at}, where the target has {share:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;
    use crate::target::{survey, Mixture};

    /// Modes of masses 0.7 and 0.3 far apart, and draws from a share `first` of the one and the rest of the other.
    fn found(first: f64) -> Vec<Lost> {
        let means = [vec![0.0, 0.0], vec![30.0, -10.0]];
        let target = Mixture::new(means.to_vec(), vec![0.2, 2.0], Some(vec![0.7, 0.3])).expect("a target");
        let modes = survey(&target, &means, &Seed(1).stream("survey")).modes;
        assert_eq!(modes.len(), 2);
        let places = places(&target, &modes, &Seed(1).stream("places")).expect("places");
        for (place, mass) in places.iter().zip([0.7f64, 0.3]) {
            assert!((place.log_mass - mass.ln()).abs() < 0.02, "{} {mass}", place.log_mass);
        }
        let rows = 2_000;
        let mut points = vec![0.0; 2 * rows];
        Seed(2).stream("draws").normals(0, 2, &mut points);
        for (row, point) in points.chunks_exact_mut(2).enumerate() {
            let k = usize::from(row as f64 >= first * rows as f64);
            point.iter_mut().zip(&means[k]).for_each(|(x, m)| *x = [0.2, 2.0][k] * *x + m);
        }
        let own = WeightedDraws { points, log_weights: vec![0.0; rows], failed: 0, independent: Vec::new() };
        lost(&places, &own, 1.0, f64::NEG_INFINITY)
    }

    #[test]
    fn a_mode_that_is_lost_is_named_with_its_share() {
        assert!(found(0.7).is_empty());
        assert!(found(0.5).is_empty());
        let lost = found(0.0);
        assert_eq!(lost.len(), 1);
        assert!((lost[0].share - 0.7).abs() < 0.02 && lost[0].found == 0.0, "{lost:?}");
        assert!(
            lost[0].words().contains("0.000 of its mass around the mode at (0.0000, 0.0000)"),
            "{}",
            lost[0].words()
        );
        // And the small one.
        assert!((found(1.0)[0].share - 0.3).abs() < 0.02);
    }
}
