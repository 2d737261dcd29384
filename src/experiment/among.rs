//! The verdict on a student that is given something: by what it is given, and over all of it.

use super::given_rows::GivenRows;
use super::looking::{of_teacher, Looking};
use crate::error::{Error, Result};
use crate::evaluate::certificate::Certificate;
use crate::evaluate::draws::log_weights_of_draws;
use crate::evaluate::weights;
use crate::flow::FrozenModel;
use crate::target::{At, Density};
use serde_json::{json, Value};
use std::fmt::Write;

/// Rows over which figures are averaged, at most, …
const SURVEYED: usize = 64;
/// … with so many draws for each.
const DRAWS: usize = 1_000;
/// Rows of them that get a certificate: half of them those where the student is worst.
const JUDGED: usize = 6;

/// A row that is given, with the certificate of the student there.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The row, from 1, among those that are held out.
    pub row: usize,
    /// What is given, in the model's coordinates.
    pub given: Vec<f64>,
    /// The same as the user writes it.
    pub cells: Vec<String>,
    /// The certificate there.
    pub certificate: Certificate,
}

/// A student over what it is given.
#[derive(Debug, Clone)]
pub struct Among {
    /// The columns that are given.
    pub names: Vec<String>,
    /// Rows over which the figures are averaged.
    pub rows: usize,
    /// The mean of ESS/N over them.
    pub mean_ess: f64,
    /// The lowest.
    pub worst_ess: f64,
    /// The mean of log Z − ELBO, in nats: KL(q ‖ p) averaged over what is given.
    pub mean_kl: f64,
    /// Those that were looked at closely, the worst verdict first.
    pub judged: Vec<Judged>,
}

/// Judges `student` for `density`, which is that of `teacher` where there is one, at rows of what they are given.
///
/// # Errors
/// If the target asks for the run to stop.
pub(super) fn certify(
    student: &FrozenModel<f64>,
    density: &dyn Density,
    teacher: Option<&FrozenModel<f64>>,
    rows: &GivenRows,
    looking: &Looking,
) -> Result<Among> {
    let count = rows.judged_rows().min(SURVEYED);
    // Evenly spread over the rows, which come at random.
    let place = |k: usize| k * rows.judged_rows() / count;
    let stream = |k: usize| looking.stream.child(&format!("given {k}"));
    let mut found = Vec::new();
    for k in 0..count {
        let given = rows.judged(place(k));
        let (log_weights, _) =
            log_weights_of_draws(&student.at(given)?, &At::new(density, given), DRAWS, &stream(k).child("survey"))?;
        let scores = weights::reverse(&log_weights);
        let kl = scores.log_z - scores.elbo;
        let (ess, kl) = if kl.is_finite() { (scores.ess, kl) } else { (0.0, f64::INFINITY) };
        found.push((k, ess, kl));
    }
    let mean = |value: &dyn Fn(&(usize, f64, f64)) -> f64| found.iter().map(value).sum::<f64>() / count as f64;
    let (mean_ess, mean_kl) = (mean(&|(_, ess, _)| *ess), mean(&|(_, _, kl)| *kl));
    let worst_ess = found.iter().map(|(_, ess, _)| *ess).fold(f64::INFINITY, f64::min);
    // The worst, and of the others the first: any are as good.
    let mut order = found.clone();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut chosen: Vec<usize> = order.iter().take(JUDGED / 2).map(|(k, ..)| *k).collect();
    let others: Vec<usize> = (0..count).filter(|k| !chosen.contains(k)).take(JUDGED - chosen.len()).collect();
    chosen.extend(others);
    let mut judged = Vec::new();
    for k in chosen {
        let given = rows.judged(place(k));
        let (at, stream) = (student.at(given)?, stream(k));
        let coordinates = Some(at.standardisation());
        let here = Looking { coordinates, stream: &stream, ..*looking };
        let at_hand =
            teacher.map(|teacher| Ok::<_, Error>(of_teacher(&teacher.at(given)?, here.draws, &stream))).transpose()?;
        let (certificate, _) = here.certify(&at, &At::new(density, given), at_hand, None)?;
        let cells = cells(student, given);
        judged.push(Judged { row: place(k) + 1, given: given.to_vec(), cells, certificate });
    }
    judged.sort_by(|a, b| {
        let of = |judged: &Judged| (judged.certificate.verdict, judged.certificate.reverse.ess);
        of(a).0.cmp(&of(b).0).then(of(a).1.total_cmp(&of(b).1))
    });
    Ok(Among { names: student.given_names(), rows: count, mean_ess, worst_ess, mean_kl, judged })
}

/// What is given to `model` as its table has it.
fn cells(model: &FrozenModel<f64>, given: &[f64]) -> Vec<String> {
    let columns = model.columns();
    if columns.is_plain() {
        // Five digits tell rows apart.
        let short = |value: &f64| format!("{value:.4e}").parse::<f64>().unwrap_or(*value).to_string();
        return given.iter().map(short).collect();
    }
    let mut row = given.to_vec();
    row.resize(model.dim(), 0.0);
    columns.0.iter().zip(columns.collapse(&row)).map(|(column, number)| column.cell(number)).collect()
}

/// Values of what is given that are shown.
const SHOWN: usize = 4;

impl Among {
    /// The certificate of the whole: that of the row with the worst verdict, whose reasons say which it is.
    pub fn certificate(&self) -> Option<Certificate> {
        let worst = self.judged.first()?;
        let place = self.place(worst);
        let mut certificate = worst.certificate.clone();
        certificate.reasons.iter_mut().for_each(|reason| *reason = format!("given {place}: {reason}"));
        Some(certificate)
    }

    fn place(&self, judged: &Judged) -> String {
        let values = self.names.iter().zip(&judged.cells).take(SHOWN).map(|(name, cell)| format!("{name} = {cell}"));
        let more = if self.names.len() > SHOWN { ", …" } else { "" };
        format!("{}{more}", values.collect::<Vec<_>>().join(", "))
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let judged = self.judged.iter().map(|judged| {
            json!({
                "row": judged.row,
                "given": judged.given,
                "certificate": judged.certificate.to_json(),
            })
        });
        json!({
            "names": self.names,
            "rows": self.rows,
            "mean_ess": self.mean_ess,
            "worst_ess": self.worst_ess,
            "mean_kl": self.mean_kl,
            "judged": judged.collect::<Vec<_>>(),
        })
    }

    /// For people (Markdown).
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        let Self { rows, mean_ess, worst_ess, mean_kl, .. } = self;
        let _ = writeln!(out, "## What is given\n");
        let _ = writeln!(
            out,
            "over {rows} rows, {DRAWS} draws each: ESS/N {mean_ess:.4} on average and {worst_ess:.4} at worst, KL(student ‖ target) \
             {mean_kl:.4} nats on average\n"
        );
        let _ = writeln!(out, "| row | given | verdict | ESS/N | ELBO | log Z |\n|---:|---|---|---:|---:|---:|");
        for judged in &self.judged {
            let Judged { row, certificate, .. } = judged;
            let (verdict, own) = (certificate.verdict.words(), &certificate.reverse);
            let place = self.place(judged);
            let _ =
                writeln!(out, "| {row} | {place} | {verdict} | {:.4} | {:.4} | {:.4} |", own.ess, own.elbo, own.log_z);
        }
        out
    }
}
