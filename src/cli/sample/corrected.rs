//! Draws of a target made of a model's: written block by block in constant memory.

use super::{go_on, Correction, Global, UsersSpace, OVERSAMPLING, ROWS};
use crate::data::RowWriter;
use crate::error::{Error, Result};
use crate::evaluate::correction::{resample, Chain, Proposal};
use crate::progress::RowBar;
use crate::seed::open_unit;
use crate::shown::say;
use crate::target::Density;

/// Writes draws of `target`, block by block in constant memory, and says how well the model proposed.
pub(super) fn corrected(
    correction: Correction,
    space: &UsersSpace,
    target: &dyn Density,
    mut writer: RowWriter,
    global: &Global,
) -> Result<()> {
    let UsersSpace { options, model, width, .. } = *space;
    let (dim, stream) = (model.dim(), global.seed().stream("sample/corrected"));
    let proposal = Proposal::new(model, target, options.defensive, stream.child("proposal"));
    let bar = RowBar::new(global.quiet || options.output.is_none(), options.n);
    let (mut chain, uniforms) = (Chain::default(), stream.child("uniforms"));
    let mut ess = Vec::new();
    let mut write = |points: Vec<f64>| {
        let mut no_log_prob = vec![0.0; points.len() / dim];
        writer.write_rows(&space.of(points, &mut no_log_prob)?, width)
    };
    if correction == Correction::Imh {
        // The chain's first places are those of the model; a block of them is enough to forget where it began if it forgets at all.
        let (mut points, log_weights) = proposal.draw(0, ROWS as usize)?;
        chain.advance(dim, &mut points, &log_weights, &uniforms);
    }
    for first in (0..options.n).step_by(ROWS as usize) {
        go_on()?;
        let rows = ROWS.min(options.n - first) as usize;
        match correction {
            Correction::Imh => {
                let (mut points, log_weights) = proposal.draw(ROWS + first, rows)?;
                chain.advance(dim, &mut points, &log_weights, &uniforms);
                write(points)?;
            }
            Correction::Sir => {
                // A whole block is proposed even where fewer draws are left, so that the last ones are no worse than the others.
                let (points, log_weights) = proposal.draw(first * OVERSAMPLING as u64, ROWS as usize * OVERSAMPLING)?;
                ess.push(crate::evaluate::weights::reverse(&log_weights).ess);
                let u = open_unit(&mut uniforms.row(first));
                let kept = resample(dim, &points, &log_weights, rows, u)
                    .ok_or_else(|| Error::Target("no proposal of the model has a weight under the target".into()))?;
                write(kept)?;
            }
        }
        bar.advance(rows as u64);
    }
    writer.finish()?;
    if !global.quiet {
        match correction {
            Correction::Imh => say!(
                "independence Metropolis-Hastings: acceptance {:.3}, autocorrelation time {:.2}",
                chain.acceptance(),
                chain.autocorrelation_time()
            ),
            Correction::Sir => say!(
                "sampling importance resampling: ESS/N of the proposals {:.3}, {OVERSAMPLING} for each draw",
                ess.iter().sum::<f64>() / ess.len() as f64
            ),
        }
    }
    Ok(())
}
