//! CmdStan's CSV, as ArviZ, CmdStanPy and R's posterior read it: comments, `lp__`, and Stan's names.

use super::arrays::variables;
use super::plain::Sink;
use super::{Beside, Header, Rows};
use crate::error::Result;
use std::io::Write;
use std::path::Path;

/// What follows the draws; readers count them by it.
pub(super) const END: &str = "# \n#  Elapsed Time: 0 seconds (Warm-up)\n#                0 seconds (Sampling)\n\
                              #                0 seconds (Total)\n# \n";

pub(super) struct Stan {
    sink: Sink,
    width: usize,
    /// Where the model's log density and the log weight are in a row.
    log_prob: Option<usize>,
    log_weight: Option<usize>,
    /// The column of each value in Stan's order.
    columns: Vec<usize>,
}

impl Stan {
    pub fn new(path: &Path, header: &Header) -> Result<Self> {
        let (log_prob, log_weight) = (header.place(Beside::LogProb), header.place(Beside::LogWeight));
        let mut text = format!(
            "# stan_version_major = 2\n# stan_version_minor = 35\n# stan_version_patch = 0\n# model = flowdistill_model\n\
             # method = sample (Default)\n#   sample\n#     num_samples = {}\n#     num_warmup = 1000 (Default)\n\
             #     save_warmup = false (Default)\n#     thin = 1 (Default)\n#     adapt\n#       engaged = false\n\
             #     algorithm = fixed_param\n#     num_chains = 1 (Default)\n# id = 1 (Default)\n\
             # data\n#   file =  (Default)\n# init = 2 (Default)\n# random\n#   seed = 1\n\
             # output\n#   file = output.csv (Default)\n#   diagnostic_file =  (Default)\n#   refresh = 100 (Default)\n\
             lp__,accept_stat__",
            header.rows
        );
        if log_weight.is_some() {
            text += ",log_p__,log_g__";
        }
        let (mut columns, mut taken) = (Vec::new(), Vec::new());
        for variable in variables(header.names) {
            let name = legal(&variable.name, &mut taken);
            let mut elements: Vec<(Vec<usize>, usize)> =
                variable.indices().into_iter().zip(variable.columns.iter().copied()).collect();
            // The first index runs fastest.
            elements.sort_by(|(a, _), (b, _)| a.iter().rev().cmp(b.iter().rev()));
            for (indices, column) in elements {
                text += &format!(",{name}");
                indices.iter().for_each(|index| text += &format!(".{}", index + 1));
                columns.push(column);
            }
        }
        text.push('\n');
        let mut sink = Sink::to(path)?;
        sink.put(text.as_bytes())?;
        Ok(Self { sink, width: header.width(), log_prob, log_weight, columns })
    }
}

/// A name that Stan's readers take for one of a variable.
fn legal(name: &str, taken: &mut Vec<String>) -> String {
    let mut legal: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    legal = legal.trim_matches('_').to_string();
    if !legal.starts_with(|c: char| c.is_ascii_alphabetic()) {
        legal.insert(0, 'x');
    }
    while taken.contains(&legal) {
        legal.push('x');
    }
    taken.push(legal.clone());
    legal
}

impl Rows for Stan {
    fn write(&mut self, rows: &[f64]) -> Result<()> {
        let mut bytes = Vec::with_capacity(rows.len() * 20);
        for row in rows.chunks_exact(self.width) {
            let of_model = self.log_prob.map_or(0.0, |place| row[place]);
            let of_target = self.log_weight.map(|place| of_model + row[place]);
            // Writing to memory cannot fail.
            let _ = write!(bytes, "{},1", of_target.unwrap_or(of_model));
            if let Some(of_target) = of_target {
                let _ = write!(bytes, ",{of_target},{of_model}");
            }
            self.columns.iter().for_each(|&column| {
                let _ = write!(bytes, ",{}", row[column]);
            });
            bytes.push(b'\n');
        }
        self.sink.put(&bytes)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.sink.put(END.as_bytes())?;
        self.sink.finish()
    }
}
