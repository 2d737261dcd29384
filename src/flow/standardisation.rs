//! The way between the user's coordinates and those that a flow sees: links for bounded columns, tails drawn in, shift, scale and a
//! triangular factor.

use super::{Link, Tail};
use crate::cholesky;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// u = link(tail(shift + scale · (F z))), with a lower-triangular F where the coordinates are whitened. It is part of the model:
/// log p(u) = log p(z) − ln det du/dz, where only the variables count: of columns that are given, which come first, there is no density.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardisation {
    /// What z = 0 stands for.
    pub shift: Vec<f64>,
    /// The length of a unit of z; positive.
    pub scale: Vec<f64>,
    /// The links; none is the identity for all.
    #[serde(default)]
    pub links: Vec<Link>,
    /// How extremes are drawn in, behind the links; none is not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tails: Vec<Option<Tail>>,
    /// F, row-major, with a positive diagonal; empty is the identity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factor: Vec<f64>,
    /// How many of the columns, the first ones, are given.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub given: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// The largest number of coordinates that are whitened; a factor is a matrix, and a part of the model file.
pub const MOST_WHITENED: usize = 1024;

impl Standardisation {
    /// Leaves everything as it is.
    pub fn identity(dim: usize) -> Self {
        let (shift, scale) = (vec![0.0; dim], vec![1.0; dim]);
        Self { shift, scale, links: Vec::new(), tails: Vec::new(), factor: Vec::new(), given: 0 }
    }

    /// The same where so many columns, the first ones, are given.
    pub fn beside(self, given: usize) -> Self {
        Self { given, ..self }
    }

    /// What is given, in the flow's coordinates, from what is given in the user's: no variable has a part in it.
    pub fn of_given(&self, given: &[f64]) -> Vec<f64> {
        let mut row: Vec<f64> = given.iter().enumerate().map(|(i, &u)| self.straighten(i, u)).collect();
        row.iter_mut().zip(self.lines()).for_each(|(w, (shift, scale))| *w = (*w - shift) / scale);
        if !self.factor.is_empty() {
            cholesky::solve(&self.corner(0..self.given), &mut row);
        }
        row
    }

    /// That of the variables alone where the user's `given` is given.
    pub fn at(&self, given: &[f64]) -> Self {
        let (first, dim) = (self.given, self.shift.len());
        let z = self.of_given(given);
        let mut shift = self.shift[first..].to_vec();
        if !self.factor.is_empty() {
            for (i, shift) in shift.iter_mut().enumerate() {
                let row = &self.factor[(first + i) * dim..][..first];
                *shift += self.scale[first + i] * row.iter().zip(&z).map(|(factor, z)| factor * z).sum::<f64>();
            }
        }
        let factor = if self.factor.is_empty() { Vec::new() } else { self.corner(first..dim) };
        Self {
            shift,
            scale: self.scale[first..].to_vec(),
            links: self.links.iter().skip(first).copied().collect(),
            tails: self.tails.iter().skip(first).copied().collect(),
            factor,
            given: 0,
        }
    }

    /// The square of the factor in these rows and columns.
    fn corner(&self, places: std::ops::Range<usize>) -> Vec<f64> {
        let rows = self.factor.chunks_exact(self.shift.len()).skip(places.start).take(places.len());
        rows.flat_map(|row| &row[places.clone()]).copied().collect()
    }

    /// That which turns a density with this mean and covariance (row-major), both behind `links`, into one with mean 0 and covariance I.
    /// Also the multiple of the variances that had to be added to them for a positive definite matrix; 0 for none.
    ///
    /// # Errors
    /// If a number is not finite, a variance is not positive, or there are more than [`MOST_WHITENED`] coordinates.
    pub fn whitening(mean: Vec<f64>, covariance: &[f64], links: Vec<Link>) -> Result<(Self, f64)> {
        let dim = mean.len();
        if dim > MOST_WHITENED {
            return Err(Error::invalid(format!("whitening of {dim} coordinates; at most {MOST_WHITENED} are right")));
        }
        let scale: Vec<f64> = (0..dim).map(|i| covariance[i * dim + i].sqrt()).collect();
        if let Some(i) = (0..dim).find(|&i| !(scale[i] > 0.0 && scale[i].is_finite() && mean[i].is_finite())) {
            let (mean, scale) = (mean[i], scale[i]);
            let message = format!("coordinate {} has mean {mean} and standard deviation {scale}", i + 1);
            return Err(Error::invalid(format!(
                "{message}; finite numbers, the latter positive, are right to whiten by"
            )));
        }
        let correlation: Vec<f64> =
            (0..dim * dim).map(|cell| covariance[cell] / (scale[cell / dim] * scale[cell % dim])).collect();
        let (factor, ridge) = cholesky::regularised(&correlation, dim).map_err(Error::invalid)?;
        Ok((Self { shift: mean, scale, links, tails: Vec::new(), factor, given: 0 }, ridge))
    }

