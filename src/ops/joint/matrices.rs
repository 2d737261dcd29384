//! A small square matrix for each lane: inverses, determinants and products.

/// Row-major, `stride` lanes to an entry.
#[derive(Debug, Clone)]
pub struct Matrices {
    dim: usize,
    stride: usize,
    values: Vec<f64>,
}

impl Matrices {
    /// These values.
    pub fn new(dim: usize, stride: usize, values: &[f64]) -> Self {
        Self { dim, stride, values: values.to_vec() }
    }

    /// Adds I to each.
    pub fn add_identity(&mut self) {
        for i in 0..self.dim {
            self.values[(i * self.dim + i) * self.stride..][..self.stride].iter_mut().for_each(|value| *value += 1.0);
        }
    }

    /// The inverses and the ln |det|, by Gauss and Jordan with partial pivoting; not finite where a matrix is singular.
    pub fn inverted(&self) -> (Self, Vec<f64>) {
        let (dim, stride) = (self.dim, self.stride);
        let mut inverse = Self { dim, stride, values: vec![0.0; self.values.len()] };
        let mut logs = Vec::with_capacity(stride);
        let (mut a, mut b) = (vec![0.0; dim * dim], vec![0.0; dim * dim]);
        for lane in 0..stride {
            (0..dim * dim).for_each(|cell| a[cell] = self.values[cell * stride + lane]);
            b.fill(0.0);
            (0..dim).for_each(|i| b[i * dim + i] = 1.0);
            logs.push(invert(dim, &mut a, &mut b));
            (0..dim * dim).for_each(|cell| inverse.values[cell * stride + lane] = b[cell]);
        }
        (inverse, logs)
    }

    /// The entries of the transposed matrices.
    pub fn transposed(&self) -> Vec<f64> {
        let (dim, stride) = (self.dim, self.stride);
        (0..dim * dim)
            .flat_map(|cell| &self.values[(cell % dim * dim + cell / dim) * stride..][..stride])
            .copied()
            .collect()
    }

    /// A v.
    pub fn times(&self, v: &[f64]) -> Vec<f64> {
        self.product(v, |i, k| i * self.dim + k)
    }

    /// Aᵀ v.
    pub fn transposed_times(&self, v: &[f64]) -> Vec<f64> {
        self.product(v, |i, k| k * self.dim + i)
    }

    fn product(&self, v: &[f64], cell: impl Fn(usize, usize) -> usize) -> Vec<f64> {
        let mut out = vec![0.0; v.len()];
        for (i, out) in out.chunks_exact_mut(self.stride).enumerate() {
            for (k, v) in v.chunks_exact(self.stride).enumerate() {
                let entries = &self.values[cell(i, k) * self.stride..];
                out.iter_mut().zip(entries).zip(v).for_each(|((out, a), v)| *out += a * v);
            }
        }
        out
    }
}

/// Turns `b` into A⁻¹ b, and returns ln |det A|.
fn invert(dim: usize, a: &mut [f64], b: &mut [f64]) -> f64 {
    let mut log_det = 0.0;
    for c in 0..dim {
        let pivot = (c..dim).max_by(|&i, &j| a[i * dim + c].abs().total_cmp(&a[j * dim + c].abs())).unwrap_or(c);
        if pivot != c {
            for column in 0..dim {
                a.swap(c * dim + column, pivot * dim + column);
                b.swap(c * dim + column, pivot * dim + column);
            }
        }
        log_det += a[c * dim + c].abs().ln();
        let scale = 1.0 / a[c * dim + c];
        for matrix in [&mut *a, &mut *b] {
            matrix[c * dim..(c + 1) * dim].iter_mut().for_each(|value| *value *= scale);
        }
        for row in (0..dim).filter(|&row| row != c) {
            let factor = a[row * dim + c];
            if factor != 0.0 {
                for column in 0..dim {
                    a[row * dim + column] -= factor * a[c * dim + column];
                    b[row * dim + column] -= factor * b[c * dim + column];
                }
            }
        }
    }
    log_det
}
