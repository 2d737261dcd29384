//! The spline composed from the tensor library's own ops: slow, differentiable by the library, and the oracle of the kernels.
//!
//! Bins are found on plain numbers; what is chosen is then a sum of products with masks.

use super::{Spline, FLATTEST, NARROWEST, SWING};
use crate::error::{Error, Result};
use crate::ops::real::Real;
use crate::ops::stock::columns;
use crate::ops::{Kernels, Mapped, Points, Rows};
use dfdx::prelude::*;

fn tensor_error(error: impl std::fmt::Debug) -> Error {
    Error::Tensor(format!("{error:?}"))
}

/// Ops on tensors without a tape, recorded on one that is passed along.
struct Recorder<T> {
    tape: T,
}

impl<T: Default> Recorder<T> {
    fn apply<E: Real, D: Kernels<E>>(
        &mut self,
        a: &Points<E, D>,
        op: impl FnOnce(Points<E, D, T>) -> std::result::Result<Points<E, D, T>, D::Err>,
    ) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        let tape = std::mem::take(&mut self.tape);
        let (result, tape) = op(a.clone().put_tape(tape)).map_err(tensor_error)?.split_tape();
        self.tape = tape;
        Ok(result)
    }

    fn columns<E: Real, D: Kernels<E>>(&mut self, a: &Points<E, D>, picks: &[usize]) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        let tape = std::mem::take(&mut self.tape);
        let (result, tape) = columns(a.clone().put_tape(tape), picks)?.split_tape();
        self.tape = tape;
        Ok(result)
    }

    fn add<E: Real, D: Kernels<E>>(&mut self, a: &Points<E, D>, b: &Points<E, D>) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        self.apply(a, |a| a.try_add(b.clone()))
    }

    fn subtract<E: Real, D: Kernels<E>>(&mut self, a: &Points<E, D>, b: &Points<E, D>) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        self.apply(a, |a| a.try_sub(b.clone()))
    }

    fn multiply<E: Real, D: Kernels<E>>(&mut self, a: &Points<E, D>, b: &Points<E, D>) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        self.apply(a, |a| a.try_mul(b.clone()))
    }

    fn divide<E: Real, D: Kernels<E>>(&mut self, a: &Points<E, D>, b: &Points<E, D>) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        self.apply(a, |a| a.try_div(b.clone()))
    }

    /// The library does not let a tensor be multiplied by itself.
    fn square<E: Real, D: Kernels<E>>(&mut self, a: &Points<E, D>) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        self.apply(a, |a| a.try_square())
    }

    /// a · factor + term.
    fn line<E: Real, D: Kernels<E>>(&mut self, a: &Points<E, D>, factor: f64, term: f64) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        self.apply(a, |a| a.try_mul(E::of(factor))?.try_add(E::of(term)))
    }

    /// c · tanh(a / c).
    fn bounded<E: Real, D: Kernels<E>>(&mut self, a: &Points<E, D>, bound: f64) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        self.apply(a, |a| a.try_mul(E::of(1.0 / bound))?.try_tanh()?.try_mul(E::of(bound)))
    }

    /// `whole` · softmax.
    fn shares<E: Real, D: Kernels<E>>(&mut self, logits: &[Points<E, D>], whole: f64) -> Result<Vec<Points<E, D>>>
    where
        T: Tape<E, D>,
    {
        // A softmax does not change when a constant is taken off.
        let values: Vec<Vec<E>> = logits.iter().map(|logits| logits.as_vec()).collect();
        let most = |at: usize| values.iter().map(|values| values[at].widen()).fold(f64::NEG_INFINITY, f64::max);
        let most = constant(&logits[0], (0..values[0].len()).map(most))?;
        let mut powers = Vec::new();
        for logits in logits {
            let less = self.subtract(logits, &most)?;
            powers.push(self.apply(&less, |less| less.try_exp())?);
        }
        let mut sum = powers[0].clone();
        for power in &powers[1..] {
            sum = self.add(&sum, power)?;
        }
        let mut shares = Vec::new();
        for power in &powers {
            let share = self.divide(power, &sum)?;
            shares.push(self.line(&share, whole, 0.0)?);
        }
        Ok(shares)
    }

    /// −limit and the sums of the lengths up to each knot.
    fn knots<E: Real, D: Kernels<E>>(&mut self, spline: &Spline, lengths: &[Points<E, D>]) -> Result<Vec<Points<E, D>>>
    where
        T: Tape<E, D>,
    {
        let cells = lengths[0].shape().num_elements();
        let mut knots = vec![constant(&lengths[0], std::iter::repeat_n(-spline.limit, cells))?];
        for (k, length) in lengths.iter().enumerate() {
            let knot = self.add(&knots[k], length)?;
            knots.push(knot);
        }
        Ok(knots)
    }

    /// Σ mask · value.
    fn choose<E: Real, D: Kernels<E>>(
        &mut self,
        masks: &[Points<E, D>],
        values: &[Points<E, D>],
    ) -> Result<Points<E, D>>
    where
        T: Tape<E, D>,
    {
        let mut sum = self.multiply(&values[0], &masks[0])?;
        for (mask, value) in masks.iter().zip(values).skip(1) {
            let term = self.multiply(value, mask)?;
            sum = self.add(&sum, &term)?;
        }
        Ok(sum)
    }
}