    /// [`Standardisation::whitening`] by the mean and covariance of `rows` (row-major) behind `links`.
    ///
    /// # Errors
    /// As [`Standardisation::fit`], or with too many coordinates.
    pub fn whitening_of(rows: &[f64], names: &[String], links: Vec<Link>) -> Result<(Self, f64)> {
        let fitted = Self::fit(rows, names, links, true)?;
        let dim = names.len();
        if dim > MOST_WHITENED {
            return Err(Error::invalid(format!("whitening of {dim} coordinates; at most {MOST_WHITENED} are right")));
        }
        let mut standardised = rows.to_vec();
        fitted.apply(&mut standardised, &mut vec![0.0; rows.len() / dim]);
        let mut covariance = vec![0.0; dim * dim];
        for row in standardised.chunks_exact(dim) {
            for (i, sums) in covariance.chunks_exact_mut(dim).enumerate() {
                sums[..=i].iter_mut().zip(row).for_each(|(sum, z)| *sum += row[i] * z);
            }
        }
        let n = (rows.len() / dim) as f64;
        for i in 0..dim {
            for j in 0..=i {
                let value = covariance[i * dim + j] / n * fitted.scale[i] * fitted.scale[j];
                (covariance[i * dim + j], covariance[j * dim + i]) = (value, value);
            }
        }
        let (whitening, ridge) = Self::whitening(fitted.shift, &covariance, fitted.links)?;
        Ok((Self { tails: fitted.tails, ..whitening }, ridge))
    }

