//! A density evaluated over pieces of a batch, on all threads.

use super::{Density, Fatal, Faults};
use rayon::prelude::*;

/// Rows of one piece where a density has no wish of its own; fixed, so that what it computes never depends on the number of threads.
pub(super) const PIECE: usize = 64;

/// [`Density::evaluate`] with the rows divided among the threads.
///
/// # Errors
/// If the density asks for the run to stop.
pub fn evaluate_in_pieces(
    density: &dyn Density,
    points: &[f64],
    values: &mut [f64],
    gradients: Option<&mut [f64]>,
    faults: &mut Faults,
) -> Result<(), Fatal> {
    let (dim, piece) = (density.dim(), density.piece());
    let gradients: Vec<Option<&mut [f64]>> = match gradients {
        Some(gradients) => gradients.chunks_mut(piece * dim).map(Some).collect(),
        None => values.chunks(piece).map(|_| None).collect(),
    };
    let pieces: Vec<_> = points.chunks(piece * dim).zip(values.chunks_mut(piece)).zip(gradients).collect();
    let evaluated: Vec<Result<Faults, Fatal>> = pieces
        .into_par_iter()
        .map(|((points, values), gradients)| {
            let mut faults = Faults::default();
            density.evaluate(points, values, gradients, &mut faults).map(|()| faults)
        })
        .collect();
    for (place, result) in evaluated.into_iter().enumerate() {
        faults.absorb(result?, place * piece);
    }
    Ok(())
}
