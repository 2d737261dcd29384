//! stub
use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standardisation { pub shift: Vec<f64>, pub scale: Vec<f64> }
impl Standardisation {
    pub fn identity(dim: usize) -> Self { Self { shift: vec![0.0; dim], scale: vec![1.0; dim] } }
    pub fn apply(&self, rows: &mut [f64]) { for r in rows.chunks_exact_mut(self.shift.len()) { for (i,v) in r.iter_mut().enumerate() { *v = (*v - self.shift[i]) / self.scale[i]; } } }
    pub fn undo(&self, rows: &mut [f64]) { for r in rows.chunks_exact_mut(self.shift.len()) { for (i,v) in r.iter_mut().enumerate() { *v = *v * self.scale[i] + self.shift[i]; } } }
    pub fn log_det(&self) -> f64 { self.scale.iter().map(|s| s.ln()).sum() }
    pub fn validate(&self, _dim: usize) -> crate::error::Result<()> { Ok(()) }
}