    /// The given links, with mean and standard deviation of each column of `rows` (row-major) behind its link, and with its extremes drawn
    /// in where they rule these, summed in two passes; without `scaled`, the links alone.
    ///
    /// # Errors
    /// If there is no row, a value is outside its link's bounds, or a column is constant; the error names it by its entry in
    /// `names`.
    pub fn fit(rows: &[f64], names: &[String], links: Vec<Link>, scaled: bool) -> Result<Self> {
        let dim = names.len();
        let mut fitted = Self { links, ..Self::identity(dim) };
        fitted.check(rows, names)?;
        if !scaled {
            return Ok(fitted);
        }
        let n = (rows.len() / dim.max(1)) as f64;
        if n < 1.0 {
            return Err(Error::invalid("there are no rows to standardise by"));
        }
        let behind =
            |i: usize| -> Vec<f64> { rows.iter().skip(i).step_by(dim).map(|&u| fitted.link(i).inverse(u)).collect() };
        let tails: Vec<Option<Tail>> = (0..dim).map(|i| Tail::of(&behind(i))).collect();
        if tails.iter().any(Option::is_some) {
            fitted.tails = tails;
        }
        let mean_of = |value: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            let mut sums = vec![0.0; dim];
            for row in rows.chunks_exact(dim) {
                sums.iter_mut().zip(row).enumerate().for_each(|(i, (sum, &u))| *sum += value(i, u));
            }
            sums.into_iter().map(|sum| sum / n).collect()
        };
        let shift = mean_of(&|i, u| fitted.straighten(i, u));
        let squares = mean_of(&|i, u| (fitted.straighten(i, u) - shift[i]).powi(2));
        let scale: Vec<f64> = squares.into_iter().map(f64::sqrt).collect();
        for (i, scale) in scale.iter().enumerate() {
            // Rounding leaves a constant column a spread of a few units in the last place of its mean.
            if !(*scale > 1e-12 * shift[i].abs() && scale.is_finite()) {
                let message =
                    format!("column `{}` is constant (or nearly: its standard deviation is {scale:.1e})", names[i]);
                return Err(Error::invalid(format!("{message}; leave it out, or scale the data")));
            }
        }
        (fitted.shift, fitted.scale) = (shift, scale);
        Ok(fitted)
    }

    /// Whether all of `rows` are within the bounds of the links.
    ///
    /// # Errors
    /// With the first value that is not, and its row and column.
    pub fn check(&self, rows: &[f64], names: &[String]) -> Result<()> {
        for (row, values) in rows.chunks_exact(names.len().max(1)).enumerate() {
            if let Some(i) = (0..names.len()).find(|&i| !self.link(i).inverse(values[i]).is_finite()) {
                let right = self.link(i).right();
                let message = format!("row {}, column `{}` is {}; {right} is right", row + 1, names[i], values[i]);
                return Err(Error::invalid(message));
            }
        }
        Ok(())
    }

    fn link(&self, i: usize) -> Link {
        self.links.get(i).copied().unwrap_or(Link::Identity)
    }

    /// Brings angles into the turn that their link counts, in place.
    pub fn turn(&self, rows: &mut [f64]) {
        for (i, link) in self.links.iter().enumerate() {
            if let Link::Around { low, period, .. } = *link {
                let angles = rows.iter_mut().skip(i).step_by(self.shift.len());
                angles.for_each(|u| *u = low + (*u - low).rem_euclid(period));
            }
        }
    }

    fn tail(&self, i: usize) -> Option<Tail> {
        self.tails.get(i).copied().flatten()
    }

    /// The value of coordinate `i` behind its link and its tail.
    fn straighten(&self, i: usize, u: f64) -> f64 {
        let w = self.link(i).inverse(u);
        self.tail(i).map_or(w, |tail| tail.inverse(w))
    }

    /// The way back: u, ln du/dv and the derivative of the latter by v.
    fn bend(&self, i: usize, v: f64) -> (f64, f64, f64) {
        let Some(tail) = self.tail(i) else { return self.link(i).at(v) };
        let (w, log_slope, bend) = tail.at(v);
        let (u, log_slope_of_link, bend_of_link) = self.link(i).at(w);
        (u, log_slope + log_slope_of_link, bend + bend_of_link * log_slope.exp())
    }

    /// Whether no coordinate has a link or a tail that bends.
    fn is_straight(&self) -> bool {
        self.links.iter().all(|&link| link == Link::Identity) && self.tails.iter().all(Option::is_none)
    }

    /// Shift and scale of each coordinate of a row.
    fn lines<'a>(&'a self) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.shift.iter().copied().zip(self.scale.iter().copied())
    }

    /// Σ ln scale + ln det F of the variables.
    fn log_scale(&self) -> f64 {
        let diagonal = self.factor.iter().step_by(self.shift.len() + 1).skip(self.given);
        self.scale[self.given..].iter().chain(diagonal).map(|scale| scale.ln()).sum()
    }

    /// What coordinate `i` adds to a Jacobian of the variables.
    fn counted(&self, i: usize, value: f64) -> f64 {
        if i < self.given {
            0.0
        } else {
            value
        }
    }

    /// The coordinates behind their links, shift + scale · (F z), of a row `z`, in place.
    fn undo_lines(&self, row: &mut [f64]) {
        if !self.factor.is_empty() {
            cholesky::multiply(&self.factor, row);
        }
        row.iter_mut().zip(self.lines()).for_each(|(z, (shift, scale))| *z = *z * scale + shift);
    }

    /// From the user's units to the flow's, in place; fills ln det du/dz of each row.
    pub fn apply(&self, rows: &mut [f64], log_jacobian: &mut [f64]) {
        let (straight, log_scale) = (self.is_straight(), self.log_scale());
        for (row, log_jacobian) in rows.chunks_exact_mut(self.shift.len()).zip(log_jacobian) {
            *log_jacobian = log_scale;
            if !straight {
                for (i, u) in row.iter_mut().enumerate() {
                    *u = self.straighten(i, *u);
                    *log_jacobian += self.counted(i, self.bend(i, *u).1);
                }
            }
            row.iter_mut().zip(self.lines()).for_each(|(w, (shift, scale))| *w = (*w - shift) / scale);
            if !self.factor.is_empty() {
                cholesky::solve(&self.factor, row);
            }
        }
    }

    /// From the flow's units to the user's, in place; fills ln det du/dz of each row.
    pub fn undo(&self, rows: &mut [f64], log_jacobian: &mut [f64]) {
        let (straight, log_scale) = (self.is_straight(), self.log_scale());
        for (row, log_jacobian) in rows.chunks_exact_mut(self.shift.len()).zip(log_jacobian) {
            *log_jacobian = log_scale;
            self.undo_lines(row);
            if !straight {
                for (i, w) in row.iter_mut().enumerate() {
                    let (u, log_slope, _) = self.bend(i, *w);
                    *log_jacobian += self.counted(i, log_slope);
                    *w = u;
                }
            }
        }
    }

    /// Turns gradients of log γ(u) by u into those of log γ(u(z)) + ln det du/dz by z, at the rows `z`.
    pub fn pull_back(&self, z: &[f64], gradients: &mut [f64]) {
        let (dim, straight) = (self.shift.len(), self.is_straight());
        let mut behind = vec![0.0; dim];
        for (row, z) in gradients.chunks_exact_mut(dim).zip(z.chunks_exact(dim)) {
            if !straight {
                behind.copy_from_slice(z);
                self.undo_lines(&mut behind);
                for (i, (gradient, w)) in row.iter_mut().zip(&behind).enumerate() {
                    let (_, log_slope, bend) = self.bend(i, *w);
                    *gradient = *gradient * log_slope.exp() + self.counted(i, bend);
                }
            }
            row.iter_mut().zip(&self.scale).for_each(|(gradient, scale)| *gradient *= scale);
            if !self.factor.is_empty() {
                cholesky::multiply_transposed(&self.factor, row);
            }
        }
    }

    /// Turns gradients of log p(z) by z into those of log p(u) = log p(z(u)) − ln det du/dz by u, at the rows `z`.
    pub fn push_forward(&self, z: &[f64], gradients: &mut [f64]) {
        let (dim, straight) = (self.shift.len(), self.is_straight());
        let mut behind = vec![0.0; dim];
        for (row, z) in gradients.chunks_exact_mut(dim).zip(z.chunks_exact(dim)) {
            if !self.factor.is_empty() {
                cholesky::solve_transposed(&self.factor, row);
            }
            row.iter_mut().zip(&self.scale).for_each(|(gradient, scale)| *gradient /= scale);
            if !straight {
                behind.copy_from_slice(z);
                self.undo_lines(&mut behind);
                for (i, (gradient, w)) in row.iter_mut().zip(&behind).enumerate() {
                    let (_, log_slope, bend) = self.bend(i, *w);
                    *gradient = (*gradient - self.counted(i, bend)) * (-log_slope).exp();
                }
            }
        }
    }

    /// Checks what was read from a file.
    ///
    /// # Errors
    /// If it is not for `dim` coordinates, or a number is out of its range.
    pub fn validate(&self, dim: usize) -> Result<()> {
        let lengths = [self.shift.len(), self.scale.len(), if self.links.is_empty() { dim } else { self.links.len() }];
        if lengths != [dim; 3] {
            let [shifts, scales, links] = lengths;
            let message = format!(
                "a standardisation of {shifts} shifts, {scales} scales and {links} links for {dim} coordinates"
            );
            return Err(Error::invalid(message));
        }
        if !self.links.iter().all(|link| link.is_sound()) {
            return Err(Error::invalid("a standardisation with a link whose bounds are not finite and in order"));
        }
        let tails = &self.tails;
        if !(tails.is_empty() || tails.len() == dim) || !tails.iter().flatten().all(|tail| tail.is_sound()) {
            return Err(Error::invalid(
                "a standardisation with tails that are not one for each coordinate, of finite lengths",
            ));
        }
        let sound = |scale: &f64| scale.is_finite() && *scale > 0.0;
        if !self.shift.iter().all(|shift| shift.is_finite()) || !self.scale.iter().all(sound) {
            return Err(Error::invalid(
                "a standardisation with a shift that is not finite or a scale that is not positive",
            ));
        }
        if self.given >= dim.max(1) {
            return Err(Error::invalid(format!(
                "a standardisation of {dim} columns, of which {} are given",
                self.given
            )));
        }
        self.validate_factor(dim)
    }

    fn validate_factor(&self, dim: usize) -> Result<()> {
        let sound = |(cell, value): (usize, &f64)| match (cell / dim).cmp(&(cell % dim)) {
            std::cmp::Ordering::Less => *value == 0.0,
            std::cmp::Ordering::Equal => value.is_finite() && *value > 0.0,
            std::cmp::Ordering::Greater => value.is_finite(),
        };
        let square = dim <= MOST_WHITENED && self.factor.len() == dim * dim;
        if self.factor.is_empty() || (square && self.factor.iter().enumerate().all(sound)) {
            return Ok(());
        }
        let right = format!("a lower-triangular matrix of {dim} × {dim} with a positive diagonal");
        Err(Error::invalid(format!("a standardisation with a factor that is not {right}")))
    }
}