/// A tensor of plain numbers with the shape of another.
fn constant<E: Real, D: Kernels<E>>(like: &Points<E, D>, values: impl Iterator<Item = f64>) -> Result<Points<E, D>> {
    like.device().try_tensor_from_vec(values.map(E::of).collect(), *like.shape()).map_err(tensor_error)
}

/// See [`Spline`].
pub(super) fn spline<E: Real, D: Kernels<E>, T: Tape<E, D>>(
    spline: &Spline,
    x: Points<E, D, T>,
    parameters: Points<E, D, T>,
) -> Result<Mapped<E, D, T>> {
    let Spline { bins, limit, bound } = *spline;
    let (rows, width) = *x.shape();
    let (parameters, tape) = parameters.split_tape();
    let (x, tape_of_x) = x.split_tape();
    let mut on = Recorder { tape: tape.merge(tape_of_x) };
    let mut slots = Vec::new();
    for slot in 0..3 * bins + 1 {
        let picks: Vec<usize> = (0..width).map(|i| i * (3 * bins + 1) + slot).collect();
        slots.push(on.columns(&parameters, &picks)?);
    }
    let mut widths = on.shares(&slots[..bins], 2.0 * limit * (1.0 - bins as f64 * NARROWEST))?;
    for width in &mut widths {
        *width = on.line(width, 1.0, 2.0 * limit * NARROWEST)?;
    }
    let mut heights = on.shares(&slots[bins..2 * bins], 2.0 * limit * (1.0 - FLATTEST))?;
    for (height, width) in heights.iter_mut().zip(&widths) {
        let floor = on.line(width, FLATTEST, 0.0)?;
        *height = on.add(height, &floor)?;
    }
    let (lefts, bottoms) = (on.knots(spline, &widths)?, on.knots(spline, &heights)?);
    let mut steeps = Vec::new();
    for (width, height) in widths.iter().zip(&heights) {
        steeps.push(on.divide(height, width)?);
    }
    let ones = constant(&x, std::iter::repeat_n(1.0, rows * width))?;
    let mut slopes = vec![ones.clone()];
    for k in 1..bins {
        let ratio = on.bounded(&slots[2 * bins + k - 1], SWING.ln())?;
        let ratio = on.apply(&ratio, |ratio| ratio.try_exp())?;
        let product = on.multiply(&steeps[k - 1], &steeps[k])?;
        let sum = on.add(&steeps[k - 1], &steeps[k])?;
        let half = on.divide(&product, &sum)?;
        let mean = on.line(&half, 2.0, 0.0)?;
        slopes.push(on.multiply(&ratio, &mean)?);
    }
    slopes.push(ones.clone());

    // The bins, from plain numbers. Outside, the curve is evaluated at 0 and thrown away.
    let values: Vec<f64> = x.as_vec().into_iter().map(E::widen).collect();
    let inside: Vec<bool> = values.iter().map(|x| x.abs() <= limit).collect();
    let edges: Vec<Vec<E>> = lefts.iter().map(|left| left.as_vec()).collect();
    let bin = |cell: usize| {
        let x = if inside[cell] { values[cell] } else { 0.0 };
        (1..bins).filter(|&k| x >= edges[k][cell].widen()).count()
    };
    let chosen: Vec<usize> = (0..values.len()).map(bin).collect();
    let mut masks = Vec::new();
    for k in 0..bins {
        masks.push(constant(&x, chosen.iter().map(|&bin| f64::from(u8::from(bin == k))))?);
    }
    let within = constant(&x, inside.iter().map(|&inside| f64::from(u8::from(inside))))?;
    let without = constant(&x, inside.iter().map(|&inside| f64::from(u8::from(!inside))))?;

    let point = on.multiply(&x, &within)?;
    let (left, bottom) = (on.choose(&masks, &lefts)?, on.choose(&masks, &bottoms)?);
    let (w, h, s) = (on.choose(&masks, &widths)?, on.choose(&masks, &heights)?, on.choose(&masks, &steeps)?);
    let (first, last) = (on.choose(&masks, &slopes[..bins])?, on.choose(&masks, &slopes[1..])?);
    // Durkan et al. 2019, equations 4 and 5.
    let from_left = on.subtract(&point, &left)?;
    let xi = on.divide(&from_left, &w)?;
    let eta = on.line(&xi, -1.0, 1.0)?;
    let (xi_xi, xi_eta, eta_eta) = (on.square(&xi)?, on.multiply(&xi, &eta)?, on.square(&eta)?);
    let (s_xi_xi, first_xi_eta) = (on.multiply(&s, &xi_xi)?, on.multiply(&first, &xi_eta)?);
    let numerator = on.add(&s_xi_xi, &first_xi_eta)?;
    let (sum, twice) = (on.add(&first, &last)?, on.line(&s, 2.0, 0.0)?);
    let spread = on.subtract(&sum, &twice)?;
    let spread = on.multiply(&spread, &xi_eta)?;
    let denominator = on.add(&s, &spread)?;
    let theta = on.divide(&numerator, &denominator)?;
    let rise = on.multiply(&h, &theta)?;
    let image = on.add(&bottom, &rise)?;
    let (a, b, c) = (on.multiply(&last, &xi_xi)?, on.multiply(&twice, &xi_eta)?, on.multiply(&first, &eta_eta)?);
    let ab = on.add(&a, &b)?;
    let abc = on.add(&ab, &c)?;
    let ratio = on.divide(&s, &denominator)?;
    let squared = on.square(&ratio)?;
    let slope = on.multiply(&squared, &abc)?;
    let log_slope = on.apply(&slope, |slope| slope.try_ln())?;
    let (curved, straight) = (on.multiply(&image, &within)?, on.multiply(&x, &without)?);
    let (z, log_slope) = (on.add(&curved, &straight)?, on.multiply(&log_slope, &within)?);

    let s = on.bounded(&slots[3 * bins - 1], bound)?;
    let scale = on.apply(&s, |s| s.try_exp())?;
    let scaled = on.multiply(&z, &scale)?;
    let y = on.add(&scaled, &slots[3 * bins])?;
    let logs = on.add(&log_slope, &s)?;
    let log_det: Rows<E, D, T> = logs.put_tape(on.tape).try_sum::<(usize,), Axis<1>>().map_err(tensor_error)?;
    let (log_det, tape) = log_det.split_tape();
    Ok((y.put_tape(tape), log_det.put_tape(T::default())))
}
