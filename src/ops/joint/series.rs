//! ln det (I + J) as Σ_k (−1)^(k+1) tr Jᵏ / k with Hutchinson's estimate of the traces, truncated or cut at random (Chen et al. 2019).

use super::net::Net;
use super::probe::Key;
use serde::{Deserialize, Serialize};

/// How the log-det of a residual layer is found while a likelihood trains it. All else has the exact one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum LogDet {
    /// From the whole Jacobian.
    #[default]
    Exact,
    /// So many terms of the series: with a contraction c and d variables it is off by at most d c^(n+1) / ((n + 1) (1 − c)) in the mean.
    Series {
        /// The terms.
        terms: usize,
    },
    /// As many terms as chance will have it, weighted so that the mean is right: so many, and each further one with probability c if the one
    /// before is there, which keeps the variance finite.
    Roulette {
        /// Those that are always there.
        terms: usize,
    },
}

impl LogDet {
    /// What is wrong with it.
    pub fn fault(self) -> Option<String> {
        match self {
            LogDet::Series { terms } | LogDet::Roulette { terms } if !(1..=1000).contains(&terms) => {
                Some(format!("log_det has {terms} terms; 1 to 1000 is right"))
            }
            _ => None,
        }
    }

    /// Terms of a row on average.
    pub fn terms(self, contraction: f64) -> usize {
        match self {
            LogDet::Exact => 0,
            LogDet::Series { terms } => terms,
            LogDet::Roulette { terms } => terms + (contraction / (1.0 - contraction)).ceil() as usize,
        }
    }
}

/// A series, cut for each row.
#[derive(Debug, Clone, Copy)]
pub struct Series {
    certain: usize,
    /// The probability of a further term.
    further: f64,
}

impl Series {
    /// That of a layer with this contraction; none of an exact log-det.
    pub fn of(log_det: LogDet, contraction: f64) -> Option<Self> {
        match log_det {
            LogDet::Exact => None,
            LogDet::Series { terms } => Some(Self { certain: terms, further: 0.0 }),
            LogDet::Roulette { terms } => Some(Self { certain: terms, further: contraction }),
        }
    }

    /// The terms of a row.
    fn terms(&self, key: Key) -> usize {
        let more = if self.further > 0.0 { key.uniform().ln() / self.further.ln() } else { 0.0 };
        self.certain + more as usize
    }

    /// 1 / P(term `k` is there), k from 1.
    fn weight(&self, k: usize) -> f64 {
        if k <= self.certain {
            1.0
        } else {
            self.further.powi(-((k - self.certain) as i32))
        }
    }

    /// With a probe v of each lane: the estimates of ln det (I + J), and w = Σ_k (−1)ᵏ (Jᵀ)ᵏ v with the weights of the terms, so that the
    /// derivative of the log-det has the mean of wᵀ ∂J v: that of the Neumann series, of which no way through is differentiated.
    pub fn estimate(
        &self,
        (net, slopes): (&Net, &[Vec<f64>]),
        stride: usize,
        v: &[f64],
        keys: &[Key],
    ) -> (Vec<f64>, Vec<f64>) {
        let terms: Vec<usize> = keys.iter().map(|&key| self.terms(key)).collect();
        let (mut log_det, mut w) = (vec![0.0; stride], vec![0.0; v.len()]);
        // The lanes that are not done, and what belongs to them.
        let mut lanes: Vec<usize> = (0..stride).collect();
        let (mut slopes, mut u) = (slopes.to_vec(), v.to_vec());
        for k in 1.. {
            let (weight, sign) = (self.weight(k), if k % 2 == 1 { 1.0 } else { -1.0 });
            let width = lanes.len();
            let is_open = |lane: usize| terms[lane] >= k;
            for (u, w) in u.chunks_exact(width).zip(w.chunks_exact_mut(stride)) {
                for (u, &lane) in u.iter().zip(&lanes).filter(|(_, lane)| is_open(**lane)) {
                    w[lane] += sign * weight * u;
                }
            }
            u = net.transposed_times(width, &slopes, &u);
            for (u, v) in u.chunks_exact(width).zip(v.chunks_exact(stride)) {
                for (u, &lane) in u.iter().zip(&lanes).filter(|(_, lane)| is_open(**lane)) {
                    log_det[lane] += sign * weight / k as f64 * u * v[lane];
                }
            }
            let open: Vec<usize> = (0..width).filter(|&place| terms[lanes[place]] > k).collect();
            if open.is_empty() {
                break;
            }
            if 2 * open.len() <= width {
                let some = |buffer: &[f64]| {
                    let units = buffer.chunks_exact(width);
                    units.flat_map(|unit| open.iter().map(|&place| unit[place])).collect::<Vec<f64>>()
                };
                slopes.iter_mut().for_each(|slopes| *slopes = some(slopes));
                u = some(&u);
                lanes = open.iter().map(|&place| lanes[place]).collect();
            }
        }
        (log_det, w)
    }
}
