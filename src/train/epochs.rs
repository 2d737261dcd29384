//! Batches of rows drawn without replacement, epoch after epoch.

use crate::seed::{open_unit, Stream};

/// Which rows belong to which step: each epoch shuffles all rows, and what is left over at its end is not seen in it.
#[derive(Debug, Clone)]
pub struct Epochs {
    batch: usize,
    stream: Stream,
    epoch: Option<u64>,
    permutation: Vec<u32>,
}

impl Epochs {
    /// Batches of `batch` of `rows` rows (all of them, if they are fewer); `stream` shuffles the epochs.
    pub fn new(rows: usize, batch: usize, stream: Stream) -> Self {
        Self { batch: batch.min(rows), stream, epoch: None, permutation: (0..rows as u32).collect() }
    }

    /// The number of rows in each batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The number of steps that see each row once.
    pub fn steps(&self) -> u64 {
        (self.permutation.len() / self.batch) as u64
    }

    /// The rows of step `step`.
    pub fn rows_of(&mut self, step: u64) -> impl Iterator<Item = usize> + '_ {
        let (epoch, part) = (step / self.steps(), (step % self.steps()) as usize);
        if self.epoch != Some(epoch) {
            self.shuffle(epoch);
        }
        self.permutation[part * self.batch..(part + 1) * self.batch].iter().map(|&row| row as usize)
    }

    /// Shuffles for `epoch` (Fisher and Yates), from the identity, so that an epoch's order does not depend on those before.
    fn shuffle(&mut self, epoch: u64) {
        let mut rng = self.stream.row(epoch);
        let rows = self.permutation.len();
        self.permutation.iter_mut().zip(0..).for_each(|(place, row)| *place = row);
        for last in (1..rows).rev() {
            let pick = (open_unit(&mut rng) * (last + 1) as f64) as usize;
            self.permutation.swap(last, pick.min(last));
        }
        self.epoch = Some(epoch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Seed;

    #[test]
    fn an_epoch_sees_each_row_at_most_once_and_can_be_entered_anywhere() {
        let mut epochs = Epochs::new(10, 3, Seed(1).stream("rows"));
        assert_eq!((epochs.steps(), epochs.batch()), (3, 3));
        let mut seen: Vec<usize> = (3..6).flat_map(|step| epochs.rows_of(step).collect::<Vec<_>>()).collect();
        let last: Vec<usize> = Epochs::new(10, 3, Seed(1).stream("rows")).rows_of(5).collect();
        assert_eq!(seen[6..], last);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 9);
        assert_eq!(Epochs::new(2, 5, Seed(1).stream("rows")).batch(), 2);
    }
}
