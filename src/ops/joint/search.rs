//! Lanes on their way to the solutions of y = x + f(x), of which those that are there leave the others alone.

use super::matrices::Matrices;

/// What is left of an equation when it is taken as solved, in parts of its size.
const LEFT: f64 = 1e-14;
/// Lanes that are given up at a time: whole registers, so that every lane is computed by them.
const REGISTERS: usize = 8;

/// Equations that are not solved yet. Values are unit-major.
pub struct Search {
    /// How many coordinates there are.
    dim: usize,
    /// Where each lane came from; none of one that is solved and stays to fill a register.
    places: Vec<Option<usize>>,
    /// How many lanes there were.
    all: usize,
    target: Vec<f64>,
    /// Where they are.
    pub x: Vec<f64>,
    /// How far each was from a solution, …
    before: Vec<f64>,
    /// … and where the contraction's own step leads from there.
    plain: Vec<f64>,
}

impl Search {
    /// The search for the solutions of `y`, begun there.
    pub fn new(stride: usize, y: &[f64]) -> Self {
        let (dim, places) = (y.len() / stride.max(1), (0..stride).map(Some).collect());
        let [target, x, plain] = [y; 3].map(<[f64]>::to_vec);
        Self { dim, places, all: stride, target, x, before: vec![f64::INFINITY; stride], plain }
    }

    /// How many lanes are on their way.
    pub fn stride(&self) -> usize {
        self.places.len()
    }

    /// Puts lane `lane` where it came from, with what is taken from the log-det.
    pub fn give(&self, lane: usize, log: f64, out: &mut [f64], log_det: &mut [f64]) {
        if let Some(place) = self.places[lane] {
            (0..self.dim).for_each(|i| out[i * self.all + place] = self.x[i * self.stride() + lane]);
            log_det[place] -= log;
        }
    }

    /// A step of every lane from `x`, where the network is `f` and (I + ∂f/∂x)⁻¹ with its log-det as told; those that are there are given.
    /// Whether all are.
    pub fn step(&mut self, inverse: &Matrices, logs: &[f64], f: &[f64], out: &mut [f64], log_det: &mut [f64]) -> bool {
        let stride = self.stride();
        let size = |values: &[f64], lane: usize| {
            values.iter().skip(lane).step_by(stride).fold(0.0, |most: f64, value| most.max(value.abs()))
        };
        let left: Vec<f64> = self.target.iter().zip(&self.x).zip(f).map(|((y, x), f)| (y - x) - f).collect();
        let steps = inverse.times(&left);
        for lane in 0..stride {
            let (here, scale) = (size(&left, lane), 1.0 + size(&self.target, lane) + size(&self.x, lane));
            // What is not a number stays so, and is told by whoever asked.
            let open = here > LEFT * scale;
            if !open {
                self.give(lane, logs[lane], out, log_det);
                self.places[lane] = None;
                continue;
            }
            let nearer = here < 0.9 * self.before[lane];
            for place in (0..self.dim).map(|i| i * stride + lane) {
                if nearer {
                    self.plain[place] = self.x[place] + left[place];
                    self.x[place] += steps[place];
                } else {
                    self.x[place] = self.plain[place];
                }
            }
            self.before[lane] = if nearer { here } else { f64::INFINITY };
        }
        self.leave();
        self.places.is_empty()
    }

    /// Leaves out lanes that are solved, by whole registers.
    fn leave(&mut self) {
        let stride = self.stride();
        let (mut kept, solved): (Vec<usize>, Vec<usize>) = (0..stride).partition(|&lane| self.places[lane].is_some());
        let count = if kept.is_empty() { 0 } else { kept.len().next_multiple_of(REGISTERS).min(stride) };
        if count == stride {
            return;
        }
        kept.extend(&solved[..count - kept.len()]);
        for values in [&mut self.target, &mut self.x, &mut self.plain, &mut self.before] {
            *values = values.chunks_exact(stride).flat_map(|lanes| kept.iter().map(|&lane| lanes[lane])).collect();
        }
        self.places = kept.iter().map(|&lane| self.places[lane]).collect();
    }
}
