//! The activation functions of conditioners, with their derivatives, on slices.

use super::real::Real;
use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

/// A pointwise non-linearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Activation {
    /// max(z, 0).
    Relu,
    /// tanh z.
    Tanh,
    /// z / (1 + e⁻ᶻ), smooth everywhere (Elfwing, Uchibe and Doya 2018).
    Silu,
}

/// Overwrites pre-activations `z` with activations and, when asked, fills `slopes` with the derivative.
pub fn activate<E: Real>(activation: Activation, z: &mut [E], slopes: Option<&mut [E]>) {
    Arch::new().dispatch(Activate { activation, z, slopes });
}

/// The arguments of [`activate`], as what `pulp` compiles once per instruction set.
struct Activate<'a, E> {
    activation: Activation,
    z: &'a mut [E],
    slopes: Option<&'a mut [E]>,
}

impl<E: Real> WithSimd for Activate<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        match self.activation {
            Activation::Relu => map(self.z, self.slopes, relu),
            Activation::Tanh => map(self.z, self.slopes, tanh),
            Activation::Silu => map(self.z, self.slopes, silu),
        }
    }
}

#[inline(always)]
fn map<E: Real>(z: &mut [E], slopes: Option<&mut [E]>, value_and_slope: impl Fn(E) -> (E, E)) {
    match slopes {
        Some(slopes) => {
            for (z, slope) in z.iter_mut().zip(slopes) {
                (*z, *slope) = value_and_slope(*z);
            }
        }
        None => {
            for z in z {
                *z = value_and_slope(*z).0;
            }
        }
    }
}

#[inline(always)]
fn relu<E: Real>(z: E) -> (E, E) {
    // Written so that NaN stays NaN: a NaN must reach the loss and be seen there.
    if z <= E::ZERO {
        (E::ZERO, E::ZERO)
    } else {
        (z, E::ONE)
    }
}

#[inline(always)]
fn tanh<E: Real>(z: E) -> (E, E) {
    let t = Real::tanh(z);
    (t, E::ONE - t * t)
}

#[inline(always)]
fn silu<E: Real>(z: E) -> (E, E) {
    let sigmoid = E::ONE / (E::ONE + Real::exp(-z));
    (z * sigmoid, sigmoid * (E::ONE + z * (E::ONE - sigmoid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_central_differences() {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Silu] {
            let points: Vec<f64> = (0..41).map(|i| f64::from(i) * 0.25 - 5.03).collect();
            let at = |shift: f64| {
                let mut z: Vec<f64> = points.iter().map(|z| z + shift).collect();
                activate(activation, &mut z, None);
                z
            };
            let mut slopes = vec![0.0; points.len()];
            activate(activation, &mut points.clone(), Some(&mut slopes));
            for ((up, down), slope) in at(1e-6).iter().zip(at(-1e-6)).zip(slopes) {
                assert!(((up - down) / 2e-6 - slope).abs() < 1e-8, "{activation:?}");
            }
        }
    }

    #[test]
    fn single_precision_follows_double_and_nan_stays() {
        for activation in [Activation::Relu, Activation::Tanh, Activation::Silu] {
            let mut single: Vec<f32> = (0..1001).map(|i| i as f32 * 0.1 - 50.0).collect();
            let mut double: Vec<f64> = single.iter().map(|&z| f64::from(z)).collect();
            activate(activation, &mut single, None);
            activate(activation, &mut double, None);
            for (s, d) in single.iter().zip(double) {
                assert!((f64::from(*s) - d).abs() <= 1e-6 * d.abs().max(1e-3), "{activation:?} {s} {d}");
            }
            let mut nan = [f32::NAN];
            activate(activation, &mut nan, None);
            assert!(nan[0].is_nan());
        }
    }
}
