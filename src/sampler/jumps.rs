//! Moves of particles to wherever a density is known to have mass: how they come from mode to mode.

use super::path::{Particles, Path, PIECE};
use crate::seed::{open_unit, Stream};
use crate::target::Fatal;
use rayon::prelude::*;

impl Path<'_> {
    /// Each particle is offered an independent point of [`Path::jumps`], with density g, and takes it with the probability min(1, π_β(z') g(z) / (π_β(z) g(z')))
    /// (Hastings 1970; an independence sampler), which leaves π_β = γ^β · base^(1 − β) as it is. Returns the evaluations and their
    /// failures: none where there is nothing to jump to.
    pub fn jump(&self, particles: &mut Particles, beta: f64, stream: &Stream) -> Result<(usize, usize), Fatal> {
        let Some(jumps) = &self.jumps else { return Ok((0, 0)) };
        let (dim, rows) = (self.shape.dim(), particles.values.len());
        let mut offered =
            Particles { z: vec![0.0; rows * dim], values: vec![0.0; rows], gradients: vec![0.0; rows * dim] };
        jumps.draw_apart(stream, &mut offered.z);
        let failed = self.refresh(&mut offered)?;
        let accepting = stream.child("accept");
        let log_ratio = |value: f64, z: &[f64]| {
            let (base, jump) = (self.base.log_density(z), jumps.log_density(z));
            beta * value + (1.0 - beta) * base - jump
        };
        let pieces = particles.z.par_chunks_mut(PIECE * dim).zip(particles.values.par_chunks_mut(PIECE));
        let pieces = pieces.zip(particles.gradients.par_chunks_mut(PIECE * dim)).enumerate();
        pieces.for_each(|(piece, ((z, values), gradients))| {
            for (k, value) in values.iter_mut().enumerate() {
                let row = piece * PIECE + k;
                let (there, new) = (&offered.z[row * dim..][..dim], offered.values[row]);
                let here = &mut z[k * dim..][..dim];
                let change = log_ratio(new, there) - log_ratio(*value, here);
                if open_unit(&mut accepting.row(row as u64)).ln() < change {
                    here.copy_from_slice(there);
                    gradients[k * dim..][..dim].copy_from_slice(&offered.gradients[row * dim..][..dim]);
                    *value = new;
                }
            }
        });
        Ok((rows, failed))
    }
}

#[cfg(test)]
mod tests {
    use super::super::base::Component;
    use super::super::Shape;
    use super::*;
    use crate::seed::Seed;
    use crate::target::Mixture;

    #[test]
    fn jumps_bring_particles_to_each_mode_by_its_mass() {
        let target = Mixture::new(vec![vec![0.0], vec![40.0]], vec![0.1, 3.0], Some(vec![0.7, 0.3])).expect("a target");
        let component =
            |mean: f64, deviation: f64| Component { mean: vec![mean], factor: vec![deviation], weight: 1.0 };
        // One of them is known badly.
        let components = [component(0.02, 0.15), component(38.0, 4.0)];
        let shape = Shape::round(1, 20.0);
        let path = Path::new(&target, &shape, &components);
        let rows = 4_000;
        let mut particles = Particles { z: vec![2.0; rows], values: vec![0.0; rows], gradients: vec![0.0; rows] };
        path.refresh(&mut particles).expect("evaluated");
        for k in 0..60 {
            let (asked, failed) =
                path.jump(&mut particles, 1.0, &Seed(1).stream("jumps").child(&k.to_string())).expect("evaluated");
            assert_eq!((asked, failed), (rows, 0));
        }
        let near: Vec<f64> = particles.z.iter().map(|z| 20.0 * z).filter(|x| *x < 10.0).collect();
        let share = near.len() as f64 / rows as f64;
        assert!((share - 0.7).abs() < 0.025, "{share}");
        let spread = (near.iter().map(|x| x * x).sum::<f64>() / near.len() as f64).sqrt();
        assert!((spread - 0.1).abs() < 0.005, "{spread}");
    }

    #[test]
    fn without_places_nothing_jumps() {
        let target = Mixture::two();
        let shape = Shape::round(2, 4.0);
        let path = Path::new(&target, &shape, &[]);
        let mut particles = Particles { z: vec![0.5; 4], values: vec![0.0; 2], gradients: vec![0.0; 4] };
        let before = particles.z.clone();
        assert_eq!(path.jump(&mut particles, 1.0, &Seed(1).stream("jumps")).expect("evaluated"), (0, 0));
        assert_eq!(particles.z, before);
    }
}
